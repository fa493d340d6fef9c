//! What is counted: agents that deliver so many documents of so many executors, or what an earlier agent left. Everything that
//! chance would have a hand in is held still: the server takes nothing before all that is printed is in the journal, so that
//! bodies are full, and nothing is done by the clock.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use serde_json::json;

use super::callgrind::{self, Count};
use super::support::{AgentBuilder, AgentProcess, Endpoint, Fault, SOON, Standin};

/// Callgrind makes the agent some fifty times slower.
pub const LATER: Duration = Duration::from_secs(300);
/// What each of many executors prints.
const DOCUMENTS_EACH: u64 = 50;
/// What executors print, in the directory in which they run.
const PRINTED: &str = "printed";
const GATE: &str = "gate";

/// One executor prints `count` documents.
pub fn documents(count: u64) -> Count {
    let server = server();
    let builder = counted(builder(&server, "exec cat printed", count));
    let agent = builder.start();
    server.wait_joined(LATER);
    let id = run(&server);
    wait_ended(&agent, 1);
    deliver(&server, &[id], count);
    callgrind::end(agent)
}

/// So many executors are alive at once, then print some documents each and end.
pub fn executors(count: u64) -> Count {
    let server = server();
    let builder = counted(builder(&server, ": <gate; exec cat printed", DOCUMENTS_EACH).runs_at_once(count.max(1)));
    let gate = builder.dir().join(GATE);
    nix::unistd::mkfifo(&gate, Mode::S_IRWXU).expect("a directory of our own");
    let agent = builder.start();
    server.wait_joined(LATER);
    let ids: Vec<i64> = (0..count).map(|_| run(&server)).collect();
    for id in &ids {
        server.wait_status(*id, |status| status.running == Some(true), LATER);
    }
    // A fifo that is opened for both never waits, and lets its readers go on.
    let _open = File::options().read(true).write(true).open(&gate).expect("the gate is ours");
    wait_ended(&agent, ids.len());
    deliver(&server, &ids, if count > 0 { DOCUMENTS_EACH } else { 0 });
    callgrind::end(agent)
}

/// An agent finds a journal with `count` hosts.
pub fn backlog(count: u64) -> Count {
    let server = server();
    let mut agent = builder(&server, "exec cat printed", count).start();
    server.wait_joined(SOON);
    let id = run(&server);
    wait_ended(&agent, 1);
    agent.kill();
    agent.wait_exit(SOON);
    agent.wait_no_descendants(SOON);
    callgrind::begin(agent.dir());
    agent.start_again();
    deliver(&server, &[id], count);
    callgrind::end(agent)
}

/// Takes posts in, and answers none of them.
fn server() -> Standin {
    let server = Standin::builder().workspace("ws").counting().start();
    server.inject(Fault::hang().on(Endpoint::BulkCreate));
    server
}

/// An agent with the executor `e`, for which there are so many documents to print.
fn builder(server: &Standin, command: &str, documents: u64) -> AgentBuilder {
    let builder = AgentProcess::builder(server).log_level("info").executor("e", command, json!({}));
    let builder = builder.option("agent.sync_ms", 3_600_000).option("agent.delivery_grace_s", 3600);
    callgrind::wrapped(builder.file(PRINTED, printed(documents)))
}

fn counted(builder: AgentBuilder) -> AgentBuilder {
    callgrind::begin(builder.dir());
    builder
}

/// Documents of about 200 bytes, each a line with a host. Their numbers are their addresses.
fn printed(documents: u64) -> String {
    let words = "TLS 1.0 is offered, which nobody should speak any more";
    let service = r#"{"name":"http","port":80,"protocol":"tcp","status":"open"}"#;
    let document = |id: u64| {
        format!(
            r#"{{"hosts":[{{"ip":"{id}","hostnames":["h{id}.example"],"description":"{words}","services":[{service}]}}]}}"#
        ) + "\n"
    };
    (0..documents).map(document).collect()
}

#[track_caller]
fn run(server: &Standin) -> i64 {
    server.run("e", json!({}), &["ws"])[0]
}

/// Waits until so many journals know that their executors have ended.
#[track_caller]
fn wait_ended(agent: &AgentProcess, count: usize) {
    let (directory, deadline) = (agent.state_dir().join("runs"), Instant::now() + LATER);
    while ended(&directory) < count {
        assert!(Instant::now() < deadline, "{} of {count} have ended\n{}", ended(&directory), agent.report());
        // Nobody tells what is written to files.
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn ended(directory: &Path) -> usize {
    let files = fs::read_dir(directory).into_iter().flatten().flatten();
    let journals = files.filter_map(|file| fs::read(file.path()).ok());
    journals.filter(|journal| memchr::memmem::rfind(journal, b"exit code 0").is_some()).count()
}

/// Takes what comes, and waits until everything has come and every run is told.
#[track_caller]
fn deliver(server: &Standin, ids: &[i64], documents: u64) {
    server.clear_faults();
    server.release();
    for id in ids {
        // What the server itself makes of the runs of an agent that is gone is no status.
        server.wait_for(&format!("the last status of execution {id}"), LATER, |state| {
            let last = state.statuses.iter().rfind(|status| status.ids.contains(id))?;
            (last.payload["running"] == false).then_some(())
        });
        let status = server.status(*id).expect("an execution of ours");
        assert_eq!(status.successful, Some(true), "{}", status.message);
    }
    assert_eq!(server.counts().ids(), documents);
}
