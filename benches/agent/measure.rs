//! What the kernel knows of a process: proc(5).

use std::collections::BTreeMap;
use std::fs;
use std::process::Child;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// Processor time so far, user and system, of a process without its children, to 10 ms.
pub fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Fields 14 and 15, counted after the name, which may hold blanks; in ticks of 10 ms.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// The same with the agent's guard, which is a process of its own.
pub fn agent_cpu(pid: u32) -> Duration {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let is_guard = |child: &u32| {
        let words = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
        words.split(|b| *b == 0).nth(1) == Some(b"guard")
    };
    let guards = children.split_whitespace().filter_map(|child| child.parse().ok()).filter(is_guard);
    cpu(pid) + guards.map(cpu).sum::<Duration>()
}

/// Processor time of the threads that live, by name: where in a process the time goes.
pub fn cpu_by_thread(pid: u32) -> BTreeMap<String, Duration> {
    let mut times = BTreeMap::new();
    for thread in threads(pid) {
        let name = fs::read_to_string(format!("{thread}/comm")).unwrap_or_default().trim().to_owned();
        let times_ns = fs::read_to_string(format!("{thread}/schedstat")).unwrap_or_default();
        let ran = times_ns.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0);
        *times.entry(name).or_default() += Duration::from_nanos(ran);
    }
    times
}

/// Processor time so far of the threads that live, to the nanosecond: many short times would all be 0 in steps of 10 ms.
pub fn cpu_exact(pid: u32) -> Duration {
    cpu_by_thread(pid).values().sum()
}

/// Waits for children that have ended or will; gives the processor time of their whole lives.
pub fn cpu_of_ended(children: Vec<Child>) -> Duration {
    let before = used(UsageWho::RUSAGE_CHILDREN);
    for mut child in children {
        let _ = child.wait();
    }
    used(UsageWho::RUSAGE_CHILDREN) - before
}

/// Processor time of this process, or of all its children that were waited for, getrusage(2).
pub fn used(who: UsageWho) -> Duration {
    let us = getrusage(who).map_or(0, |usage| (usage.user_time() + usage.system_time()).num_microseconds());
    Duration::from_micros(us.cast_unsigned())
}

/// How often each of its threads went to sleep by itself, and so was woken.
pub fn voluntary_switches(pid: u32) -> BTreeMap<String, u64> {
    let switches = |thread: String| {
        let number = status_number(&format!("{thread}/status"), "voluntary_ctxt_switches:");
        (thread, number)
    };
    threads(pid).map(switches).collect()
}

/// How often threads were woken since then, as far as they still live.
pub fn woken_since(before: &BTreeMap<String, u64>, pid: u32) -> u64 {
    let now = voluntary_switches(pid);
    now.iter().map(|(thread, number)| number - before.get(thread).copied().unwrap_or(0)).sum()
}

/// The most memory that it ever had resident, in MiB.
pub fn peak_mib(pid: u32) -> f64 {
    status_number(&format!("/proc/{pid}/status"), "VmHWM:") as f64 / 1024.0
}

pub fn resident_mib(pid: u32) -> f64 {
    status_number(&format!("/proc/{pid}/status"), "VmRSS:") as f64 / 1024.0
}

pub fn thread_count(pid: u32) -> usize {
    threads(pid).count()
}

pub fn thread_names(pid: u32) -> Vec<String> {
    threads(pid)
        .map(|thread| fs::read_to_string(format!("{thread}/comm")).unwrap_or_default().trim().to_owned())
        .collect()
}

fn threads(pid: u32) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().display().to_string())
}

fn status_number(path: &str, key: &str) -> u64 {
    let status = fs::read_to_string(path).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Processor, number of cores and kernel of this machine.
pub fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{cores} cores of {}, Linux {}, Rust {}, load before {}",
        model.unwrap_or("an unnamed processor"),
        version(&release),
        env!("CARGO_PKG_RUST_VERSION"),
        load.split_whitespace().next().unwrap_or("unknown"),
    )
}

/// The first two numbers of a kernel's release; what follows them tells one build from another.
fn version(release: &str) -> String {
    release.split(|c: char| !c.is_ascii_digit()).take(2).collect::<Vec<_>>().join(".")
}

pub fn unix_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}

/// From one of the server's times to another, in seconds.
pub fn seconds(from_ns: u64, to_ns: u64) -> f64 {
    to_ns.saturating_sub(from_ns) as f64 / 1e9
}
