//! What these tests share: an agent that has joined, documents, and the rules that every run keeps whatever goes wrong.

use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::{Value, json};

use crate::support::{AgentBuilder, AgentProcess, Generation, Post, SOON, Standin, Status};

pub const GENERATIONS: [Generation; 2] = [Generation::SocketIo, Generation::Raw];

/// Runs a test against both generations side by side: these tests mostly wait.
pub fn with_both(test: impl Fn(Generation) + Sync) {
    side_by_side(GENERATIONS, test);
}

/// Runs a test on every one of `subjects` at once.
pub fn side_by_side<T: Send>(subjects: impl IntoIterator<Item = T>, test: impl Fn(T) + Sync) {
    let test = &test;
    // The scope panics when one of its threads has.
    thread::scope(|scope| subjects.into_iter().for_each(|subject| drop(scope.spawn(move || test(subject)))));
}

/// A server with the workspace `ws1`.
pub fn standin(generation: Generation) -> Standin {
    Standin::builder().generation(generation).workspace("ws1").start()
}

/// An agent with one executor, `e`, that takes no arguments.
pub fn agent(server: &Standin, command: &str) -> AgentBuilder {
    AgentProcess::builder(server).executor("e", command, json!({}))
}

/// Starts the agent and waits for its first join.
#[track_caller]
pub fn join(server: &Standin, agent: AgentBuilder) -> AgentProcess {
    let agent = agent.start();
    server.wait_joined(SOON);
    agent
}

/// A server from 5.0 and an agent that has joined it, whose executor `e` runs `command`.
#[track_caller]
pub fn joined(command: &str) -> (Standin, AgentProcess) {
    let server = standin(Generation::SocketIo);
    let agent = join(&server, agent(&server, command));
    (server, agent)
}

/// One entry of `params` in dispatcher.yaml; `kind` is a type or a list of them.
pub fn param(mandatory: bool, kind: impl Into<Value>) -> Value {
    json!({"mandatory": mandatory, "type": kind.into(), "base": "string"})
}

