//! The raw websocket channel of servers before 5.0: each text frame is one JSON object with an `action`.
//! Must not decide what follows from a message. Driven through `channel`.

use serde_json::{Map, Value, json};

use super::channel::Heard;
use super::excerpt::excerpt;
use super::message::{ExecutorOffer, RunCommand, RunStatus, kind};

pub(super) fn hear(frame: &str) -> Heard {
    let message = match serde_json::from_str(frame) {
        Ok(Value::Object(message)) => message,
        Ok(other) => {
            return Heard::odd(format!("a message that is {}, not an object", kind(&other)));
        }
        // serde_json's own words name a position, never content, so they may be logged.
        Err(error) => return Heard::odd(format!("a message that is not JSON: {error}")),
    };
    match message.get("action") {
        Some(Value::String(action)) if action == "RUN" => run(message),
        Some(Value::String(action)) => unrecognized(action),
        _ => lacking("action"),
    }
}

fn run(message: Map<String, Value>) -> Heard {
    match ["execution_ids", "workspaces"].into_iter().find(|key| !message.contains_key(*key)) {
        Some(key) => lacking(key),
        None => Heard::from_run(RunCommand::parse(Value::Object(message))),
    }
}

/// The reply that the Python agent gives, byte for byte, as is the next one.
fn lacking(key: &str) -> Heard {
    Heard::Odd {
        note: format!("a message without a usable {key:?}"),
        reply: Some(format!(r#"{{"error": "'{key}' key is mandatory in this websocket connection"}}"#)),
    }
}

fn unrecognized(action: &str) -> Heard {
    let key = json!(format!("{action}_RESPONSE"));
    Heard::Odd {
        note: format!("a message with the unknown action {:?}", excerpt(action, 80)),
        reply: Some(format!(r#"{{{key}: "Error: Unrecognized action"}}"#)),
    }
}

pub(super) fn join(token: &str, offers: &[ExecutorOffer]) -> String {
    let executors: Vec<_> = offers.iter().map(ExecutorOffer::object).collect();
    json!({ "action": "JOIN_AGENT", "token": token, "executors": executors }).to_string()
}

pub(super) fn status(status: &RunStatus) -> String {
    status.object().to_string()
}

pub(super) fn leave(token: &str, reason: &str) -> String {
    json!({ "action": "LEAVE_AGENT", "token": token, "reason": reason }).to_string()
}
