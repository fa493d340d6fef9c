//! Socket.IO 5 over Engine.IO 4, as far as servers from 5.0 use it: digits, namespace, ack id, JSON.
//! Only text frames; must not wait, ping or reconnect. Driven through `channel`.

use std::time::Duration;

use serde_json::{Value, json};

use super::channel::Heard;
use super::excerpt::excerpt;
use super::message::{ExecutorOffer, RunCommand, RunStatus, kind};

/// Engine.IO's answer to a ping.
pub(super) const PONG: &str = "3";

const NAMESPACE: &str = "/dispatcher";

/// Times that a server may announce: anything outside would make a link look dead at once, or never, or overflow a clock.
const PING_MS_MIN: u64 = 1_000;
const PING_MS_MAX: u64 = 24 * 60 * 60 * 1_000;

/// Characters of the server's words that are repeated in a log line.
const WORDS_CHARS_MAX: usize = 300;

pub(super) fn hear(frame: &str) -> Heard {
    let mut chars = frame.chars();
    let packet = chars.next();
    let rest = chars.as_str();
    match packet {
        Some('0') => opened(rest),
        Some('1') => Heard::Closed,
        Some('2') => Heard::Ping,
        Some('3' | '6') => Heard::Nothing,
        Some('4') => message(rest),
        Some(other) => Heard::odd(format!("an Engine.IO packet of unknown type {other:?}")),
        None => Heard::odd("an empty frame"),
    }
}

fn opened(json: &str) -> Heard {
    let announced: Value = serde_json::from_str(json).unwrap_or_default();
    let millis = |key: &str| {
        let ms = announced.get(key)?.as_u64()?;
        Some(Duration::from_millis(ms.clamp(PING_MS_MIN, PING_MS_MAX)))
    };
    match (millis("pingInterval"), millis("pingTimeout")) {
        (Some(ping_interval), Some(ping_timeout)) => Heard::Opened { ping_interval, ping_timeout },
        _ => Heard::odd("an Engine.IO open packet without pingInterval and pingTimeout"),
    }
}

fn message(text: &str) -> Heard {
    let mut chars = text.chars();
    let packet = chars.next();
    let (namespace, rest) = split_namespace(chars.as_str());
    match packet {
        None => Heard::odd("an empty message packet"),
        // Their count of attachments stands before the namespace, so that cannot be asked first.
        Some('5' | '6') => Heard::odd("a binary packet, which no Faraday server sends"),
        Some(_) if namespace != NAMESPACE => {
            Heard::odd(format!("a packet for the namespace {}", excerpt(namespace, 80)))
        }
        Some('0') => Heard::Connected,
        Some('1') => Heard::Left,
        Some('2') => event(rest),
        Some('3') => acknowledged(rest),
        Some('4') => Heard::ConnectRefused(words(&serde_json::from_str(rest).unwrap_or_default())),
        Some(other) => Heard::odd(format!("a Socket.IO packet of unknown type {other:?}")),
    }
}

/// `/name,rest`; without a name it is the root namespace, and the comma may be missing where nothing follows.
fn split_namespace(text: &str) -> (&str, &str) {
    if text.starts_with('/') { text.split_once(',').unwrap_or((text, "")) } else { ("/", text) }
}

/// The leading ack id, if there is one, and what follows it.
fn split_ack(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

fn event(text: &str) -> Heard {
    let (_, json) = split_ack(text);
    // serde_json's own words name a position, never content, so they may be logged.
    let mut parts = match serde_json::from_str::<Vec<Value>>(json) {
        Ok(parts) => parts.into_iter(),
        Err(error) => return Heard::odd(format!("an event that is not a JSON list: {error}")),
    };
    let name = parts.next().unwrap_or_default();
    let payload = parts.next().unwrap_or_default();
    match name.as_str() {
        Some("run") => Heard::from_run(RunCommand::parse(payload)),
        Some("message") => Heard::Notice(words(&payload)),
        Some("disconnect") => Heard::Disconnect(words(&payload)),
        Some(other) => Heard::odd(format!("an unknown event {:?}", excerpt(other, 80))),
        None => Heard::odd(format!("an event whose name is {}", kind(&name))),
    }
}

fn acknowledged(text: &str) -> Heard {
    match split_ack(text).0.parse() {
        Ok(id) => Heard::Ack(id),
        Err(_) => Heard::odd("an acknowledgement without a usable id"),
    }
}

/// What the server says, bare or in the object that it puts around reasons. Anything but text is not repeated: it might be
/// a RUN gone astray, with a password in it.
fn words(payload: &Value) -> String {
    let said = ["reason", "message"].into_iter().find_map(|key| payload.get(key)).unwrap_or(payload);
    match said {
        Value::String(text) => excerpt(text, WORDS_CHARS_MAX),
        Value::Null => "no reason given".to_owned(),
        other => format!("no words but {}", kind(other)),
    }
}

pub(super) fn connect() -> String {
    format!("40{NAMESPACE},")
}

/// Asks for an ack: good and bad joins both get one, and the `disconnect` of a bad one comes before it.
pub(super) fn join(token: &str, offers: &[ExecutorOffer], ack: u64) -> String {
    let executors: Vec<Value> = offers.iter().map(executor).collect();
    let payload = json!({ "action": "JOIN_AGENT", "token": token, "executors": executors });
    format!("42{NAMESPACE},{ack}{}", json!(["join_agent", payload]))
}

fn executor(offer: &ExecutorOffer) -> Value {
    let mut object = offer.object();
    object.insert("category".to_owned(), json!(offer.category));
    object.insert("tool".to_owned(), json!(offer.tool));
    Value::Object(object)
}

/// The payload is a JSON text; as an object the server would drop it without a word.
pub(super) fn status(status: &RunStatus, ack: u64) -> String {
    format!("42{NAMESPACE},{ack}{}", json!(["run_status", status.object().to_string()]))
}

/// Without payload: with one the server ignores it.
pub(super) fn leave() -> String {
    format!("42{NAMESPACE},{}", json!(["leave_agent"]))
}
