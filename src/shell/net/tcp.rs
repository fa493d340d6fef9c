//! From a host and a port to a connected TCP socket that keeps to a deadline while it blocks, and can be made non-blocking
//! for the reactor afterwards. Knows nothing of TLS or of what is spoken.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::config::settings::Server;

use super::fault::Fault;
use super::words;

/// One port of the server, with what the words about it need to know. Displays as `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub host: String,
    pub port: u16,
    /// The key in the configuration that names this port.
    pub port_key: &'static str,
    pub tls: bool,
    /// Whether `server.ssl_cert` is given.
    pub pinned: bool,
}

impl Place {
    /// Where REST is.
    pub fn api(server: &Server) -> Place {
        Place::new(server, server.api_port, "server.api_port")
    }

    /// Where the command channel should be.
    pub fn websocket(server: &Server) -> Place {
        Place::new(server, server.websocket_port, "server.websocket_port")
    }

    fn new(server: &Server, port: u16, port_key: &'static str) -> Place {
        Place { host: server.host.clone(), port, port_key, tls: server.tls, pinned: server.tls_cert.is_some() }
    }

    /// Host for a URL or a `Host` header: IPv6 in brackets, a zone (`%eth0`) left out, since it means something to this machine only.
    fn url_host(&self) -> String {
        let host = self.bare_host();
        if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
    }

    /// Host without an IPv6 zone, as a certificate names it.
    pub fn bare_host(&self) -> &str {
        self.host.split_once('%').map_or(self.host.as_str(), |(address, _zone)| address)
    }

    /// `HOST` or `HOST:PORT`, the port only where it is not the scheme's own.
    pub fn authority(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual { self.url_host() } else { self.to_string() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.url_host(), self.port)
    }
}

/// A connected socket. While it blocks, no call lasts beyond the deadline: it ends with `TimedOut`, whatever the peer does.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    deadline: Instant,
    nonblocking: bool,
}

impl Socket {
    /// Looks the name up and tries its addresses in turn, all within `limit`.
    pub fn connect(place: &Place, limit: Duration) -> Result<Socket, Fault> {
        let deadline = Instant::now() + limit;
        let addresses =
            resolve(&place.host, place.port, limit).map_err(|error| words::unresolved(place, limit, &error))?;
        let stream = connect_any(&addresses, deadline).map_err(|error| words::unconnected(place, limit, &error))?;
        // Small frames and small posts go out at once; nothing here gains from being held back. Where this fails the
        // connection is merely slower.
        let _ = stream.set_nodelay(true);
        Ok(Socket { stream, deadline, nonblocking: false })
    }

    /// No blocking call lasts beyond this moment. Until it is set, the limit of `connect` holds.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// From now on calls do not wait (true), or wait until the deadline (false).
    pub fn set_nonblocking(&mut self, nonblocking: bool) -> io::Result<()> {
        self.stream.set_nonblocking(nonblocking)?;
        self.nonblocking = nonblocking;
        Ok(())
    }

    /// Bounds the next blocking call by what is left until the deadline.
    fn arm(&self, set: impl Fn(&TcpStream, Option<Duration>) -> io::Result<()>) -> io::Result<()> {
        if self.nonblocking {
            return Ok(());
        }
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        set(&self.stream, Some(left))
    }

    /// A blocking socket reports its time limit as `WouldBlock` (socket(7), SO_RCVTIMEO).
    fn named(&self, result: io::Result<usize>) -> io::Result<usize> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !self.nonblocking => {
                Err(io::ErrorKind::TimedOut.into())
            }
            other => other,
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.arm(TcpStream::set_read_timeout)?;
        let result = uninterrupted(|| (&self.stream).read(buf));
        self.named(result)
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.arm(TcpStream::set_write_timeout)?;
        let result = uninterrupted(|| (&self.stream).write(buf));
        self.named(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Addresses of a host. The system's lookup cannot be interrupted, so it runs on a thread of its own that is left to end
/// by itself when it takes too long.
fn resolve(host: &str, port: u16, limit: Duration) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    let name = host.to_owned();
    thread::Builder::new().name("resolve".to_owned()).spawn(move || {
        let found = (name.as_str(), port).to_socket_addrs().map(Vec::from_iter);
        // Nobody listens any more when the lookup took too long.
        let _ = sender.send(found);
    })?;
    match receiver.recv_timeout(limit) {
        Ok(found) => found,
        Err(RecvTimeoutError::Timeout) => Err(io::ErrorKind::TimedOut.into()),
        Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("the lookup ended without a result")),
    }
}

/// Tries the addresses in their order. Each gets an equal share of what time is left, so that one that swallows packets
/// (IPv6 that leads nowhere) does not use up the time of those behind it.
fn connect_any(addresses: &[SocketAddr], deadline: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let waiting = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = (left / waiting).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(address, share) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(host: &str, port: u16, tls: bool) -> Place {
        Place { host: host.to_owned(), port, port_key: "server.api_port", tls, pinned: false }
    }

    #[test]
    fn authorities_bracket_ipv6_and_leave_usual_ports_out() {
        for (host, port, tls, expected) in [
            ("faraday.example", 5985, false, "faraday.example:5985"),
            ("faraday.example", 80, false, "faraday.example"),
            ("faraday.example", 443, true, "faraday.example"),
            ("faraday.example", 80, true, "faraday.example:80"),
            ("::1", 5985, false, "[::1]:5985"),
            ("fe80::1%eth0", 443, true, "[fe80::1]"),
        ] {
            assert_eq!(place(host, port, tls).authority(), expected);
        }
    }

    #[test]
    fn a_name_without_address_says_so() {
        let fault = Socket::connect(&place("nowhere.invalid", 1, false), Duration::from_secs(20)).unwrap_err();
        assert!(fault.words.contains("nowhere.invalid"), "{fault}");
        assert!(fault.words.contains("server.host"), "{fault}");
        assert!(!fault.is_fatal());
    }

    #[test]
    fn the_second_address_is_tried_when_the_first_refuses() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        let closed = {
            let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            gone.local_addr().unwrap()
        };
        let stream = connect_any(&[closed, open], Instant::now() + Duration::from_secs(5)).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
    }
}
