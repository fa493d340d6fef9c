//! Much data: one document of a gigabyte, and a gigabyte that waits for a server that is away.

use std::time::Duration;

use super::generator::{Job, Shape, hosts_in};
use super::measure::{self, seconds};
use super::rig::{Gate, Rig, WITHIN_S, wait_file};
use super::scenarios::Size;
use super::sheet::{Chart, Goal, Sheet};

const MB: u64 = 1_000_000;

/// One document on one line, of hosts that are 1.6 kB on average.
pub fn report(size: Size, sheet: &mut Sheet) {
    let asked = size.pick(1000, 50);
    let job = Job { documents: hosts_in(asked * MB), shape: Shape::Report, ..Job::default() };
    let megabytes = job.bytes() as f64 / MB as f64;
    let mut rig = Rig::start(&job);
    let before = rig.cpu();
    let counts = rig.run(1, job.documents, sheet);
    let took = seconds(counts.begun_ns, counts.last_ns);
    sheet.put(&format!("one document of {asked} MB"), "MB/s", megabytes / took);
    sheet.put(
        &format!("one document of {asked} MB: CPU"),
        "µs/MB",
        (rig.cpu() - before).as_secs_f64() * 1e6 / megabytes,
    );
    sheet.put(&format!("one document of {asked} MB: peak memory"), "MiB", rig.peak_mib());
}

/// The server goes away, an executor prints, the server comes back.
pub fn backlog(size: Size, sheet: &mut Sheet) {
    for (megabytes, shape) in [
        (size.pick(64, 8), Shape::Mixed),
        (size.pick(256, 16), Shape::Mixed),
        (size.pick(1000, 50), Shape::Mixed),
        (size.pick(200, 10), Shape::Short),
    ] {
        let documents = match shape {
            Shape::Short => megabytes * MB / super::generator::SHORT_BYTES as u64,
            _ => hosts_in(megabytes * MB),
        };
        let is_largest = megabytes == size.pick(1000, 50);
        let drained = drain(&Job { documents, shape, ..Job::default() }, sheet);
        let name = match shape {
            Shape::Short => format!("backlog of {megabytes} MB in documents of 200 bytes"),
            _ => format!("backlog of {megabytes} MB"),
        };
        let goal = |goal| if is_largest { goal } else { Goal::None };
        sheet.put_goal(&format!("{name}: drained"), "MB/s", drained.rate_mb, goal(Goal::AtLeast(200.0)));
        sheet.put_goal(&format!("{name}: peak memory"), "MiB", drained.peak_mib, goal(Goal::Below(16.0)));
        if shape == Shape::Mixed {
            sheet.point(Chart::Memory, "agent, peak", megabytes as f64, drained.peak_mib);
        }
        if is_largest {
            sheet.put(&format!("{name}: taken in"), "MB/s", drained.intake_mb);
            sheet.put(&format!("{name}: CPU"), "µs/MB", drained.cpu_us_mb);
            sheet.put(&format!("{name}: from the server's return to the first post"), "s", drained.waited_s);
        }
    }
}

struct Drained {
    intake_mb: f64,
    rate_mb: f64,
    waited_s: f64,
    peak_mib: f64,
    cpu_us_mb: f64,
}

fn drain(job: &Job, sheet: &mut Sheet) -> Drained {
    let gate = Gate::new();
    let done = gate.path().with_file_name("done");
    let job = Job { gate: Some(gate.path()), done: Some(done.clone()), ..job.clone() };
    let megabytes = job.bytes() as f64 / MB as f64;
    let mut rig = Rig::start(&job);
    let before = rig.cpu();
    rig.server.run("job", 1, job.documents);
    rig.server.wait_running();
    rig.server.go_away();
    let begun_ns = measure::unix_ns();
    let _open = gate.open();
    wait_file(&done, Duration::from_secs(WITHIN_S));
    let printed_ns = measure::unix_ns();
    let back_ns = rig.server.come_back();
    rig.server.joined_ns(2).expect("the agent comes back");
    let counts = rig.finish(job.documents, sheet);
    Drained {
        intake_mb: megabytes / seconds(begun_ns, printed_ns),
        rate_mb: megabytes / seconds(counts.first_ns, counts.last_ns),
        waited_s: seconds(back_ns, counts.first_ns),
        peak_mib: rig.peak_mib(),
        cpu_us_mb: (rig.cpu() - before).as_secs_f64() * 1e6 / megabytes,
    }
}
