//! A little of the disk that is kept for one purpose: on a full disk, to begin the file that lets an earlier one go. Without it
//! a journal of which everything is delivered could fill a disk for good, because its successor would need room first.

use std::fs;
use std::io;
use std::path::PathBuf;

/// Many times what a file begins with.
const BYTES: usize = 64 << 10;

#[derive(Debug)]
pub struct Reserve {
    path: PathBuf,
    is_there: bool,
}

impl Reserve {
    /// In the file at `path`, as soon as there is room for it.
    pub fn new(path: PathBuf) -> Reserve {
        let mut reserve = Reserve { path, is_there: false };
        reserve.restore();
        reserve
    }

    /// Gives it up, if `error` speaks of a full disk. Whether it was there.
    pub fn yields_to(&mut self, error: &io::Error) -> bool {
        let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        is_full && std::mem::take(&mut self.is_there) && fs::remove_file(&self.path).is_ok()
    }

    /// To be called when something was removed.
    pub fn restore(&mut self) {
        if self.is_there {
            return;
        }
        self.is_there = fs::write(&self.path, vec![b'.'; BYTES]).is_ok();
        if !self.is_there {
            // What could be written of it is room for others.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_yields_to_a_full_disk_once_and_comes_back() {
        let path = std::env::temp_dir().join(format!("faraday-agent-reserve-{}", std::process::id()));
        let mut reserve = Reserve::new(path.clone());
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(!reserve.yields_to(&io::Error::from(io::ErrorKind::PermissionDenied)));
        assert_eq!(fs::metadata(&path).expect("there").len(), BYTES as u64);
        assert!(reserve.yields_to(&full) && !path.exists());
        assert!(!reserve.yields_to(&full));
        reserve.restore();
        assert!(reserve.yields_to(&full));
        assert!(!Reserve::new("/nowhere/at/all".into()).yields_to(&full));
    }
}
