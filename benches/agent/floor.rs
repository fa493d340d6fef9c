//! The crowd with a program in the agent's place that does nothing but hand on bytes: one thread around one epoll reads what the
//! executors print, four threads post it. No frames, no journal, no repair, no commands; it knows that a document has
//! `SHORT_BYTES`. What it reaches is what can be reached on this machine, with these executors and this server.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::process::{Child, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use mio::event::Event;
use mio::unix::pipe::Receiver;
use mio::{Events, Interest, Poll, Token};
use nix::sys::resource::{Resource, UsageWho, getrlimit, setrlimit};

use super::crowds::{self, EACH};
use super::generator::{LINE_HEAD, LINE_TAIL, SHORT_BYTES};
use super::limits::{self, CONNECTIONS, MACHINE};
use super::measure::{self, seconds};
use super::remote::{Counts, Server};
use super::rig::{self, Gate};
use super::scenarios::Size;
use super::sheet::{Goal, Sheet};

pub fn crowd_floor(size: Size, sheet: &mut Sheet) {
    let runs = crowds::runs(size);
    raise_descriptors();
    let (gate, mut server) = (Gate::new(), Server::start(true));
    let job = crowds::job(&gate);
    let start = |run| job.start(run * EACH, Stdio::piped());
    let mut children: Vec<Child> = (0..runs).map(start).collect();
    let reactor = Reactor::new(&mut children).expect("an epoll");
    let queue = Queue::new(children.len());
    crowds::wait_at_gate();
    let (cpu, begun_ns) = (measure::used(UsageWho::RUSAGE_SELF), measure::unix_ns());
    let _open = gate.open();
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| work(&queue, &server));
        }
        reactor.read_all(&queue).expect("pipes are read");
    });
    let cpu = measure::used(UsageWho::RUSAGE_SELF) - cpu;
    let counts = server.counts(runs * EACH);
    rig::check(&counts, runs * EACH, "the crowd's floor", sheet);
    // Whether the agent's own goal can be reached here.
    crowds::put_percentiles("crowd floor", &server.latencies_us(), crowds::P99_GOAL, sheet);
    put_posts(&counts, begun_ns, sheet);
    let us = cpu.as_secs_f64() * 1e6 / (runs * EACH) as f64;
    sheet.put_of(MACHINE, "crowd floor: CPU a document", "µs", us, Goal::None);
    measure::cpu_of_ended(children);
}

fn put_posts(counts: &Counts, begun_ns: u64, sheet: &mut Sheet) {
    let (hosts, bodies) = (counts.hosts as f64, counts.bodies as f64);
    sheet.put_of(MACHINE, "crowd floor: documents a post", "", hosts / bodies, Goal::None);
    let took = seconds(begun_ns, counts.last_ns);
    sheet.put_of(MACHINE, "crowd floor: posts a second", "", bodies / took, Goal::None);
}

/// A pipe for each executor is more than a shell's usual limit allows.
fn raise_descriptors() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Reads the pipes.
struct Reactor {
    poll: Poll,
    pipes: Vec<Receiver>,
}

impl Reactor {
    fn new(children: &mut [Child]) -> io::Result<Reactor> {
        let (poll, mut pipes) = (Poll::new()?, Vec::new());
        for (run, child) in children.iter_mut().enumerate() {
            let mut pipe = Receiver::from(child.stdout.take().expect("a pipe"));
            pipe.set_nonblocking(true)?;
            poll.registry().register(&mut pipe, Token(run), Interest::READABLE)?;
            pipes.push(pipe);
        }
        Ok(Reactor { poll, pipes })
    }

    /// Until every executor has closed its end.
    fn read_all(mut self, queue: &Queue) -> io::Result<()> {
        let (mut events, mut room) = (Events::with_capacity(1024), vec![0; 64 << 10]);
        let mut left = self.pipes.len();
        while left > 0 {
            self.poll.poll(&mut events, None)?;
            for event in &events {
                let pipe = &mut self.pipes[event.token().0];
                if read(pipe, event, &mut room, queue)? {
                    self.poll.registry().deregister(pipe)?;
                    left -= 1;
                }
            }
        }
        queue.end();
        Ok(())
    }
}

/// Reads until the pipe is empty, which a read shows that does not fill the room, epoll(7); or, when the other end is closed,
/// until its end, which is true. What is read at once is whole documents: each was one write, and the room is as large as a pipe.
fn read(pipe: &mut Receiver, event: &Event, room: &mut [u8], queue: &Queue) -> io::Result<bool> {
    let Token(run) = event.token();
    loop {
        match pipe.read(room) {
            Ok(0) => return Ok(true),
            Ok(read) => {
                queue.append(run, &room[..read]);
                if read < room.len() && !event.is_read_closed() {
                    return Ok(false);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

/// Executors with bytes, the longest-waiting first. Each is in it once at most, and has one post under way at most, as with
/// the agent.
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

struct Waiting {
    bytes: Vec<Vec<u8>>,
    /// Queued, or a post is under way.
    taken: Vec<bool>,
    runs: VecDeque<usize>,
    ended: bool,
}

impl Queue {
    fn new(runs: usize) -> Queue {
        let waiting =
            Waiting { bytes: vec![Vec::new(); runs], taken: vec![false; runs], runs: VecDeque::new(), ended: false };
        Queue { waiting: Mutex::new(waiting), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, run: usize, bytes: &[u8]) {
        let mut waiting = self.lock();
        waiting.bytes[run].extend_from_slice(bytes);
        if !std::mem::replace(&mut waiting.taken[run], true) {
            waiting.runs.push_back(run);
            self.changed.notify_one();
        }
    }

    fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// The next executor, with all that waits for it in `documents`; `None` when there will be no more.
    fn next(&self, documents: &mut Vec<u8>) -> Option<usize> {
        let mut waiting = self.lock();
        loop {
            if let Some(run) = waiting.runs.pop_front() {
                std::mem::swap(&mut waiting.bytes[run], documents);
                return Some(run);
            }
            if waiting.ended {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Its post was answered. If more has come meanwhile it stands in line again, and whoever says this comes for the next.
    fn answered(&self, run: usize) {
        let mut waiting = self.lock();
        waiting.taken[run] = !waiting.bytes[run].is_empty();
        if waiting.taken[run] {
            waiting.runs.push_back(run);
        }
    }
}

/// Posts what waits, on one connection.
fn work(queue: &Queue, server: &Server) {
    let mut stream = limits::connect(server.port);
    let (mut documents, mut request) = (Vec::new(), Vec::new());
    while let Some(run) = queue.next(&mut documents) {
        make_request(&documents, &server.token, &mut request);
        limits::exchange(&mut stream, &request);
        documents.clear();
        queue.answered(run);
    }
}

/// The hosts out of all documents, in one.
fn make_request(documents: &[u8], token: &str, request: &mut Vec<u8>) {
    let (lines, rest) = documents.as_chunks::<SHORT_BYTES>();
    assert!(rest.is_empty(), "a read tore a document apart");
    let host = LINE_HEAD.len()..SHORT_BYTES - LINE_TAIL.len();
    // A comma after each host but the last.
    let body_bytes = LINE_HEAD.len() + lines.len() * (host.len() + 1) - 1 + "]}".len();
    request.clear();
    request.extend_from_slice(limits::head(token, body_bytes).as_bytes());
    request.extend_from_slice(LINE_HEAD.as_bytes());
    for (number, line) in lines.iter().enumerate() {
        if number > 0 {
            request.push(b',');
        }
        request.extend_from_slice(&line[host.clone()]);
    }
    request.extend_from_slice(b"]}");
}
