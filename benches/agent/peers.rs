//! What people would use instead, where it is installed (benches/peers/setup): the Python agent, and syslog-ng as the fastest
//! way from a program's output to HTTP that a distribution has. They do the work of the agent in the same run: documents of 200
//! bytes from the same generator, to the same server.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use super::generator::Job;
use super::measure::{self, seconds};
use super::remote::{Counts, Server};
use super::rig::{self, Gate, Rig};
use super::scenarios::Size;
use super::sheet::{AGENT, Goal, Sheet};
use super::support::TempDir;

const DOCUMENTS_A_POST: usize = 500;
const WITHIN: Duration = Duration::from_secs(120);
/// The Python agent sleeps for a second after each line, so a few are enough to see how many it takes.
const PYTHON_DOCUMENTS: u64 = 5;
/// Its own command, with a websocket from the beginning.
const PYTHON_AGENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/python_agent.py");
const PYTHON: &str = "Python agent 3.9.1";
const SET_UP: &str = "is not installed: benches/peers/setup";

/// A way of running syslog-ng.
struct Variant {
    name: &'static str,
    batch_lines: usize,
    disk: bool,
}

const VARIANTS: [Variant; 3] = [
    Variant { name: "syslog-ng, one document a post", batch_lines: 1, disk: false },
    Variant { name: "syslog-ng, 500 a post", batch_lines: DOCUMENTS_A_POST, disk: false },
    Variant { name: "syslog-ng, 500 a post, reliable disk buffer", batch_lines: DOCUMENTS_A_POST, disk: true },
];

