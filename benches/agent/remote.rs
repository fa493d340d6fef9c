//! The bench's end of the server's process: starts it, asks it, ends it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// A running server; dropping it ends it.
pub struct Server {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub port: u16,
    /// Of an agent that is registered.
    pub token: String,
}

/// What the server has counted; times are nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub bodies: u64,
    pub hosts: u64,
    pub repeats: u64,
    pub missing: u64,
    pub first_ns: u64,
    pub last_ns: u64,
    /// When the first RUN was sent.
    pub begun_ns: u64,
}

impl Server {
    /// `stamped` documents tell how long they were under way.
    pub fn start(stamped: bool) -> Server {
        let program = std::env::current_exe().expect("this program has a file");
        let mut command = Command::new(program);
        command.arg("server").args(stamped.then_some("stamped"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the server starts");
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut server = Server { child, input, output, port: 0, token: String::new() };
        let hello = server.listen();
        server.port = hello["port"].as_u64().unwrap_or(0) as u16;
        server.token = hello["token"].as_str().unwrap_or_default().to_owned();
        server
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn listen(&mut self) -> Value {
        let mut line = String::new();
        // Every wait of the server has a deadline, at which it says on stderr what it saw, and ends.
        let read = self.output.read_line(&mut line).unwrap_or(0);
        assert!(read > 0, "the server has ended");
        serde_json::from_str(&line).expect("the server answers in JSON")
    }

    fn ask(&mut self, ask: &Value) -> Value {
        writeln!(self.input, "{ask}").expect("the server lives");
        self.listen()
    }

    /// When the agent joined for the nth time; `None` if it did not.
    pub fn joined_ns(&mut self, nth: u64) -> Option<u64> {
        self.ask(&json!({"ask": "joined", "nth": nth, "within_s": 90}))["at_ns"].as_u64()
    }

    /// Sends so many RUNs; each run prints so many documents. Gives the time before the first.
    pub fn run(&mut self, executor: &str, runs: u64, documents: u64) -> u64 {
        let ask = json!({"ask": "run", "executor": executor, "runs": runs, "documents": documents});
        self.ask(&ask)["at_ns"].as_u64().unwrap_or(0)
    }

    /// Waits until all runs have been reported as running.
    pub fn wait_running(&mut self) {
        self.ask(&json!({"ask": "running", "within_s": 120}));
    }

    /// Waits for the last status of all runs; gives the messages of those that failed.
    pub fn wait_over(&mut self, within_s: u64) -> Vec<String> {
        let over = self.ask(&json!({"ask": "over", "within_s": within_s}));
        let failed = over["failed"].as_array().into_iter().flatten();
        failed.map(|message| message.as_str().unwrap_or_default().to_owned()).collect()
    }

    /// `documents` is how many ids, from 0 on, should have come.
    pub fn counts(&mut self, documents: u64) -> Counts {
        let answer = self.ask(&json!({"ask": "counts", "documents": documents}));
        let number = |name: &str| answer[name].as_u64().unwrap_or(0);
        Counts {
            bodies: number("bodies"),
            hosts: number("hosts"),
            repeats: number("repeats"),
            missing: number("missing"),
            first_ns: number("first_ns"),
            last_ns: number("last_ns"),
            begun_ns: number("begun_ns"),
        }
    }

    /// Percentiles, and how many microseconds so many documents were under way at most.
    pub fn latencies_us(&mut self) -> Vec<(f64, f64)> {
        let answer = self.ask(&json!({"ask": "latencies"}));
        let points = answer.as_array().into_iter().flatten();
        points.filter_map(|point| Some((point[0].as_f64()?, point[1].as_f64()?))).collect()
    }

    /// Nobody listens any more, and all connections end.
    pub fn go_away(&mut self) {
        self.ask(&json!({"ask": "away"}));
    }

    /// Gives when it listened again.
    pub fn come_back(&mut self) -> u64 {
        self.ask(&json!({"ask": "back"}))["at_ns"].as_u64().unwrap_or(0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
