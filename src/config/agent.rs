//! The section `agent`: its name, its limits, and the executors. Driven by `config::check`.

use crate::config::kind::{
    BYTES, COMMAND, COUNT, DAYS, LIMIT, MILLISECONDS_OR_ZERO, NAME, NUMBER, OFFICIAL, PARAM_TYPE, PATH, SECONDS,
    SECONDS_OR_ZERO, SWITCH, TEXT, VARENV,
};
use crate::config::section::Section;
use crate::config::settings::{Agent, Executor, Program, Secret};
use crate::proto::param::Param;

/// `None` only after a problem.
pub fn read(root: &mut Section) -> Option<Agent> {
    let mut section = root.required_section("agent", "a section with agent_name and executors")?;
    let name = section.required("agent_name", &NAME);
    let executors = executors(&mut section);
    let usual = Agent::default();
    let agent = Agent {
        name: name.unwrap_or_default(),
        description: section.optional("description", &TEXT).unwrap_or_default(),
        executors,
        state_dir: section.optional("state_dir", &PATH).flatten(),
        concurrent_runs_max: section.optional("max_concurrent_runs", &LIMIT).unwrap_or(usual.concurrent_runs_max),
        waiting_runs_max: section.optional("waiting_runs_max", &COUNT).unwrap_or(usual.waiting_runs_max),
        stop_grace: section.optional("stop_grace_s", &SECONDS_OR_ZERO).unwrap_or(usual.stop_grace),
        sync_after: section.optional("sync_ms", &MILLISECONDS_OR_ZERO).unwrap_or(usual.sync_after),
        journal_bytes_max: section.optional("journal_bytes_max", &BYTES).unwrap_or(usual.journal_bytes_max),
        delivery_grace: section.optional("delivery_grace_s", &SECONDS_OR_ZERO).unwrap_or(usual.delivery_grace),
        retry_max: section.optional("retry_days", &DAYS).unwrap_or(usual.retry_max),
    };
    section.close();
    Some(agent)
}

fn executors(agent: &mut Section) -> Vec<Executor> {
    let Some(mut section) = agent.required_section("executors", "a mapping of names to executors") else {
        return Vec::new();
    };
    let names = section.names();
    let executors = names.iter().filter_map(|name| executor(&mut section, name)).collect();
    if names.is_empty() {
        agent.warning("executors", "empty; the server will have nothing to run here");
    }
    executors
}

fn executor<'a>(executors: &mut Section<'a>, name: &'a str) -> Option<Executor> {
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        executors.problem(name, "an executor's name must not be empty or have spaces in it");
    }
    let mut section = executors.section(name)?;
    // `max_size` was the longest line that passed; nothing is too long for this agent. `repo_name` follows from
    // `repo_executor`.
    section.optional("max_size", &NUMBER);
    section.optional("repo_name", &TEXT);
    let program = program(&mut section);
    let params = params(&mut section);
    let varenvs = varenvs(&mut section);
    let timeout = section.optional("timeout_s", &SECONDS);
    section.close();
    Some(Executor { name: name.to_owned(), program: program?, params, varenvs, timeout })
}

/// Both at once is what the Python agent reads as `repo_executor`.
fn program(executor: &mut Section) -> Option<Program> {
    let command = executor.optional("cmd", &COMMAND);
    let official = executor.optional("repo_executor", &OFFICIAL);
    let is_wrong = (command.is_none() && executor.has("cmd")) || (official.is_none() && executor.has("repo_executor"));
    match (command.flatten(), official.flatten()) {
        (Some(_), Some(name)) => {
            executor.warning("cmd", "not used, because there is a repo_executor");
            Some(Program::Official(name))
        }
        (None, Some(name)) => Some(Program::Official(name)),
        (Some(command), None) => Some(Program::Command(command)),
        (None, None) => {
            if !is_wrong {
                executor.problem_here("expected cmd (a command) or repo_executor (such as nmap.py)");
            }
            None
        }
    }
}

fn params(executor: &mut Section) -> Vec<Param> {
    let Some(mut section) = executor.section("params") else {
        return Vec::new();
    };
    let mut params = Vec::new();
    let mut variables = Vec::new();
    for name in section.names() {
        if variable(&mut section, name, &mut variables) {
            params.extend(param(&mut section, name));
        }
    }
    params
}

fn param<'a>(params: &mut Section<'a>, name: &'a str) -> Option<Param> {
    let mut section = params.section(name)?;
    let mandatory = section.required("mandatory", &SWITCH);
    let types = section.required_list("type", &PARAM_TYPE);
    let base = section.required("base", &TEXT);
    section.close();
    let (mandatory, types, base) = (mandatory?, types?, base?);
    Some(Param { name: name.to_owned(), mandatory, types, base, accept: None })
}

fn varenvs(executor: &mut Section) -> Vec<(String, Secret)> {
    let Some(mut section) = executor.section("varenvs") else {
        return Vec::new();
    };
    let mut varenvs: Vec<(String, Secret)> = Vec::new();
    let mut variables = Vec::new();
    for name in section.names() {
        let value = section.optional(name, &VARENV).unwrap_or_default();
        if variable(&mut section, name, &mut variables) {
            varenvs.retain(|(known, _)| *known != name.to_uppercase());
            varenvs.push((name.to_uppercase(), Secret::new(value)));
        }
    }
    varenvs
}

/// Whether a name, in upper case, can name an environment variable; two names for one variable are worth a warning.
fn variable(section: &mut Section, name: &str, seen: &mut Vec<String>) -> bool {
    if name.is_empty() || name.contains(['=', '\0']) {
        section.problem(name, "becomes the name of an environment variable, so it must not be empty or have = in it");
        return false;
    }
    let upper = name.to_uppercase();
    if seen.contains(&upper) {
        section
            .warning(name, format!("another key becomes the same environment variable {upper}; the last one counts"));
    }
    seen.push(upper);
    true
}
