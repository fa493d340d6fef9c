//! Websocket handshakes: which requests become a link, and what is said to the others.

use tungstenite::handshake::derive_accept_key;

use super::http::{Answer, Request};
use super::ports::Role;
use super::shared::Shared;
use super::state::Generation;

/// A Close frame without a code.
pub const CLOSE_FRAME: [u8; 2] = [0x88, 0x00];

/// What becomes of a request that is not REST.
pub enum Handshake {
    Answer(Answer),
    /// These bytes, then the end of the connection.
    Refuse(Vec<u8>),
    /// These bytes, then a link.
    Accept(Vec<u8>),
}

/// Judges a request; `None` leaves it to REST.
pub fn judge(shared: &Shared, role: Role, request: &Request) -> Option<Handshake> {
    match (role, shared.options.generation) {
        (Role::Websocket, _) => Some(judge_raw(request)),
        (Role::Api, Generation::SocketIo) => {
            let path = request.path().strip_prefix(&*shared.options.base_route)?;
            matches!(path, "/socket.io/" | "/socket.io").then(|| judge_socketio(request))
        }
        (Role::Api, Generation::Raw) => None,
    }
}

/// Any path, host and origin will do.
fn judge_raw(request: &Request) -> Handshake {
    match (request.upgrades(), request.header("sec-websocket-key")) {
        (true, Some(key)) => Handshake::Accept(switching(key, "WebSocket", "AutobahnPython/26.10.2")),
        _ => Handshake::Answer(Answer::html(200, "This is a websocket port.")),
    }
}

fn judge_socketio(request: &Request) -> Handshake {
    let Some(key) = request.header("sec-websocket-key").filter(|_| request.upgrades()) else {
        return Handshake::Answer(Answer::page(400, "Bad request"));
    };
    if request.header("sec-websocket-version").is_none() {
        return Handshake::Answer(Answer::page(426, "No version"));
    }
    let mut head = switching(key, "websocket", "Faraday");
    let engine_io_4 = request.query("EIO") == Some("4") && request.query("transport") == Some("websocket");
    // Nobody gets a `sid` here but through the websocket, so every one that is given is unknown.
    if engine_io_4 && request.path().ends_with('/') && request.query("sid").is_none() {
        return Handshake::Accept(head);
    }
    head.extend_from_slice(&CLOSE_FRAME);
    Handshake::Refuse(head)
}

fn switching(key: &str, upgrade: &str, server: &str) -> Vec<u8> {
    let accept = derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nServer: {server}\r\nUpgrade: {upgrade}\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}