pub fn host(ip: &str) -> String {
    format!(r#"{{"ip":"{ip}","description":"a host"}}"#)
}

/// A document on one line, with its newline.
pub fn line(ip: &str) -> String {
    format!("{{\"hosts\":[{}]}}\n", host(ip))
}

/// Shell text that prints a document.
pub fn print(ip: &str) -> String {
    format!("echo '{}'", line(ip).trim_end())
}

/// Shell text that waits until the test makes the file `name` in the agent's directory.
pub fn await_file(name: &str) -> String {
    format!("until [ -e {name} ]; do sleep 0.02; done")
}

/// Makes a file in the agent's directory, for an executor that waits for it.
pub fn touch(agent: &AgentProcess, name: &str) {
    fs::write(agent.dir().join(name), "").expect("a file in a directory of our own");
}

/// Waits for a file that an executor makes.
#[track_caller]
pub fn wait_file(agent: &AgentProcess, name: &str) {
    let deadline = Instant::now() + SOON;
    while !agent.dir().join(name).exists() {
        assert!(Instant::now() < deadline, "{name} was not made in time");
        // The kernel could tell, but not without a watch that is longer than these tests.
        thread::sleep(Duration::from_millis(5));
    }
}

/// The RUN_STATUS of a run that starts.
pub fn started(ids: &[i64]) -> Value {
    json!({
        "action": "RUN_STATUS", "execution_ids": ids, "executor_name": "e", "running": true, "successful": null,
        "message": "Running e executor from agent1 agent",
    })
}

/// The last RUN_STATUS of a run; `rest` is what its message says after the colon.
pub fn ended(ids: &[i64], successful: bool, rest: &str) -> Value {
    let outcome = if successful { "finished successfully" } else { "failed" };
    json!({
        "action": "RUN_STATUS", "execution_ids": ids, "executor_name": "e", "running": false, "successful": successful,
        "message": format!("Executor e from agent1 {outcome}: {rest}"),
    })
}

/// What the message of a run says, behind its other remarks, of pieces that were refused; see `payloads`.
pub const REFUSED: &str = "; what was refused is in refused/RUN.jsonl of the agent's state directory";

/// Every RUN_STATUS of an execution, as it came, but for the number of the run, which nobody can know before.
pub fn payloads(server: &Standin, id: i64) -> Vec<Value> {
    let mut payloads: Vec<Value> = server.statuses(id).into_iter().map(|status| status.payload).collect();
    for payload in &mut payloads {
        payload["message"] = json!(without_number(payload["message"].as_str().unwrap_or_default()));
    }
    payloads
}

/// `refused/123.jsonl` → `refused/RUN.jsonl`.
pub fn without_number(message: &str) -> String {
    match message.split_once("refused/") {
        Some((before, behind)) => {
            format!("{before}refused/RUN{}", behind.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        None => message.to_owned(),
    }
}

/// Waits until the agent has no journal any more: it has heard that the last status has arrived.
#[track_caller]
pub fn wait_no_journals(agent: &AgentProcess) {
    let journals = || fs::read_dir(agent.state_dir().join("runs")).expect("a directory").flatten().count();
    let deadline = Instant::now() + SOON;
    while journals() > 0 {
        assert!(Instant::now() < deadline, "{} journals are still there", journals());
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the server has a run's first status and its first host, which come by connections of their own.
#[track_caller]
pub fn wait_at_work(server: &Standin, id: i64) {
    server.wait_hosts("ws1", 1, SOON);
    server.wait_status(id, |status| status.running == Some(true), SOON);
}

/// Runs `e` in `ws1` without arguments and waits for its end; checks the rules of every run on the way.
#[track_caller]
pub fn run(server: &Standin) -> (i64, Status) {
    let id = server.run("e", json!({}), &["ws1"])[0];
    let status = server.wait_over(id, SOON);
    check_order(server, id, "ws1");
    (id, status)
}

/// Runs `e` in `ws1` and checks everything that a person sees of it: the hosts in their order, and the last message after
/// its colon.
#[track_caller]
pub fn check_run(server: &Standin, ips: &[&str], successful: bool, rest: &str) {
    let (id, status) = run(server);
    let message = ended(&[id], successful, rest)["message"].as_str().unwrap_or_default().to_owned();
    assert_eq!(without_number(&status.message), message);
    assert_eq!(payloads(server, id), [started(&[id]), ended(&[id], successful, rest)]);
    assert_eq!(server.host_ips("ws1"), ips);
    assert_eq!(server.losses(), [""; 0]);
}

/// The rules of every run that is over and met no lost link: it is reported as running once, and again when somebody has to do
/// something about its workspace, and as over once; every post
/// carries the token, its execution's id and the same command; the closing post is the last, comes before the last
/// status, and alone has a duration.
#[track_caller]
pub fn check_order(server: &Standin, id: i64, workspace: &str) {
    let statuses = server.statuses(id);
    let running: Vec<bool> = statuses.iter().map(|status| status.payload["running"] == true).collect();
    let is_locked = server.look(|state| state.posts.iter().any(|post| matches!(post.status, 401 | 403 | 404)));
    let reports = if is_locked { running.len() } else { 2 };
    assert_eq!(running, [vec![true; reports - 1], vec![false]].concat(), "{statuses:#?}");
    let posts = posts_of(server, id, workspace);
    let (closing, before) = posts.split_last().expect("a closing post");
    let bodies: Vec<Value> = before.iter().map(Post::json).collect();
    let last = closing.json();
    assert_eq!(last["hosts"], json!([]), "the closing post has no hosts");
    let took = last["command"]["duration"].as_u64().expect("a duration in whole microseconds");
    assert!(took > 0 && took < 120_000_000, "{took} µs");
    let mut command = last["command"].clone();
    command.as_object_mut().expect("a command").remove("duration");
    // An empty body shows whether the server takes anything at all, before a host is blamed.
    let probed = server.attempts(workspace).iter().any(|post| matches!(post.status, 400 | 413));
    for (post, body) in before.iter().zip(&bodies) {
        assert!(post.hosts + post.credentials > 0 || probed, "only the closing post and a probe are empty");
        assert_eq!(body["command"], command);
        assert_eq!(body["execution_id"], id);
    }
    assert_eq!(last["execution_id"], id);
    assert!(posts.iter().all(|post| post.authorization.as_ref().is_some_and(|value| value.starts_with("Agent "))));
    assert!(closing.at <= statuses[reports - 1].at, "the last status comes after the closing post");
}

/// The posts of an execution that the server took, in order.
pub fn posts_of(server: &Standin, id: i64, workspace: &str) -> Vec<Post> {
    server.posts(workspace).into_iter().filter(|post| post.execution_id == Some(id)).collect()
}