pub fn peers(size: Size, sheet: &mut Sheet) {
    let documents = size.pick(200_000, 20_000);
    agent(documents, sheet);
    match installed(&["/usr/sbin/syslog-ng", "/usr/local/sbin/syslog-ng"]) {
        Some(program) => VARIANTS.iter().for_each(|variant| syslog_ng(&program, variant, documents, sheet)),
        None => sheet.remark(format!("syslog-ng {SET_UP}")),
    }
    // Once is enough for a program that sleeps.
    let known = sheet.find("peers", PYTHON, "rate").is_some();
    match installed(&[concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench/peers/python/bin/python")]) {
        Some(program) if !known => python(&program, sheet),
        Some(_) => {}
        None => sheet.remark(format!("the Python agent {SET_UP}")),
    }
    ratios(sheet);
}

fn installed(paths: &[&str]) -> Option<PathBuf> {
    paths.iter().map(PathBuf::from).find(|path| path.exists())
}

/// What one program did.
struct Work {
    rate: f64,
    /// `None` where there are too few documents for a clock of 10 ms.
    cpu: Option<Duration>,
    peak_mib: f64,
    documents: u64,
}

fn put(subject: &str, work: &Work, sheet: &mut Sheet) {
    sheet.put_of(subject, "rate", "documents/s", work.rate, Goal::None);
    if let Some(cpu) = work.cpu {
        let us = cpu.as_secs_f64() * 1e6 / work.documents as f64;
        sheet.put_of(subject, "CPU a document", "µs", us, Goal::None);
    }
    sheet.put_of(subject, "peak memory", "MiB", work.peak_mib, Goal::None);
}

/// How much faster the agent is, by the medians so far.
fn ratios(sheet: &mut Sheet) {
    let rate = |sheet: &Sheet, subject: &str| sheet.find("peers", subject, "rate").map(|figure| figure.median());
    let Some(own) = rate(sheet, AGENT) else { return };
    let subjects = VARIANTS.iter().map(|variant| variant.name).chain([PYTHON]);
    for subject in subjects {
        if let Some(theirs) = rate(sheet, subject) {
            sheet.figures.retain(|figure| figure.subject != subject || figure.what != RATIO);
            sheet.put_of(subject, RATIO, "", own / theirs, Goal::None);
        }
    }
}

pub const RATIO: &str = "the agent is faster by";

fn agent(documents: u64, sheet: &mut Sheet) {
    let gate = Gate::new();
    let mut rig = Rig::start(&Job { documents, gate: Some(gate.path()), ..Job::default() });
    rig.server.run("job", 1, documents);
    rig.server.wait_running();
    let before = rig.cpu();
    let (_open, begun_ns) = gate.open_for_one();
    let counts = rig.finish(documents, sheet);
    let rate = documents as f64 / seconds(begun_ns, counts.last_ns);
    put(AGENT, &Work { rate, cpu: Some(rig.cpu() - before), peak_mib: rig.peak_mib(), documents }, sheet);
}

/// A process that is ended with the scenario.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = signal::kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        let deadline = Instant::now() + Duration::from_secs(3);
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// As a service manager would start it, with everything in a directory of its own.
fn syslog_ng(program: &Path, variant: &Variant, documents: u64, sheet: &mut Sheet) {
    let (gate, dir) = (Gate::new(), TempDir::new());
    let job = Job { documents, gate: Some(gate.path()), stays: true, ..Job::default() };
    let mut server = Server::start(false);
    let config = dir.write("syslog-ng.conf", syslog_ng_config(variant, &job, &server, dir.path()));
    let mut command = Command::new(program);
    command.args(["--foreground", "--no-caps", "--cfgfile"]).arg(config);
    for (option, name) in [("--persist-file", "persist"), ("--pidfile", "pid"), ("--control", "control")] {
        command.arg(option).arg(dir.join(name));
    }
    let log = std::fs::File::create(dir.join("log")).expect("a directory of our own");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let running = Running(command.spawn().expect("syslog-ng starts"));
    let (_open, begun_ns) = gate.open_for_one();
    let before = measure::cpu(running.0.id());
    let counts = wait_counted(&mut server, documents);
    rig::check(&counts, documents, variant.name, sheet);
    let pid = running.0.id();
    let rate = documents as f64 / seconds(begun_ns, counts.last_ns);
    let cpu = Some(measure::cpu(pid) - before);
    let work = Work { rate, cpu, peak_mib: measure::peak_mib(pid), documents };
    put(variant.name, &work, sheet);
}

/// Tuned as its manual advises for one fast source: flow control, so that nothing is dropped, and room for a few batches.
fn syslog_ng_config(variant: &Variant, job: &Job, server: &Server, dir: &Path) -> String {
    let batch = match variant.batch_lines {
        1 => String::new(),
        lines => format!(
            "batch-lines({lines}) batch-timeout(100) body-prefix(\"{{\\\"documents\\\":[\") delimiter(\",\") body-suffix(\"]}}\")"
        ),
    };
    let disk = match variant.disk {
        true => format!(
            "disk-buffer(reliable(yes) mem-buf-size(16777216) disk-buf-size(1073741824) dir(\"{}\"))",
            dir.display()
        ),
        false => String::new(),
    };
    format!(
        "@version: 3.38\n\
         options {{ stats-freq(0); use-dns(no); keep-hostname(yes); threaded(yes); }};\n\
         source s {{ program(\"{}\" flags(no-parse) log-iw-size(100000) log-fetch-limit(10000)); }};\n\
         destination d {{ http(url(\"http://127.0.0.1:{}/_api/v3/ws/ws/bulk_create\") method(\"POST\") workers(4)\n\
         headers(\"Content-Type: application/json\", \"Authorization: Agent {}\") body(\"${{MSG}}\") log-fifo-size(200000)\n\
         {batch} {disk}); }};\n\
         log {{ source(s); destination(d); flags(flow-control); }};\n",
        job.command(),
        server.port,
        server.token
    )
}

fn wait_counted(server: &mut Server, documents: u64) -> Counts {
    let deadline = Instant::now() + WITHIN;
    loop {
        let counts = server.counts(documents);
        if counts.hosts >= documents || Instant::now() > deadline {
            return counts;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The rate is that between the first document and the last.
fn python(program: &Path, sheet: &mut Sheet) {
    let documents = PYTHON_DOCUMENTS;
    let mut server = Server::start(false);
    let dir = TempDir::new();
    let config = serde_json::json!({
        "server": {"host": "127.0.0.1", "api_port": server.port, "websocket_port": server.port, "ssl": false,
            "ssl_cert": "", "ssl_ignore": false},
        "tokens": {"agent": server.token, "registration": ""},
        "agent": {"agent_name": "agent1", "description": "", "executors": {
            "job": {"cmd": Job { documents, ..Job::default() }.command(), "max_size": 65536, "varenvs": {}, "params": rig::params()},
        }},
    });
    let config = dir.write("dispatcher.yaml", format!("{config:#}\n"));
    let mut command = Command::new(program);
    command
        .arg(PYTHON_AGENT)
        .args(["run", "--config-file"])
        .arg(config)
        .current_dir(dir.path())
        .env("HOME", dir.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let running = Running(command.spawn().expect("the Python agent starts"));
    let pid = running.0.id();
    if server.joined_ns(1).is_none() {
        return sheet.remark(format!("{PYTHON} did not join"));
    }
    server.run("job", 1, documents);
    let counts = wait_counted(&mut server, documents);
    rig::check(&counts, documents, PYTHON, sheet);
    let rate = (documents - 1) as f64 / seconds(counts.first_ns, counts.last_ns);
    let work = Work { rate, cpu: None, peak_mib: measure::peak_mib(pid), documents };
    put(PYTHON, &work, sheet);
}
