//! The command channel of servers from 5.0: Socket.IO 5 over Engine.IO 4, as much as `socketio.md` records.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::events::What;
use super::link::{Channel, Flow};
use super::shared::Shared;
use super::state::State;

pub const NAMESPACE: &str = "/dispatcher";

pub struct SocketIo {
    shared: Arc<Shared>,
    link: u64,
    ping_due: Instant,
    /// By when the last ping must have been answered.
    pong_due: Option<Instant>,
}

/// A Socket.IO packet, cut apart.
struct Packet<'a> {
    kind: char,
    namespace: &'a str,
    ack: Option<&'a str>,
    data: &'a str,
}

impl<'a> Packet<'a> {
    fn parse(text: &'a str) -> Option<Packet<'a>> {
        let kind = text.chars().next()?;
        let rest = &text[kind.len_utf8()..];
        let (namespace, rest) = match rest.starts_with('/') {
            true => rest.split_once(',').unwrap_or((rest, "")),
            false => ("/", rest),
        };
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (ack, data) = rest.split_at(digits);
        Some(Packet { kind, namespace, ack: Some(ack).filter(|ack| !ack.is_empty()), data })
    }
}

/// An event as the server sends it.
pub fn event(name: &str, payload: &Value) -> String {
    format!("42{NAMESPACE},{}", json!([name, payload]))
}

impl SocketIo {
    pub fn new(shared: Arc<Shared>, link: u64) -> SocketIo {
        let ping_due = Instant::now() + shared.options.ping_interval;
        SocketIo { shared, link, ping_due, pong_due: None }
    }

    fn handle_packet(&mut self, text: &str) {
        let Some(packet) = Packet::parse(text) else {
            return;
        };
        let link = self.link;
        self.shared.change(|state| match (packet.kind, packet.namespace) {
            ('0', NAMESPACE) => enter(state, link),
            ('0', other) => state.send(link, format!("44{other},{{\"message\":\"Unable to connect\"}}")),
            ('1', NAMESPACE) => leave_namespace(state, link),
            ('2', NAMESPACE) if state.links.get(&link).is_some_and(|handle| handle.in_namespace) => {
                handle_event(state, link, &packet);
            }
            _ => {}
        });
    }
}

impl Channel for SocketIo {
    fn handle_open(&mut self) {
        let (link, options) = (self.link, &self.shared.options);
        let open = json!({
            "sid": format!("engine-{link}"), "upgrades": [],
            "pingTimeout": millis(options.ping_timeout), "pingInterval": millis(options.ping_interval),
            "maxPayload": options.max_payload,
        });
        self.shared.change(|state| state.send(link, format!("0{open}")));
    }

    fn handle_text(&mut self, text: &str) -> Flow {
        match text.bytes().next() {
            Some(b'3') => {
                self.pong_due = None;
                self.ping_due = Instant::now() + self.shared.options.ping_interval;
                Flow::Keep
            }
            Some(b'4') => {
                self.handle_packet(&text[1..]);
                Flow::Keep
            }
            Some(b'5') => {
                self.shared.change(|state| state.send(self.link, "6".to_owned()));
                Flow::Keep
            }
            // `1` is the agent's goodbye; an empty frame, an unknown digit and packets that only servers send are faults.
            _ => Flow::Close(None),
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Flow {
        if self.pong_due.is_some_and(|due| due <= now) {
            return Flow::Drop;
        }
        if self.ping_due <= now {
            let options = &self.shared.options;
            self.ping_due = now + options.ping_interval;
            let sent = self.shared.change(|state| {
                let sends = !state.pings_stopped;
                if sends {
                    state.send(self.link, "2".to_owned());
                }
                sends
            });
            if sent {
                self.pong_due.get_or_insert(now + options.ping_timeout);
            }
        }
        Flow::Keep
    }

    fn timeout(&self) -> Option<Instant> {
        Some(self.pong_due.map_or(self.ping_due, |due| due.min(self.ping_due)))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The greeting goes to everybody, and to the newcomer before the answer to its connect.
fn enter(state: &mut State, link: u64) {
    if let Some(handle) = state.links.get_mut(&link) {
        handle.in_namespace = true;
    }
    state.broadcast(&event("message", &json!("Connected to faraday websocket")));
    state.send(link, format!("40{NAMESPACE},{{\"sid\":\"namespace-{link}\"}}"));
}

fn leave_namespace(state: &mut State, link: u64) {
    state.offline(link);
    if let Some(handle) = state.links.get_mut(&link) {
        handle.in_namespace = false;
    }
}

/// An event whose handler fails is not acknowledged.
fn handle_event(state: &mut State, link: u64, packet: &Packet) {
    let Ok(Value::Array(event)) = serde_json::from_str(packet.data) else {
        return;
    };
    let handled = match event.split_first() {
        Some((Value::String(name), payload)) => match (name.as_str(), payload) {
            ("join_agent", [message]) => join(state, link, message),
            ("run_status", [Value::String(text)]) => run_status(state, link, text),
            ("leave_agent", []) => {
                state.send(link, format!("41{NAMESPACE},"));
                leave_namespace(state, link);
                true
            }
            _ => false,
        },
        _ => false,
    };
    if let (true, Some(ack)) = (handled, packet.ack) {
        state.send(link, format!("43{NAMESPACE},{ack}[]"));
    }
}

/// Always handled: a refusal is an event of its own, and the connection stays usable.
fn join(state: &mut State, link: u64, message: &Value) -> bool {
    let refusal = match (message.get("token"), message.get("executors")) {
        (Some(token), Some(executors)) => match state.admitted(token) {
            Some(agent) => {
                state.join(agent, link, executors.clone());
                state.broadcast(&event("message", &json!("Agent joined correctly to dispatcher namespace")));
                return true;
            }
            None => "Invalid agent token!",
        },
        _ => "Invalid join agent message",
    };
    state.record(What::JoinRefused { link, reason: refusal });
    let text = event("disconnect", &json!({ "reason": refusal }));
    match refusal {
        "Invalid agent token!" => state.broadcast(&text),
        _ => state.send(link, text),
    }
    true
}

fn run_status(state: &mut State, link: u64, text: &str) -> bool {
    let payload = serde_json::from_str(text).ok();
    payload.is_some_and(|payload| state.take_status(link, payload).is_ok())
}
