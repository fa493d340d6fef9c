//! How much memory a run takes, however much its executor prints.

use std::time::{Duration, Instant};

use serde_json::json;

use super::generator::{Job, command, report_bytes};
use super::peak_mib;
use super::support::{AgentProcess, Counts, SOON, Standin, Status};

const WITHIN: Duration = Duration::from_secs(600);
const MIB: usize = 1 << 20;

/// What came of one run of one job.
struct Outcome {
    status: Status,
    counts: Counts,
    took: Duration,
    peak_mib: f64,
    cpu: Duration,
}

fn run(job: &Job) -> Outcome {
    super::assert_release();
    let server = Standin::builder().workspace("ws").counting().start();
    let agent = AgentProcess::builder(&server).log_level("info").executor("job", &command(job), json!({})).start();
    server.wait_joined(SOON);
    let begin = Instant::now();
    let id = server.run("job", json!({}), &["ws"])[0];
    let status = server.wait_over(id, WITHIN);
    let took = begin.elapsed();
    Outcome { status, counts: server.counts(), took, peak_mib: peak_mib(&agent), cpu: agent.cpu() }
}

#[test]
#[ignore = "a measurement, see the head of tests/limits.rs"]
fn a_report_of_500_mb_on_one_line_is_delivered_in_32_mb() {
    const HOSTS: u64 = 315_000;
    let megabytes = report_bytes(HOSTS) as f64 / 1e6;
    assert!(megabytes >= 500.0, "{megabytes}");

    let Outcome { status, counts, took, peak_mib, cpu } = run(&Job::Report { hosts: HOSTS });
    println!(
        "one line of {megabytes:.0} MB, {HOSTS} hosts: {:.2} s, {:.0} MB/s; agent: CPU {:.2} s, peak {peak_mib:.1} MiB; {} posts",
        took.as_secs_f64(),
        megabytes / took.as_secs_f64(),
        cpu.as_secs_f64(),
        counts.bodies,
    );
    assert_eq!(status.successful, Some(true), "{}", status.message);
    assert_eq!((counts.hosts, counts.ids(), counts.repeats), (HOSTS, HOSTS, 0));
    assert!(peak_mib < 32.0, "peak {peak_mib:.1} MiB");
}

#[test]
#[ignore = "a measurement, see the head of tests/limits.rs"]
fn a_host_of_60_mib_passes_and_one_above_64_mib_costs_itself_alone() {
    let bytes = vec![200, 60 * MIB, 200, 65 * MIB, 200];
    let Outcome { status, counts, took, peak_mib, .. } = run(&Job::Hosts { bytes });
    println!("a host of 60 MiB and one of 65: {:.2} s, peak {peak_mib:.1} MiB; {}", took.as_secs_f64(), status.message);
    assert_eq!(status.successful, Some(false), "{}", status.message);
    assert!(status.message.contains("too large"), "{}", status.message);
    assert_eq!((counts.missing(0..5), counts.hosts, counts.repeats), (vec![3], 4, 0));
    // The host itself while it is read, and once more while it is written to the journal.
    assert!(peak_mib < 160.0, "peak {peak_mib:.1} MiB");
}
