//! What the two sides tell each other, whichever command channel carries it: RUN, RUN_STATUS and what JOIN_AGENT offers.
//! Must not know frames or events (the codecs beside it do) nor judge arguments (`param` does).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::bounds::{
    ARGUMENTS_MAX, EXCERPT_BYTES_MAX, MESSAGE_BYTES_MAX, NAME_BYTES_MAX, REFUSED_IDS_MAX, WORKSPACES_MAX,
};

use super::excerpt::{bounded, excerpt};
use super::json::Json;
use super::param::Param;

/// The server's command to run an executor. Its arguments are pieces of the message that it came in.
#[derive(Clone, PartialEq)]
pub struct RunCommand<'m> {
    /// No two alike.
    pub execution_ids: Vec<i64>,
    /// As many as `execution_ids`; `workspaces[i]` belongs to `execution_ids[i]`. None at all means: run, and post nothing.
    pub workspaces: Vec<String>,
    /// `None` where the server named no executor, which is for the agent to refuse.
    pub executor: Option<String>,
    /// Unchecked, in the order in which the server sent them, no name twice. May hold passwords.
    pub args: Vec<(String, Json<'m>)>,
    pub plugin_args: Vec<(String, Json<'m>)>,
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
    pub execution_ids: Arc<[i64]>,
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

/// What a RUN says, whichever channel carries it.
pub(super) const RUN_FIELDS: [&str; 5] = ["execution_ids", "workspaces", "executor", "args", "plugin_args"];

impl<'m> RunCommand<'m> {
    /// Reads the object of a RUN. Missing or null `args`, `plugin_args` and `executor` are as good as empty.
    ///
    /// # Errors
    ///
    /// All that is wrong at once, in a bounded text, with as many ids as can be remembered.
    pub fn parse(message: Json<'m>) -> Result<RunCommand<'m>, BadRun> {
        message.fields(RUN_FIELDS).map(RunCommand::from_fields).unwrap_or_else(|| {
            let problem = format!("RUN is {}, not an object", message.kind());
            Err(BadRun { execution_ids: Vec::new(), executor: None, problem })
        })
    }

    /// The same from the values of its fields.
    pub(super) fn from_fields(fields: [Option<Json<'m>>; RUN_FIELDS.len()]) -> Result<RunCommand<'m>, BadRun> {
        let [ids, workspaces, executor, args, plugin_args] = fields.map(|field| field.unwrap_or(Json::NULL));
        let mut problems = Vec::new();
        let execution_ids = execution_ids(ids, &mut problems);
        let workspaces = list(workspaces, "workspaces", WORKSPACES, workspace, WORKSPACES_MAX + 1, &mut problems);
        let executor = name(executor, &mut problems);
        let args = named(args, "args", is_name, &mut problems);
        // Whatever else options are called, nobody takes them.
        let plugin_args = named(plugin_args, "plugin_args", |_| true, &mut problems);
        // One list longer than the other would leave a workspace without results or an execution without an end.
        if problems.is_empty() && execution_ids.len() != workspaces.len() {
            problems.push(format!("{} execution_ids for {} workspaces", execution_ids.len(), workspaces.len()));
        }
        if problems.is_empty() {
            let workspaces = workspaces.into_iter().map(Cow::into_owned).collect();
            Ok(RunCommand { execution_ids, workspaces, executor, args, plugin_args })
        } else {
            Err(BadRun { execution_ids, executor, problem: problems.join("; ") })
        }
    }
}

/// Names of arguments, never their values: any of them may be a password.
impl fmt::Debug for RunCommand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |arguments: &[(String, Json)]| arguments.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        f.debug_struct("RunCommand")
            .field("execution_ids", &self.execution_ids)
            .field("workspaces", &self.workspaces)
            .field("executor", &self.executor)
            .field("args", &names(&self.args))
            .field("plugin_args", &names(&self.plugin_args))
            .finish()
    }
}

impl RunStatus {
    /// The RUN_STATUS object with all of its keys. The server drops a status whose text holds U+0000 without a word, so it goes.
    pub(super) fn object(&self) -> Value {
        let message = self.message.replace('\0', "");
        json!({
            "action": "RUN_STATUS",
            "execution_ids": self.execution_ids,
            "executor_name": self.executor_name.replace('\0', ""),
            "running": self.running,
            "successful": self.successful,
            "message": bounded(message, MESSAGE_BYTES_MAX),
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

const IDS: &str = "integers";
const WORKSPACES: &str = "names of workspaces (text of 1 to 256 bytes without control characters)";
const _: () = assert!(NAME_BYTES_MAX == 256, "people are told the number");

/// The usable entries of a list, as far as it is looked at; whatever is wrong with the others becomes a problem.
fn list<'m, T>(
    value: Json<'m>,
    key: &str,
    expected: &str,
    read: fn(Json<'m>) -> Option<T>,
    seen_max: usize,
    problems: &mut Vec<String>,
) -> Vec<T> {
    let (mut kept, mut count, mut bad) = (Vec::new(), 0, 0);
    let is_list = value.each_item(|item| {
        count += 1;
        match read(item) {
            Some(entry) => kept.push(entry),
            None => bad += 1,
        }
        count < seen_max
    });
    if !is_list {
        problems.push(match value.is_null() {
            true => format!("{key} is missing"),
            false => format!("{key} is {}, not a list of {expected}", value.kind()),
        });
    }
    if bad > 0 {
        problems.push(format!("{key} has {bad} entries that are not {expected}"));
    }
    if count > WORKSPACES_MAX {
        problems.push(format!("{key} has more than {WORKSPACES_MAX} entries; split it over several runs"));
    }
    kept
}

/// More of them than a run may have are kept, so that all of them can be told of its end.
fn execution_ids(value: Json, problems: &mut Vec<String>) -> Vec<i64> {
    // Ids are whole JSON numbers: no server sends them as text, and the server ignores a status that does.
    let mut ids = list(value, "execution_ids", IDS, Json::number, REFUSED_IDS_MAX, problems);
    let (count, mut seen) = (ids.len(), BTreeSet::new());
    ids.retain(|id| seen.insert(*id));
    if ids.len() < count {
        problems.push(format!("execution_ids has {} entries that repeat others", count - ids.len()));
    }
    ids
}

/// A dot or two is no workspace but a step in a path, which something on the way to the server would take.
fn workspace(value: Json<'_>) -> Option<Cow<'_, str>> {
    value.string().filter(|name| is_name(name) && !matches!(&**name, "." | ".."))
}

fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control)
}

fn name(value: Json, problems: &mut Vec<String>) -> Option<String> {
    let Some(text) = value.string() else {
        if !value.is_null() {
            problems.push(format!("executor is {}, not a name", value.kind()));
        }
        return None;
    };
    if text.is_empty() || is_name(&text) {
        return Some(text.into_owned()).filter(|text| !text.is_empty());
    }
    problems.push(not_a_name("executor is", &text));
    None
}

fn not_a_name(what: &str, text: &str) -> String {
    let shown = excerpt(text, EXCERPT_BYTES_MAX);
    format!("{what} {shown:?}, which is no name (1 to {NAME_BYTES_MAX} bytes without control characters)")
}

/// The entries of an object, as many as may be kept, no name twice.
fn named<'m>(
    value: Json<'m>,
    key: &str,
    is_name: fn(&str) -> bool,
    problems: &mut Vec<String>,
) -> Vec<(String, Json<'m>)> {
    let (mut kept, mut count): (Vec<(String, Json)>, usize) = (Vec::new(), 0);
    let mut first = None;
    let is_object = value.each_entry(|name, value| {
        count += 1;
        let problem = match name.string() {
            None => format!("{key} has a name with half a character in it"),
            Some(name) if !is_name(&name) => not_a_name(&format!("{key} has"), &name),
            Some(name) if kept.iter().any(|(other, _)| *other == *name) => {
                format!("{key} has {} twice", excerpt(&name, EXCERPT_BYTES_MAX))
            }
            Some(name) => {
                kept.push((name.into_owned(), value));
                return count <= ARGUMENTS_MAX;
            }
        };
        first.get_or_insert(problem);
        count <= ARGUMENTS_MAX
    });
    if !is_object && !value.is_null() {
        problems.push(format!("{key} is {}, not an object", value.kind()));
    }
    if count > ARGUMENTS_MAX {
        problems.push(format!("{key} has more than {ARGUMENTS_MAX} entries"));
    }
    problems.extend(first);
    kept
}

#[cfg(test)]
mod tests;
