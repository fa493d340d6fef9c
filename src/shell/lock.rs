//! One agent per state directory: a lock on a file in it, which holds the process id of whoever has it. The lock goes with its
//! process, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const LOCK_FILE: &str = "lock";

/// Held for as long as the agent lives.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Takes the lock. The error is a line for the user that names the agent that has it.
    pub fn take(state_dir: &Path) -> Result<StateLock, String> {
        let path = state_dir.join(LOCK_FILE);
        let failed = |error: std::io::Error| {
            format!(
                "cannot lock the state directory {}: {error}; make it writable for this user, or name another in \
                 agent.state_dir",
                state_dir.display()
            )
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken(state_dir, &mut file)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        // A full disk is no reason not to deliver what is on it; only the number is missing then.
        if let Err(error) = written {
            log::warn!("the process id could not be written to {}: {error}", path.display());
        }
        Ok(StateLock { _file: file })
    }
}

fn taken(state_dir: &Path, file: &mut File) -> String {
    let mut text = String::new();
    let _ = file.rewind().and_then(|()| file.read_to_string(&mut text));
    let whose = match text.trim() {
        "" => "another agent".to_owned(),
        id => format!("another agent, process {id},"),
    };
    format!(
        "{whose} works in the state directory {}; stop that one, or give this one an agent.state_dir of its own",
        state_dir.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_is_the_first() {
        let directory = std::env::temp_dir().join(format!("faraday-agent-lock-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let first = StateLock::take(&directory).expect("free");
        let problem = StateLock::take(&directory).expect_err("taken");
        assert!(problem.contains(&format!("process {},", std::process::id())), "{problem}");
        assert!(problem.contains("agent.state_dir"), "{problem}");
        drop(first);
        StateLock::take(&directory).expect("free again");
        std::fs::remove_dir_all(directory).expect("removed");
    }
}
