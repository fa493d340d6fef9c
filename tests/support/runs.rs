//! What each generation of servers makes of runs and RUN_STATUS: the rows that a person at the server would see.

use std::time::Instant;

use serde_json::{Value, json};

use super::state::{Generation, State};

/// One run in one workspace, as the server keeps it.
#[derive(Clone, Debug)]
pub struct Execution {
    pub agent: i64,
    pub executor: String,
    pub workspace: String,
    pub status: Status,
}

/// The state of an execution; `None` is NULL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    pub running: Option<bool>,
    pub successful: Option<bool>,
    pub message: String,
    /// When it first was reported as not running; kept by servers from 5.0 only.
    pub ended: Option<Instant>,
}

impl Status {
    /// Whether the server shows the run as over, refused ones included.
    pub fn is_over(&self) -> bool {
        self.running != Some(true) && (self.running == Some(false) || self.successful.is_some())
    }
}

/// A RUN_STATUS as it came.
#[derive(Clone, Debug)]
pub struct RunStatus {
    pub at: Instant,
    pub link: u64,
    pub ids: Vec<i64>,
    pub payload: Value,
}

/// The message could not be handled; what that means is the channel's to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unhandled;

impl State {
    /// Makes the executions of a RUN and the message that tells the agent.
    pub fn prepare_run(
        &mut self,
        agent: i64,
        executor: &str,
        args: &Value,
        workspaces: &[&str],
        plugin_args: &Value,
    ) -> (Vec<i64>, Value) {
        let mut ids = Vec::new();
        for workspace in workspaces {
            let id = self.next_id("execution");
            let (executor, workspace) = (executor.to_owned(), (*workspace).to_owned());
            self.executions.insert(id, Execution { agent, executor, workspace, status: Status::default() });
            ids.push(id);
        }
        let message = json!({
            "execution_ids": ids, "agent_id": agent, "workspaces": workspaces, "action": "RUN",
            "executor": executor, "args": args, "plugin_args": plugin_args,
        });
        (ids, message)
    }

    /// What the server sends for `plugin_args` when the user leaves the options alone.
    pub fn plugin_args(&self) -> Value {
        match self.generation {
            Generation::SocketIo => json!({
                "ignore_info": false, "resolve_hostname": true, "vuln_tag": null, "service_tag": null,
                "hostname_tag": null, "min_severity": null, "max_severity": null,
            }),
            Generation::Raw => json!({
                "ignore_info": false, "resolve_hostname": true, "vuln_tag": null, "service_tag": null,
                "host_tag": null,
            }),
        }
    }

    /// Takes a RUN_STATUS in the way of the server's generation.
    pub fn take_status(&mut self, link: u64, payload: Value) -> Result<(), Unhandled> {
        let ids = match &payload["execution_ids"] {
            Value::Array(ids) => ids.iter().map(|id| id.as_i64().ok_or(Unhandled)).collect::<Result<Vec<_>, _>>()?,
            _ => return Err(Unhandled),
        };
        self.statuses.push(RunStatus { at: Instant::now(), link, ids: ids.clone(), payload: payload.clone() });
        let running = flag(&payload["running"])?;
        let successful = flag(&payload["successful"])?;
        let message = match &payload["message"] {
            Value::Null => None,
            Value::String(text) if !text.contains('\0') => Some(text.as_str()),
            _ => return Err(Unhandled),
        };
        let ignored = self.generation == Generation::Raw && payload["executor_name"].is_null();
        for id in ids.iter().filter(|_| !ignored) {
            let Some(run) = self.executions.get_mut(id) else {
                continue;
            };
            match self.generation {
                Generation::SocketIo => run.status.merge(running, successful, message),
                Generation::Raw => run.status.replace(running, successful, message),
            }
        }
        Ok(())
    }

    /// What a server from 5.0 does with the running executions of an agent whose link has dropped.
    pub fn fail_running(&mut self, agent: i64) {
        let gone = "Execution terminated due to agent disconnection.";
        let runs = self.executions.values_mut().filter(|run| run.agent == agent);
        for run in runs.filter(|run| run.status.running == Some(true)) {
            run.status.merge(Some(false), Some(false), Some(gone));
        }
    }
}

impl Status {
    /// From 5.0: what is null or absent changes nothing; the first end stays.
    fn merge(&mut self, running: Option<bool>, successful: Option<bool>, message: Option<&str>) {
        self.running = running.or(self.running);
        self.successful = successful.or(self.successful);
        if let Some(message) = message {
            self.message = message.to_owned();
        }
        if running == Some(false) && self.ended.is_none() {
            self.ended = Some(Instant::now());
        }
    }

    /// Before 5.0: both flags are set, absent ones to NULL.
    fn replace(&mut self, running: Option<bool>, successful: Option<bool>, message: Option<&str>) {
        self.running = running;
        self.successful = successful;
        self.message = message.unwrap_or_default().to_owned();
    }
}

fn flag(value: &Value) -> Result<Option<bool>, Unhandled> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(flag) => Ok(Some(*flag)),
        _ => Err(Unhandled),
    }
}
