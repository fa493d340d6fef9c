//! The body of a request: as long as announced, and telling its own failures from those of the connection.
//! Reads from whatever the caller gives; driven by ureq.

use std::fmt;
use std::io::{self, Read};

/// Yields exactly as many bytes as the header announced; ureq would wait for ever for those that are missing.
pub(super) struct Exactly<'a> {
    body: &'a mut dyn Read,
    left: u64,
}

impl<'a> Exactly<'a> {
    pub(super) fn new(body: &'a mut dyn Read, length: u64) -> Exactly<'a> {
        Exactly { body, left: length }
    }
}

impl Read for Exactly<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        if room == 0 {
            return Ok(0);
        }
        let count = match self.body.read(&mut buf[..room]) {
            Ok(0) => {
                return Err(io::Error::other(BadBody(format!("{} bytes are missing", self.left))));
            }
            Ok(count) => count,
            Err(error) => return Err(io::Error::other(BadBody(error.to_string()))),
        };
        self.left -= count as u64;
        Ok(count)
    }
}

/// Tells a body that cannot be read from a connection that broke.
#[derive(Debug)]
pub(super) struct BadBody(String);

impl fmt::Display for BadBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadBody {}
