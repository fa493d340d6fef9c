//! An agent that is to be started: its configuration, arguments and a directory of its own.
//! Once started it is a process, in `process.rs`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::Standin;
use super::agent_log::AgentLog;
use super::dir::TempDir;
use super::process::{AgentProcess, Launch, Report};

pub struct AgentBuilder {
    report: Report,
    log: Arc<AgentLog>,
    dir: TempDir,
    binary: Option<PathBuf>,
    config: Value,
    config_text: Option<String>,
    log_level: String,
    args: Vec<String>,
    environment: Vec<(String, String)>,
}

impl AgentProcess {
    /// An agent that registered earlier, with no executors yet. The binary is the one that was built for this test;
    /// where there is none (examples), name it.
    pub fn builder(server: &Standin) -> AgentBuilder {
        let shared = server.shared.clone();
        let options = &shared.options;
        let mut builder = AgentBuilder::new(json!({
            "host": "127.0.0.1", "api_port": server.api_port(), "websocket_port": server.websocket_port(),
            "ssl": options.tls.is_some(), "ssl_cert": "", "ssl_ignore": false, "base_route": options.base_route,
        }));
        if let Some(pem) = &options.trust_pem {
            let path = builder.dir.write("server.pem", pem);
            builder = builder.option("server.ssl_cert", json!(path));
        }
        shared.change(|state| state.logs.push(builder.log.clone()));
        builder.report = Arc::new(move || shared.report());
        builder.option("tokens.agent", server.add_agent())
    }
}

impl AgentBuilder {
    /// An agent of any server, with no executors and no token yet. `server` is that section of dispatcher.yaml.
    pub fn new(server: Value) -> AgentBuilder {
        let dir = TempDir::new();
        let log = Arc::new(AgentLog::new(&dir.join("agent.log")));
        let told = log.clone();
        let config = json!({
            "server": server,
            "agent": {"agent_name": "agent1", "description": "", "state_dir": dir.join("state"), "executors": {}},
        });
        AgentBuilder {
            report: Arc::new(move || format!("agent's log, last lines:\n{}", told.tail(60))),
            log,
            dir,
            binary: option_env!("CARGO_BIN_EXE_agent").map(PathBuf::from),
            config,
            config_text: None,
            log_level: "debug".to_owned(),
            args: Vec::new(),
            environment: Vec::new(),
        }
    }

    pub fn binary(mut self, path: impl Into<PathBuf>) -> AgentBuilder {
        self.binary = Some(path.into());
        self
    }

    /// An executor that runs `cmd`; `params` as in dispatcher.yaml: name → mandatory, type, base.
    pub fn executor(self, name: &str, cmd: &str, params: Value) -> AgentBuilder {
        self.executor_entry(name, json!({"cmd": cmd, "max_size": 65536, "varenvs": {}, "params": params}))
    }

    /// An executor with its whole entry in dispatcher.yaml.
    pub fn executor_entry(mut self, name: &str, entry: Value) -> AgentBuilder {
        self.config["agent"]["executors"][name] = entry;
        self
    }

    /// Sets a key of dispatcher.yaml by its path: `agent.stop_grace_s`.
    pub fn option(mut self, path: &str, value: impl Into<Value>) -> AgentBuilder {
        let place = path.split('.').fold(&mut self.config, |place, key| &mut place[key]);
        *place = value.into();
        self
    }

    /// Takes so many runs at the same time, and runs all of them at once.
    pub fn runs_at_once(self, runs: u64) -> AgentBuilder {
        self.option("agent.max_concurrent_runs", runs).option("agent.waiting_runs_max", runs)
    }

    /// Without a token: the agent has to register, with `--token` and these digits.
    pub fn registering(mut self, token: &str) -> AgentBuilder {
        if let Some(config) = self.config.as_object_mut() {
            config.remove("tokens");
        }
        self.arg("--token").arg(token)
    }

    /// This text as dispatcher.yaml, whatever else was set.
    pub fn config_text(mut self, text: &str) -> AgentBuilder {
        self.config_text = Some(text.to_owned());
        self
    }

    pub fn log_level(mut self, level: &str) -> AgentBuilder {
        self.log_level = level.to_owned();
        self
    }

    pub fn arg(mut self, arg: &str) -> AgentBuilder {
        self.args.push(arg.to_owned());
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> AgentBuilder {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A file in the agent's directory, which is where executors run.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> AgentBuilder {
        self.dir.write(name, content);
        self
    }

    /// An executable script for /bin/sh in the agent's directory.
    pub fn script(self, name: &str, text: &str) -> AgentBuilder {
        self.dir.script(name, text);
        self
    }

    /// Its state directory, made for a test that puts something there before it starts.
    pub fn state_dir(&self) -> PathBuf {
        let path = self.dir.join("state");
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.expect("making a directory in one of our own");
        path
    }

    /// The directory in which everything of this agent is, for executors that read or leave files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    #[track_caller]
    pub fn start(self) -> AgentProcess {
        let text = self.config_text.unwrap_or_else(|| format!("{:#}\n", self.config));
        let mut file = fs::OpenOptions::new();
        let file = file.write(true).create(true).truncate(true).mode(0o600).open(self.dir.join("dispatcher.yaml"));
        file.and_then(|mut file| file.write_all(text.as_bytes())).expect("writing to a directory of our own");
        let binary = self.binary.expect("examples and libraries have to name the agent's binary");
        let config = self.dir.join("dispatcher.yaml").display().to_string();
        let fixed = ["--config".to_owned(), config, "--log-level".to_owned(), self.log_level];
        let args = fixed.into_iter().chain(self.args).collect();
        let launch = Launch { binary, args, environment: self.environment, dir: self.dir, log: self.log };
        AgentProcess::start(launch, self.report)
    }
}
