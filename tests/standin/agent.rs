//! The harness around the agent, with shell scripts in the agent's place.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{AgentBuilder, AgentProcess, SOON, Standin, TempDir};

/// An executable that stands for the agent.
fn script(dir: &TempDir, text: &str) -> std::path::PathBuf {
    dir.script("agent.sh", text)
}

fn builder(server: &Standin, dir: &TempDir, text: &str) -> AgentBuilder {
    AgentProcess::builder(server).binary(script(dir, text))
}

#[test]
fn the_agent_gets_its_configuration_and_arguments() {
    let (server, dir) = (Standin::builder().base_route("/x").start(), TempDir::new());
    let agent = builder(&server, &dir, "echo \"args: $*\"; echo \"$GREETING\" >&2; exit 3")
        .executor("echo", "cat \"$F\"", json!({"F": {"mandatory": true, "type": "string", "base": "string"}}))
        .option("agent.stop_grace_s", 1)
        .registering("123456")
        .env("GREETING", "hello")
        .start();
    assert_eq!(agent.wait_exit(SOON).code(), Some(3));
    let config = agent.dir().join("dispatcher.yaml");
    let line = agent.wait_log("args: ", SOON);
    assert_eq!(line, format!("args: --config {} --log-level debug --token 123456", config.display()));
    agent.wait_log("hello", SOON);
    let config: Value = serde_json::from_slice(&fs::read(config).unwrap()).unwrap();
    assert_eq!(config["server"]["api_port"], server.api_port());
    assert_eq!(config["server"]["base_route"], "/x");
    assert_eq!(config["agent"]["stop_grace_s"], 1);
    assert_eq!(config["agent"]["executors"]["echo"]["cmd"], "cat \"$F\"");
    assert_eq!(config.get("tokens"), None);
    let path = agent.dir().to_owned();
    assert!(fs::read_to_string(path.join("agent.log")).unwrap().contains("hello"));
    drop(agent);
    assert!(!path.exists());
}

#[test]
fn it_is_stopped_killed_and_started_again() {
    let (server, dir) = (Standin::builder().start(), TempDir::new());
    let mut agent =
        builder(&server, &dir, "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done").start();
    agent.wait_log("ready", SOON);
    assert!(agent.is_running());
    assert!(agent.rss_kb() > 0 && agent.peak_rss_kb() >= agent.rss_kb());
    assert_eq!(agent.threads(), 1);
    agent.terminate();
    assert_eq!(agent.wait_exit(SOON).code(), Some(0));
    assert!(agent.log().contains("bye"));
    let mark = agent.log_mark();
    agent.start_again();
    agent.wait_log_from(mark, "ready", SOON);
    agent.kill();
    assert_eq!(agent.wait_exit(SOON).signal(), Some(9));
}

#[test]
fn what_it_leaves_behind_is_seen_and_ended() {
    let (server, dir) = (Standin::builder().start(), TempDir::new());
    let agent = builder(&server, &dir, "setsid sleep 600 >/dev/null 2>&1 & echo ready; sleep 600").start();
    agent.wait_log("ready", SOON);
    agent.kill();
    agent.wait_exit(SOON);
    let left = agent.descendants();
    assert!(!left.is_empty());
    drop(agent);
    let environment = |pid| fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    assert!(left.into_iter().all(|pid: u32| environment(pid).is_empty()), "all are gone, or zombies");
}

#[test]
#[should_panic(expected = "still running: [")]
fn a_failed_wait_for_the_end_of_everything_says_what_is_left() {
    let (server, dir) = (Standin::builder().start(), TempDir::new());
    let agent = builder(&server, &dir, "sleep 600 & echo ready; sleep 600").start();
    agent.wait_log("ready", SOON);
    agent.wait_no_descendants(Duration::from_millis(1));
}

#[test]
#[should_panic(expected = "agent's log, last lines:\nnothing to see")]
fn a_failed_wait_shows_the_log() {
    let (server, dir) = (Standin::builder().start(), TempDir::new());
    let agent = builder(&server, &dir, "echo nothing to see").start();
    agent.wait_exit(SOON);
    agent.wait_log("joined", Duration::from_millis(1));
}
