//! What all threads of one stand-in share: options, the state behind its lock, and the one way of waiting.

use std::fmt::Write;
use std::panic::Location;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::ServerConfig;

use super::counter::Counter;
use super::events::What;
use super::http::Request;
use super::state::{Generation, State};

/// A bulk_create body on its way in, for a consumer that does not want it kept.
pub struct Incoming<'a> {
    /// When the body was complete.
    pub at: Instant,
    pub workspace: &'a str,
    pub body: &'a [u8],
}

pub type BodyHook = Box<dyn Fn(&Incoming) + Send + Sync>;

pub struct Options {
    pub generation: Generation,
    pub base_route: String,
    pub tls: Option<Arc<ServerConfig>>,
    /// PEM that an agent's `ssl_cert` should name.
    pub trust_pem: Option<String>,
    pub ping_interval: Duration,
    pub ping_timeout: Duration,
    pub max_payload: usize,
    pub token_lifetime: Duration,
    /// Where bodies go instead of being checked and kept.
    pub on_body: Option<BodyHook>,
    pub counter: Option<Arc<Counter>>,
}

pub struct Shared {
    pub options: Options,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    pub fn new(options: Options) -> Shared {
        let state = Mutex::new(State::new(options.generation, options.token_lifetime));
        Shared { options, state, changed: Condvar::new() }
    }

    /// The state, to look at. A test that panicked elsewhere does not make it unreadable.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes everybody who waits for something in it.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        self.changed.notify_all();
        result
    }

    /// Waits until `probe` finds something or time is up.
    pub fn wait<T>(&self, within: Duration, mut probe: impl FnMut(&State) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + within;
        let mut state = self.lock();
        loop {
            if let Some(found) = probe(&state) {
                return Some(found);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// As `wait`, and panics with all that was seen when time is up.
    #[track_caller]
    pub fn expect<T>(&self, what: &str, within: Duration, probe: impl FnMut(&State) -> Option<T>) -> T {
        let place = Location::caller();
        match self.wait(within, probe) {
            Some(found) => found,
            None => panic!("{place}: waited {within:?} in vain for {what}\n{}", self.report()),
        }
    }

    /// Holds a request until there were more than `releases`, time is up, or the server is gone: then it is false.
    pub fn hold(&self, limit: Option<Duration>, releases: u64) -> bool {
        let released = |state: &State| {
            let gone = state.stopped || state.down;
            (gone || state.faults.releases > releases).then_some(!gone)
        };
        let found = self.wait(limit.unwrap_or(Duration::from_secs(3600)), released);
        found.unwrap_or(true)
    }

    pub fn record_answer(&self, request: &Request, status: Option<u16>) {
        let what = What::Request {
            method: request.method.clone(),
            target: request.target.clone(),
            authorization: request.header("authorization").map(str::to_owned),
            status,
        };
        self.change(|state| state.record(what));
    }

    /// All that was seen, for the panic message of a failed wait.
    pub fn report(&self) -> String {
        let state = self.lock();
        let mut text = String::new();
        for (id, agent) in &state.agents {
            let _ = writeln!(text, "agent {id} {:?}: link {:?}", agent.name, agent.link);
        }
        for (id, run) in &state.executions {
            let _ = writeln!(text, "execution {id} {} in {}: {:?}", run.executor, run.workspace, run.status);
        }
        for name in state.workspaces.keys() {
            let posts = || state.posts.iter().filter(|post| post.workspace == *name);
            let taken: usize = posts().map(|post| post.hosts_taken()).sum();
            let _ = writeln!(text, "workspace {name}: {} posts, {taken} hosts taken", posts().count());
        }
        if let Some(counter) = &self.options.counter {
            let _ = writeln!(text, "counted: {:?}", counter.counts());
        }
        let skipped = state.events.len().saturating_sub(60);
        let _ = writeln!(text, "timeline ({skipped} earlier):");
        for event in &state.events[skipped..] {
            let _ = writeln!(text, "  {:9.3} s  {}", event.at.duration_since(state.born).as_secs_f64(), event.what);
        }
        for log in &state.logs {
            let _ = writeln!(text, "agent's log, last lines:\n{}", log.tail(40));
        }
        text
    }
}
