//! Many executors at once: how much they get through together, how soon each is heard, and what they cost when they say nothing.

use std::io::Read;
use std::process::Child;
use std::time::{Duration, Instant};

use super::generator::{Job, SHORT_BYTES};
use super::latencies::Latencies;
use super::limits::MACHINE;
use super::measure::{self, seconds};
use super::rig::{Gate, Rig};
use super::scenarios::Size;
use super::sheet::{Chart, Goal, Sheet};

/// Milliseconds, for the crowd.
pub const P99_GOAL: Goal = Goal::Below(50.0);
/// The agent's reactor has the name of the program; beside it are the threads that post.
const REACTOR: &str = "agent";
/// Documents of each executor of a crowd, and how many of them it prints a second.
pub const EACH: u64 = 100;
const RATE: u64 = 100;

/// The same number of documents, from ever more executors, each as fast as it is read.
pub fn executors(size: Size, sheet: &mut Sheet) {
    let documents = size.pick(1_000_000, 100_000);
    for runs in [1, 10, 100, size.pick(1000, 200)] {
        let gate = Gate::new();
        let each = documents / runs;
        let mut rig = Rig::start(&Job { documents: each, gate: Some(gate.path()), ..Job::default() });
        rig.server.run("job", runs, each);
        rig.server.wait_running();
        let begun_ns = measure::unix_ns();
        let _open = gate.open();
        let counts = rig.finish(runs * each, sheet);
        let rate = counts.hosts as f64 / seconds(begun_ns, counts.last_ns);
        let name = if runs == 1 { "1 executor".to_owned() } else { format!("{runs} executors at once") };
        sheet.put(&name, "documents/s", rate);
        sheet.put(&format!("{name}: peak memory"), "MiB", rig.peak_mib());
        sheet.point(Chart::Throughput, "agent", runs as f64, rate);
    }
}

/// How many executors a crowd has.
pub fn runs(size: Size) -> u64 {
    size.pick(1000, 100)
}

/// What each of a crowd does.
pub fn job(gate: &Gate) -> Job {
    Job { documents: EACH, rate: Some(RATE), stamped: true, gate: Some(gate.path()), ..Job::default() }
}

/// Executors that were started are at the gate then.
pub fn wait_at_gate() {
    std::thread::sleep(Duration::from_millis(500));
}

/// A thousand scanners, each of which finds something a hundred times a second.
pub fn crowd(size: Size, sheet: &mut Sheet) {
    let (runs, gate) = (runs(size), Gate::new());
    let job = job(&gate);
    let mut rig = Rig::start(&job);
    rig.server.run("job", runs, EACH);
    rig.server.wait_running();
    let pid = rig.agent.pid();
    let (before, before_by_thread) = (rig.cpu(), measure::cpu_by_thread(pid));
    let begun_ns = measure::unix_ns();
    let _open = gate.open();
    std::thread::sleep(Duration::from_millis(300));
    let reactors = reactors(pid);
    let counts = rig.finish(runs * EACH, sheet);
    let name = format!("{runs} executors, {RATE}/s each");
    let took = seconds(begun_ns, counts.last_ns);
    sheet.put(&format!("{name}: all delivered after"), "s", took);
    put_latencies(&name, &rig.server.latencies_us(), sheet);
    sheet.put_goal(&format!("{name}: peak memory"), "MiB", rig.peak_mib(), Goal::Below(32.0));
    sheet.put_goal(&format!("{name}: reactor threads"), "", reactors as f64, Goal::Below(2.0));
    sheet.put(&format!("{name}: documents a post"), "", counts.hosts as f64 / counts.bodies as f64);
    sheet.put(&format!("{name}: posts a second"), "", counts.bodies as f64 / took);
    let us = |time: Duration| time.as_secs_f64() * 1e6 / (runs * EACH) as f64;
    sheet.put(&format!("{name}: CPU a document"), "µs", us(rig.cpu() - before));
    for (thread, time) in measure::cpu_by_thread(pid) {
        let earlier = before_by_thread.get(&thread).copied().unwrap_or_default();
        sheet.put(&format!("{name}: CPU a document, threads “{thread}”"), "µs", us(time.saturating_sub(earlier)));
    }
}

