//! What executors leave behind although it left their process group and closed their pipes, and the guard, whose part it is to
//! end that when the agent is killed. Who is left when agent and guard are killed is for the next agent: `tests/faults`.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::rig::{agent, await_file, ended, join, print, run, standin, touch};
use crate::support::{
    AgentProcess, Bystander, Generation, MARKED, SOON, START_MARKED, START_UNMARKED, STRAY, Standin, Stray, UNMARKED,
    children, guard_of,
};

/// An agent whose executor `e` runs `command` and may start strays.
#[track_caller]
fn joined(command: &str) -> (Standin, AgentProcess) {
    let server = standin(Generation::SocketIo);
    let agent = join(&server, agent(&server, command).script("stray", STRAY));
    (server, agent)
}

/// The strays of a run whose executor is still at work, or has ended before `go` was there.
fn all_strays(agent: &AgentProcess) -> Vec<Stray> {
    Stray::wait_all(agent.dir(), &[&MARKED[..], &UNMARKED].concat(), SOON)
}

fn start_all() -> String {
    format!("{START_MARKED}{START_UNMARKED}{}", print("10.0.0.1"))
}

/// Waits until the agent knows of the orphans among those that have taken the mark off: only so can its guard.
#[track_caller]
fn wait_adopted(agent: &AgentProcess, strays: &[Stray]) {
    for stray in strays.iter().filter(|stray| ["bare-orphan", "bare-nested"].contains(&stray.name())) {
        wait_until("an orphan to be known", || {
            let first = stray.ancestor_below(agent.pid());
            agent.log().contains(&format!("process {first} has lost its parent"))
        });
    }
}

#[test]
fn nothing_outlives_an_agent_that_is_stopped() {
    let (server, agent) = joined(&format!("{}; sleep 600", start_all()));
    server.run("e", json!({}), &["ws1"]);
    server.wait_hosts("ws1", 1, SOON);
    let strays = all_strays(&agent);
    agent.terminate();
    assert_eq!(agent.wait_exit(SOON).code(), Some(0), "{}", agent.log());
    let left: Vec<&Stray> = strays.iter().filter(|stray| stray.is_alive()).collect();
    assert!(left.is_empty(), "alive at the agent's end: {left:?}");
}

#[test]
fn nothing_outlives_an_agent_that_is_killed() {
    let (server, agent) = joined(&format!("{}; sleep 600", start_all()));
    server.run("e", json!({}), &["ws1"]);
    server.wait_hosts("ws1", 1, SOON);
    let strays = all_strays(&agent);
    wait_adopted(&agent, &strays);
    agent.kill();
    agent.wait_exit(SOON);
    Stray::wait_ends(&strays, SOON);
}

/// What keeps the mark ends with its run, what took it off with the agent. Others of this machine are left alone, though they
/// carry a run of the same number, of another agent.
#[test]
fn what_a_run_left_behind_ends_with_it_unless_it_took_the_mark_off() {
    let (server, agent) = joined(&format!("echo $FARADAY_AGENT_RUN > number; {}; {}", start_all(), await_file("go")));
    let id = server.run("e", json!({}), &["ws1"])[0];
    server.wait_hosts("ws1", 1, SOON);
    let marked = Stray::wait_all(agent.dir(), &MARKED, SOON);
    let unmarked = Stray::wait_all(agent.dir(), &UNMARKED, SOON);
    let number = fs::read_to_string(agent.dir().join("number")).expect("the executor has written");
    let mut bystander = Bystander::start(number.trim());

    touch(&agent, "go");
    let status = server.wait_over(id, SOON);
    assert_eq!(status.message, ended(&[id], true, "exit code 0; 1 host delivered")["message"]);
    Stray::wait_ends(&marked, SOON);
    agent.wait_log("processes that runs had left behind were ended", SOON);
    // A run later they are still there.
    touch(&agent, "go");
    run(&server);
    assert!(unmarked.iter().all(Stray::is_alive), "{unmarked:?}");
    agent.terminate();
    assert_eq!(agent.wait_exit(SOON).code(), Some(0), "{}", agent.log());
    assert!(!unmarked.iter().any(Stray::is_alive), "{unmarked:?}");
    assert!(bystander.is_alive(), "of another agent");
}

/// The shell of a container often starts something and becomes the agent then.
#[test]
fn children_that_the_agents_process_had_before_are_left_alone() {
    let server = standin(Generation::SocketIo);
    let binary = env!("CARGO_BIN_EXE_agent");
    let builder = agent(&server, "true").script("stray", STRAY);
    let wrapper = builder.dir().join("wrapper");
    let before = "(exec </dev/null >/dev/null 2>&1; exec ./stray before) &";
    let agent = join(&server, builder.script("wrapper", &format!("{before} exec {binary} \"$@\"")).binary(wrapper));
    let before = Stray::wait_all(agent.dir(), &["before"], SOON);
    assert_eq!(before[0].parent(), agent.pid());
    agent.terminate();
    assert_eq!(agent.wait_exit(SOON).code(), Some(0), "{}", agent.log());
    assert!(before[0].is_alive());
}

