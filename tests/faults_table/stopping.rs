//! Signals, and what is left behind.
//!
//! | row of the table                                   | test |
//! |----------------------------------------------------|------|
//! | SIGTERM idle or during a run                       | `every_signal_ends_an_idle_agent_with_a_goodbye`, `every_signal_ends_a_run_and_delivers_what_it_found` |
//! | SIGINT / SIGHUP / kill -9 during a run             | the same; `nobody_outlives_an_agent_that_was_killed` |
//!
//! Of issue 2, "Stopping": the grace, the second signal, runs that wait, a server that is away.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::rig::{
    GENERATIONS, agent, await_file, check_order, ended, join, payloads, print, run, standin, started, touch,
    wait_at_work, wait_file, with_both,
};
use crate::support::{AgentProcess, Cut, Endpoint, Fault, Generation, SOON, Standin, What, guard_of};

/// A signal's name, and how it is sent.
type Signal = (&'static str, fn(&AgentProcess));

const SIGNALS: [Signal; 3] =
    [("SIGTERM", AgentProcess::terminate), ("SIGINT", AgentProcess::interrupt), ("SIGHUP", AgentProcess::hang_up)];

/// The last frame is the goodbye of the server's generation, and the connection ends properly after it.
#[track_caller]
fn check_goodbye(server: &Standin, signal: &str) {
    let (_, last) = server.replies().pop().expect("a frame");
    match server.generation() {
        Generation::SocketIo => assert_eq!(last, "42/dispatcher,[\"leave_agent\"]"),
        Generation::Raw => {
            let leave: serde_json::Value = serde_json::from_str(&last).expect("JSON");
            assert_eq!(
                (&leave["action"], &leave["reason"]),
                (&json!("LEAVE_AGENT"), &json!(format!("{signal} received")))
            );
            assert!(leave["token"].is_string());
        }
    }
    let event = server.wait_event("the end of the link", SOON, |what| matches!(what, What::Closed { .. }));
    let What::Closed { how, .. } = event.what else { unreachable!() };
    assert!(how.starts_with("Close"), "{how}");
    assert!(!server.is_online());
}

#[track_caller]
fn check_exit(agent: &AgentProcess) {
    assert_eq!(agent.wait_exit(SOON).code(), Some(0), "{}", agent.log());
    assert_eq!(agent.descendants(), [0; 0], "nobody is left behind");
}

#[test]
fn every_signal_ends_an_idle_agent_with_a_goodbye() {
    with_both(|generation| {
        for (name, signal) in SIGNALS {
            let server = standin(generation);
            let agent = join(&server, agent(&server, "true"));
            agent.wait_log("[INFO] joined", SOON);
            signal(&agent);
            check_exit(&agent);
            check_goodbye(&server, name);
            assert!(!agent.log().contains("[ERROR]"), "{}", agent.log());
        }
    });
}

/// A shell, its child and one in the background; the shell says goodbye in its own way.
#[test]
fn every_signal_ends_a_run_and_delivers_what_it_found() {
    for (generation, (name, signal)) in GENERATIONS.into_iter().cycle().zip(SIGNALS) {
        let server = standin(generation);
        let finish = format!("finish() {{ {}; exit 9; }}; trap finish TERM", print("10.0.0.2"));
        // What a shell forks may miss a signal until it has put off the shell's traps.
        let children = "(touch one; exec sleep 600) & (touch two; exec sleep 601) & wait";
        let command = format!("{finish}; {}; {children}", print("10.0.0.1"));
        let agent = join(&server, agent(&server, &command));
        let id = server.run("e", json!({}), &["ws1"])[0];
        server.wait_hosts("ws1", 1, SOON);
        ["one", "two"].iter().for_each(|name| wait_file(&agent, name));
        let begin = Instant::now();
        signal(&agent);
        check_exit(&agent);
        assert!(begin.elapsed() < Duration::from_secs(5), "in seconds: {:?}", begin.elapsed());
        let rest = format!("it was ended because the agent was asked to stop ({name}), exit code 9; 2 hosts delivered");
        assert_eq!(payloads(&server, id), [started(&[id]), ended(&[id], false, &rest)]);
        check_order(&server, id, "ws1");
        assert_eq!(server.host_ips("ws1"), ["10.0.0.1", "10.0.0.2"]);
        check_goodbye(&server, name);
    }
}

#[test]
fn an_executor_that_ignores_sigterm_is_killed_after_the_grace() {
    let server = standin(Generation::SocketIo);
    let command = format!("trap '' TERM; {}; while :; do sleep 600; done", print("10.0.0.1"));
    let agent = join(&server, agent(&server, &command).option("agent.stop_grace_s", 1));
    let id = server.run("e", json!({}), &["ws1"])[0];
    server.wait_hosts("ws1", 1, SOON);
    let begin = Instant::now();
    agent.terminate();
    check_exit(&agent);
    assert!((1..6).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    let rest =
        "it was ended because the agent was asked to stop (SIGTERM), killed by signal 9 (SIGKILL); 1 host delivered";
    assert_eq!(payloads(&server, id), [started(&[id]), ended(&[id], false, rest)]);
    check_goodbye(&server, "SIGTERM");
}

#[test]
fn a_second_signal_skips_the_grace() {
    let server = standin(Generation::Raw);
    let command = format!("trap '' TERM; {}; while :; do sleep 600; done", print("10.0.0.1"));
    let agent = join(&server, agent(&server, &command).option("agent.stop_grace_s", 600));
    let id = server.run("e", json!({}), &["ws1"])[0];
    server.wait_hosts("ws1", 1, SOON);
    agent.terminate();
    agent.wait_log("SIGTERM: ending 1 runs", SOON);
    agent.interrupt();
    check_exit(&agent);
    let rest =
        "it was ended because the agent was asked to stop (SIGTERM), killed by signal 9 (SIGKILL); 1 host delivered";
    assert_eq!(payloads(&server, id), [started(&[id]), ended(&[id], false, rest)]);
    check_goodbye(&server, "SIGTERM");
}

#[test]
fn a_run_that_waits_for_a_place_is_told_that_it_never_will_have_one() {
    let server = standin(Generation::SocketIo);
    let command = format!("touch ran$EXECUTOR_CONFIG_N; {}; sleep 600", print("10.0.0.1"));
    let params = json!({"N": {"mandatory": true, "type": "integer", "base": "integer"}});
    let builder = AgentProcess::builder(&server).executor("e", &command, params).option("agent.max_concurrent_runs", 1);
    let agent = join(&server, builder);
    let ids: Vec<i64> = (0..2).map(|n| server.run("e", json!({"N": n}), &["ws1"])[0]).collect();
    server.wait_hosts("ws1", 1, SOON);
    server.wait_status(ids[1], |status| status.message.contains("waits for a place"), SOON);
    agent.terminate();
    check_exit(&agent);
    let status = server.status(ids[1]).expect("known");
    assert_eq!((status.running, status.successful), (Some(false), Some(false)));
    let expected = "Executor e from agent1 failed: it was ended because the agent was asked to stop (SIGTERM)";
    assert_eq!(status.message, expected);
    assert!(agent.dir().join("ran0").exists() && !agent.dir().join("ran1").exists());
}

/// A RUN that comes while the agent is stopping is answered, and starts nothing.
#[test]
fn a_run_that_comes_too_late_is_refused() {
    let server = standin(Generation::SocketIo);
    let command = format!("trap '' TERM; {}; {}", print("10.0.0.1"), await_file("go"));
    let agent = join(&server, agent(&server, &command).option("agent.stop_grace_s", 600));
    server.run("e", json!({}), &["ws1"]);
    server.wait_hosts("ws1", 1, SOON);
    agent.terminate();
    agent.wait_log("SIGTERM: ending 1 runs", SOON);
    let id = server.run("e", json!({}), &["ws1"])[0];
    let status = server.wait_over(id, SOON);
    assert_eq!(status.message, "The agent agent1 is stopping and starts nothing any more");
    touch(&agent, "go");
    check_exit(&agent);
    assert_eq!(payloads(&server, id).len(), 1);
}

/// The posts are waited for, and the status after them, although they need several tries.
#[test]
fn what_a_run_found_is_delivered_before_the_agent_leaves() {
    let server = standin(Generation::SocketIo);
    let command = format!("{}; {}; sleep 600", print("10.0.0.1"), await_file("go"));
    let agent = join(&server, agent(&server, &command));
    let id = server.run("e", json!({}), &["ws1"])[0];
    server.wait_hosts("ws1", 1, SOON);
    let fault = server.inject(Fault::answer(503).on(Endpoint::BulkCreate).times(2));
    agent.terminate();
    check_exit(&agent);
    assert_eq!(server.hits(fault), 2);
    check_order(&server, id, "ws1");
    check_goodbye(&server, "SIGTERM");
}

/// Half of the message would otherwise be lost: the server would show the run as running, or as "terminated".
#[test]
fn a_stop_while_the_link_is_down_still_reports() {
    with_both(|generation| {
        let server = standin(generation);
        let command = format!("{}; sleep 600", print("10.0.0.1"));
        let agent = join(&server, agent(&server, &command));
        let id = server.run("e", json!({}), &["ws1"])[0];
        wait_at_work(&server, id);
        let fault = server.inject(Fault::answer(502).on(Endpoint::Upgrade).times(1));
        server.cut_links(Cut::Fin);
        server.wait_hits(fault, 1, SOON);
        agent.terminate();
        check_exit(&agent);
        let rest = "it was ended because the agent was asked to stop (SIGTERM), killed by signal 15 (SIGTERM); 1 host delivered";
        let expected = ended(&[id], false, rest);
        assert_eq!(payloads(&server, id).last(), Some(&expected));
        let (_, last) = server.replies().pop().expect("a frame");
        assert!(last.contains("leave_agent") || last.contains("LEAVE_AGENT"), "{last}");
    });
}

#[test]
fn a_stop_has_an_end_although_the_server_is_away() {
    let server = standin(Generation::SocketIo);
    let agent = join(&server, agent(&server, "sleep 600"));
    let id = server.run("e", json!({}), &["ws1"])[0];
    server.wait_status(id, |status| status.running == Some(true), SOON);
    server.crash(Cut::Fin);
    agent.terminate();
    agent.wait_log("SIGTERM: ending 1 runs", SOON);
    agent.terminate();
    check_exit(&agent);
    assert!(agent.log().contains("what is not delivered is kept in its journal"), "{}", agent.log());
}

#[test]
fn an_agent_that_has_never_joined_stops_at_once() {
    let server = standin(Generation::SocketIo);
    server.close_ports(None);
    let agent = agent(&server, "true").start();
    agent.wait_log("no connection", SOON);
    let begin = Instant::now();
    agent.terminate();
    check_exit(&agent);
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

/// The server hangs while the agent dials; a signal does not wait for it.
#[test]
fn a_server_that_hangs_does_not_hold_up_a_stop() {
    let server = standin(Generation::SocketIo);
    let hang = server.inject(Fault::hang().on(Endpoint::WebsocketToken));
    let agent = agent(&server, "true").start();
    server.wait_hits(hang, 1, SOON);
    let begin = Instant::now();
    agent.terminate();
    check_exit(&agent);
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

/// And neither does one that has become a black hole.
#[test]
fn a_goodbye_into_a_black_hole_takes_seconds() {
    with_both(|generation| {
        let server = standin(generation);
        let agent = join(&server, agent(&server, "true"));
        agent.wait_log("[INFO] joined", SOON);
        server.silence_links();
        let begin = Instant::now();
        agent.terminate();
        check_exit(&agent);
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    });
}

/// The shell, a child, a grandchild in the background, and a run that is still checking: all in groups of the agent's.
#[test]
fn nobody_outlives_an_agent_that_was_killed() {
    with_both(|generation| {
        let server = standin(generation);
        let command = format!("(sleep 600 & sleep 601) & {}; trap '' TERM HUP; sleep 602; true", print("10.0.0.1"));
        let mut agent = join(&server, agent(&server, &command));
        let ids: Vec<i64> = (0..3).map(|_| server.run("e", json!({}), &["ws1"])[0]).collect();
        server.wait_hosts("ws1", 3, SOON);
        assert!(agent.descendants().len() > 3 * 3);
        agent.kill();
        agent.wait_exit(SOON);
        agent.wait_no_descendants(SOON);
        if generation == Generation::SocketIo {
            for id in &ids {
                assert_eq!(server.wait_over(*id, SOON).successful, Some(false));
            }
        }
        agent.start_again();
        server.wait_joined_nth(2, SOON);
    });
}

/// Ctrl-C and a service manager signal everybody; the guard goes last.
#[test]
fn the_guard_outlives_signals_that_are_not_for_it() {
    let server = standin(Generation::SocketIo);
    let agent = join(&server, agent(&server, &format!("{}; sleep 600", print("10.0.0.1"))));
    let guard = guard_of(agent.pid());
    for signal in
        [nix::sys::signal::Signal::SIGTERM, nix::sys::signal::Signal::SIGINT, nix::sys::signal::Signal::SIGHUP]
    {
        guard.signal(signal);
    }
    server.run("e", json!({}), &["ws1"]);
    server.wait_hosts("ws1", 1, SOON);
    assert!(guard.is_alive());
    agent.kill();
    agent.wait_exit(SOON);
    agent.wait_no_descendants(SOON);
}

/// Somebody has killed the guard: the agent works on, says what that means, and has another.
#[test]
fn an_agent_without_its_guard_works_on() {
    let server = standin(Generation::SocketIo);
    let agent = join(&server, agent(&server, &print("10.0.0.1")));
    guard_of(agent.pid()).signal(nix::sys::signal::Signal::SIGKILL);
    agent.wait_log("the guard is lost: it was ended; executors would live on if", SOON);
    let (id, _) = run(&server);
    assert_eq!(payloads(&server, id), [started(&[id]), ended(&[id], true, "exit code 0; 1 host delivered")]);
    agent.wait_log("another guard was started", SOON);
    agent.terminate();
    check_exit(&agent);
}
