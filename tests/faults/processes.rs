//! Whoever else there is: executors that outlive agent and guard, and a second agent on the same state directory.

use std::fs;
use std::path::Path;

use crate::ledger::Ledger;
use crate::rig::{
    LATER, agent, command_line, cut_off, find, kill, kill_with_guard, numbered, rejoin, run, wait_no_journals,
    wait_told, wait_until, well,
};
use crate::support::{Bystander, MARKED, SOON, START_MARKED, STRAY, Standin, Stray};

#[test]
fn executors_that_outlive_agent_and_guard_are_ended_by_the_next_agent() {
    let (server, ledger) = Ledger::server(Standin::builder());
    // A shell that stays, and two of its group.
    let command = format!("{}; sleep 601 & sleep 602; true", numbered("0", 10));
    let mut agent = agent(&server, &command).start();
    server.wait_joined(SOON);
    let id = run(&server);
    ledger.wait(&server, id, 10, SOON);
    wait_until("the executor's processes", SOON, || find(&agent, "sleep 60").len() >= 3);
    kill_with_guard(&agent);
    let left = find(&agent, "sleep 60");
    assert_eq!(left.len(), 3, "nobody ends them");
    let mark = agent.log_mark();
    rejoin(&server, &mut agent);
    let line = agent.wait_log_from(mark, "behind; they were killed", SOON);
    assert!(line.contains("[WARN]") && line.contains("an earlier agent left 3 processes of its runs "), "{line}");
    wait_until("their end", SOON, || left.iter().all(|pid| command_line(*pid).is_empty()));
    assert_eq!(wait_told(&server, id, LATER), cut_off(10));
    wait_no_journals(&agent);
}

/// The group that the guard has ended is no news, though nobody may have taken note of its leader's end yet.
#[test]
fn what_the_guard_has_ended_is_not_said_to_be_left_behind() {
    let (server, ledger) = Ledger::server(Standin::builder());
    let mut agent = agent(&server, &format!("{}; exec sleep 600", numbered("0", 10))).start();
    server.wait_joined(SOON);
    let id = run(&server);
    ledger.wait(&server, id, 10, SOON);
    kill(&agent);
    rejoin(&server, &mut agent);
    assert_eq!(wait_told(&server, id, LATER), cut_off(10));
    assert!(!agent.log().contains("of its runs behind"), "{}", agent.log());
}

/// Sessions of their own, closed pipes, parents that are gone: they are known by the mark of the state directory's agent. One
/// that took it off is found where its parent is; others of the machine carry the mark of another agent, and stay.
#[test]
fn strays_of_agent_and_guard_are_ended_by_the_next_agent() {
    let (server, ledger) = Ledger::server(Standin::builder());
    let bare = "setsid sh -c 'env -i setsid ./stray bare & wait' </dev/null >/dev/null 2>&1 & ";
    let command = format!("echo $FARADAY_AGENT_RUN > number; {START_MARKED} {bare} {}; sleep 600", numbered("0", 10));
    let mut agent = agent(&server, &command).script("stray", STRAY).start();
    server.wait_joined(SOON);
    let id = run(&server);
    ledger.wait(&server, id, 10, SOON);
    let strays = Stray::wait_all(agent.dir(), &[&MARKED[..], &["bare"]].concat(), SOON);
    let number = fs::read_to_string(agent.dir().join("number")).expect("the executor has written");
    let mut bystander = Bystander::start(number.trim());
    kill_with_guard(&agent);
    assert!(strays.iter().all(Stray::is_alive), "nobody ends them");
    rejoin(&server, &mut agent);
    Stray::wait_ends(&strays, SOON);
    assert_eq!(wait_told(&server, id, LATER), cut_off(10));
    assert!(bystander.is_alive(), "of another agent");
}

#[test]
fn a_second_agent_on_one_state_directory_does_not_start() {
    let (server, ledger) = Ledger::server(Standin::builder());
    let first =
        agent(&server, &format!("{}; until [ -e go ]; do sleep 0.02; done; {}", numbered("0", 10), numbered("10", 10)));
    let first = first.start();
    server.wait_joined(SOON);
    let id = run(&server);
    ledger.wait(&server, id, 10, SOON);
    let state_dir = first.state_dir().display().to_string();
    let mut second = agent(&server, "true").option("agent.state_dir", state_dir.clone()).start();
    assert_eq!(second.wait_exit(SOON).code(), Some(1), "{}", second.log());
    let whose = format!("another agent, process {}, works in the state directory {state_dir}", first.pid());
    assert!(second.log().contains(&whose), "{}", second.log());
    assert!(Path::new(&state_dir).join("runs").is_dir());

    fs::write(first.dir().join("go"), "").expect("a directory of our own");
    assert_eq!(wait_told(&server, id, LATER), well(20));
    assert_eq!((server.joins().len(), ledger.of(id).repeats), (1, 0), "the first was not disturbed");
    first.terminate();
    assert_eq!(first.wait_exit(SOON).code(), Some(0));
    rejoin(&server, &mut second);
    let id = server.run("e", serde_json::json!({}), &["ws1"])[0];
    assert!(wait_told(&server, id, LATER).starts_with("finished successfully"));
}
