//! What is measured of the agent alone: one function a scenario, which plays it once and puts its figures on the sheet. `crowds`
//! has those of many executors, `backlogs` those of much data, `peers` those with other programs.

use std::time::Duration;

use super::generator::Job;
use super::measure::{self, seconds};
use super::remote::Server;
use super::rig::{self, Rig, builder};
use super::sheet::{Chart, Goal, Sheet};

/// How much is done: all of it, or just enough to see that it works.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub quick: bool,
}

impl Size {
    pub fn pick<T>(self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

/// From the start of the process to the join that the server has seen.
pub fn start(size: Size, sheet: &mut Sheet) {
    for _ in 0..size.pick(5, 1) {
        let mut server = Server::start(false);
        let builder = builder(&server);
        let begun_ns = measure::unix_ns();
        let _agent = builder.start();
        let took = seconds(begun_ns, server.joined_ns(1).expect("the agent joins"));
        sheet.put_goal("start to JOIN", "ms", took * 1e3, Goal::Below(30.0));
    }
}

/// An agent that nobody asks for anything.
pub fn idle(size: Size, sheet: &mut Sheet) {
    let rig = Rig::start(&Job::default());
    let pid = rig.agent.pid();
    std::thread::sleep(Duration::from_millis(500));
    let window = Duration::from_secs(size.pick(10, 1));
    let before = (measure::voluntary_switches(pid), measure::agent_cpu(pid));
    std::thread::sleep(window);
    let (woken, cpu) = (measure::woken_since(&before.0, pid), measure::agent_cpu(pid) - before.1);
    sheet.put_goal("idle: resident", "MiB", measure::resident_mib(pid), Goal::Below(5.0));
    sheet.put("idle: threads", "", measure::thread_count(pid) as f64);
    sheet.put_goal("idle: wake-ups a second", "", woken as f64 / window.as_secs_f64(), Goal::Below(0.1));
    sheet.put("idle: CPU", "ms/s", cpu.as_secs_f64() * 1e3 / window.as_secs_f64());
}

/// From a line written to its post received, with an executor that prints one now and then.
pub fn latency(size: Size, sheet: &mut Sheet) {
    let job = Job { documents: size.pick(400, 50), rate: Some(50), stamped: true, ..Job::default() };
    let mut rig = Rig::start(&job);
    rig.run(1, job.documents, sheet);
    for (percent, us) in rig.server.latencies_us() {
        sheet.point(Chart::Latency, "a lone document", percent, us / 1e3);
        match percent {
            50.0 => sheet.put_goal("lone document: p50", "ms", us / 1e3, Goal::Below(0.5)),
            99.0 => sheet.put_goal("lone document: p99", "ms", us / 1e3, Goal::Below(2.0)),
            _ => {}
        }
    }
    sheet.put("lone document: CPU", "µs", rig.cpu().as_secs_f64() * 1e6 / job.documents as f64);
}

/// One executor that prints as fast as it is read.
pub fn one(size: Size, sheet: &mut Sheet) {
    for documents in [1_000, 100_000, size.pick(1_000_000, 200_000)] {
        let mut rig = Rig::start(&Job { documents, ..Job::default() });
        let before = rig.cpu();
        let counts = rig.run(1, documents, sheet);
        let took = seconds(counts.begun_ns, counts.last_ns);
        let shown = super::sheet::number(documents as f64);
        let is_long = documents > 100_000;
        let goal = if is_long { Goal::AtLeast(500_000.0) } else { Goal::None };
        sheet.put_goal(&format!("one executor, {shown} documents"), "documents/s", documents as f64 / took, goal);
        if !is_long {
            continue;
        }
        let cpu_us = (rig.cpu() - before).as_secs_f64() * 1e6 / documents as f64;
        sheet.put_goal("one executor: CPU a document", "µs", cpu_us, Goal::Below(1.5));
        for (thread, time) in measure::cpu_by_thread(rig.agent.pid()) {
            let us = time.as_secs_f64() * 1e6 / documents as f64;
            sheet.put(&format!("one executor: CPU a document, threads “{thread}”"), "µs", us);
        }
        sheet.put("one executor: peak memory", "MiB", rig.peak_mib());
        sheet.put("one executor: documents a post", "", counts.hosts as f64 / counts.bodies as f64);
    }
}

/// What people copy to their scanner hosts.
pub fn binary(_: Size, sheet: &mut Sheet) {
    let bytes = |path: &str| std::fs::metadata(path).map(|found| found.len() as f64 / 1e6);
    if let Ok(megabytes) = bytes(rig::binary()) {
        sheet.put("binary", "MB", megabytes);
    }
    match bytes(concat!(env!("CARGO_MANIFEST_DIR"), "/target/x86_64-unknown-linux-gnu/release/agent")) {
        Ok(megabytes) => sheet.put_goal("static binary", "MB", megabytes, Goal::Below(6.0)),
        Err(_) => sheet.remark("no static binary was built: cargo static".to_owned()),
    }
}
