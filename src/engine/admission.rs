//! A RUN is checked before anything of it comes to life: does the executor exist, do the arguments fit, can its environment be
//! built. Says no with a sentence that names the argument and never a password's value.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::bounds::{ENV_BYTES_MAX, EXCERPT_BYTES_MAX, OPTIONS_NAMED_MAX, PROBLEMS_MAX};
use crate::config::settings::Secret;
use crate::proto::bulk::params_text;
use crate::proto::excerpt::excerpt;
use crate::proto::json::Json;
use crate::proto::message::RunCommand;
use crate::proto::param::{Argument, ENV_PREFIX, ENV_STRING_BYTES_MAX};

use super::executor::Executor;

/// The options that the servers and Faraday's documentation name; `HOST_TAG` is what servers before 5.0 call `HOSTNAME_TAG`.
const OPTIONS: [&str; 8] = [
    "IGNORE_INFO",
    "RESOLVE_HOSTNAME",
    "VULN_TAG",
    "SERVICE_TAG",
    "HOSTNAME_TAG",
    "HOST_TAG",
    "MIN_SEVERITY",
    "MAX_SEVERITY",
];

/// What stands before an option's name in the executor's environment.
const OPTION_PREFIX: &str = "AGENT_CONFIG_";

/// What a run holds by itself, its status and its buffers included.
pub const RUN_BYTES: usize = 8 * 1024;
/// What each workspace adds to its name: the delivery, its timer, and what the server said of it.
pub const WORKSPACE_BYTES: usize = 1024;
/// What a variable of the environment adds to its text.
const VARIABLE_BYTES: usize = 64;
/// What is secret is kept in pieces that may be short.
const SECRET_FACTOR: usize = 16;

/// What a run needs beyond its executor.
#[derive(Debug)]
pub struct Admitted {
    /// For the executor: `EXECUTOR_CONFIG_*`, `AGENT_CONFIG_*` and the configured varenvs, which win.
    pub env: Vec<(String, Secret)>,
    /// For the command record on the server: `k=v, …` without passwords.
    pub params: String,
    /// The values of passwords, by the names of their arguments.
    pub secrets: Map<String, Value>,
}

impl Admitted {
    /// What a run for these workspaces holds of the agent's memory, about and rather too much.
    pub fn bytes(&self, workspaces: &[String]) -> usize {
        let env: usize = self.env.iter().map(|(name, value)| name.len() + value.reveal().len() + VARIABLE_BYTES).sum();
        let secrets: usize = self.secrets.values().map(|value| value.to_string().len() * SECRET_FACTOR).sum();
        let names: usize = workspaces.iter().map(|name| name.len() + WORKSPACE_BYTES).sum();
        RUN_BYTES + env + secrets + names + self.params.len()
    }
}

/// The executor that the RUN names, or the sentence that says why there is none.
pub fn find<'e>(
    command: &RunCommand,
    executors: &'e [Arc<Executor>],
    agent_name: &str,
) -> Result<&'e Arc<Executor>, String> {
    let Some(name) = &command.executor else {
        return Err(format!("No executor selected to {agent_name} agent"));
    };
    executors.iter().find(|executor| executor.name == *name).ok_or_else(|| {
        let known: Vec<&str> = executors.iter().map(|executor| executor.name.as_str()).collect();
        format!(
            "The selected executor {} does not exist in {agent_name} agent; it has: {}",
            excerpt(name, EXCERPT_BYTES_MAX),
            known.join(", ")
        )
    })
}

/// Checks the RUN against its executor.
pub fn admit(command: &RunCommand, executor: &Executor) -> Result<Admitted, String> {
    let mut problems = missing(command, executor);
    let (mut args, mut secrets) = (Vec::new(), Map::new());
    for (name, json) in given(&command.args) {
        let Some(param) = executor.params.iter().find(|param| param.name == *name) else {
            let name = excerpt(name, EXCERPT_BYTES_MAX);
            problems.push(format!("unexpected argument {name}; {} takes: {}", executor.name, names(executor)));
            continue;
        };
        match value(ENV_PREFIX, name, *json).and_then(|value| Ok((param.check(&value)?, value))) {
            Ok((text, value)) => {
                // A copy has no more room than it needs: what grew by doubling would be kept as it is while the run waits.
                args.push(Argument { name: name.clone(), text: (*text).to_owned(), secret: param.is_secret() });
                if param.is_secret() {
                    secrets.insert(name.clone(), value);
                }
            }
            Err(problem) => problems.push(problem),
        }
    }
    let options = options(&command.plugin_args, &executor.name, &mut problems);
    let params = params_text(&args);
    let env = environment(args, options);
    let bytes: usize = env.iter().map(|(name, value)| name.len() + value.reveal().len() + "=\0".len()).sum();
    if bytes > ENV_BYTES_MAX {
        let all = format!("its arguments and options take {bytes} bytes together");
        problems.push(format!("{all}, but an environment holds {ENV_BYTES_MAX}; split it over several runs"));
    }
    if !problems.is_empty() {
        return Err(format!("Executor {} was not started: {}", executor.name, joined(&problems)));
    }
    let env = env.into_iter().chain(executor.varenvs.iter().cloned()).collect();
    Ok(Admitted { params, env, secrets })
}