/// They come at once, end at once, and the agent has no zombies of them.
#[test]
fn orphans_by_the_hundred_are_reaped() {
    let many = "i=0; while [ $i -lt 200 ]; do (sh -c \"touch up$i; until [ -e go ]; do sleep 0.1; done\" & ) ; i=$((i+1)); done";
    let command =
        format!("exec </dev/null 2>/dev/null; {many} >/dev/null; {}; {}", print("10.0.0.1"), await_file("end"));
    let (server, agent) = joined(&command);
    let id = server.run("e", json!({}), &["ws1"])[0];
    server.wait_hosts("ws1", 1, SOON);
    wait_until("two hundred orphans", || children(agent.pid()).len() >= 200);
    touch(&agent, "go");
    // The guard and the executor.
    wait_until("their end, without a zombie", || children(agent.pid()).len() == 2);
    touch(&agent, "end");
    assert_eq!(server.wait_over(id, SOON).successful, Some(true));
    agent.terminate();
    assert_eq!(agent.wait_exit(SOON).code(), Some(0), "{}", agent.log());
}

#[test]
fn orphans_by_the_hundred_end_with_their_agent() {
    let many = "i=0; while [ $i -lt 200 ]; do (env -i setsid ./stray s$i &); i=$((i+1)); done >/dev/null 2>&1";
    let (server, agent) = joined(&format!("{many}; {}; sleep 600", print("10.0.0.1")));
    server.run("e", json!({}), &["ws1"]);
    server.wait_hosts("ws1", 1, SOON);
    let names: Vec<String> = (0..200).map(|i| format!("s{i}")).collect();
    let strays = Stray::wait_all(agent.dir(), &names.iter().map(String::as_str).collect::<Vec<_>>(), SOON);
    agent.terminate();
    assert_eq!(agent.wait_exit(SOON).code(), Some(0), "{}", agent.log());
    assert_eq!(strays.iter().filter(|stray| stray.is_alive()).count(), 0);
}

/// A daemon that makes orphans without end costs its own time: other runs go on, and a stop ends it.
#[test]
fn a_flood_of_orphans_holds_up_nothing() {
    let server = standin(Generation::SocketIo);
    let flood = "env -i setsid sh -c 'echo $$ > flood; while :; do (sleep 0.01 &); done' </dev/null >/dev/null 2>&1 &";
    let command = format!("(trap '' TERM; {flood}); until [ -s flood ]; do sleep 0.02; done; {}", print("10.0.0.1"));
    let agent = join(&server, agent(&server, &print("10.0.0.2")).executor("flood", &command, json!({})));
    server.run("flood", json!({}), &["ws1"]);
    server.wait_hosts("ws1", 1, SOON);
    let id = fs::read_to_string(agent.dir().join("flood")).expect("the executor has written");
    let flood = [Stray::of(id.trim().parse().expect("a process id"))];
    for _ in 0..20 {
        run(&server);
    }
    assert!(flood[0].is_alive());
    agent.terminate();
    assert_eq!(agent.wait_exit(SOON).code(), Some(0), "{}", agent.log());
    Stray::wait_ends(&flood, SOON);
}

/// `timeout` makes a process group of its own, and much else does.
#[test]
fn what_left_the_group_and_holds_the_output_is_ended() {
    let command = format!("{}; setsid ./stray one & {}", print("10.0.0.1"), await_file("go"));
    let (server, agent) = joined(&command);
    let id = server.run("e", json!({}), &["ws1"])[0];
    let strays = Stray::wait_all(agent.dir(), &["one"], SOON);
    touch(&agent, "go");
    let status = server.wait_over(id, SOON);
    let rest = "exit code 0; 1 host delivered; a process that it left behind held its output open and was killed";
    assert_eq!(status.message, ended(&[id], true, rest)["message"]);
    Stray::wait_ends(&strays, SOON);
}

#[test]
fn a_stopped_guard_does_not_hang_the_agents_end() {
    let (_server, agent) = joined("true");
    let guard = guard_of(agent.pid());
    guard.signal(Signal::SIGSTOP);
    let begin = Instant::now();
    agent.terminate();
    assert_eq!(agent.wait_exit(SOON).code(), Some(0), "{}", agent.log());
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    Stray::wait_ends(&[guard], SOON);
}

/// A guard that is gone or stands still ends nobody; the agent sees that and has another.
#[test]
fn a_guard_that_was_killed_or_stopped_is_replaced() {
    for signal in [Signal::SIGKILL, Signal::SIGSTOP] {
        let (server, agent) = joined(&format!("{}; sleep 600", start_all()));
        let first = guard_of(agent.pid());
        server.run("e", json!({}), &["ws1"]);
        server.wait_hosts("ws1", 1, SOON);
        let strays = all_strays(&agent);
        wait_adopted(&agent, &strays);
        first.signal(signal);
        agent.wait_log("another guard was started", SOON);
        Stray::wait_ends(&[first], SOON);
        assert!(guard_of(agent.pid()).is_alive());
        agent.kill();
        agent.wait_exit(SOON);
        Stray::wait_ends(&strays, SOON);
    }
}

/// Whoever kills every guard keeps the agent from nothing else.
#[test]
fn guards_are_replaced_only_so_often() {
    let (server, agent) = joined(&print("10.0.0.1"));
    let begin = Instant::now();
    for n in 1..=3 {
        guard_of(agent.pid()).signal(Signal::SIGKILL);
        wait_until("another guard", || {
            run(&server);
            agent.log().matches("another guard was started").count() == n
        });
    }
    assert!(begin.elapsed() >= Duration::from_secs(1 + 2), "pauses grow: {:?}", begin.elapsed());
}

#[track_caller]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < deadline, "waited {SOON:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