fn put_latencies(name: &str, latencies_us: &[(f64, f64)], sheet: &mut Sheet) {
    for (percent, us) in latencies_us {
        sheet.point(Chart::Latency, name, *percent, us / 1e3);
        match percent {
            50.0 => sheet.put(&format!("{name}: p50"), "ms", us / 1e3),
            99.0 => sheet.put_goal(&format!("{name}: p99"), "ms", us / 1e3, P99_GOAL),
            _ => {}
        }
    }
}

/// The crowd without an agent: all print into one pipe, which is read and thrown away. What the machine does to the latency of
/// a thousand processes by itself.
pub fn crowd_alone(size: Size, sheet: &mut Sheet) {
    let (runs, gate) = (runs(size), Gate::new());
    let job = job(&gate);
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let start = |_| job.start(0, writer.try_clone().expect("a descriptor"));
    let children: Vec<Child> = (0..runs).map(start).collect();
    drop(writer);
    wait_at_gate();
    let cpu_at_start: Duration = children.iter().map(|child| measure::cpu_exact(child.id())).sum();
    let begun = Instant::now();
    let _open = gate.open();
    let (mut tally, mut buffer) = (Latencies::default(), vec![0; SHORT_BYTES * 320]);
    let mut held = 0;
    while let Ok(read @ 1..) = reader.read(&mut buffer[held..]) {
        // A write of one document is never torn apart, pipe(7), but a read may be.
        let whole = (held + read) / SHORT_BYTES * SHORT_BYTES;
        tally.take(&buffer[..whole], measure::unix_ns());
        buffer.copy_within(whole..held + read, 0);
        held = held + read - whole;
    }
    let took = begun.elapsed().as_secs_f64();
    sheet.put_of(MACHINE, "crowd alone: all printed after", "s", took, Goal::None);
    put_percentiles("crowd alone", &tally.percentiles(), Goal::None, sheet);
    let cpu = measure::cpu_of_ended(children).saturating_sub(cpu_at_start).as_secs_f64();
    sheet.put_of(MACHINE, "crowd alone: CPU of the executors", "cores", cpu / took, Goal::None);
}

/// Of the machine: median and what 99 of 100 documents took at most.
pub fn put_percentiles(name: &str, latencies_us: &[(f64, f64)], p99_goal: Goal, sheet: &mut Sheet) {
    for (percent, us) in latencies_us.iter().filter(|(percent, _)| [50.0, 99.0].contains(percent)) {
        let goal = if *percent == 99.0 { p99_goal } else { Goal::None };
        sheet.put_of(MACHINE, &format!("{name}: p{percent}"), "ms", us / 1e3, goal);
    }
}

/// Threads that are neither workers that post nor short ones that dial or sync.
fn reactors(pid: u32) -> usize {
    measure::thread_names(pid).iter().filter(|name| *name == REACTOR).count()
}

/// A thousand executors that wait for something.
pub fn thousand_idle(size: Size, sheet: &mut Sheet) {
    let runs = size.pick(1000, 100);
    let gate = Gate::new();
    let mut rig = Rig::start(&Job { documents: 0, gate: Some(gate.path()), ..Job::default() });
    let pid = rig.agent.pid();
    let begun_ns = rig.server.run("job", runs, 0);
    rig.server.wait_running();
    let started = seconds(begun_ns, measure::unix_ns());
    // What their starts have left to do is done then: journals are brought to the disk within a second.
    std::thread::sleep(Duration::from_millis(2500));
    let window = Duration::from_secs(size.pick(5, 1));
    let before = measure::voluntary_switches(pid);
    std::thread::sleep(window);
    let woken = measure::woken_since(&before, pid) as f64 / window.as_secs_f64();
    sheet.put(&format!("{runs} idle executors: started in"), "s", started);
    sheet.put(&format!("{runs} idle executors: resident"), "MiB", measure::resident_mib(pid));
    sheet.put(&format!("{runs} idle executors: threads"), "", measure::thread_count(pid) as f64);
    sheet.put(&format!("{runs} idle executors: wake-ups a second"), "", woken);
    let _open = gate.open();
    rig.finish(0, sheet);
}
