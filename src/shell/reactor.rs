//! One thread, one epoll: the websocket, every executor's stdout and stderr, signals and a waker for the workers' results.
//! Turns readiness into events for the engine and the engine's actions into system calls; decides nothing but how much is read
//! in one turn, so that no source starves another.
//!
//! epoll is edge-triggered here: a source is read until it would block or until its share of the turn is used up; then it
//! stands in `ready` and the next poll does not wait.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;

use crate::bounds::{FRAMES_PER_TURN_MAX, TURN_BYTES_MAX, TURN_TIME_MAX};
use crate::engine::Engine;
use crate::engine::event::{Action, Event, Failure, Now, RunId};
use crate::engine::note::Group;

use super::channel::{Arrival, Channel};
use super::children::{Children, Got, Pipe};
use super::directory::Directory;
use super::journals::Journals;
use super::server::{Connection, Server};
use super::workers::{Done, Results, Workers};
use super::{is_passing, poster, refused};

const LINK: Token = Token(0);
const SIGNALS: Token = Token(1);
const WAKER: Token = Token(2);
/// Executors' pipes have the tokens from here on.
pub const FIRST_PIPE: usize = 3;

/// One read; the size of a pipe.
const READ_BYTES: usize = 64 << 10;
/// Results of workers in one go: they may come as fast as they are taken.
const RESULTS_MAX: usize = 32;
/// Reads of a pipe whose writer has ended: more than a pipe usually holds.
const READS_OUT_MAX: usize = 4;

pub struct Reactor {
    poll: Poll,
    engine: Engine,
    started: Instant,
    server: Arc<Server>,
    workers: Workers,
    results: Results,
    signals: SignalFd,
    channel: Option<Channel>,
    children: Children,
    /// Groups of an earlier agent's runs. They are ended before anything is started.
    leftovers: Vec<(RunId, Group)>,
    journals: Journals,
    state_dir: Directory,
    /// The websocket may have more frames. It does not stand in line with the pipes.
    link_is_ready: bool,
    /// Workers may have done more than was looked at, which nobody tells again.
    results_are_left: bool,
    ready: Ready,
    buffer: Box<[u8]>,
    exit_code: Option<u8>,
}

/// What the reactor is made of.
pub struct Parts {
    pub engine: Engine,
    pub started: Instant,
    pub server: Arc<Server>,
    pub signals: SignalFd,
    pub children: Children,
    pub journals: Journals,
    pub state_dir: Directory,
}

impl Reactor {
    pub fn new(parts: Parts) -> io::Result<Reactor> {
        let poll = Poll::new()?;
        let fd = parts.signals.as_raw_fd();
        poll.registry().register(&mut SourceFd(&fd), SIGNALS, Interest::READABLE)?;
        let (workers, results) = Workers::start(Waker::new(poll.registry(), WAKER)?)?;
        Ok(Reactor {
            poll,
            engine: parts.engine,
            started: parts.started,
            server: parts.server,
            workers,
            results,
            signals: parts.signals,
            channel: None,
            children: parts.children,
            leftovers: Vec::new(),
            journals: parts.journals,
            state_dir: parts.state_dir,
            link_is_ready: false,
            results_are_left: false,
            ready: Ready::default(),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            exit_code: None,
        })
    }

    /// Runs until the engine quits; gives the exit code.
    pub fn run(mut self) -> io::Result<u8> {
        let mut events = Events::with_capacity(1024);
        self.perform_actions();
        self.children.end_leftovers(&std::mem::take(&mut self.leftovers));
        while self.exit_code.is_none() {
            match self.poll.poll(&mut events, self.timeout()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            for event in &events {
                match event.token() {
                    LINK => self.link_is_ready = true,
                    SIGNALS => self.read_signals(),
                    WAKER => self.results.on_woken(),
                    pipe => {
                        if event.is_read_closed() {
                            self.children.on_hang_up(pipe);
                        }
                        self.ready.push(pipe);
                    }
                }
            }
            if std::mem::take(&mut self.link_is_ready) {
                self.read_channel();
            }
            self.take_results();
            self.read_ready();
            self.children.tend();
            self.engine.handle_timeout(self.now());
            self.perform_actions();
        }
        self.children.kill_all();
        if let Err(error) = self.journals.sync_all() {
            log::error!(
                "the journals cannot be brought to the disk: {error}; a power cut now may cost what was read last"
            );
        }
        Ok(self.exit_code.unwrap_or(1))
    }

    fn now(&self) -> Now {
        Now { up: self.started.elapsed(), utc: SystemTime::now() }
    }

    fn timeout(&self) -> Option<Duration> {
        if self.link_is_ready || self.results_are_left || !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let deadline = self.engine.poll_timeout().map(|deadline| deadline.saturating_sub(self.started.elapsed()));
        [deadline, self.children.tend_in()].into_iter().flatten().min()
    }

    /// Gives every source that is ready one share of the turn, until the turn's bytes or its time are used up. Who had no share
    /// is the first in the next turn. Workers do not wait for the turn's end: they get their next posts in between.
    fn read_ready(&mut self) {
        let (begun, mut bytes_left) = (Instant::now(), TURN_BYTES_MAX);
        for _ in 0..self.ready.len() {
            match self.ready.pop() {
                Some(pipe) => bytes_left = bytes_left.saturating_sub(self.read_pipe(pipe)),
                None => return,
            }
            self.take_results();
            if bytes_left == 0 || begun.elapsed() >= TURN_TIME_MAX {
                return;
            }
        }
    }

    fn handle(&mut self, event: Event<'_>) {
        let now = self.now();
        self.engine.handle_event(event, now);
        self.perform_actions();
    }

    fn perform_actions(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            if let Some(event) = self.perform(action) {
                let now = self.now();
                self.engine.handle_event(event, now);
            }
        }
    }

