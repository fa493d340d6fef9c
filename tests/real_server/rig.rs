//! A real server with one agent: registered by its own `--token`, online, and at hand for the run button.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::server::{Execution, Generation, PATIENCE, Server, look, unique};
use super::support::{AgentBuilder, AgentProcess};

pub struct Rig {
    pub server: Server,
    pub agent: AgentProcess,
    pub name: String,
    /// The agent's, on the server.
    pub id: i64,
}

/// An agent for `server` with neither executors nor tokens, and its name. It finds out the channel by itself.
pub fn newcomer(server: &Server) -> (AgentBuilder, String) {
    let name = unique("agent-");
    let section = json!({
        "host": "127.0.0.1", "api_port": server.api_port, "websocket_port": server.websocket_port,
        "ssl": false, "ssl_cert": "", "protocol": "auto",
    });
    let builder = AgentBuilder::new(section).option("agent.agent_name", name.as_str());
    (builder.option("agent.stop_grace_s", 2), name)
}

impl Rig {
    /// Starts the agent with what `equip` gives it, and waits until it is online.
    pub fn new(server: Server, equip: impl FnOnce(AgentBuilder) -> AgentBuilder) -> Rig {
        let (builder, name) = newcomer(&server);
        let agent = equip(builder).registering(&server.registration_token()).start();
        let mut rig = Rig { server, agent, name, id: 0 };
        rig.id = rig.wait("the agent to register", || {
            let agents = rig.server.agents(&rig.name);
            agents.first().and_then(|agent| agent["id"].as_i64())
        });
        rig.wait_online();
        rig
    }

    #[track_caller]
    pub fn wait_online(&self) {
        self.wait("the agent to be online", || self.server.is_online(self.id).then_some(()));
    }

    /// For `wait`.
    pub fn is_offline(&self) -> Option<()> {
        (!self.server.is_online(self.id)).then_some(())
    }

    #[track_caller]
    pub fn wait<T>(&self, what: &str, probe: impl FnMut() -> Option<T>) -> T {
        self.wait_within(PATIENCE, what, probe)
    }

    #[track_caller]
    pub fn wait_within<T>(&self, within: Duration, what: &str, probe: impl FnMut() -> Option<T>) -> T {
        let found = look(within, probe);
        found.unwrap_or_else(|| panic!("waited {within:?} in vain for {what}\n{}", self.agent.report()))
    }

    /// Presses the run button; gives the command's number of each workspace.
    #[track_caller]
    pub fn run(&self, executor: &str, args: Value, workspaces: &[&str]) -> Vec<i64> {
        self.run_with(executor, args, workspaces, json!({}))
    }

    /// The same with the options of the page, such as `ignore_info`.
    #[track_caller]
    pub fn run_with(&self, executor: &str, args: Value, workspaces: &[&str], options: Value) -> Vec<i64> {
        let mut body = options;
        body["executor_data"] = json!({"executor": executor, "args": args});
        body["workspaces_names"] = json!(workspaces);
        let answer = self.server.post(&format!("/_api/v3/agents/{}/run", self.id), &body);
        let commands: Vec<i64> =
            answer["commands_id"].as_array().into_iter().flatten().filter_map(Value::as_i64).collect();
        assert_eq!(commands.len(), workspaces.len(), "{answer}");
        commands
    }

    #[track_caller]
    pub fn run_one(&self, executor: &str, args: Value, workspace: &str) -> i64 {
        self.run(executor, args, &[workspace])[0]
    }

    #[track_caller]
    pub fn wait_execution(&self, command: i64, what: &str, fits: impl Fn(&Execution) -> bool) -> Execution {
        let mut last = None;
        let found = look(PATIENCE, || {
            let execution = self.server.execution(command);
            let found = fits(&execution).then(|| execution.clone());
            last = Some(execution);
            found
        });
        found.unwrap_or_else(|| panic!("waited in vain for {what}, it stayed {last:?}\n{}", self.agent.report()))
    }

    #[track_caller]
    pub fn wait_running(&self, command: i64) -> Execution {
        self.wait_execution(command, "a run to start", Execution::is_running)
    }

    #[track_caller]
    pub fn wait_over(&self, command: i64) -> Execution {
        self.wait_execution(command, "a run to end", Execution::is_over)
    }

    /// Waits until a run has ended well, and checks that the server's pages show that too.
    #[track_caller]
    pub fn wait_success(&self, command: i64) -> Execution {
        let execution = self.wait_execution(command, "a run to end well", |execution| {
            execution.is_over() && execution.successful == Some(true)
        });
        if self.server.generation == Generation::Five {
            let shown = self.server.get(&format!("/_api/v3/agent_executions/{}", execution.id));
            assert_eq!((&shown["running"], &shown["successful"]), (&json!(false), &json!(true)), "{shown}");
            assert!(shown["end_date"].is_string(), "{shown}");
        }
        execution
    }

    /// Waits until a run has failed; gives the message.
    #[track_caller]
    pub fn wait_failure(&self, command: i64) -> String {
        let execution = self.wait_over(command);
        assert_eq!(execution.successful, Some(false), "{execution}");
        execution.message
    }

    /// Waits until the workspace holds exactly these hosts, sorted.
    #[track_caller]
    pub fn wait_ips(&self, workspace: &str, ips: &[&str]) {
        let mut last = Vec::new();
        let found = look(PATIENCE, || {
            last = self.server.ips(workspace);
            (last == ips).then_some(())
        });
        assert!(found.is_some(), "waited in vain for {ips:?}, there are {last:?}\n{}", self.agent.report());
    }

    /// Waits for a file that an executor leaves in the agent's directory.
    #[track_caller]
    pub fn wait_file(&self, name: &str) -> String {
        let path = self.agent.dir().join(name);
        self.wait(name, || path.exists().then(|| fs::read_to_string(&path).unwrap_or_default()))
    }

    /// Whether the agent's state directory holds these words, as a journal does.
    pub fn keeps(&self, words: &str) -> bool {
        holds(&self.agent.state_dir(), words)
    }

    #[track_caller]
    pub fn wait_kept(&self, words: &str) {
        self.wait(&format!("{words} in the journal"), || self.keeps(words).then_some(()));
    }

    /// Lets an executor go on that waits with `gate`.
    pub fn open(&self, gate: &str) {
        touch(&self.agent.dir().join(gate));
    }

    /// SIGTERM, and the ordinary end.
    #[track_caller]
    pub fn stop(&self) {
        self.agent.terminate();
        let exit = self.agent.wait_exit(PATIENCE);
        assert_eq!(exit.code(), Some(0), "{}", self.agent.report());
    }
}

/// The words of a shell script that wait for `Rig::open`.
pub fn gate(name: &str) -> String {
    format!("until [ -e {name} ]; do sleep 0.05; done")
}

/// The words of a shell script that print a bare host.
pub fn print_host(ip: &str) -> String {
    format!(r#"echo '{{"hosts":[{{"ip":"{ip}","description":""}}]}}'"#)
}

fn touch(path: &Path) {
    fs::write(path, "").unwrap_or_else(|e| panic!("writing {}: {e}", path.display()));
}

/// Whether some file below a directory holds these words.
fn holds(directory: &Path, words: &str) -> bool {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let holds_words = |path: &Path| {
        let bytes = fs::read(path).unwrap_or_default();
        bytes.windows(words.len()).any(|window| window == words.as_bytes())
    };
    entries.map(|entry| entry.path()).any(|path| if path.is_dir() { holds(&path, words) } else { holds_words(&path) })
}