fn joined(problems: &[String]) -> String {
    let shown = problems[..problems.len().min(PROBLEMS_MAX)].join("; ");
    match problems.len().saturating_sub(PROBLEMS_MAX) {
        0 => shown,
        more => format!("{shown}; and {more} more problems"),
    }
}

/// One value as a tree, which is small because an environment variable is.
fn value(prefix: &str, name: &str, json: Json) -> Result<Value, String> {
    let bytes = json.text_bytes_min();
    let bytes_max = ENV_STRING_BYTES_MAX.saturating_sub(prefix.len() + name.len() + "=\0".len());
    if bytes > bytes_max {
        return Err(format!(
            "{name} takes {bytes} bytes, but an environment variable of this name holds {bytes_max}; split it over several runs"
        ));
    }
    json.value().ok_or_else(|| {
        format!("{name} holds a number out of range, half a character or lists in lists without end; take that out")
    })
}

fn missing(command: &RunCommand, executor: &Executor) -> Vec<String> {
    let given: Vec<&String> = given(&command.args).map(|(name, _)| name).collect();
    let is_missing = |name: &String| !given.contains(&name);
    let mandatory = executor.params.iter().filter(|param| param.mandatory && is_missing(&param.name));
    mandatory.map(|param| format!("mandatory argument {} is missing", param.name)).collect()
}

/// An argument that is null was not given.
fn given<'c, 'm>(args: &'c [(String, Json<'m>)]) -> impl Iterator<Item = &'c (String, Json<'m>)> {
    args.iter().filter(|(_, json)| !json.is_null())
}

fn names(executor: &Executor) -> String {
    let names: Vec<&str> = executor.params.iter().map(|param| param.name.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// The options of a run as the executor sees them. Null and empty ones are not set; false is, because leaving it out would mean
/// the option's default. One under any other name is left out: no executor counts on it, and whatever an executor runs finds it
/// in its environment.
fn options(plugin_args: &[(String, Json)], executor: &str, problems: &mut Vec<String>) -> Vec<(&'static str, String)> {
    let (mut options, mut unknown) = (Vec::new(), Vec::new());
    for (name, json) in given(plugin_args) {
        let Some(option) = OPTIONS.into_iter().find(|option| option.eq_ignore_ascii_case(name)) else {
            unknown.push(name.as_str());
            continue;
        };
        match value(OPTION_PREFIX, option, *json).map(|value| option_text(&value)) {
            Err(problem) => problems.push(format!("option {problem}")),
            Ok(Some(text)) if text.contains(char::is_control) => {
                problems.push(format!("option {option} holds a control character, such as a line break; remove it"));
            }
            Ok(text) => options.extend(text.map(|text| (option, text))),
        }
    }
    warn_of_unknown(&unknown, executor);
    options
}

fn warn_of_unknown(options: &[&str], executor: &str) {
    let named: Vec<String> =
        options.iter().take(OPTIONS_NAMED_MAX).map(|name| excerpt(name, EXCERPT_BYTES_MAX)).collect();
    let more = match options.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    if !named.is_empty() {
        let (named, known) = (named.join(", "), OPTIONS.join(", "));
        log::warn!("executor {executor}: left out options that nobody documents: {named}{more}; there are: {known}");
    }
}

fn option_text(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::Bool(yes) => if *yes { "True" } else { "False" }.to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().filter_map(option_text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    };
    (!text.is_empty()).then_some(text)
}

fn environment(args: Vec<Argument>, options: Vec<(&str, String)>) -> Vec<(String, Secret)> {
    let args = args.into_iter().map(|arg| (format!("{ENV_PREFIX}{}", arg.name.to_uppercase()), Secret::new(arg.text)));
    let options = options.into_iter().map(|(name, text)| (format!("{OPTION_PREFIX}{name}"), Secret::new(text)));
    args.chain(options).collect()
}
