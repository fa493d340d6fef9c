//! A few threads for what blocks: posts on a small pool, dialling and syncing on threads of their own so that a server that lets
//! posts hang cannot hold up the command channel, nor a slow disk the posts. Results come back through one inbox, for which the
//! reactor is woken.
//!
//! With a thousand executors there are tens of thousands of posts a second, and each thread that is woken for one costs more
//! than it sends: whoever has work left is not woken, be it a worker or the reactor.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use mio::Waker;

use crate::bounds::POSTS_AT_ONCE_MAX;
use crate::engine::event::{Failure, Posted};

use crate::config::settings::Secret;

use super::server::Connection;

/// A worker's stack: its buffers are on the heap.
const STACK_BYTES: usize = 256 << 10;

/// What a worker has done.
pub enum Done {
    Connected(Result<Box<Connection>, Failure>),
    Token(Result<Secret, Failure>),
    Posted(Posted),
    Synced(Result<(), String>),
}

type Job = Box<dyn FnOnce() -> Done + Send>;

/// Jobs for the pool, in the order in which they came.
#[derive(Default)]
struct Line {
    waiting: Mutex<Waiting>,
    arrival: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// Threads that have nothing to do. Without one there is nobody to wake, which would be a system call all the same.
    idle: usize,
    /// How many threads there are, and are to be.
    threads: usize,
    threads_wanted: usize,
}

impl Line {
    fn push(&self, job: Job) {
        let mut waiting = self.lock();
        waiting.jobs.push_back(job);
        if waiting.idle > 0 {
            self.arrival.notify_one();
        }
    }

    /// `None` is the end of the thread that asks: there are more than are wanted.
    fn pop(&self) -> Option<Job> {
        let mut waiting = self.lock();
        loop {
            if waiting.threads > waiting.threads_wanted {
                waiting.threads -= 1;
                return None;
            }
            if let Some(job) = waiting.jobs.pop_front() {
                return Some(job);
            }
            waiting.idle += 1;
            waiting = self.arrival.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            waiting.idle -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where workers put results.
#[derive(Clone)]
struct Inbox {
    results: Sender<Done>,
    waker: Arc<Waker>,
    is_woken: Arc<AtomicBool>,
}

impl Inbox {
    fn put(&self, done: Done) {
        // Both fail only when the reactor is gone, and then nobody wants the result.
        let _ = self.results.send(done);
        if !self.is_woken.swap(true, Ordering::AcqRel) {
            let _ = self.waker.wake();
        }
    }
}

/// What workers have done, for the reactor.
pub struct Results {
    done: Receiver<Done>,
    is_woken: Arc<AtomicBool>,
}

impl Results {
    /// The reactor was woken. What comes from now on wakes it again; until it looks, nothing does.
    pub fn on_woken(&self) {
        // Not a store: whoever found that the reactor was woken has to have put his result before this.
        self.is_woken.swap(false, Ordering::AcqRel);
    }

    /// The next one that is there.
    pub fn next(&self) -> Option<Done> {
        self.done.try_recv().ok()
    }
}

pub struct Workers {
    line: Arc<Line>,
    inbox: Inbox,
}

impl Workers {
    /// Starts the threads for posts.
    pub fn start(waker: Waker) -> io::Result<(Workers, Results)> {
        let (results, done) = mpsc::channel();
        let is_woken = Arc::new(AtomicBool::new(false));
        let inbox = Inbox { results, waker: Arc::new(waker), is_woken: is_woken.clone() };
        let workers = Workers { line: Arc::new(Line::default()), inbox };
        workers.resize(POSTS_AT_ONCE_MAX)?;
        Ok((workers, Results { done, is_woken }))
    }

    /// So many threads are to take posts from now on. Those that are too many end when they are done with what they have.
    pub fn resize(&self, threads: usize) -> io::Result<()> {
        let missing = {
            let mut waiting = self.line.lock();
            waiting.threads_wanted = threads;
            threads.saturating_sub(waiting.threads)
        };
        self.line.arrival.notify_all();
        for _ in 0..missing {
            self.line.lock().threads += 1;
            let (line, inbox) = (self.line.clone(), self.inbox.clone());
            let work = move || {
                while let Some(job) = line.pop() {
                    inbox.put(job());
                }
            };
            spawn("post", work).inspect_err(|_| self.line.lock().threads -= 1)?;
        }
        Ok(())
    }

    /// Runs a job on the pool.
    pub fn post(&self, job: impl FnOnce() -> Done + Send + 'static) {
        self.line.push(Box::new(job));
    }

    /// Runs a job on a thread of its own, which has this name.
    pub fn alone(&self, name: &str, job: impl FnOnce() -> Done + Send + 'static) -> io::Result<()> {
        let inbox = self.inbox.clone();
        spawn(name, move || inbox.put(job()))
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(work).map(drop)
}
