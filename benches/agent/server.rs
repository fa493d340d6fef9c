//! The server of the benches: the stand-in of the tests in a process of its own, this program in the role `server`. It counts
//! documents by id and, if they are stamped, how long each was under way. It is asked over stdin and answers on stdout, a line
//! of JSON each; its first line says where it listens. `remote` is the other end.

use std::io::{self, BufRead, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::latencies::Latencies;
use super::support::{Counter, Cut, Incoming, Standin, Status};

/// What was counted.
struct Tally {
    counter: Counter,
    /// Of stamped documents.
    latencies: Option<Mutex<Latencies>>,
}

impl Tally {
    fn take(&self, incoming: &Incoming) {
        self.counter.count(incoming.body, incoming.at);
        if let Some(latencies) = &self.latencies {
            let arrived_ns = unix_ns(incoming.at);
            latencies.lock().unwrap_or_else(PoisonError::into_inner).take(incoming.body, arrived_ns);
        }
    }
}

struct Server {
    standin: Standin,
    tally: Arc<Tally>,
    ids: Vec<i64>,
    /// Before the first RUN was sent.
    begun: Instant,
}

/// The role.
pub fn main(mut words: impl Iterator<Item = String>) {
    let stamped = words.any(|word| word == "stamped");
    let tally = Arc::new(Tally { counter: Counter::default(), latencies: stamped.then(Mutex::default) });
    let told = tally.clone();
    let standin = Standin::builder().workspace("ws").on_body(move |incoming| told.take(incoming)).start();
    tell(&json!({"port": standin.api_port(), "token": standin.add_agent()}));
    let mut server = Server { standin, tally, ids: Vec::new(), begun: Instant::now() };
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        let ask: Value = serde_json::from_str(&line).expect("the bench asks in JSON");
        let answer = server.answer(&ask);
        tell(&answer);
    }
}

fn tell(answer: &Value) {
    // Nobody listens when the bench was killed; stdin ends then, too.
    let _ = writeln!(io::stdout(), "{answer}");
}

impl Server {
    fn answer(&mut self, ask: &Value) -> Value {
        let number = |name: &str| ask[name].as_u64().unwrap_or(0);
        let within = Duration::from_secs(number("within_s").max(20));
        match ask["ask"].as_str() {
            Some("joined") => json!({"at_ns": self.joined(number("nth") as usize, within).map(unix_ns)}),
            Some("run") => self.run(ask["executor"].as_str().unwrap_or_default(), number("runs"), number("documents")),
            Some("running") => {
                for id in &self.ids {
                    self.standin.wait_status(*id, |status| status.running == Some(true), within);
                }
                json!({})
            }
            Some("over") => self.over(within),
            Some("counts") => self.counts(number("documents")),
            Some("latencies") => self.latencies(),
            Some("away") => {
                self.standin.crash(Cut::Fin);
                json!({})
            }
            Some("back") => {
                self.standin.open_ports();
                json!({"at_ns": unix_ns(Instant::now())})
            }
            ask => panic!("{ask:?}?"),
        }
    }

    /// `None` if nobody comes: other programs may have reasons of their own.
    fn joined(&self, nth: usize, within: Duration) -> Option<Instant> {
        let deadline = Instant::now() + within;
        loop {
            match self.standin.joins().get(nth - 1) {
                Some(joined) => return Some(joined.at),
                None if Instant::now() > deadline => return None,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// Each run is told the id of its first document.
    fn run(&mut self, executor: &str, runs: u64, documents: u64) -> Value {
        self.begun = Instant::now();
        let standin = &self.standin;
        let ids = (0..runs).flat_map(|run| standin.run(executor, json!({"FIRST": run * documents}), &["ws"]));
        self.ids = ids.collect();
        json!({"at_ns": unix_ns(self.begun)})
    }

    fn over(&self, within: Duration) -> Value {
        let deadline = Instant::now() + within;
        let left = || deadline.saturating_duration_since(Instant::now());
        let ended: Vec<Status> = self.ids.iter().map(|id| self.standin.wait_over(*id, left())).collect();
        let failed = ended.iter().filter(|status| status.successful != Some(true));
        json!({"failed": failed.map(|status| &status.message).collect::<Vec<_>>(), "at_ns": unix_ns(Instant::now())})
    }

    fn counts(&self, documents: u64) -> Value {
        let counts = self.tally.counter.counts();
        json!({
            "bodies": counts.bodies, "hosts": counts.hosts, "repeats": counts.repeats,
            "missing": counts.missing(0..documents).len(),
            "first_ns": counts.first.map(unix_ns), "last_ns": counts.last.map(unix_ns),
            "begun_ns": unix_ns(self.begun),
        })
    }

    fn latencies(&self) -> Value {
        let latencies = self.tally.latencies.as_ref();
        json!(latencies.map(|latencies| latencies.lock().unwrap_or_else(PoisonError::into_inner).percentiles()))
    }
}

/// The two clocks differ by nothing that a bench could see, as long as nobody sets one of them.
fn unix_ns(at: Instant) -> u64 {
    let then = SystemTime::now() - at.elapsed();
    then.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}