    /// Carries out one action; what it leads to at once comes back as an event.
    fn perform(&mut self, action: Action) -> Option<Event<'static>> {
        match action {
            Action::Connect => return self.perform_connect(),
            Action::FetchToken => {
                let server = self.server.clone();
                return self.dial(move || Done::Token(server.websocket_token()));
            }
            Action::Send(text) => self.with_channel(|channel| channel.send(text)),
            Action::Ping(number) => self.with_channel(|channel| channel.ping(number)),
            Action::Close => self.with_channel(Channel::close),
            Action::Disconnect => self.drop_channel(),
            Action::Spawn(spawn) => {
                let run = spawn.run;
                return Some(match self.children.spawn(&spawn, self.poll.registry()) {
                    Ok(group) => Event::Started { run, group },
                    Err(error) => Event::StartFailed { run, passing: is_passing(&error), words: error.to_string() },
                });
            }
            Action::Kill { run, signal } => self.children.kill(run, signal),
            Action::Read { run, wanted } => {
                if let Some(token) = self.children.want(run, wanted) {
                    self.ready.push(token);
                }
            }
            Action::Release { run } => self.children.release(run),
            Action::KillLeftover { run, group } => self.leftovers.push((run, group)),
            Action::Append { run, segment, bytes } => {
                let result = self.journals.append(run, segment, &bytes).map_err(|error| error.to_string());
                return Some(Event::Journaled { run, bytes, result });
            }
            Action::Sync { runs } => return self.perform_sync(&runs),
            Action::Trim { run, before } => self.journals.trim(run, before),
            Action::Forget { run, damaged } => self.journals.forget(run, damaged),
            Action::Workers(count) => {
                if let Err(error) = self.workers.resize(count) {
                    log::warn!("posts that hang hold up others: no thread more could be started: {error}");
                }
            }
            Action::Post(post) => {
                let (server, source) = (self.server.clone(), self.journals.source(post.id.run, post.range.segment));
                self.workers.post(move || Done::Posted(poster::send(&server, source, &post)));
            }
            Action::SetAside(asked) => {
                let source = self.journals.source(asked.id.run, asked.range.segment);
                let state_dir = self.state_dir.clone();
                self.workers.post(move || Done::Posted(refused::set_aside(&state_dir, source, &asked)));
            }
            Action::Quit { code } => self.exit_code = Some(code),
        }
        None
    }

    fn perform_connect(&mut self) -> Option<Event<'static>> {
        self.drop_channel();
        let server = self.server.clone();
        self.dial(move || Done::Connected(server.connect().map(Box::new)))
    }

    fn perform_sync(&mut self, runs: &[RunId]) -> Option<Event<'static>> {
        let sync = self.journals.sync(runs);
        let job = move || Done::Synced(sync().map_err(|error| error.to_string()));
        let error = self.workers.alone("sync", job).err()?;
        self.journals.on_synced(false);
        Some(Event::Synced { result: Err(format!("a thread to sync with could not be started: {error}")) })
    }

    fn dial(&mut self, job: impl FnOnce() -> Done + Send + 'static) -> Option<Event<'static>> {
        let error = self.workers.alone("dial", job).err()?;
        let words = format!("a thread to dial with could not be started: {error}");
        Some(Event::ConnectFailed(Failure { words, fatal: false }))
    }

    fn with_channel(&mut self, act: impl FnOnce(&mut Channel)) {
        if let Some(channel) = &mut self.channel {
            act(channel);
        }
    }

    fn drop_channel(&mut self) {
        if let Some(channel) = self.channel.take() {
            channel.release(self.poll.registry());
        }
    }

    fn read_channel(&mut self) {
        self.with_channel(Channel::flush);
        for _ in 0..FRAMES_PER_TURN_MAX {
            let Some(arrival) = self.channel.as_mut().and_then(Channel::read) else {
                return;
            };
            match arrival {
                Arrival::Text(text) => self.handle(Event::Frame(&text)),
                Arrival::Pong(number) => self.handle(Event::Pong(number)),
                Arrival::Lost { words, close_reason } => {
                    self.drop_channel();
                    self.handle(Event::LinkLost { words, close_reason });
                }
            }
        }
        self.link_is_ready = true;
    }

    fn read_signals(&mut self) {
        while let Ok(Some(record)) = self.signals.read_signal() {
            match Signal::try_from(record.ssi_signo.cast_signed()) {
                Ok(Signal::SIGCHLD) => {}
                Ok(signal) => self.handle(Event::Stop { signal: signal.as_str() }),
                Err(_) => {}
            }
        }
        for (run, exit) in self.children.exited() {
            self.handle(Event::Exited { run, exit });
            for pipe in [Pipe::Stdout, Pipe::Stderr] {
                self.children.token_of(run, pipe).into_iter().for_each(|token| self.ready.push_first(token));
            }
        }
    }

    fn take_results(&mut self) {
        self.results_are_left = false;
        for _ in 0..RESULTS_MAX {
            let Some(done) = self.results.next() else { return };
            match done {
                Done::Connected(Ok(connection)) => self.adopt(*connection),
                Done::Connected(Err(failure)) => self.handle(Event::ConnectFailed(failure)),
                Done::Token(Err(failure)) => self.handle(Event::TokenFailed(failure)),
                Done::Token(Ok(token)) => self.handle(Event::TokenFetched(token)),
                Done::Posted(posted) => self.handle(Event::Posted(posted)),
                Done::Synced(result) => {
                    self.journals.on_synced(result.is_ok());
                    self.handle(Event::Synced { result });
                }
            }
        }
        self.results_are_left = true;
    }

    fn adopt(&mut self, connection: Connection) {
        match Channel::adopt(connection.socket, LINK, self.poll.registry()) {
            Ok(channel) => {
                self.channel = Some(channel);
                self.handle(Event::Connected { protocol: connection.protocol, token: connection.token });
                if let Some(greeting) = connection.greeting {
                    self.handle(Event::Frame(&greeting));
                }
                // Frames may have come with the handshake, for which no readiness will be told.
                self.link_is_ready = true;
            }
            Err(error) => {
                let words = format!("the connection cannot be watched: {error}");
                self.handle(Event::ConnectFailed(Failure { words, fatal: false }));
            }
        }
    }

    /// One share of a pipe: a read, and another turn if there may be more. Gives the number of bytes. What an executor that has
    /// ended left behind is read at once: the engine counts the seconds until it takes an end of file that does not come for
    /// the work of somebody else.
    fn read_pipe(&mut self, token: Token) -> usize {
        let Some((run, pipe)) = self.children.wanted(token) else {
            return 0;
        };
        let reads = if self.children.has_exited(run) { READS_OUT_MAX } else { 1 };
        let mut total = 0;
        for _ in 0..reads {
            match self.children.read(run, pipe, &mut self.buffer) {
                Got::Nothing => return total,
                Got::Bytes { bytes, is_drained } => {
                    total += bytes;
                    self.on_bytes(run, pipe, bytes);
                    if is_drained {
                        return total;
                    }
                }
                Got::End => {
                    self.handle(match pipe {
                        Pipe::Stdout => Event::OutputEnded { run },
                        Pipe::Stderr => Event::ComplaintsEnded { run },
                    });
                    return total;
                }
            }
        }
        self.ready.push(token);
        total
    }

    fn on_bytes(&mut self, run: RunId, pipe: Pipe, bytes: usize) {
        let now = self.now();
        let bytes = &self.buffer[..bytes];
        self.engine.handle_event(
            match pipe {
                Pipe::Stdout => Event::Output { run, bytes },
                Pipe::Stderr => Event::Complaint { run, bytes },
            },
            now,
        );
        self.perform_actions();
    }
}

/// Pipes that may have more to read than their last share allowed, each once, in the order of their turns.
#[derive(Debug, Default)]
struct Ready {
    queue: VecDeque<Token>,
    queued: HashSet<Token>,
}

impl Ready {
    fn push(&mut self, token: Token) {
        if self.queued.insert(token) {
            self.queue.push_back(token);
        }
    }

    /// Its turn is the next one.
    fn push_first(&mut self, token: Token) {
        if self.queued.insert(token) {
            self.queue.push_front(token);
        } else if let Some(at) = self.queue.iter().position(|other| *other == token) {
            self.queue.remove(at);
            self.queue.push_front(token);
        }
    }

    fn pop(&mut self) -> Option<Token> {
        let token = self.queue.pop_front()?;
        self.queued.remove(&token);
        Some(token)
    }

    fn len(&self) -> usize {
        self.queue.len()
    }

    fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
