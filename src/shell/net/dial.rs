//! Opens the command channel: finds out which of its two generations the server speaks, and on which port, and hands over
//! a socket that the reactor can register. One blocking job, bounded as a whole; joining is the engine's business.

use std::sync::Arc;
use std::time::Instant;

use rustls::ClientConfig;
use tungstenite::WebSocket;

use crate::config::settings::{ProtocolChoice, Server};
pub use crate::proto::channel::Protocol;

use super::fault::{Fault, Kind};
use super::limits::Limits;
use super::link::Link;
use super::tcp::Place;
use super::upgrade::{Miss, Try};

/// An open command channel.
#[derive(Debug)]
pub struct Dialled {
    /// Non-blocking. Bytes may already wait inside: read once unprompted after adopting it.
    pub socket: WebSocket<Link>,
    pub protocol: Protocol,
    /// Where it was found.
    pub port: u16,
    /// The first frame, if the protocol begins with one from the server: Socket.IO's `0{…}`.
    pub greeting: Option<String>,
}

/// What is known about the server before it is dialled.
#[derive(Clone, Debug, Default)]
pub struct Hint {
    /// As `Info` says it.
    pub version: Option<String>,
    /// What worked last time: tried first.
    pub last: Option<(Protocol, u16)>,
}

impl Hint {
    /// Before 5.0 there was no Socket.IO.
    fn is_old(&self) -> bool {
        let major = self.version.as_deref().and_then(|version| version.split('.').next());
        major.and_then(|digits| digits.parse::<u32>().ok()).is_some_and(|major| major < 5)
    }
}

/// Opens the command channel within `limits.dial`. The fault of a failure lists what was tried and what each try met.
pub fn dial(server: &Server, tls: Option<&Arc<ClientConfig>>, hint: &Hint, limits: &Limits) -> Result<Dialled, Fault> {
    let deadline = Instant::now() + limits.dial;
    let mut misses: Vec<(Try, Miss)> = Vec::new();
    for next in plan(server, hint) {
        let mute = misses.iter().any(|(earlier, miss)| earlier.place.port == next.place.port && !miss.answered);
        if mute || (Instant::now() >= deadline && !misses.is_empty()) {
            continue;
        }
        match next.run(tls, limits, deadline) {
            Ok(dialled) => return Ok(dialled),
            Err(miss) => {
                log::debug!("{next}: {}", miss.words);
                misses.push((next, miss));
            }
        }
    }
    Err(sum_up(server, hint, &misses))
}

/// What to try, in order. A port that does not answer at all is not tried a second time.
fn plan(server: &Server, hint: &Hint) -> Vec<Try> {
    let on = |protocol, place| Try { protocol, place, base_route: server.base_route.clone() };
    let websocket = Place::websocket(server);
    let mut plan = match server.protocol {
        ProtocolChoice::SocketIo => vec![on(Protocol::SocketIo, websocket)],
        ProtocolChoice::WebSocket => vec![on(Protocol::WebSocket, websocket)],
        ProtocolChoice::Auto if hint.is_old() => vec![on(Protocol::WebSocket, websocket)],
        ProtocolChoice::Auto => {
            let mut plan = vec![on(Protocol::SocketIo, websocket.clone()), on(Protocol::WebSocket, websocket)];
            // A configuration from before an upgrade to 5.x still names the port that raw websockets had.
            if server.websocket_port != server.api_port {
                plan.push(on(Protocol::SocketIo, Place::api(server)));
            }
            plan
        }
    };
    let last = plan.iter().position(|tried| Some((tried.protocol, tried.place.port)) == hint.last);
    if let Some(last) = last {
        plan[..=last].rotate_right(1);
    }
    plan
}

/// One line about everything that was tried.
fn sum_up(server: &Server, hint: &Hint, misses: &[(Try, Miss)]) -> Fault {
    if let [(_, Miss { kind, words, answered: false })] = misses {
        return Fault { kind: *kind, status: None, words: words.clone() };
    }
    let clauses = misses.iter().map(|(tried, miss)| match miss.answered {
        true => format!("{tried} {}", miss.words),
        false => format!("{tried}: {}", miss.words),
    });
    let clauses = clauses.collect::<Vec<_>>().join("; ");
    let transient = misses.iter().any(|(_, miss)| miss.kind == Kind::Transient);
    let kind = if transient { Kind::Transient } else { Kind::Setup };
    Fault { kind, status: None, words: format!("no command channel: {clauses}{}", advice(server, hint, misses)) }
}

/// What to look at when something answered, but not with a channel. A port that is silent has its advice in its own clause.
fn advice(server: &Server, hint: &Hint, misses: &[(Try, Miss)]) -> String {
    if !misses.iter().any(|(_, miss)| miss.answered) {
        return String::new();
    }
    let more = match server.protocol {
        ProtocolChoice::Auto if hint.is_old() => {
            "; servers before 5.0 have a port of its own for it, 9000 unless changed"
        }
        ProtocolChoice::Auto => "",
        _ => "; server.protocol: auto would find out the protocol",
    };
    format!(
        ". Check server.websocket_port and server.base_route; a reverse proxy in between must forward websocket upgrades \
         (the Upgrade and Connection headers){more}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(websocket_port: u16, protocol: ProtocolChoice) -> Server {
        Server {
            host: "faraday.example".to_owned(),
            api_port: 5985,
            websocket_port,
            tls: false,
            tls_cert: None,
            tls_verify: true,
            base_route: "/base".to_owned(),
            protocol,
        }
    }

    fn planned(server: &Server, hint: &Hint) -> Vec<String> {
        plan(server, hint).iter().map(Try::to_string).collect()
    }

    #[test]
    fn the_plan_follows_configuration_version_and_last_success() {
        const SIO_API: &str = "Socket.IO on faraday.example:5985/base/socket.io/";
        const RAW_API: &str = "the raw websocket on faraday.example:5985/base/websockets";
        const SIO_WS: &str = "Socket.IO on faraday.example:9000/base/socket.io/";
        const RAW_WS: &str = "the raw websocket on faraday.example:9000/base/websockets";
        use ProtocolChoice::{Auto, SocketIo, WebSocket};
        let old = Some("4.6.2");
        let raw = Some((Protocol::WebSocket, 9000));
        let moved = Some((Protocol::SocketIo, 5985));
        for (port, choice, version, last, expected) in [
            (5985, Auto, None, None, vec![SIO_API, RAW_API]),
            (9000, Auto, None, None, vec![SIO_WS, RAW_WS, SIO_API]),
            (9000, Auto, Some("5.25.2"), None, vec![SIO_WS, RAW_WS, SIO_API]),
            (9000, Auto, Some("corporate"), None, vec![SIO_WS, RAW_WS, SIO_API]),
            (9000, Auto, old, None, vec![RAW_WS]),
            (9000, Auto, None, raw, vec![RAW_WS, SIO_WS, SIO_API]),
            (9000, Auto, None, moved, vec![SIO_API, SIO_WS, RAW_WS]),
            (9000, Auto, old, moved, vec![RAW_WS]),
            (9000, SocketIo, old, None, vec![SIO_WS]),
            (9000, WebSocket, None, moved, vec![RAW_WS]),
        ] {
            let hint = Hint { version: version.map(str::to_owned), last };
            assert_eq!(planned(&server(port, choice), &hint), expected, "{port} {choice:?} {hint:?}");
        }
    }
}
