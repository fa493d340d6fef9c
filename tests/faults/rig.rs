//! What these tests share: executors that print numbered hosts, agents that are killed and started again, a look into their
//! journals, and what has to hold at the server in the end.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, thread};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::{AgentBuilder, AgentProcess, RunStatus, SOON, Standin, guard_of};

/// A deadline for what takes a while.
pub const LATER: Duration = Duration::from_secs(40);

/// Shell text that prints `count` hosts, one on a line, numbered from the value of the shell's word `first`.
pub fn numbered(first: &str, count: u64) -> String {
    format!(r#"seq -f '{{"hosts":[{{"ip":"%.0f","description":"d"}}]}}' {first} $(({first}+{count}-1))"#)
}

/// Shell text that prints `count` hosts, some at a time.
pub fn slowly(count: u64) -> String {
    let some = numbered("$n", 100);
    format!("n=0; while [ $n -lt {count} ]; do {some}; n=$((n+100)); sleep 0.01; done")
}

/// An agent with the executor `e`. What waits for the server is no news here, but where a test says otherwise.
pub fn agent(server: &Standin, command: &str) -> AgentBuilder {
    let builder = AgentProcess::builder(server).log_level("info").option("agent.delivery_grace_s", 600);
    builder.executor("e", command, json!({}))
}

/// Runs a test on every one of `subjects` at once.
pub fn side_by_side<T: Send>(subjects: impl IntoIterator<Item = T>, test: impl Fn(T) + Sync) {
    let test = &test;
    // The scope panics when one of its threads has.
    thread::scope(|scope| subjects.into_iter().for_each(|subject| drop(scope.spawn(move || test(subject)))));
}

#[track_caller]
pub fn run(server: &Standin) -> i64 {
    server.run("e", json!({}), &["ws1"])[0]
}

/// The agent gets SIGKILL; its guard has ended all that it had started before this returns.
#[track_caller]
pub fn kill(agent: &AgentProcess) {
    agent.kill();
    agent.wait_exit(SOON);
    agent.wait_no_descendants(SOON);
}

/// The command line of a process; empty when it is gone.
pub fn command_line(pid: u32) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&words).replace('\0', " ")
}

/// Processes that the agent started, by a part of their command line.
pub fn find(agent: &AgentProcess, words: &str) -> Vec<u32> {
    agent.descendants().into_iter().filter(|pid| command_line(*pid).contains(words)).collect()
}

/// The guard gets SIGKILL, and then the agent: nobody is there to end the executors.
#[track_caller]
pub fn kill_with_guard(agent: &AgentProcess) {
    // It would have another guard in no time.
    agent.pause(true);
    guard_of(agent.pid()).signal(Signal::SIGKILL);
    agent.kill();
    agent.wait_exit(SOON);
}

/// Starts the agent again and waits until it has joined.
#[track_caller]
pub fn rejoin(server: &Standin, agent: &mut AgentProcess) {
    let joins = server.joins().len();
    agent.start_again();
    server.wait_joined_nth(joins + 1, SOON);
}

/// The files in a directory, by name; none where there is no directory yet. Files may vanish while this is read.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory).into_iter().flatten().flatten().map(|e| e.path()).collect();
    files.sort();
    files
}

/// The journals in a state directory.
pub fn journals(state_dir: &Path) -> Vec<PathBuf> {
    files(&state_dir.join("runs")).into_iter().filter(|path| path.extension().is_some_and(|e| e == "journal")).collect()
}

pub fn journal_bytes(state_dir: &Path) -> u64 {
    journals(state_dir).iter().filter_map(|path| fs::metadata(path).ok()).map(|file| file.len()).sum()
}

/// How often `pattern` stands in a file.
pub fn in_file(path: &Path, pattern: &str) -> u64 {
    memchr::memmem::find_iter(&fs::read(path).unwrap_or_default(), pattern).count() as u64
}

/// Waits for what nobody tells: files and processes.
#[track_caller]
pub fn wait_until(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !holds() {
        assert!(Instant::now() < deadline, "waited {within:?} in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the journal knows that the executor has ended well.
#[track_caller]
pub fn wait_ended(state_dir: &Path) {
    let knows = |path: &PathBuf| tail(path).is_some_and(|tail| memchr::memmem::find(&tail, b"exit code 0").is_some());
    wait_until("the executor's end in its journal", LATER, || journals(state_dir).iter().any(knows));
}

/// The last bytes of a file.
fn tail(path: &Path) -> Option<Vec<u8>> {
    let mut file = fs::File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(4096))).ok()?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).ok()?;
    Some(tail)
}

/// Waits until no journal is left: the agent has heard that every last status has arrived.
#[track_caller]
pub fn wait_no_journals(agent: &AgentProcess) {
    wait_until("an empty directory of journals", SOON, || files(&agent.state_dir().join("runs")).is_empty());
}

/// Waits for the end of a run and checks that it was told once and not contradicted afterwards; a status whose
/// acknowledgement was lost with its agent may be there again. Gives the message behind the executor's and the agent's name.
#[track_caller]
pub fn wait_told(server: &Standin, id: i64, within: Duration) -> String {
    server.wait_for(&format!("the last status of execution {id}"), within, |state| {
        let last = state.statuses.iter().rfind(|status| status.ids.contains(&id))?;
        is_last(last).then_some(())
    });
    check_told(server, id)
}

/// What `wait_told` checks of a run that is over.
#[track_caller]
pub fn check_told(server: &Standin, id: i64) -> String {
    let statuses = server.statuses(id);
    let first = statuses.iter().position(is_last).unwrap_or_else(|| panic!("no last status of execution {id}"));
    let is_contradicted = statuses[first + 1..].iter().any(|status| status.payload != statuses[first].payload);
    assert!(!is_contradicted, "the last status of execution {id} is contradicted: {statuses:#?}\n{}", server.report());
    let status = server.status(id).expect("an execution of ours");
    assert!(status.is_over(), "{status:?}");
    assert_eq!(status.message, statuses[first].payload["message"]);
    let words = status.message.strip_prefix("Executor e from agent1 ").expect("who it is about");
    let successful = words.starts_with("finished successfully");
    assert_eq!(status.successful, Some(successful), "{words}");
    words.to_owned()
}

/// Whether it says how a run went. What servers say of a lost agent is no status of the agent's.
fn is_last(status: &RunStatus) -> bool {
    status.payload["running"] == false
}

/// The words for a run whose agent was killed while it ran.
pub fn cut_off(hosts: u64) -> String {
    let were = if hosts == 1 { "host was" } else { "hosts were" };
    format!("failed: the agent was restarted while it ran; {hosts} {were} saved and delivered")
}

/// The words for a run of which everything arrived.
pub fn well(hosts: u64) -> String {
    format!("finished successfully: exit code 0; {hosts} hosts delivered")
}
