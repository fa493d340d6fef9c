//! An agent at work for a server, both as processes: what every scenario begins with, and what it can say at the end of how
//! much the agent has used.

use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value, json};

use super::generator::Job;
use super::measure;
use super::remote::{Counts, Server};
use super::sheet::Sheet;
use super::support::{AgentBuilder, AgentProcess, TempDir};

/// The program that is measured, where the command line names another one than cargo has built for the bench.
pub static OTHER_BINARY: OnceLock<String> = OnceLock::new();
/// Nothing here takes longer, on a machine that can be measured at all.
pub const WITHIN_S: u64 = 300;
const OPENED_WITHIN: Duration = Duration::from_secs(60);

/// No scenario has more runs at once.
const RUNS_MAX: u64 = 1000;

/// The agent ends before the server.
pub struct Rig {
    pub agent: AgentProcess,
    pub server: Server,
}

pub fn binary() -> &'static str {
    OTHER_BINARY.get().map_or(env!("CARGO_BIN_EXE_agent"), String::as_str)
}

/// An agent of that server, with no executors yet.
pub fn builder(server: &Server) -> AgentBuilder {
    let section = json!({
        "host": "127.0.0.1", "api_port": server.port, "websocket_port": server.port,
        "ssl": false, "ssl_cert": "", "ssl_ignore": false, "base_route": "",
    });
    let builder = AgentBuilder::new(section).option("tokens.agent", server.token.as_str());
    builder.runs_at_once(RUNS_MAX).binary(binary()).log_level("info")
}

/// Every run is told the id of its first document.
pub fn params() -> Value {
    json!({"FIRST": {"mandatory": true, "type": "integer", "base": "integer"}})
}

impl Rig {
    /// An agent that has joined and has one executor, `job`.
    pub fn start(job: &Job) -> Rig {
        let mut server = Server::start(job.stamped);
        let agent = builder(&server).executor("job", &job.command(), params()).start();
        if server.joined_ns(1).is_none() {
            panic!("the agent did not join\n{}", agent.log());
        }
        Rig { agent, server }
    }

    /// Runs the job so many times at once; gives what was counted when all are over.
    pub fn run(&mut self, runs: u64, documents: u64, sheet: &mut Sheet) -> Counts {
        self.server.run("job", runs, documents);
        self.finish(runs * documents, sheet)
    }

    /// Waits for the last status of every run; nothing may be lost.
    pub fn finish(&mut self, documents: u64, sheet: &mut Sheet) -> Counts {
        let failed = self.server.wait_over(WITHIN_S);
        if let Some(message) = failed.first() {
            sheet.loss(format!("{} runs failed: {message}", failed.len()));
        }
        let counts = self.server.counts(documents);
        check(&counts, documents, "the agent", sheet);
        counts
    }

    /// Of the agent and its guard, so far.
    pub fn cpu(&self) -> Duration {
        measure::agent_cpu(self.agent.pid())
    }

    pub fn peak_mib(&self) -> f64 {
        measure::peak_mib(self.agent.pid())
    }
}

/// Complains of what was lost or came twice.
pub fn check(counts: &Counts, documents: u64, who: &str, sheet: &mut Sheet) {
    if counts.missing > 0 || counts.hosts < documents {
        sheet.loss(format!("{who}: {} of {documents} documents are missing", counts.missing));
    }
    if counts.repeats > 0 {
        sheet.remark(format!("{who}: {} documents arrived twice", counts.repeats));
    }
}

/// A fifo that holds generators up until it is opened.
pub struct Gate {
    dir: TempDir,
}

impl Gate {
    pub fn new() -> Gate {
        let dir = TempDir::new();
        mkfifo(&dir.join("gate"), Mode::S_IRWXU).expect("a directory of our own");
        Gate { dir }
    }

    pub fn path(&self) -> std::path::PathBuf {
        self.dir.join("gate")
    }

    /// Lets go of everybody who waits, and of whoever comes while the result lives.
    /// A fifo that is opened for both never waits, fifo(7).
    pub fn open(&self) -> std::fs::File {
        std::fs::File::options().read(true).write(true).open(self.path()).expect("the gate is ours")
    }

    /// Waits until somebody is there, then lets go; gives when that was.
    pub fn open_for_one(&self) -> (std::os::fd::OwnedFd, u64) {
        let deadline = Instant::now() + OPENED_WITHIN;
        loop {
            let at_ns = measure::unix_ns();
            match open(&self.path(), OFlag::O_WRONLY | OFlag::O_NONBLOCK, Mode::empty()) {
                Ok(fd) => return (fd, at_ns),
                Err(error) => assert!(Instant::now() < deadline, "nobody came to the gate: {error}"),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Waits for a file that a generator makes when it is done.
pub fn wait_file(path: &Path, within: Duration) {
    let deadline = Instant::now() + within;
    while !path.exists() {
        assert!(Instant::now() < deadline, "waited {within:?} in vain for {}", path.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}
