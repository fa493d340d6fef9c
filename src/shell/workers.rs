//! A few threads for what blocks: posts on a small pool, dialling and syncing on threads of their own so that a server that lets
//! posts hang cannot hold up the command channel, nor a slow disk the posts. Results come back through one inbox; the reactor is woken for each.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use mio::Waker;

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

/// Where workers put results.
#[derive(Clone)]
struct Inbox {
    results: Sender<Done>,
    waker: Arc<Waker>,
}

impl Inbox {
    fn put(&self, done: Done) {
        // Both fail only when the reactor is gone, and then nobody wants the result.
        let _ = self.results.send(done);
        let _ = self.waker.wake();
    }
}

pub struct Workers {
    jobs: Sender<Job>,
    inbox: Inbox,
}

impl Workers {
    /// Starts `count` threads for posts. The receiver gives what they and the other threads have done.
    pub fn start(count: usize, waker: Waker) -> io::Result<(Workers, Receiver<Done>)> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (results, done) = mpsc::channel();
        let inbox = Inbox { results, waker: Arc::new(waker) };
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..count {
            let (queue, inbox) = (queue.clone(), inbox.clone());
            spawn("post", move || {
                while let Some(job) = next_job(&queue) {
                    inbox.put(job());
                }
            })?;
        }
        Ok((Workers { jobs, inbox }, done))
    }

    /// Runs a job on the pool.
    pub fn post(&self, job: impl FnOnce() -> Done + Send + 'static) {
        // The pool's threads live as long as the sender does.
        let _ = self.jobs.send(Box::new(job));
    }

    /// Runs a job on a thread of its own, which has this name.
    pub fn alone(&self, name: &str, job: impl FnOnce() -> Done + Send + 'static) -> io::Result<()> {
        let inbox = self.inbox.clone();
        spawn(name, move || inbox.put(job()))
    }
}

fn next_job(queue: &Mutex<Receiver<Job>>) -> Option<Job> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(work).map(drop)
}
