//! Both generations of the command channel behind one closed enum: what an arriving text frame means, and the text of each frame to send.
//! Must not keep state: who is connected, joined or acknowledged is for the engine, which drives this, to know.

use std::time::Duration;

use super::message::{BadRun, ExecutorOffer, RunCommand, RunStatus};
use super::{socketio, websocket};

/// How a server wants to be spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Servers from 5.0: Socket.IO, protocol 5 over Engine.IO 4.
    SocketIo,
    /// Servers before 5.0: one JSON object in each text frame.
    WebSocket,
}

/// What one text frame of the server means.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard<'m> {
    /// Engine.IO is open: the server pings every `ping_interval`; one that is `ping_timeout` late means a dead link.
    /// Both are within a second and a day.
    Opened {
        ping_interval: Duration,
        ping_timeout: Duration,
    },
    /// The namespace has let us in; time to join.
    Connected,
    /// The namespace has not, in an excerpt of the server's words.
    ConnectRefused(String),
    /// To be answered with [`Protocol::pong`].
    Ping,
    /// The server has handled the event that was sent with this id.
    Ack(u64),
    Run(RunCommand<'m>),
    /// A RUN that cannot be carried out; the server can be told where ids are known.
    BadRun(BadRun),
    /// The `disconnect` event and its reason. The server broadcasts it, so it may be meant for somebody else.
    Disconnect(String),
    /// Words for the log; broadcast as well, so they prove nothing.
    Notice(String),
    /// The server has taken us out of the namespace: it confirms LEAVE_AGENT, or throws us out.
    Left,
    /// Engine.IO is closed.
    Closed,
    /// Malformed or unknown: `note` is for the log, `reply` for the server if it expects one.
    Odd {
        note: String,
        reply: Option<String>,
    },
    /// Nothing to do or to say.
    Nothing,
}

impl Protocol {
    /// Path and query of the websocket, to be put behind the base route.
    pub fn path(self) -> &'static str {
        match self {
            Protocol::SocketIo => "/socket.io/?EIO=4&transport=websocket",
            Protocol::WebSocket => "/websockets",
        }
    }

    /// Reads one text frame; whatever it holds, there is an answer, in time and memory that its length bounds.
    pub fn hear(self, frame: &str) -> Heard<'_> {
        match self {
            Protocol::SocketIo => socketio::hear(frame),
            Protocol::WebSocket => websocket::hear(frame),
        }
    }

    /// What has to be sent once the channel is open and before the join; `None` where there is no such step.
    pub fn connect(self) -> Option<String> {
        match self {
            Protocol::SocketIo => Some(socketio::connect()),
            Protocol::WebSocket => None,
        }
    }

    /// JOIN_AGENT with the websocket token and all that can be run here: what is missing in `offers`, the server deletes.
    /// `ack` comes back as [`Heard::Ack`] where the channel has acknowledgements.
    pub fn join(self, token: &str, offers: &[ExecutorOffer], ack: u64) -> String {
        match self {
            Protocol::SocketIo => socketio::join(token, offers, ack),
            Protocol::WebSocket => websocket::join(token, offers),
        }
    }

    /// RUN_STATUS; `ack` as with [`Protocol::join`].
    pub fn status(self, status: &RunStatus, ack: u64) -> String {
        match self {
            Protocol::SocketIo => socketio::status(status, ack),
            Protocol::WebSocket => websocket::status(status),
        }
    }

    /// LEAVE_AGENT; only the older channel has room for token and reason.
    pub fn leave(self, token: &str, reason: &str) -> String {
        match self {
            Protocol::SocketIo => socketio::leave(),
            Protocol::WebSocket => websocket::leave(token, reason),
        }
    }

    /// The answer to [`Heard::Ping`]; `None` on the channel that never says it, where pings are the websocket's own.
    pub fn pong(self) -> Option<&'static str> {
        match self {
            Protocol::SocketIo => Some(socketio::PONG),
            Protocol::WebSocket => None,
        }
    }

    /// Whether statuses are acknowledged one by one with [`Heard::Ack`].
    pub fn acknowledges(self) -> bool {
        self == Protocol::SocketIo
    }
}

impl<'m> Heard<'m> {
    /// Something for the log alone.
    pub(super) fn odd(note: impl Into<String>) -> Heard<'m> {
        Heard::Odd { note: note.into(), reply: None }
    }

    pub(super) fn from_run(parsed: Result<RunCommand<'m>, BadRun>) -> Heard<'m> {
        match parsed {
            Ok(command) => Heard::Run(command),
            Err(bad) => Heard::BadRun(bad),
        }
    }
}

#[cfg(test)]
mod tests;
