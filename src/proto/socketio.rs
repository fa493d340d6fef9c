//! Socket.IO 5 over Engine.IO 4, as far as servers from 5.0 use it: digits, namespace, ack id, JSON.
//! Only text frames; must not wait, ping or reconnect. Driven through `channel`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::bounds::EXCERPT_BYTES_MAX;

use super::channel::Heard;
use super::excerpt::excerpt;
use super::json::Json;
use super::message::{ExecutorOffer, RunCommand, RunStatus};

/// Engine.IO's answer to a ping.
pub(super) const PONG: &str = "3";

const NAMESPACE: &str = "/dispatcher";

/// Times that a server may announce: anything outside would make a link look dead at once, or never, or overflow a clock.
const PING_MS_MIN: u64 = 1_000;
const PING_MS_MAX: u64 = 24 * 60 * 60 * 1_000;

pub(super) fn hear(frame: &str) -> Heard<'_> {
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

fn opened(json: &str) -> Heard<'_> {
    let announced = Json::parse(json).unwrap_or(Json::NULL).fields(["pingInterval", "pingTimeout"]).unwrap_or_default();
    match announced.map(|field| field.and_then(millis)) {
        [Some(ping_interval), Some(ping_timeout)] => Heard::Opened { ping_interval, ping_timeout },
        _ => Heard::odd("an Engine.IO open packet without pingInterval and pingTimeout"),
    }
}

fn millis(number: Json) -> Option<Duration> {
    let ms: u64 = number.number()?;
    Some(Duration::from_millis(ms.clamp(PING_MS_MIN, PING_MS_MAX)))
}

fn message(text: &str) -> Heard<'_> {
    let mut chars = text.chars();
    let packet = chars.next();
    let (namespace, rest) = split_namespace(chars.as_str());
    match packet {
        None => Heard::odd("an empty message packet"),
        // Their count of attachments stands before the namespace, so that cannot be asked first.
        Some('5' | '6') => Heard::odd("a binary packet, which no Faraday server sends"),
        Some(_) if namespace != NAMESPACE => {
            Heard::odd(format!("a packet for the namespace {}", excerpt(namespace, EXCERPT_BYTES_MAX)))
        }
        Some('0') => Heard::Connected,
        Some('1') => Heard::Left,
        Some('2') => event(rest),
        Some('3') => acknowledged(rest),
        Some('4') => Heard::ConnectRefused(words(Json::parse(rest).unwrap_or(Json::NULL))),
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

fn event(text: &str) -> Heard<'_> {
    let (_, json) = split_ack(text);
    let parts = match Json::parse(json) {
        Ok(parts) => parts,
        Err(not_json) => return Heard::odd(format!("an event that is no JSON list: {not_json}")),
    };
    // A name and what comes with it.
    let (mut said, mut count) = ([Json::NULL; 2], 0);
    let is_list = parts.each_item(|part| {
        said[count] = part;
        count += 1;
        count < said.len()
    });
    if !is_list {
        return Heard::odd(format!("an event that is no JSON list but {}", parts.kind()));
    }
    let [name, payload] = said;
    match name.string().as_deref() {
        Some("run") => Heard::from_run(RunCommand::parse(payload)),
        Some("message") => Heard::Notice(words(payload)),
        Some("disconnect") => Heard::Disconnect(words(payload)),
        Some(other) => Heard::odd(format!("an unknown event {:?}", excerpt(other, EXCERPT_BYTES_MAX))),
        None => Heard::odd(format!("an event whose name is {}", name.kind())),
    }
}

fn acknowledged(text: &str) -> Heard<'_> {
    match split_ack(text).0.parse() {
        Ok(id) => Heard::Ack(id),
        Err(_) => Heard::odd("an acknowledgement without a usable id"),
    }
}

/// What the server says, bare or in the object that it puts around reasons. Anything but text is not repeated: it might be
/// a RUN gone astray, with a password in it.
fn words(payload: Json) -> String {
    let [reason, message] = payload.fields(["reason", "message"]).unwrap_or_default();
    let said = reason.or(message).unwrap_or(payload);
    match said.string() {
        Some(text) => excerpt(&text, EXCERPT_BYTES_MAX),
        None if said.is_null() => "no reason given".to_owned(),
        None => format!("no words but {}", said.kind()),
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
