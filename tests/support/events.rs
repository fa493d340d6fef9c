//! What happened at the stand-in, in order: the timeline that tests look at and that a failed wait prints.

use std::fmt;
use std::time::Instant;

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Event {
    pub at: Instant,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    /// The ports were opened (true) or closed.
    Listening(bool),
    /// A REST request or an upgrade was answered; `None`: the connection was closed without an answer.
    Request {
        method: String,
        target: String,
        authorization: Option<String>,
        status: Option<u16>,
    },
    /// A websocket was opened.
    Opened {
        link: u64,
    },
    /// A text frame came from the agent.
    Received {
        link: u64,
        text: String,
    },
    /// A text frame went to the agent.
    Sent {
        link: u64,
        text: String,
    },
    Joined {
        agent: i64,
        link: u64,
    },
    JoinRefused {
        link: u64,
        reason: &'static str,
    },
    Offline {
        agent: i64,
    },
    /// The agent's answer to a websocket ping.
    Pong {
        link: u64,
        payload: Vec<u8>,
    },
    /// A websocket is gone, and how it went.
    Closed {
        link: u64,
        how: String,
    },
}

impl What {
    /// The text of a frame that came from the agent.
    pub fn received(&self) -> Option<&str> {
        match self {
            What::Received { text, .. } => Some(text),
            _ => None,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Listening(true) => write!(f, "ports open"),
            What::Listening(false) => write!(f, "ports closed"),
            What::Request { method, target, status: Some(status), .. } => write!(f, "{method} {target} -> {status}"),
            What::Request { method, target, status: None, .. } => write!(f, "{method} {target} -> no answer"),
            What::Opened { link } => write!(f, "link {link} opened"),
            What::Received { link, text } => write!(f, "link {link} <- {}", cut(text)),
            What::Sent { link, text } => write!(f, "link {link} -> {}", cut(text)),
            What::Joined { agent, link } => write!(f, "agent {agent} joined on link {link}"),
            What::JoinRefused { link, reason } => {
                write!(f, "join on link {link} refused: {reason}")
            }
            What::Offline { agent } => write!(f, "agent {agent} offline"),
            What::Pong { link, payload } => write!(f, "link {link} <- pong {}", payload.escape_ascii()),
            What::Closed { link, how } => write!(f, "link {link} closed: {how}"),
        }
    }
}

/// Enough of a frame to recognise it.
fn cut(text: &str) -> String {
    const SHOWN: usize = 240;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}
