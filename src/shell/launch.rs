//! Starts one `/bin/sh -c`: in a process group of its own, stdin empty, stdout and stderr piped, no signal blocked. What
//! becomes of the process is the business of `children`.
//!
//! By posix_spawn(3) and not by `std::process`, which hands the caller's signal mask down: the agent blocks SIGTERM, SIGINT,
//! SIGHUP and SIGCHLD for its signalfd, and an executor with SIGTERM blocked could be ended by SIGKILL alone.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;

use super::environment::handed_down;
use super::null;

const SHELL: &str = "/bin/sh";

/// A process that was started; it has to be waited for. Its group has the same number.
#[derive(Debug)]
pub struct Launched {
    pub pid: Pid,
    /// Our ends of its pipes; they block.
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

/// Starts `command` with this program's own environment, without its secrets, and `env` over it.
pub fn shell<N, V>(command: &str, env: impl IntoIterator<Item = (N, V)>) -> io::Result<Launched>
where
    N: AsRef<OsStr>,
    V: AsRef<OsStr>,
{
    let stdin = null::input()?;
    let (stdout, child_stdout) = io::pipe()?;
    let (stderr, child_stderr) = io::pipe()?;
    // All of them close on exec; what dup2(2) makes of them does not.
    let mut files = PosixSpawnFileActions::init()?;
    files.add_dup2(stdin.as_raw_fd(), 0)?;
    files.add_dup2(child_stdout.as_raw_fd(), 1)?;
    files.add_dup2(child_stderr.as_raw_fd(), 2)?;
    let args = [c_string(SHELL)?, c_string("-c")?, c_string(command)?];
    let pid = posix_spawn(SHELL, &files, &attributes()?, &args, &environment(env)?)?;
    Ok(Launched { pid, stdout: stdout.into(), stderr: stderr.into() })
}

fn attributes() -> nix::Result<PosixSpawnAttr> {
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_flags(
        PosixSpawnFlags::POSIX_SPAWN_SETPGROUP
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF,
    )?;
    attributes.set_pgroup(Pid::from_raw(0))?;
    attributes.set_sigmask(&SigSet::empty())?;
    // What is ignored stays so through exec: SIGPIPE by every Rust program, the others by whatever started the agent.
    let mut deaf_to = SigSet::empty();
    for signal in [Signal::SIGPIPE, Signal::SIGTERM, Signal::SIGINT] {
        deaf_to.add(signal);
    }
    attributes.set_sigdefault(&deaf_to)?;
    Ok(attributes)
}

/// What a program gets that is started: this one's own environment without its secrets, and `env` over it.
pub fn environment<N, V>(env: impl IntoIterator<Item = (N, V)>) -> io::Result<Vec<CString>>
where
    N: AsRef<OsStr>,
    V: AsRef<OsStr>,
{
    let mut all: BTreeMap<OsString, OsString> = handed_down().collect();
    all.extend(env.into_iter().map(|(name, value)| (name.as_ref().to_owned(), value.as_ref().to_owned())));
    all.into_iter()
        .map(|(mut entry, value)| {
            entry.push("=");
            entry.push(value);
            c_string(entry)
        })
        .collect()
}

/// An error if there is a NUL in it.
pub fn c_string(text: impl Into<OsString>) -> io::Result<CString> {
    Ok(CString::new(text.into().into_vec())?)
}
