//! A directory by its descriptor: what is in it is opened, renamed and removed relative to that, and no link is followed. So
//! whoever could once write there, or can somewhere on the way, makes the agent neither read nor overwrite a file elsewhere.
//! Small system calls and no decision: which directory it is says `state_dir`, what is in it say others.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, fstat, fstatat, mkdirat};
use nix::unistd::{Uid, UnlinkatFlags, fsync, unlinkat};

/// Of every file that is made.
const FILE_MODE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);
/// Of every directory that is made.
pub const DIRECTORY_MODE: Mode = Mode::S_IRWXU;
/// Nothing that it leads to is opened in place of a link, and no program that this one becomes or starts inherits it.
const NO_LINK: OFlag = OFlag::O_NOFOLLOW.union(OFlag::O_CLOEXEC);
/// A directory, of which nothing can be read by this: that takes no right to it.
const PLACE: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(NO_LINK);
/// A directory, to list what is in it and to bring it to the disk.
const LISTING: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(NO_LINK);

/// Cheap to clone. Names are those of files in it; errors that are no plain answer of the system name the whole path, and say
/// what to do.
#[derive(Clone, Debug)]
pub struct Directory {
    descriptor: Arc<OwnedFd>,
    /// Where it is, for people.
    path: Arc<Path>,
    /// Whose everything in it has to be; `None` where a person has named a file, which may be anybody's.
    owner: Option<Uid>,
}

impl Directory {
    /// The agent's own, which `descriptor` leads to, as O_PATH does. An error if others may write there: whatever is in it
    /// could be theirs.
    pub fn own(descriptor: impl AsFd, path: &Path) -> io::Result<Directory> {
        let (stat, user, place) = (fstat(&descriptor)?, Uid::effective(), path.display());
        if stat.st_uid != user.as_raw() {
            return Err(foreign(path, stat.st_uid, user, "start the agent as that user"));
        }
        if stat.st_mode & 0o022 != 0 {
            return Err(io::Error::other(format!(
                "{place} can be written by others (mode {:04o}): look for files there that are not the agent's, then chmod \
                 go-w {place}",
                stat.st_mode & 0o7777
            )));
        }
        let descriptor = Arc::new(openat(descriptor, ".", LISTING, Mode::empty())?);
        Ok(Directory { descriptor, path: path.into(), owner: Some(user) })
    }

    /// The directory around a file that a person has named, and the file's name there.
    pub fn around(file: &Path) -> io::Result<(Directory, OsString)> {
        let name = file.file_name().ok_or_else(|| io::Error::other("it is no file"))?;
        let path = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let descriptor = Arc::new(File::open(path)?.into());
        Ok((Directory { descriptor, path: path.into(), owner: None }, name.to_owned()))
    }

    /// Where it is. Only for people: by its path another one may be found.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a file in it is, for people as well.
    pub fn path_of(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// A directory in it, made if need be.
    pub fn subdirectory(&self, name: &str) -> io::Result<Directory> {
        match mkdirat(&self.descriptor, name, DIRECTORY_MODE) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let path = self.path_of(name);
        match openat(&self.descriptor, name, PLACE, Mode::empty()) {
            Ok(descriptor) => Directory::own(&descriptor, &path),
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                let path = path.display();
                Err(io::Error::other(format!("{path} is no directory, and links are not followed: remove it")))
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// A regular file in it, which nobody else can read or write from now on. With O_CREAT it is made if need be.
    pub fn open(&self, name: impl AsRef<Path>, flags: OFlag) -> io::Result<File> {
        let name = name.as_ref();
        // Without O_NONBLOCK a fifo would be waited for.
        let flags = flags | NO_LINK | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let opened = openat(&self.descriptor, name, flags, FILE_MODE);
        let file = File::from(opened.map_err(|errno| self.not_opened(name, errno))?);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(self.not_opened(name, Errno::ENXIO));
        }
        if let Some(owner) = self.owner {
            self.close_to_others(name, &file, &metadata, owner)?;
        }
        Ok(file)
    }

    /// In words that say what to do, where the system's alone do not.
    fn not_opened(&self, name: &Path, errno: Errno) -> io::Error {
        let path = self.path_of(name);
        let whose = || fstatat(&self.descriptor, name, AtFlags::AT_SYMLINK_NOFOLLOW).ok().map(|stat| stat.st_uid);
        let why = match (errno, self.owner) {
            (Errno::ELOOP, _) => "is a symbolic link, which is not followed: remove it, or put the file itself there",
            (Errno::ENXIO, _) => "is no regular file: remove it",
            (Errno::EACCES, Some(owner)) => match whose().filter(|whose| *whose != owner.as_raw()) {
                Some(whose) => return foreign(&path, whose, owner, "remove it"),
                None => return errno.into(),
            },
            _ => return errno.into(),
        };
        io::Error::other(format!("{} {why}", path.display()))
    }

    /// A new file in place of whatever stands there.
    pub fn create(&self, name: impl AsRef<Path>) -> io::Result<File> {
        let name = name.as_ref();
        let create = || self.open(name, OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL);
        match create() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.remove(name)?;
                create()
            }
            created => created,
        }
    }

    fn close_to_others(&self, name: &Path, file: &File, metadata: &Metadata, owner: Uid) -> io::Result<()> {
        let path = self.path_of(name);
        if metadata.uid() != owner.as_raw() {
            return Err(foreign(&path, metadata.uid(), owner, "remove it"));
        }
        if metadata.nlink() > 1 {
            let path = path.display();
            return Err(io::Error::other(format!(
                "{path} has another name elsewhere (a hard link), so it may be another program's file: remove it, or put a copy \
                 in its place"
            )));
        }
        if metadata.mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(FILE_MODE.bits()))?;
        }
        Ok(())
    }

    /// In place of what stands at the second name.
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
        Ok(renameat(&self.descriptor, from.as_ref(), &self.descriptor, to.as_ref())?)
    }

    /// Removes a file, or a link and not what it leads to.
    pub fn remove(&self, name: impl AsRef<Path>) -> io::Result<()> {
        Ok(unlinkat(&self.descriptor, name.as_ref(), UnlinkatFlags::NoRemoveDir)?)
    }

    /// Device and number of what stands there, be it a link; `None` if nothing does.
    pub fn identity(&self, name: impl AsRef<Path>) -> io::Result<Option<(u64, u64)>> {
        match fstatat(&self.descriptor, name.as_ref(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some((stat.st_dev, stat.st_ino))),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// All that is in it, in no order.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut listing = Dir::openat(&self.descriptor, ".", LISTING, Mode::empty())?;
        let names = listing.iter().map(|entry| Ok(OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned()));
        names.filter(|name| !matches!(name, Ok(name) if name == "." || name == "..")).collect()
    }

    /// Makes it last through a power cut that something in it was made, renamed or removed.
    pub fn sync(&self) -> io::Result<()> {
        Ok(fsync(&self.descriptor)?)
    }
}

fn foreign(path: &Path, whose: u32, user: Uid, instead: &str) -> io::Error {
    let path = path.display();
    io::Error::other(format!(
        "{path} belongs to user {whose}, and this agent runs as user {user}: {instead}, or chown {user} {path}"
    ))
}
