//! A thousand talkative executors: nobody starves, and signals and the command channel are heard at once.

use std::time::{Duration, Instant};

use serde_json::json;

use super::peak_mib;
use super::support::{AgentProcess, SOON, Standin};

const RUNS: usize = 1000;
const PROBES: usize = 300;
const HEARD_WITHIN: Duration = Duration::from_millis(10);
/// Everything that a person waits for while a thousand processes are started or ended.
const CROWD_WITHIN: Duration = Duration::from_secs(60);

/// Each prints without an end: documents that are read and counted (for no workspace, so that no disk is measured), or lines on
/// stderr.
const FLOODS: [&str; 2] =
    [r#"exec yes '{"hosts":[{"ip":"10.0.0.1","description":"flood"}]}'"#, "exec yes 'progress: 1 %' >&2"];

#[test]
#[ignore = "a measurement, see the head of tests/limits.rs"]
fn a_thousand_talkative_executors_hold_nobody_up() {
    super::assert_release();
    let server = Standin::builder().workspace("ws").start();
    let mut builder = AgentProcess::builder(&server).log_level("info").option("agent.stop_grace_s", 1);
    // The quiet one is one more.
    builder = builder.runs_at_once(RUNS as u64 + 1);
    for (number, command) in FLOODS.iter().enumerate() {
        builder = builder.executor(&format!("flood{number}"), command, json!({}));
    }
    let agent = builder.executor("quiet", r#"echo '{"hosts":[{"ip":"1","description":""}]}'"#, json!({})).start();
    server.wait_joined(SOON);
    for run in 0..RUNS {
        let (_, message) = server.prepare_run(&format!("flood{}", run % 2), json!({}), &[]);
        server.send_message(&message);
    }
    let idle = probe(&server);
    wait_children(&agent, RUNS + 1);

    let mut heard: Vec<Duration> = (0..PROBES).map(|_| probe(&server)).collect();
    heard.sort();
    let at = |percent: usize| heard[(heard.len() * percent / 100).min(heard.len() - 1)];
    let begin = Instant::now();
    let quiet = server.run("quiet", json!({}), &["ws"])[0];
    server.wait_over(quiet, SOON);
    let quiet = begin.elapsed();

    let peak_mib = peak_mib(&agent);
    let begin = Instant::now();
    agent.terminate();
    agent.wait_log(&format!("SIGTERM: ending {RUNS} runs"), SOON);
    let signal = begin.elapsed();
    agent.wait_exit(CROWD_WITHIN);
    println!(
        "{RUNS} executors that never stop printing: a RUN is answered after p50 {:?}, p90 {:?}, p99 {:?}, max {:?} (at the \
         start {idle:?}); a quiet run beside them is over after {quiet:?}; SIGTERM is heard after {signal:?}; peak {peak_mib:.1} MiB",
        at(50),
        at(90),
        at(99),
        at(100),
    );
    assert!(at(99) < HEARD_WITHIN, "p99 {:?}", at(99));
    assert!(signal < HEARD_WITHIN, "{signal:?}");
}

/// The executors, and the guard.
fn wait_children(agent: &AgentProcess, number: usize) {
    let path = format!("/proc/{0}/task/{0}/children", agent.pid());
    let deadline = Instant::now() + CROWD_WITHIN;
    let children = || std::fs::read_to_string(&path).expect("the agent lives").split_whitespace().count();
    while children() < number {
        assert!(Instant::now() < deadline, "{} of {number} children", children());
        std::thread::yield_now();
    }
}

/// From a RUN, for an executor that does not exist, to its answer.
fn probe(server: &Standin) -> Duration {
    let (ids, message) = server.prepare_run("ghost", json!({}), &["ws"]);
    let begin = Instant::now();
    server.send_message(&message);
    server.wait_over(ids[0], SOON);
    begin.elapsed()
}
