//! One try at the command channel: connect, upgrade, and for Socket.IO the first frame, each within its limit.
//! Which tries to make, and what their failures amount to, is `dial`'s to say.

use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use tungstenite::handshake::client::{Request, Response, generate_key};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

use super::answer::Answer;
use super::dial::{Dialled, Protocol};
use super::fault::{Fault, Kind};
use super::http::USER_AGENT;
use super::limits::Limits;
use super::link::Link;
use super::tcp::Place;
use super::words;

/// The largest message taken from the server. A RUN is a few kilobytes; the room above is for arguments nobody foresees.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// tungstenite allocates this much at once; messages are small and few.
const READ_BUFFER_BYTES: usize = 16 << 10;

/// One protocol on one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Try {
    pub(super) protocol: Protocol,
    pub(super) place: Place,
    /// `server.base_route`.
    pub(super) base_route: String,
}

/// A try that did not lead to a channel.
#[derive(Debug)]
pub(super) struct Miss {
    pub(super) kind: Kind,
    /// If something answered in HTTP, a clause that follows the try's name: `answered 404`. Else a whole line.
    pub(super) words: String,
    /// Whether something answered in HTTP, so that another path on the same port is worth a try.
    pub(super) answered: bool,
}

impl Miss {
    fn answered(kind: Kind, words: impl Into<String>) -> Miss {
        Miss { kind, words: words.into(), answered: true }
    }
}

impl From<Fault> for Miss {
    fn from(fault: Fault) -> Miss {
        Miss { kind: fault.kind, words: fault.words, answered: false }
    }
}

/// `Socket.IO on HOST:PORT/socket.io/`
impl fmt::Display for Try {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path();
        let path = path.split_once('?').map_or(path.as_str(), |(path, _query)| path);
        let name = match self.protocol {
            Protocol::SocketIo => "Socket.IO",
            Protocol::WebSocket => "the raw websocket",
        };
        write!(f, "{name} on {}{path}", self.place)
    }
}

impl Try {
    fn path(&self) -> String {
        let route = &self.base_route;
        match self.protocol {
            Protocol::SocketIo => format!("{route}/socket.io/?EIO=4&transport=websocket"),
            Protocol::WebSocket => format!("{route}/websockets"),
        }
    }

    /// Blocks until there is a channel, or none, or `deadline` has passed.
    pub(super) fn run(
        &self,
        tls: Option<&Arc<ClientConfig>>,
        limits: &Limits,
        deadline: Instant,
    ) -> Result<Dialled, Miss> {
        let left = |limit: Duration| limit.min(deadline.saturating_duration_since(Instant::now()));
        let link = Link::open(&self.place, tls, limits, Some(deadline))?;
        let mut socket = self.upgrade(link, left(limits.upgrade))?;
        let greeting = match self.protocol {
            Protocol::SocketIo => Some(greeting(&mut socket, left(limits.greeting))?),
            Protocol::WebSocket => None,
        };
        socket.get_mut().unblock().map_err(|error| words::exchange(&self.place, &error))?;
        Ok(Dialled { socket, protocol: self.protocol, port: self.place.port, greeting })
    }

    fn upgrade(&self, mut link: Link, limit: Duration) -> Result<WebSocket<Link>, Miss> {
        link.set_deadline(Instant::now() + limit);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        match tungstenite::client::client_with_config(self.request()?, link, Some(config)) {
            Ok((socket, _response)) => Ok(socket),
            Err(HandshakeError::Failure(Error::Http(response))) => Err(self.declined(&response)),
            Err(HandshakeError::Failure(Error::Io(error))) if error.kind() == ErrorKind::TimedOut => {
                Err(self.silent(limit))
            }
            Err(HandshakeError::Failure(Error::Io(error))) => Err(words::exchange(&self.place, &error).into()),
            Err(HandshakeError::Failure(error)) => {
                Err(Miss::answered(Kind::Transient, format!("did not answer like a websocket server ({error})")))
            }
            // A link with a deadline says TimedOut instead.
            Err(HandshakeError::Interrupted(_)) => Err(self.silent(limit)),
        }
    }

    fn request(&self) -> Result<Request, Fault> {
        let scheme = if self.place.tls { "wss" } else { "ws" };
        let authority = self.place.authority();
        Request::builder()
            .uri(format!("{scheme}://{authority}{}", self.path()))
            .header("Host", authority)
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", generate_key())
            .header("User-Agent", USER_AGENT)
            .body(())
            .map_err(|_| {
                Fault::setup(format!("{self}: no such URL is possible; check server.host and server.base_route"))
            })
    }

    fn silent(&self, limit: Duration) -> Miss {
        let (place, limit) = (&self.place, words::seconds(limit));
        Fault::transient(format!("{place} accepts connections but does not answer a websocket upgrade within {limit}"))
            .into()
    }

    /// An ordinary HTTP answer instead of an upgrade.
    fn declined(&self, response: &Response) -> Miss {
        let status = response.status().as_u16();
        let body = response.body().as_deref().unwrap_or_default();
        if words::complains_of_plain(status, body) {
            return words::speaks_tls(&self.place).into();
        }
        let location = response.headers().get("location").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let answer = Answer { status, body: body.to_vec(), retry_after: None, location };
        let kind = match status {
            408 | 425 | 429 | 500.. => Kind::Transient,
            _ => Kind::Setup,
        };
        Miss::answered(kind, format!("answered {}", answer.sketch()))
    }
}

/// The `0{…}` that a Socket.IO server sends as soon as it has upgraded. A raw server upgrades on any path, then says nothing.
fn greeting(socket: &mut WebSocket<Link>, limit: Duration) -> Result<String, Miss> {
    let miss = |words: String| Err(Miss::answered(Kind::Transient, words));
    socket.get_mut().set_deadline(Instant::now() + limit);
    loop {
        match socket.read() {
            Ok(Message::Text(text)) if text.starts_with("0{") => {
                return Ok(text.as_str().to_owned());
            }
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(Message::Close(_)) => return miss("upgraded, then closed at once".to_owned()),
            Ok(_) => return miss("upgraded, but does not greet like Socket.IO".to_owned()),
            Err(Error::Io(error)) if error.kind() == ErrorKind::TimedOut => {
                return miss(format!("upgraded, then said nothing for {}", words::seconds(limit)));
            }
            Err(error) => return miss(format!("upgraded, then failed: {error}")),
        }
    }
}
