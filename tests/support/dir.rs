//! A directory of a test's own, removed when it is dropped.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug)]
pub struct TempDir {
    path: PathBuf,
}

impl TempDir {
    pub fn new() -> TempDir {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        loop {
            let n = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("faraday-standin-{}-{n}", std::process::id()));
            match fs::DirBuilder::new().mode(0o755).create(&path) {
                Ok(()) => return TempDir { path },
                // Left by a test process that was killed and had the same id.
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => continue,
                Err(e) => panic!("making {}: {e}", path.display()),
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of `name` in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl TempDir {
    /// Writes a file into it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        fs::write(&path, content).unwrap_or_else(|e| panic!("writing {}: {e}", path.display()));
        path
    }

    /// Writes an executable script for /bin/sh into it.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.join(name);
        // By another process: a child that a test beside this one forks now would inherit our descriptor, and until
        // it executes its own program the script could not be executed (ETXTBSY, execve(2)).
        let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$2\" && chmod 755 \"$2\"";
        let mut shell = Command::new("/bin/sh");
        let done = shell.args(["-c", write, "sh", text]).arg(&path).status();
        assert!(done.is_ok_and(|status| status.success()), "writing {}", path.display());
        path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // A test's last process may still write there; what is left is in the system's temporary directory.
        let _ = fs::remove_dir_all(&self.path);
    }
}
