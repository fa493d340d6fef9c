//! How soon a finding is at the server.

use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::generator::{Job, command};
use super::support::{AgentProcess, Incoming, SOON, Standin};

const DOCUMENTS: u64 = 400;
const MEDIAN_MAX: Duration = Duration::from_millis(5);

/// From the moment before an executor prints to the moment at which the server has read the post.
#[test]
#[ignore = "a measurement, see the head of tests/limits.rs"]
fn a_document_of_an_idle_executor_is_on_the_wire_within_5_ms() {
    super::assert_release();
    let (sender, latencies) = mpsc::channel();
    let on_body = move |incoming: &Incoming| {
        let arrived = SystemTime::now() - incoming.at.elapsed();
        for printed in print_times(incoming.body) {
            let _ = sender.send(arrived.duration_since(printed).unwrap_or_default());
        }
    };
    let server = Standin::builder().workspace("ws").on_body(on_body).start();
    let clock = command(&Job::Clock { documents: DOCUMENTS, pause_ms: 20 });
    let _agent = AgentProcess::builder(&server).log_level("info").executor("clock", &clock, json!({})).start();
    server.wait_joined(SOON);
    let id = server.run("clock", json!({}), &["ws"])[0];
    let status = server.wait_over(id, Duration::from_secs(120));
    assert_eq!(status.successful, Some(true), "{}", status.message);

    let mut latencies: Vec<Duration> = latencies.try_iter().collect();
    latencies.sort();
    assert_eq!(latencies.len() as u64, DOCUMENTS);
    let at = |percent: usize| latencies[(latencies.len() * percent / 100).min(latencies.len() - 1)];
    println!(
        "latency of {DOCUMENTS} lone documents: p50 {:?}, p90 {:?}, p99 {:?}, max {:?}",
        at(50),
        at(90),
        at(99),
        at(100)
    );
    assert!(at(50) < MEDIAN_MAX, "p50 {:?}", at(50));
}

/// When the documents in a body were printed: their hosts' names say so.
fn print_times(body: &[u8]) -> Vec<SystemTime> {
    let body: Value = serde_json::from_slice(body).expect("a post is JSON");
    let hosts = body["hosts"].as_array().into_iter().flatten();
    let nanoseconds = hosts.map(|host| host["ip"].as_str().and_then(|ip| ip.parse().ok()).expect("a time"));
    nanoseconds.map(|ns| UNIX_EPOCH + Duration::from_nanos(ns)).collect()
}
