//! A little of the disk that is kept for one purpose: on a full disk, to begin the file that lets an earlier one go. Without it
//! a journal of which everything is delivered could fill a disk for good, because its successor would need room first.

use std::io::{self, Write};

use super::Directory;

const FILE: &str = "reserve";
/// Many times what a file begins with.
const BYTES: usize = 64 << 10;

#[derive(Debug)]
pub struct Reserve {
    directory: Directory,
    is_there: bool,
}

impl Reserve {
    /// In a file in the state directory, as soon as there is room for it.
    pub fn new(state_dir: Directory) -> Reserve {
        let mut reserve = Reserve { directory: state_dir, is_there: false };
        reserve.restore();
        reserve
    }

    /// Gives it up, if `error` speaks of a full disk. Whether it was there.
    pub fn yields_to(&mut self, error: &io::Error) -> bool {
        let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        is_full && std::mem::take(&mut self.is_there) && self.directory.remove(FILE).is_ok()
    }

    /// To be called when something was removed.
    pub fn restore(&mut self) {
        if self.is_there {
            return;
        }
        let made = self.directory.create(FILE);
        self.is_there = made.and_then(|mut file| file.write_all(&vec![b'.'; BYTES])).is_ok();
        if !self.is_there {
            // What could be written of it is room for others.
            let _ = self.directory.remove(FILE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::DirBuilderExt;

    use super::*;

    #[test]
    fn it_yields_to_a_full_disk_once_and_comes_back() {
        let path = std::env::temp_dir().join(format!("faraday-agent-reserve-{}", std::process::id()));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).expect("writable");
        let state_dir = Directory::own(File::open(&path).expect("there"), &path).expect("ours alone");
        let mut reserve = Reserve::new(state_dir.clone());
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(!reserve.yields_to(&io::Error::from(io::ErrorKind::PermissionDenied)));
        assert_eq!(fs::metadata(path.join(FILE)).expect("there").len(), BYTES as u64);
        assert!(reserve.yields_to(&full) && !path.join(FILE).exists());
        assert!(!reserve.yields_to(&full));
        reserve.restore();
        assert!(reserve.yields_to(&full));
        fs::remove_dir_all(&path).expect("ours");
        assert!(!Reserve::new(state_dir).yields_to(&full), "there is no room for it");
    }
}
