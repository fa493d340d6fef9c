//! The executors of these tests: this very program, started again, so that they are as fast as Rust and need nothing on the
//! machine. `command` is what goes into dispatcher.yaml, `generator` is what runs then.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Names the job; without it this is no generator but a test among others.
const JOB: &str = "LIMITS_JOB";
const NAME: &str = "generator::generator";

/// Bytes of the hosts of a report, in turn: from a host without findings to one with some. 1600 on average.
const REPORT_HOST_BYTES: [usize; 5] = [200, 300, 500, 2000, 5000];

#[derive(Clone, Debug)]
pub enum Job {
    /// A document with the time as the host's name (nanoseconds since 1970), again and again after a pause.
    Clock { documents: u64, pause_ms: u64 },
    /// One line: a document with so many hosts, numbered from 0.
    Report { hosts: u64 },
    /// One document with hosts of these sizes, numbered from 0.
    Hosts { bytes: Vec<usize> },
    /// Once the fifo of that name has a writer: so many documents of one host each, numbered from the argument FIRST on.
    Gated { documents: u64, gate: String },
}

/// A shell command that does the job.
pub fn command(job: &Job) -> String {
    let program = std::env::current_exe().expect("this program has a file");
    let words = match job {
        Job::Clock { documents, pause_ms } => format!("clock {documents} {pause_ms}"),
        Job::Report { hosts } => format!("report {hosts}"),
        Job::Hosts { bytes } => {
            let bytes: Vec<String> = bytes.iter().map(usize::to_string).collect();
            format!("hosts {}", bytes.join(" "))
        }
        Job::Gated { documents, gate } => format!("gated {documents} {gate}"),
    };
    // A test's stdout has words of the test harness; the documents go past it.
    format!("export {JOB}='{words}'; exec '{}' --exact {NAME} --nocapture 3>&1 >/dev/null", program.display())
}

/// How many bytes `Job::Report` prints.
pub fn report_bytes(hosts: u64) -> u64 {
    let turns = REPORT_HOST_BYTES.iter().cycle().take(hosts as usize);
    turns.map(|bytes| *bytes as u64 + 1).sum::<u64>() + r#"{"hosts":[]}"#.len() as u64
}

#[test]
fn generator() {
    let Ok(words) = std::env::var(JOB) else { return };
    let out = File::options().write(true).open("/dev/fd/3").expect("the command has opened it");
    let mut out = BufWriter::with_capacity(1 << 20, out);
    let words: Vec<&str> = words.split(' ').collect();
    let number = |place: usize| words[place].parse::<u64>().expect("a number");
    let done = match words[0] {
        "clock" => clock(&mut out, number(1), Duration::from_millis(number(2))),
        "report" => report(&mut out, REPORT_HOST_BYTES.iter().copied().cycle().take(number(1) as usize)),
        "hosts" => report(&mut out, (1..words.len()).map(|place| number(place) as usize)),
        "gated" => gated(&mut out, number(1), words[2]),
        job => panic!("{job}?"),
    };
    done.and_then(|()| out.flush()).expect("the agent reads");
}

fn clock(out: &mut impl Write, documents: u64, pause: Duration) -> io::Result<()> {
    for _ in 0..documents {
        std::thread::sleep(pause);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
        writeln!(out, r#"{{"hosts":[{{"ip":"{now}","description":"","hostnames":[],"services":[]}}]}}"#)?;
        out.flush()?;
    }
    Ok(())
}

fn report(out: &mut impl Write, hosts: impl Iterator<Item = usize>) -> io::Result<()> {
    write!(out, r#"{{"hosts":["#)?;
    for (id, bytes) in hosts.enumerate() {
        if id > 0 {
            write!(out, ",")?;
        }
        host(out, id as u64, bytes)?;
    }
    writeln!(out, "]}}")
}

/// A host of exactly so many bytes, at least 150.
fn host(out: &mut impl Write, id: u64, bytes: usize) -> io::Result<()> {
    const WORDS: &str =
        "TLS 1.0 is offered, which nobody should speak any more; the certificate is older than the host. ";
    let head = format!(r#"{{"ip":"{id}","hostnames":["h{id}.example"],"description":"Gefunden: \"\u00fc\"\n"#);
    let tail = r#"","services":[{"name":"http","port":80,"status":"open"}]}"#;
    let mut left = bytes.checked_sub(head.len() + tail.len()).expect("room for a host");
    out.write_all(head.as_bytes())?;
    while left > 0 {
        let words = &WORDS[..left.min(WORDS.len())];
        out.write_all(words.as_bytes())?;
        left -= words.len();
    }
    out.write_all(tail.as_bytes())
}

fn gated(out: &mut impl Write, documents: u64, gate: &str) -> io::Result<()> {
    // Waits for a writer, fifo(7).
    let _gate = File::open(gate)?;
    let first: u64 = std::env::var("EXECUTOR_CONFIG_FIRST").expect("an argument").parse().expect("a number");
    for id in first..first + documents {
        write!(out, r#"{{"hosts":["#)?;
        host(out, id, 200)?;
        writeln!(out, "]}}")?;
        out.flush()?;
    }
    Ok(())
}
