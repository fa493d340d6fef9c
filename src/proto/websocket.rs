//! The raw websocket channel of servers before 5.0: each text frame is one JSON object with an `action`.
//! Must not decide what follows from a message. Driven through `channel`.

use serde_json::json;

use crate::bounds::{EXCERPT_BYTES_MAX, NAME_BYTES_MAX};

use super::channel::Heard;
use super::excerpt::{cut, excerpt};
use super::json::Json;
use super::message::{ExecutorOffer, RUN_FIELDS, RunCommand, RunStatus};

pub(super) fn hear(frame: &str) -> Heard<'_> {
    let message = match Json::parse(frame) {
        Ok(message) => message,
        Err(not_json) => return Heard::odd(format!("a message that is {not_json}")),
    };
    let [ids, workspaces, executor, args, plugin_args] = RUN_FIELDS;
    let Some([action, run @ ..]) = message.fields(["action", ids, workspaces, executor, args, plugin_args]) else {
        return Heard::odd(format!("a message that is {}, not an object", message.kind()));
    };
    match (action.and_then(Json::string).as_deref(), run) {
        (Some("RUN"), [None, ..]) => lacking(ids),
        (Some("RUN"), [_, None, ..]) => lacking(workspaces),
        (Some("RUN"), run) => Heard::from_run(RunCommand::from_fields(run)),
        (Some(action), _) => unrecognized(action),
        (None, _) => lacking("action"),
    }
}

/// The reply that the Python agent gives, byte for byte, as is the next one.
fn lacking(key: &str) -> Heard<'static> {
    Heard::Odd {
        note: format!("a message without a usable {key:?}"),
        reply: Some(format!(r#"{{"error": "'{key}' key is mandatory in this websocket connection"}}"#)),
    }
}

/// Of an action's name that no server has ever sent not all is repeated.
fn unrecognized(action: &str) -> Heard<'static> {
    let key = json!(format!("{}_RESPONSE", cut(action, NAME_BYTES_MAX)));
    Heard::Odd {
        note: format!("a message with the unknown action {:?}", excerpt(action, EXCERPT_BYTES_MAX)),
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
