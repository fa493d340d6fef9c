//! The websocket in the reactor's hands: frames out, frames in, without blocking. Knows nothing of what frames mean.

use std::io;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use std::os::fd::AsRawFd;
use tungstenite::{Error, Message, WebSocket};

use super::net::link::Link;

/// What arrived.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    Text(String),
    Pong(u32),
    /// The connection is over; what the server's Close frame said, if there was one.
    Lost {
        words: String,
        close_reason: Option<String>,
    },
}

#[derive(Debug)]
pub struct Channel {
    socket: WebSocket<Link>,
}

impl Channel {
    /// Takes over a connection that was dialled; it is non-blocking already. The first read has to happen unprompted, because
    /// frames may have come with the handshake.
    pub fn adopt(socket: WebSocket<Link>, token: Token, registry: &Registry) -> io::Result<Channel> {
        let fd = socket.get_ref().as_raw_fd();
        registry.register(&mut SourceFd(&fd), token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Channel { socket })
    }

    pub fn release(self, registry: &Registry) {
        let fd = self.socket.get_ref().as_raw_fd();
        let _ = registry.deregister(&mut SourceFd(&fd));
    }

    /// Sends what it can; the rest goes when the socket is writable again. An error shows up in the next `read`.
    pub fn send(&mut self, text: String) {
        self.write(Message::text(text));
    }

    /// A ping that carries its number.
    pub fn ping(&mut self, number: u32) {
        self.write(Message::Ping(number.to_be_bytes().to_vec().into()));
    }

    /// Says that nothing more will come.
    pub fn close(&mut self) {
        let _ = self.socket.close(None);
        self.flush();
    }

    /// WouldBlock means that the frame is queued, not that it has to be sent again.
    fn write(&mut self, message: Message) {
        if let Err(error) = self.socket.send(message) {
            log::debug!("websocket: {error}");
        }
    }

    /// Goes on with what could not be sent before.
    pub fn flush(&mut self) {
        if let Err(error) = self.socket.flush() {
            log::debug!("websocket: {error}");
        }
    }

    /// The next thing that has arrived; `None` when there is nothing more at present.
    pub fn read(&mut self) -> Option<Arrival> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return Some(Arrival::Text(text.as_str().to_owned())),
                Ok(Message::Pong(payload)) => {
                    if let Ok(number) = <[u8; 4]>::try_from(payload.as_ref()) {
                        return Some(Arrival::Pong(u32::from_be_bytes(number)));
                    }
                }
                // The answer to it goes out with the next flush; a server that then keeps the connection open is not waited for.
                Ok(Message::Close(frame)) => {
                    self.flush();
                    let close_reason = frame.map(|frame| frame.reason.as_str().to_owned());
                    return Some(Arrival::Lost { words: "the server closed the connection".to_owned(), close_reason });
                }
                // A ping is answered by the library with the next flush.
                Ok(Message::Ping(_)) => self.flush(),
                Ok(Message::Binary(_) | Message::Frame(_)) => {
                    log::warn!("command channel: a binary frame, which is not understood")
                }
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) => {
                    return Some(Arrival::Lost { words: words(&error), close_reason: None });
                }
            }
        }
    }
}

fn words(error: &Error) -> String {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => "the connection is closed".to_owned(),
        Error::Io(error) => format!("the connection broke: {error}"),
        Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            "the server ended the connection without a word (restarted, or a proxy's timeout)".to_owned()
        }
        error => format!("the connection broke: {error}"),
    }
}
