//! What the two sides tell each other, whichever command channel carries it: RUN, RUN_STATUS and what JOIN_AGENT offers.
//! Must not know frames or events (the codecs beside it do) nor judge arguments (`param` does).

use std::fmt;

use serde_json::{Map, Value, json};

use super::excerpt::cut;
use super::param::Param;

/// A status message is cut here. The server stores any length, but refuses frames above 1 MB, and a person reads it in a table cell.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024;

/// The server's command to run an executor.
#[derive(Clone, PartialEq)]
pub struct RunCommand {
    pub execution_ids: Vec<i64>,
    /// As many as `execution_ids`; `workspaces[i]` belongs to `execution_ids[i]`. None at all means: run, and post nothing.
    pub workspaces: Vec<String>,
    /// `None` where the server named no executor, which is for the agent to refuse.
    pub executor: Option<String>,
    /// Unchecked, in the order in which the server sent them. May hold passwords.
    pub args: Map<String, Value>,
    pub plugin_args: Map<String, Value>,
}

/// A RUN that cannot be carried out, with what is known of it, so that the server can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRun {
    /// The ids that could be read; with none, nobody can be told.
    pub execution_ids: Vec<i64>,
    pub executor: Option<String>,
    /// What is wrong with it, as a sentence without a full stop; holds no argument's value.
    pub problem: String,
}

/// How a run stands, for the server to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunStatus {
    pub execution_ids: Vec<i64>,
    /// As the RUN named it, known here or not. The old server ignores a status without it, so it may be empty but is always sent.
    pub executor_name: String,
    pub running: bool,
    /// `None` while it runs. It is sent as null, which leaves the field as it was on servers from 5.0 and clears it on older ones.
    pub successful: Option<bool>,
    pub message: String,
}

/// One executor as JOIN_AGENT offers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutorOffer {
    pub executor_name: String,
    pub params: Vec<Param>,
    /// From the manifest of an official executor, else empty.
    pub category: Vec<String>,
    /// Name of the official executor, else empty.
    pub tool: String,
}

impl RunCommand {
    /// Reads the object of a RUN. Missing or null `args`, `plugin_args` and `executor` are as good as empty.
    /// All that is wrong is reported at once.
    pub fn parse(message: Value) -> Result<RunCommand, BadRun> {
        let Value::Object(mut fields) = message else {
            let problem = format!("RUN is {}, not an object", kind(&message));
            return Err(BadRun { execution_ids: Vec::new(), executor: None, problem });
        };
        let mut take = |key: &str| fields.get_mut(key).map(Value::take).unwrap_or_default();
        let mut problems = Vec::new();
        let execution_ids = list(take("execution_ids"), "execution_ids", "integers", as_id, &mut problems);
        let workspaces = list(take("workspaces"), "workspaces", "names of workspaces", as_workspace, &mut problems);
        let executor = name(take("executor"), &mut problems);
        let args = object(take("args"), "args", &mut problems);
        let plugin_args = object(take("plugin_args"), "plugin_args", &mut problems);
        // One list longer than the other would leave a workspace without results or an execution without an end.
        if problems.is_empty() && execution_ids.len() != workspaces.len() {
            problems.push(format!("{} execution_ids for {} workspaces", execution_ids.len(), workspaces.len()));
        }
        if problems.is_empty() {
            Ok(RunCommand { execution_ids, workspaces, executor, args, plugin_args })
        } else {
            Err(BadRun { execution_ids, executor, problem: problems.join("; ") })
        }
    }
}

/// Names of arguments, never their values: any of them may be a password.
impl fmt::Debug for RunCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunCommand")
            .field("execution_ids", &self.execution_ids)
            .field("workspaces", &self.workspaces)
            .field("executor", &self.executor)
            .field("args", &self.args.keys().collect::<Vec<_>>())
            .field("plugin_args", &self.plugin_args.keys().collect::<Vec<_>>())
            .finish()
    }
}

impl RunStatus {
    /// The RUN_STATUS object with all of its keys. The server drops a status whose text holds U+0000 without a word, so it goes.
    pub(super) fn object(&self) -> Value {
        let message = self.message.replace('\0', "");
        let shown = if message.len() > MESSAGE_BYTES_MAX {
            format!("{}…", cut(&message, MESSAGE_BYTES_MAX))
        } else {
            message
        };
        json!({
            "action": "RUN_STATUS",
            "execution_ids": self.execution_ids,
            "executor_name": self.executor_name.replace('\0', ""),
            "running": self.running,
            "successful": self.successful,
            "message": shown,
        })
    }
}

impl ExecutorOffer {
    /// What both generations of servers read of it; `category` and `tool` are the newer codec's to add.
    pub(super) fn object(&self) -> Map<String, Value> {
        let args: Map<String, Value> = self.params.iter().map(|p| (p.name.clone(), p.offer())).collect();
        Map::from_iter([
            ("executor_name".to_owned(), json!(self.executor_name)),
            ("args".to_owned(), Value::Object(args)),
        ])
    }
}

/// What a JSON value is, for a person; says nothing of its content.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The usable entries of a list; each that is not becomes a problem, so that what is known can still be reported.
fn list<T>(
    value: Value,
    key: &str,
    expected: &str,
    read: fn(&Value) -> Option<T>,
    problems: &mut Vec<String>,
) -> Vec<T> {
    let Value::Array(entries) = value else {
        problems.push(match value {
            Value::Null => format!("{key} is missing"),
            other => format!("{key} is {}, not a list of {expected}", kind(&other)),
        });
        return Vec::new();
    };
    let good: Vec<T> = entries.iter().filter_map(read).collect();
    if good.len() < entries.len() {
        problems.push(format!("{key} has {} entries that are not {expected}", entries.len() - good.len()));
    }
    good
}

/// Ids are whole JSON numbers: no server sends them as text, and the server ignores a status that does.
fn as_id(value: &Value) -> Option<i64> {
    value.as_i64()
}

/// A dot or two is no workspace but a step in a path, which something on the way to the server would take.
fn as_workspace(value: &Value) -> Option<String> {
    value.as_str().filter(|name| !matches!(*name, "" | "." | "..")).map(str::to_owned)
}

fn name(value: Value, problems: &mut Vec<String>) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text).filter(|text| !text.is_empty()),
        other => {
            problems.push(format!("executor is {}, not a name", kind(&other)));
            None
        }
    }
}

fn object(value: Value, key: &str, problems: &mut Vec<String>) -> Map<String, Value> {
    match value {
        Value::Null => Map::new(),
        Value::Object(fields) => fields,
        other => {
            problems.push(format!("{key} is {}, not an object", kind(&other)));
            Map::new()
        }
    }
}

#[cfg(test)]
mod tests;
