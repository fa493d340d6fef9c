//! Nothing to read and nowhere to write, for child processes: /dev/null, or a pipe without another end where there is none, as
//! in an empty chroot.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

const DEVICE: &str = "/dev/null";

/// Is at its end from the beginning.
pub fn input() -> io::Result<OwnedFd> {
    File::open(DEVICE).map(OwnedFd::from).or_else(|_| io::pipe().map(|(reader, _)| reader.into()))
}

/// Swallows what is written, or fails to take it.
pub fn output() -> io::Result<OwnedFd> {
    let device = File::options().write(true).open(DEVICE);
    device.map(OwnedFd::from).or_else(|_| io::pipe().map(|(_, writer)| writer.into()))
}
