//! The command channel of servers before 5.0: JSON texts on a websocket of its own, as `raw-websocket.md` records.
//! Whatever these servers cannot handle ends the TCP connection without a Close frame.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::events::What;
use super::link::{Channel, Flow};
use super::shared::Shared;
use super::state::State;

pub struct Raw {
    shared: Arc<Shared>,
    link: u64,
}

impl Raw {
    pub fn new(shared: Arc<Shared>, link: u64) -> Raw {
        Raw { shared, link }
    }
}

impl Channel for Raw {
    fn handle_open(&mut self) {}

    fn handle_text(&mut self, text: &str) -> Flow {
        let message: Value = serde_json::from_str(text).unwrap_or_default();
        let link = self.link;
        self.shared.change(|state| match message.get("action").map(Value::as_str) {
            None => Flow::Drop,
            Some(Some("JOIN_AGENT")) => join(state, link, &message),
            Some(Some("LEAVE_AGENT" | "RUN_STATUS")) if state.agent_on(link).is_none() => Flow::Drop,
            Some(Some("LEAVE_AGENT")) => {
                state.offline(link);
                Flow::Keep
            }
            Some(Some("RUN_STATUS")) => run_status(state, link, message),
            Some(_) => Flow::Keep,
        })
    }

    fn handle_timeout(&mut self, _now: Instant) -> Flow {
        Flow::Keep
    }

    /// These servers never ping and wait for ever.
    fn timeout(&self) -> Option<Instant> {
        None
    }
}

fn join(state: &mut State, link: u64, message: &Value) -> Flow {
    let (Some(token), Some(executors)) = (message.get("token"), message.get("executors")) else {
        return refuse(state, link, "Invalid JOIN_AGENT message");
    };
    let Some(agent) = state.admitted(token) else {
        return refuse(state, link, "Invalid agent token!");
    };
    // An object joins too, with no executors.
    if !executors.is_array() && !executors.is_object() {
        return Flow::Drop;
    }
    state.join(agent, link, executors.clone());
    Flow::Keep
}

fn refuse(state: &mut State, link: u64, reason: &'static str) -> Flow {
    state.record(What::JoinRefused { link, reason });
    Flow::Close(Some((1000, reason)))
}

fn run_status(state: &mut State, link: u64, message: Value) -> Flow {
    let old_style = message.get("execution_id").is_some();
    match state.take_status(link, message) {
        Ok(()) if !old_style => Flow::Keep,
        _ => Flow::Drop,
    }
}
