//! The executors of the benches: this program again, in the role `generator`. Prints documents as fast as a pipe takes them or
//! at a rate, each with an id and, if it is asked for, the time of its writing. Everything that does not change from document
//! to document is made once, so that the generator costs as little as it can of the processors that it shares with the agent.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::unistd::getppid;

/// What is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Shape {
    /// A line of `SHORT_BYTES` for each document, which is one host.
    #[default]
    Short,
    /// A line for each document, hosts of 200 to 5000 bytes in turn.
    Mixed,
    /// One line, one document: all the hosts of `Mixed`.
    Report,
}

#[derive(Clone, Debug, Default)]
pub struct Job {
    /// How many hosts.
    pub documents: u64,
    pub shape: Shape,
    /// Documents a second; without it as fast as they are taken.
    pub rate: Option<u64>,
    /// Each document says when it was written, in nanoseconds since 1970.
    pub stamped: bool,
    /// A fifo; nothing is printed before somebody has opened it for writing.
    pub gate: Option<PathBuf>,
    /// A file that is made when all is printed.
    pub done: Option<PathBuf>,
    /// Stay until the parent is gone: some programs start what has ended once more.
    pub stays: bool,
}

pub const SHORT_BYTES: usize = 200;
/// What stands before and behind the host of a line.
pub const LINE_HEAD: &str = r#"{"hosts":["#;
pub const LINE_TAIL: &str = "]}\n";
/// Sizes of hosts from one without findings to one with some: 1600 on average.
const HOST_BYTES: [usize; 5] = [200, 300, 500, 2000, 5000];
/// About what a pipe holds.
const WRITE_BYTES: usize = 64 << 10;
/// How an executor is told its argument FIRST.
const FIRST: &str = "EXECUTOR_CONFIG_FIRST";
const ID_DIGITS: usize = 9;
const STAMP_DIGITS: usize = 19;
/// At this time between two documents a millisecond more or less no longer matters.
const FAST: Duration = Duration::from_millis(10);

impl Job {
    /// A shell command that does the job; the first id is the argument FIRST of the run, or 0.
    pub fn command(&self) -> String {
        let program = std::env::current_exe().expect("this program has a file");
        let mut words = format!("documents={} shape={:?}", self.documents, self.shape);
        let mut add = |name: &str, value: Option<String>| {
            value.into_iter().for_each(|value| words.push_str(&format!(" '{name}={value}'")));
        };
        add("rate", self.rate.map(|rate| rate.to_string()));
        add("gate", self.gate.as_ref().map(|path| path.display().to_string()));
        add("done", self.done.as_ref().map(|path| path.display().to_string()));
        add("stamped", self.stamped.then(|| "1".to_owned()));
        add("stays", self.stays.then(|| "1".to_owned()));
        format!("exec '{}' generator {words}", program.display())
    }

    /// Does the job without an agent.
    pub fn start(&self, first: u64, stdout: impl Into<Stdio>) -> Child {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &self.command()]).env(FIRST, first.to_string()).stdout(stdout);
        command.spawn().expect("a shell")
    }

    fn from_words(words: impl Iterator<Item = String>) -> Job {
        let mut job = Job::default();
        for word in words {
            let (name, value) = word.split_once('=').expect("name=value");
            match name {
                "documents" => job.documents = value.parse().expect("a number"),
                "shape" if value == "Mixed" => job.shape = Shape::Mixed,
                "shape" if value == "Report" => job.shape = Shape::Report,
                "rate" => job.rate = value.parse().ok(),
                "gate" => job.gate = Some(value.into()),
                "done" => job.done = Some(value.into()),
                "stamped" => job.stamped = true,
                "stays" => job.stays = true,
                _ => {}
            }
        }
        job
    }

    /// How many bytes it prints.
    pub fn bytes(&self) -> u64 {
        let sizes = HOST_BYTES.iter().cycle().take(self.documents as usize);
        let hosts = || sizes.map(|bytes| *bytes as u64).sum::<u64>();
        let around = r#"{"hosts":[]}"#.len() as u64 + 1;
        match self.shape {
            Shape::Short => self.documents * SHORT_BYTES as u64,
            Shape::Mixed => hosts() + self.documents * around,
            Shape::Report => hosts() + self.documents + around - 1,
        }
    }
}

/// How many hosts of `Mixed` and `Report` make so many bytes.
pub fn hosts_in(bytes: u64) -> u64 {
    bytes / (HOST_BYTES.iter().sum::<usize>() / HOST_BYTES.len()) as u64
}

