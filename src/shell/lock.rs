//! One agent per state directory: a lock on a file in it, which holds the process id of whoever has it. The lock goes with its
//! process, however that ends.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};

use nix::fcntl::OFlag;

use super::directory::Directory;

const LOCK_FILE: &str = "lock";

/// Held for as long as the agent lives.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Takes the lock. The error is a line for the user that names the agent that has it.
    pub fn take(state_dir: &Directory) -> Result<StateLock, String> {
        let failed = |error: std::io::Error| {
            format!(
                "cannot lock the state directory {}: {error}; make it writable for this user, or name another in \
                 agent.state_dir",
                state_dir.path().display()
            )
        };
        let mut file = state_dir.open(LOCK_FILE, OFlag::O_RDWR | OFlag::O_CREAT).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken(state_dir, &mut file)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        // A full disk is no reason not to deliver what is on it; only the number is missing then.
        if let Err(error) = written {
            log::warn!("the process id could not be written to {}: {error}", state_dir.path_of(LOCK_FILE).display());
        }
        Ok(StateLock { _file: file })
    }
}

fn taken(state_dir: &Directory, file: &mut File) -> String {
    let mut text = String::new();
    let _ = file.rewind().and_then(|()| file.read_to_string(&mut text));
    let whose = match text.trim() {
        "" => "another agent".to_owned(),
        id => format!("another agent, process {id},"),
    };
    format!(
        "{whose} works in the state directory {}; stop that one, or give this one an agent.state_dir of its own",
        state_dir.path().display()
    )
}

#[cfg(test)]
mod tests {
    use std::fs::DirBuilder;
    use std::os::unix::fs::DirBuilderExt;

    use super::*;

    #[test]
    fn the_second_is_told_who_is_the_first() {
        let directory = std::env::temp_dir().join(format!("faraday-agent-lock-{}", std::process::id()));
        DirBuilder::new().recursive(true).mode(0o700).create(&directory).expect("a directory");
        let state_dir = Directory::own(File::open(&directory).expect("there"), &directory).expect("ours alone");
        let first = StateLock::take(&state_dir).expect("free");
        let problem = StateLock::take(&state_dir).expect_err("taken");
        assert!(problem.contains(&format!("process {},", std::process::id())), "{problem}");
        assert!(problem.contains("agent.state_dir"), "{problem}");
        drop(first);
        StateLock::take(&state_dir).expect("free again");
        std::fs::remove_dir_all(directory).expect("removed");
    }
}
