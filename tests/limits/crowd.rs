//! Many executors at once.

use std::fs::File;
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use serde_json::json;

use super::generator::{Job, command};
use super::peak_mib;
use super::support::{AgentProcess, SOON, Standin, Status};

const RUNS: u64 = 200;
const DOCUMENTS: u64 = 100;
/// The reactor, the workers that post, and one thread that dials or fetches a token.
const THREADS_MAX: u64 = 6;

#[test]
#[ignore = "a measurement, see the head of tests/limits.rs"]
fn two_hundred_executors_at_once_lose_nothing() {
    super::assert_release();
    let server = Standin::builder().workspace("ws").counting().start();
    let builder = AgentProcess::builder(&server).log_level("info").runs_at_once(RUNS);
    let gate = builder.dir().join("gate");
    nix::unistd::mkfifo(&gate, Mode::S_IRWXU).expect("a directory of our own");
    let job = Job::Gated { documents: DOCUMENTS, gate: gate.display().to_string() };
    let params = json!({"FIRST": {"mandatory": true, "type": "integer", "base": "integer"}});
    let agent = builder.executor("gated", &command(&job), params).start();
    server.wait_joined(SOON);

    let begin = Instant::now();
    let ids: Vec<i64> =
        (0..RUNS).flat_map(|run| server.run("gated", json!({"FIRST": run * DOCUMENTS}), &["ws"])).collect();
    for id in &ids {
        server.wait_status(*id, |status| status.running == Some(true), SOON);
    }
    let (started, threads, rss_kb) = (begin.elapsed(), agent.threads(), agent.rss_kb());

    // All of them run now. A fifo that is opened for both never waits, and lets its readers go on.
    let begin = Instant::now();
    let _open = File::options().read(true).write(true).open(&gate).expect("the gate is ours");
    let ended: Vec<Status> = ids.iter().map(|id| server.wait_over(*id, Duration::from_secs(120))).collect();
    let (took, counts, peak_mib) = (begin.elapsed(), server.counts(), peak_mib(&agent));
    println!(
        "{RUNS} executors at once: started in {:.2} s; {} documents in {:.2} s with {} posts; {threads} threads, {:.1} MiB \
         when all had started, peak {peak_mib:.1} MiB, CPU {:.2} s",
        started.as_secs_f64(),
        counts.hosts,
        took.as_secs_f64(),
        counts.bodies,
        rss_kb as f64 / 1024.0,
        agent.cpu().as_secs_f64(),
    );
    for status in ended {
        assert_eq!(status.successful, Some(true), "{}", status.message);
    }
    let all = RUNS * DOCUMENTS;
    assert_eq!((counts.hosts, counts.ids(), counts.repeats), (all, all, 0));
    assert!(threads <= THREADS_MAX, "{threads} threads");
}
