//! Executes this program anew, in the same process: what stood in its arguments, which every user of this host can read, or in
//! its environment, which executors would inherit, is gone then. A secret goes from the one life to the next through a pipe.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io::{self, Write};

use nix::unistd::{dup2_stdin, execve};

use super::launch::{c_string, environment};
use super::own_path;

/// Becomes this program with these words behind its name, and `secret` on its stdin. To be called before there is anything to
/// lose: files are closed, threads end. Returns only if it cannot be done; then all is as it was, but for stdin.
pub fn execute(words: Vec<OsString>, secret: &str) -> io::Result<Infallible> {
    let path = own_path();
    // A name without a path would be looked for wherever the agent happens to work.
    if !path.is_absolute() {
        return Err(io::Error::other(format!("{} does not tell where this program's file is", path.display())));
    }
    let own_name = std::env::args_os().next().unwrap_or_default();
    let words: Vec<_> = std::iter::once(own_name).chain(words).map(c_string).collect::<io::Result<_>>()?;
    let environment = environment::<OsString, OsString>([])?;
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(secret.as_bytes())?;
    dup2_stdin(&reader)?;
    Ok(execve(&c_string(path)?, &words, &environment)?)
}
