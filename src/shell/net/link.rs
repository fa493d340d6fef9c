//! One connection to the server, plain or TLS, behind one face: what REST and the command channel read and write.
//! Blocking with a deadline while it is set up (`open`), non-blocking once the reactor has it (`unblock`).

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::fault::Fault;
use super::limits::Limits;
use super::tcp::{Place, Socket};
use super::words::{self, SpeaksTls};

/// First two bytes of every TLS record: an alert, version 3.something.
const TLS_ALERT: [u8; 2] = [21, 3];

/// A connection to the server. It reads and writes plaintext whether or not there is TLS below.
///
/// Non-blocking, it keeps the contract of a socket: `write` takes what it can, `WouldBlock` from `flush` means that
/// something still waits to be sent, and `read` gives everything that has arrived before it says `WouldBlock`, so one
/// edge of epoll is answered by reading until then.
#[derive(Debug)]
pub struct Link {
    socket: Socket,
    tls: Option<Box<ClientConnection>>,
    /// Nothing has been read yet.
    fresh: bool,
}

impl Link {
    /// Connects to `place`, with TLS if there is a configuration for it, within the limits and before `deadline`.
    pub fn open(
        place: &Place,
        tls: Option<&Arc<ClientConfig>>,
        limits: &Limits,
        deadline: Option<Instant>,
    ) -> Result<Link, Fault> {
        let left = |limit: Duration| match deadline {
            Some(deadline) => limit.min(deadline.saturating_duration_since(Instant::now())),
            None => limit,
        };
        let mut socket = Socket::connect(place, left(limits.connect))?;
        let tls = match tls {
            Some(config) => Some(Box::new(handshake(place, config, &mut socket, left(limits.handshake))?)),
            None => None,
        };
        Ok(Link { socket, tls, fresh: true })
    }

    /// No blocking call lasts beyond this moment: it ends with `TimedOut`.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.socket.set_deadline(deadline);
    }

    /// Makes the link non-blocking for good.
    pub fn unblock(&mut self) -> io::Result<()> {
        self.socket.set_nonblocking(true)
    }

    /// For a link between two requests: the server has neither closed it nor said anything out of turn.
    /// TLS records that carry nothing (session tickets) are taken in on the way.
    pub(super) fn is_idle(&mut self) -> bool {
        let look = |link: &mut Link| -> io::Result<usize> {
            link.socket.set_nonblocking(true)?;
            let seen = link.read(&mut [0]);
            link.socket.set_nonblocking(false)?;
            seen
        };
        look(self).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

impl Read for Link {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => read_plaintext(tls, &mut self.socket, buf),
            None => {
                let count = self.socket.read(buf)?;
                let speaks_tls = self.fresh && buf[..count].starts_with(&TLS_ALERT);
                self.fresh = false;
                if speaks_tls { Err(io::Error::other(SpeaksTls)) } else { Ok(count) }
            }
        }
    }
}

impl Write for Link {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.socket.write(buf);
        };
        // Room first: rustls holds back a bounded number of bytes, and takes none when they are reached.
        tolerate_block(send_records(tls, &mut self.socket))?;
        let count = tls.writer().write(buf)?;
        if count == 0 && !buf.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        // These bytes are taken now; what the socket does not take of them waits for `flush`.
        tolerate_block(send_records(tls, &mut self.socket))?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => send_records(tls, &mut self.socket),
            None => self.socket.flush(),
        }
    }
}

impl AsRawFd for Link {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn handshake(
    place: &Place,
    config: &Arc<ClientConfig>,
    socket: &mut Socket,
    limit: Duration,
) -> Result<ClientConnection, Fault> {
    let host = place.bare_host().to_owned();
    let name = ServerName::try_from(host)
        .map_err(|_| Fault::setup(format!("server.host: {} is neither a host name nor an address", place.host)))?;
    let mut tls = ClientConnection::new(Arc::clone(config), name)
        .map_err(|error| Fault::setup(format!("cannot start TLS to {place}: {error}")))?;
    socket.set_deadline(Instant::now() + limit);
    let mut complete = || -> io::Result<()> {
        while tls.is_handshaking() {
            tls.complete_io(socket)?;
        }
        Ok(())
    };
    complete().map_err(|error| words::handshake(place, limit, &error))?;
    Ok(tls)
}

/// Plaintext if there is some, else whatever the socket has, until it is plaintext, an end, or an error.
fn read_plaintext(tls: &mut ClientConnection, socket: &mut Socket, buf: &mut [u8]) -> io::Result<usize> {
    loop {
        match tls.reader().read(buf) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => return other,
        }
        // What TLS itself owes the peer (key updates) goes along; blocked, it goes with the next read or write, and
        // must not keep back plaintext that is there.
        tolerate_block(send_records(tls, socket))?;
        tls.read_tls(socket)?;
        if let Err(error) = tls.process_new_packets() {
            // The peer is told why; that it hears it is not essential.
            let _ = send_records(tls, socket);
            return Err(io::Error::new(ErrorKind::InvalidData, error));
        }
    }
}

fn send_records(tls: &mut ClientConnection, socket: &mut Socket) -> io::Result<()> {
    while tls.wants_write() {
        if tls.write_tls(socket)? == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
    }
    Ok(())
}

fn tolerate_block(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn a_link_is_idle_until_the_peer_speaks_or_closes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let host = "127.0.0.1".to_owned();
        let place = Place { host, port, port_key: "server.api_port", tls: false, pinned: false };
        for speaks in [true, false] {
            let mut link = Link::open(&place, None, &Limits::default(), None).unwrap();
            let (mut peer, _) = listener.accept().unwrap();
            assert!(link.is_idle() && link.is_idle(), "nothing has happened yet");
            if speaks {
                peer.write_all(b"HTTP/1.1 408 Request Timeout").unwrap();
            } else {
                drop(peer);
            }
            let deadline = Instant::now() + Duration::from_secs(10);
            while link.is_idle() {
                assert!(Instant::now() < deadline, "speaks: {speaks}");
                thread::yield_now();
            }
        }
    }

    #[test]
    fn whatever_a_configuration_calls_its_host_tls_can_name() {
        for host in [
            "localhost",
            "faraday_server",
            "a.b.example",
            "Faraday.Example.",
            "127.0.0.1",
            "::1",
            "xn--mnchen-3ya.example",
        ] {
            assert!(ServerName::try_from(host).is_ok(), "{host}");
        }
        for host in ["", "münchen.example", "a b", "[::1]"] {
            assert!(ServerName::try_from(host).is_err(), "{host}");
        }
    }
}
