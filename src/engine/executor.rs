//! What an executor is to the engine: a command with its checks, its parameters and its environment, wherever it came from.

use std::time::Duration;

use crate::config::settings::{self, Program, Secret};
use crate::official::{self, Official};
use crate::proto::message::ExecutorOffer;
use crate::proto::param::Param;

#[derive(Clone, Debug)]
pub struct Executor {
    pub name: String,
    /// For `/bin/sh -c`.
    pub command: String,
    /// Commands that have to succeed before a run; for `/bin/sh -c` too.
    pub checks: Vec<String>,
    pub params: Vec<Param>,
    pub varenvs: Vec<(String, Secret)>,
    pub timeout: Option<Duration>,
    pub category: Vec<String>,
    pub tool: String,
}

impl Executor {
    /// The configured executor, completed from the official one that it names. One that names an official executor which is
    /// not in this binary is offered all the same, because the server deletes what is not, with its history; its runs fail
    /// and say why.
    pub fn resolve(configured: &settings::Executor) -> Executor {
        let mut executor = Executor {
            name: configured.name.clone(),
            command: String::new(),
            checks: Vec::new(),
            params: configured.params.clone(),
            varenvs: configured.varenvs.clone(),
            timeout: configured.timeout,
            category: Vec::new(),
            tool: String::new(),
        };
        match &configured.program {
            Program::Command(command) => executor.command = command.clone(),
            Program::Official(name) => match official::find(name) {
                Some(official) => executor.complete(official),
                None => executor.excuse(name),
            },
        }
        executor
    }

    /// One that ran under an earlier configuration and is not in this one.
    pub fn unknown(name: &str) -> Executor {
        Executor {
            name: name.to_owned(),
            command: String::new(),
            checks: Vec::new(),
            params: Vec::new(),
            varenvs: Vec::new(),
            timeout: None,
            category: Vec::new(),
            tool: String::new(),
        }
    }

    fn complete(&mut self, official: Official) {
        self.command = official.script.to_owned();
        self.checks = official.manifest.check_cmds;
        self.category = official.manifest.category;
        self.tool = official.manifest.tool;
        // What the file says of them is ignored, as it always was: the script knows these.
        self.params = official.manifest.params;
    }

    fn excuse(&mut self, official_name: &str) {
        let known = official::names().collect::<Vec<_>>().join(", ");
        let problem =
            format!("no official executor {official_name} is in this agent (it has: {known}); give it a cmd instead");
        log::warn!("executor {}: {problem}; its runs will fail", self.name);
        self.command = format!("echo '{problem}' >&2; exit 127");
    }

    /// What JOIN_AGENT says of it.
    pub fn offer(&self) -> ExecutorOffer {
        ExecutorOffer {
            executor_name: self.name.clone(),
            params: self.params.clone(),
            category: self.category.clone(),
            tool: self.tool.clone(),
        }
    }
}
