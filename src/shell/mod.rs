//! Every system call of the agent, and no decision: the reactor (`reactor`) between the engine and what it needs, which is
//! `signals`, executors (`children`, with `launch`, `orphans`, `guard` and `leftover`), journals, the websocket (`channel`),
//! posts (`workers`, `poster`, `batch`, `refused`, and later `resend`) and the way to the server (`server`, `enrol`, `net`). Where all
//! that lasts is kept say `state_dir` and `directory`; what others could see or change says `exposure`; what they must not see
//! `anew` and `environment` keep from them.

pub mod anew;
mod batch;
mod channel;
mod children;
mod directory;
pub mod enrol;
mod environment;
pub mod exposure;
pub mod guard;
mod journals;
mod launch;
mod leftover;
mod lock;
pub mod net;
mod null;
mod orphans;
mod poster;
mod processes;
mod reactor;
mod refused;
pub mod resend;
mod server;
mod signals;
pub mod state_dir;
mod sweep;
mod token_store;
mod workers;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustls::ClientConfig;

use crate::config::settings::{self, Settings};
use crate::engine::event::{Now, RunId};
use crate::engine::executor::Executor;
use crate::engine::{DiskLimits, Engine, Profile};

use children::Children;
use enrol::{Enrolment, RegistrationToken};
use journals::Journals;
use lock::StateLock;
use net::limits::Limits;
use reactor::{Parts, Reactor};
use server::Server;
use state_dir::StateDir;

/// Why the agent did not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration asks for something that cannot be.
    Configuration(String),
    /// The machine does not let the agent work.
    Machine(String),
}

/// Runs the agent until it is asked to stop, or cannot go on; gives the exit code.
pub fn run(settings: &Settings, registration: Option<RegistrationToken>) -> Result<u8, StartError> {
    // Before the first thread, so that all threads inherit it and only the signalfd sees these signals.
    let signals = signals::watch().map_err(StartError::Machine)?;
    raise_file_limit();
    let executors = settings.agent.executors.iter().map(Executor::resolve).collect();
    let state = StateDir::open(&settings.agent).map_err(StartError::Machine)?;
    let state_dir = state.directory().clone();
    let _lock = StateLock::take(&state_dir).map_err(StartError::Machine)?;
    let mut journals = Journals::new(&state_dir).map_err(|error| {
        let what = format!("making the directory of journals in the state directory {}", state_dir.path().display());
        machine(&what, &error)
    })?;
    let newest = journals.newest().map_err(|error| machine("reading the directory of journals", &error))?;
    let resumed = journals.resume().map_err(|error| machine("reading the journals of an earlier agent", &error))?;
    let server = Arc::new(Server::new(enrolment(settings, state, registration)?));
    let instance =
        processes::instance(&state_dir).map_err(|error| machine("looking at the state directory", &error))?;
    let (started, utc) = (Instant::now(), SystemTime::now());
    let profile = Profile {
        agent_name: settings.agent.name.clone(),
        executors,
        concurrent_runs_max: settings.agent.concurrent_runs_max,
        waiting_runs_max: settings.agent.waiting_runs_max,
        stop_grace: settings.agent.stop_grace,
        delivery_grace: settings.agent.delivery_grace,
        retry_max: settings.agent.retry_max,
        disk: DiskLimits { bytes_max: settings.agent.journal_bytes_max, sync_after: settings.agent.sync_after },
        seed: RandomState::new().build_hasher().finish(),
        first_run: first_run(utc, newest),
    };
    let engine = Engine::new(profile, resumed, Now { up: Duration::ZERO, utc });
    let children = Children::new(reactor::FIRST_PIPE, own_path(), instance);
    let parts = Parts { engine, started, server, signals, children, journals, state_dir };
    let reactor = Reactor::new(parts).map_err(|error| machine("setting up the event loop", &error))?;
    reactor.run().map_err(|error| machine("waiting for events", &error))
}

/// From now on nobody but root may look into this process: no debugger, no core dump, no `/proc/PID/environ` for others of its
/// user, of whom an executor may be one. To be called before a secret is read. What this process starts is not hidden.
pub fn hide_secrets() {
    // prctl(2) knows no way in which this fails.
    let _ = prctl::set_dumpable(false);
}

/// Whether the same may work later: the machine lacks files, processes or memory at present.
fn is_passing(error: &io::Error) -> bool {
    let lacks = [Errno::EMFILE, Errno::ENFILE, Errno::EAGAIN, Errno::ENOMEM];
    let is_lack = error.raw_os_error().is_some_and(|code| lacks.contains(&Errno::from_raw(code)));
    is_lack || error.kind() == io::ErrorKind::WouldBlock
}

/// This program's own file: for the guard, and for executors that call it. Without /proc, as in an empty chroot, what it was
/// called by has to do.
fn own_path() -> PathBuf {
    let called = || std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    std::env::current_exe().unwrap_or_else(|_| called())
}

fn machine(doing: &str, error: &dyn std::fmt::Display) -> StartError {
    StartError::Machine(format!("{doing}: {error}"))
}

/// Enough for 20,000 runs. Executors inherit the limit, and some programs close every file up to it one by one.
const FILES_MAX: u64 = 65_536;

/// Each run takes three files, and the usual soft limit of 1024 is there for programs that use select(2).
fn raise_file_limit() {
    let raise = |(soft, hard)| setrlimit(Resource::RLIMIT_NOFILE, FILES_MAX.min(hard).max(soft), hard);
    if let Err(error) = getrlimit(Resource::RLIMIT_NOFILE).and_then(raise) {
        log::debug!("the limit of open files stays as it is: {error}");
    }
}

fn enrolment(
    settings: &Settings,
    state: StateDir,
    registration: Option<RegistrationToken>,
) -> Result<Enrolment, StartError> {
    let tls = tls_config(&settings.server)?;
    Enrolment::new(settings, state, registration, tls, Limits::default())
        .map_err(|fault| StartError::Machine(fault.words))
}

fn tls_config(server: &settings::Server) -> Result<Option<Arc<ClientConfig>>, StartError> {
    if server.tls && !server.tls_verify {
        log::warn!("server.ssl_ignore is set: whoever answers at {} is believed to be the server", server.host);
    }
    server.tls.then(|| net::tls::client_config(server)).transpose().map_err(StartError::Configuration)
}

/// Runs are numbered by the microsecond of the start, and above all whose journals are still here should the clock have gone
/// back: no two of them ever share a journal.
fn first_run(utc: SystemTime, newest: Option<RunId>) -> RunId {
    let clock = utc.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64;
    RunId(newest.map_or(clock, |newest| clock.max(newest.0 + 1)))
}