/// The role.
pub fn main(words: impl Iterator<Item = String>) {
    let job = Job::from_words(words);
    let parent = getppid();
    // Past the buffer of Rust's own stdout, which looks for the last newline in all that is written.
    let mut out = File::from(io::stdout().as_fd().try_clone_to_owned().expect("a stdout"));
    if let Some(gate) = &job.gate {
        // Waits for a writer, fifo(7).
        drop(File::open(gate));
    }
    let first = std::env::var(FIRST).ok().and_then(|id| id.parse().ok()).unwrap_or(0);
    let printed = match job.rate {
        Some(rate) => print_at_rate(&mut out, &job, first, rate),
        None => print(&mut out, &job, first),
    };
    // Whoever reads may be gone, at the end of a bench.
    if printed.is_err() {
        return;
    }
    if let Some(done) = &job.done {
        fs::write(done, "").expect("a directory of the bench");
    }
    while job.stays && getppid() == parent {
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A host with room for its id and its stamp; the places of both are found by `IP` and `DESCRIPTION`.
fn host(bytes: usize) -> String {
    const WORDS: &str =
        "TLS 1.0 is offered, which nobody should speak any more; the certificate is older than the host. ";
    let head = format!(r#"{{"ip":"{}","description":"{}","#, "0".repeat(ID_DIGITS), "0".repeat(STAMP_DIGITS));
    let service = r#""hostnames":["scan.example"],"services":[{"name":"http","port":80,"protocol":"tcp","version":""#;
    let tail = r#""}]}"#;
    let text = bytes - head.len() - service.len() - tail.len();
    let text: String = WORDS.chars().cycle().take(text).collect();
    format!("{head}{service}{text}{tail}")
}

/// One line, and where in it the id is.
fn document(host_bytes: usize) -> (Vec<u8>, usize) {
    let line = format!("{LINE_HEAD}{}{LINE_TAIL}", host(host_bytes));
    (line.into_bytes(), LINE_HEAD.len() + r#"{"ip":""#.len())
}

fn short_document() -> (Vec<u8>, usize) {
    document(SHORT_BYTES - LINE_HEAD.len() - LINE_TAIL.len())
}

fn print(out: &mut File, job: &Job, first: u64) -> io::Result<()> {
    match job.shape {
        Shape::Short => print_short(out, first, job.documents),
        Shape::Mixed => {
            let documents: Vec<_> = HOST_BYTES.iter().map(|bytes| document(*bytes)).collect();
            print_in_turn(out, &documents, first, job.documents)
        }
        Shape::Report => {
            let hosts: Vec<_> = HOST_BYTES
                .iter()
                .map(|bytes| (format!(",{}", host(*bytes)).into_bytes(), r#",{"ip":""#.len()))
                .collect();
            out.write_all(br#"{"hosts":["#)?;
            // The first has no comma before it.
            let (mut one, at) = hosts[0].clone();
            put_number(&mut one[at..at + ID_DIGITS], first);
            out.write_all(&one[1..])?;
            let mut rest = hosts;
            rest.rotate_left(1);
            print_in_turn(out, &rest, first + 1, job.documents - 1)?;
            out.write_all(b"]}\n")
        }
    }
}

/// Equal documents stand side by side in one buffer, in which nothing but the ids is written anew.
fn print_short(out: &mut File, first: u64, documents: u64) -> io::Result<()> {
    let (document, at) = short_document();
    let at_once = WRITE_BYTES / SHORT_BYTES;
    let mut buffer = document.repeat(at_once);
    let (mut id, end) = (first, first + documents);
    while id < end {
        let count = (end - id).min(at_once as u64) as usize;
        for line in buffer.chunks_exact_mut(SHORT_BYTES).take(count) {
            put_number(&mut line[at..at + ID_DIGITS], id);
            id += 1;
        }
        out.write_all(&buffer[..count * SHORT_BYTES])?;
    }
    Ok(())
}

fn print_in_turn(out: &mut File, texts: &[(Vec<u8>, usize)], first: u64, count: u64) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(2 * WRITE_BYTES);
    for (id, (text, at)) in (first..first + count).zip(texts.iter().cycle()) {
        let start = buffer.len();
        buffer.extend_from_slice(text);
        put_number(&mut buffer[start + at..start + at + ID_DIGITS], id);
        if buffer.len() >= WRITE_BYTES {
            out.write_all(&buffer)?;
            buffer.clear();
        }
    }
    out.write_all(&buffer)
}

/// One write a document. Generators that begin at the same time are spread over the time between two documents.
fn print_at_rate(out: &mut File, job: &Job, first: u64, rate: u64) -> io::Result<()> {
    let (mut document, at) = short_document();
    let stamp_at = at + ID_DIGITS + r#"","description":""#.len();
    let between = Duration::from_secs(1) / rate as u32;
    if between <= FAST {
        gather_timers();
    }
    let mut due = Instant::now() + between * (std::process::id() % 128) / 128;
    for id in first..first + job.documents {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        put_number(&mut document[at..at + ID_DIGITS], id);
        if job.stamped {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
            put_number(&mut document[stamp_at..stamp_at + STAMP_DIGITS], now as u64);
        }
        out.write_all(&document)?;
        due += between;
    }
    Ok(())
}

/// A thousand generators with a timer each make a hundred thousand interrupts a second, each of which is an exit of a virtual
/// machine and costs more than what is measured. With a millisecond of slack the kernel serves many with one interrupt,
/// proc_pid_timerslack_ns(5). Where that cannot be set, the figures are worse and still true.
fn gather_timers() {
    let _ = fs::write("/proc/self/timerslack_ns", "1000000");
}

fn put_number(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}
