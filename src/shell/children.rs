//! The executors' processes: started in groups of their own, read from without blocking, killed as groups, reaped last.
//! Knows nothing of why; the engine says when.
//!
//! What an executor starts and leaves behind becomes a child too: `orphans`.
//!
//! The exit of a child and the end of its pipes are independent (a grandchild may hold them), so both are reported. An exit is
//! seen without reaping: the zombie keeps the group's number ours until the engine releases the run.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

use mio::unix::pipe::Receiver;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use crate::engine::event::{Exit, Kill, REAL_TIME_SIGNAL, RunId, Spawn};
use crate::engine::note::Group;
use crate::official;

use super::guard::Guard;
use super::launch::{self, Launched};
use super::leftover;
use super::orphans::Orphans;
use super::processes::{INSTANCE_VARIABLE, Process, RUN_VARIABLE};

/// Which of a child's pipes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipe {
    Stdout,
    Stderr,
}

/// What one read from a pipe gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Got {
    /// Drained is a pipe that is empty now and of which the next readiness tells when to read again.
    Bytes {
        bytes: usize,
        is_drained: bool,
    },
    /// Nothing at present; the next readiness tells.
    Nothing,
    End,
}

/// The reading end of a pipe.
#[derive(Debug)]
struct Stream {
    pipe: Receiver,
    /// Nobody can write any more, and this is not told again: it has to be read to its end.
    is_hung_up: bool,
}

impl Stream {
    /// Spares the read that finds nothing: one that does not fill the buffer has emptied the pipe, epoll(7).
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
        Ok(match self.pipe.read(buffer)? {
            0 => Got::End,
            bytes => Got::Bytes { bytes, is_drained: bytes < buffer.len() && !self.is_hung_up },
        })
    }
}

#[derive(Debug)]
struct Child {
    run: RunId,
    /// Its process, and its group.
    pid: Pid,
    stdout: Option<Stream>,
    stderr: Option<Stream>,
    /// False while the engine wants no output.
    wanted: bool,
    exited: bool,
}

impl Child {
    fn stream(&mut self, pipe: Pipe) -> &mut Option<Stream> {
        match pipe {
            Pipe::Stdout => &mut self.stdout,
            Pipe::Stderr => &mut self.stderr,
        }
    }
}

/// All children, in slots whose numbers make the tokens: two for each slot, from `first_token` on.
#[derive(Debug)]
pub struct Children {
    slots: Vec<Option<Child>>,
    free: Vec<usize>,
    by_run: HashMap<RunId, usize>,
    first_token: usize,
    /// This program's own file, for executors that call it.
    own_path: PathBuf,
    /// The mark of this agent's processes.
    instance: String,
    orphans: Orphans,
    guard: Guard,
}

impl Children {
    /// No children yet, but the guard. `instance` marks what they start.
    pub fn new(first_token: usize, own_path: PathBuf, instance: String) -> Children {
        let orphans = Orphans::adopt();
        let guard = Guard::start(own_path.clone(), instance.clone());
        let (slots, free, by_run) = (Vec::new(), Vec::new(), HashMap::new());
        Children { slots, free, by_run, first_token, own_path, instance, orphans, guard }
    }

    /// Starts `/bin/sh -c` with the command in a process group of its own. Its pipes are ready to be read under their tokens.
    pub fn spawn(&mut self, spawn: &Spawn, registry: &Registry) -> io::Result<Group> {
        let number = spawn.run.to_string();
        let own = [
            (OsStr::new(official::AGENT_VARIABLE), self.own_path.as_os_str()),
            (OsStr::new(RUN_VARIABLE), OsStr::new(&number)),
            (OsStr::new(INSTANCE_VARIABLE), OsStr::new(&self.instance)),
        ];
        let env = spawn.env.iter().map(|(name, value)| (OsStr::new(name), OsStr::new(value.reveal())));
        let launched = launch::shell(&spawn.command, own.into_iter().chain(env))?;
        let pid = launched.pid;
        if let Err(error) = self.adopt(spawn.run, launched, registry) {
            // A child whose output nobody can read must not live.
            let _ = killpg(pid, Signal::SIGKILL);
            let _ = waitpid(pid, None);
            return Err(error);
        }
        let id = pid.as_raw();
        self.orphans.except(id);
        // Without /proc its birth is not known; then its number has to do.
        let leader = Process::find(id);
        self.guard.add(id, leader.map_or(0, |leader| leader.born));
        Ok(Group { id, birth: leader.map(|leader| leader.birth()).unwrap_or_default() })
    }

    fn adopt(&mut self, run: RunId, launched: Launched, registry: &Registry) -> io::Result<()> {
        debug_assert!(!self.by_run.contains_key(&run), "a run has one child at a time");
        let mut stdout = Receiver::from(launched.stdout);
        let mut stderr = Receiver::from(launched.stderr);
        stdout.set_nonblocking(true)?;
        stderr.set_nonblocking(true)?;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        let registered = registry
            .register(&mut stdout, self.token(slot, Pipe::Stdout), Interest::READABLE)
            .and_then(|()| registry.register(&mut stderr, self.token(slot, Pipe::Stderr), Interest::READABLE));
        if let Err(error) = registered {
            self.free.push(slot);
            return Err(error);
        }
        let [stdout, stderr] = [stdout, stderr].map(|pipe| Some(Stream { pipe, is_hung_up: false }));
        self.by_run.insert(run, slot);
        self.slots[slot] = Some(Child { run, pid: launched.pid, stdout, stderr, wanted: true, exited: false });
        Ok(())
    }

    fn token(&self, slot: usize, pipe: Pipe) -> Token {
        Token(self.first_token + 2 * slot + usize::from(pipe == Pipe::Stderr))
    }

    fn place(&self, token: Token) -> Option<(usize, Pipe)> {
        let index = token.0.checked_sub(self.first_token)?;
        Some((index / 2, if index.is_multiple_of(2) { Pipe::Stdout } else { Pipe::Stderr }))
    }

    /// Nobody can write into this pipe any more.
    pub fn on_hang_up(&mut self, token: Token) {
        let Some((slot, pipe)) = self.place(token) else { return };
        let child = self.slots.get_mut(slot).and_then(Option::as_mut);
        if let Some(stream) = child.and_then(|child| child.stream(pipe).as_mut()) {
            stream.is_hung_up = true;
        }
    }

    /// The token of a run's pipe, as long as it has a child.
    pub fn token_of(&self, run: RunId, pipe: Pipe) -> Option<Token> {
        self.by_run.get(&run).map(|slot| self.token(*slot, pipe))
    }

    /// Whether its child has ended and is not released yet.
    pub fn has_exited(&self, run: RunId) -> bool {
        let slot = self.by_run.get(&run).and_then(|slot| self.slots[*slot].as_ref());
        slot.is_some_and(|child| child.exited)
    }

    /// The pipe behind a token, unless it is gone or not wanted at present.
    pub fn wanted(&self, token: Token) -> Option<(RunId, Pipe)> {
        let (slot, pipe) = self.place(token)?;
        let child = self.slots.get(slot)?.as_ref()?;
        (pipe == Pipe::Stderr || child.wanted).then_some((child.run, pipe))
    }

    /// Reads once from a pipe; at its end, closes it.
    pub fn read(&mut self, run: RunId, pipe: Pipe, buffer: &mut [u8]) -> Got {
        let Some(child) = self.child(run) else {
            return Got::Nothing;
        };
        let has_exited = child.exited;
        let Some(stream) = child.stream(pipe) else {
            return Got::Nothing;
        };
        loop {
            match stream.read(buffer) {
                Ok(Got::End) => break,
                // Of a pipe of packets (O_DIRECT, pipe(2)) a read gives one: what is left is not told when nobody writes more.
                Ok(Got::Bytes { bytes, .. }) if has_exited => return Got::Bytes { bytes, is_drained: false },
                Ok(got) => return got,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Got::Nothing,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    log::error!("run {run}: reading its output failed: {error}");
                    break;
                }
            }
        }
        *child.stream(pipe) = None;
        Got::End
    }

    /// Whether the engine wants the run's output. Gives the token to read from at once when it does again: the readiness that
    /// came meanwhile is spent.
    pub fn want(&mut self, run: RunId, wanted: bool) -> Option<Token> {
        let slot = *self.by_run.get(&run)?;
        self.child(run)?.wanted = wanted;
        wanted.then(|| self.token(slot, Pipe::Stdout))
    }

    /// To the whole process group, and to those of the run who left it and their parents; a group that is gone is no error.
    pub fn kill(&mut self, run: RunId, kill: Kill) {
        let Some(child) = self.child(run) else { return };
        let group = child.pid;
        let signals: &[Signal] = match kill {
            Kill::Gently => &[Signal::SIGTERM, Signal::SIGCONT],
            Kill::AtOnce => &[Signal::SIGKILL],
        };
        for signal in signals {
            let _ = killpg(group, *signal);
            self.orphans.signal(run, *signal);
        }
    }

    /// Executors that have ended since the last call. One SIGCHLD may stand for several, so every child is asked.
    pub fn exited(&mut self) -> Vec<(RunId, Exit)> {
        self.orphans.on_change();
        let mut exits = Vec::new();
        for child in self.slots.iter_mut().flatten().filter(|child| !child.exited) {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
            let exit = match waitid(Id::Pid(child.pid), flags) {
                Ok(WaitStatus::Exited(_, code)) => Exit::Code(code),
                Ok(WaitStatus::Signaled(_, signal, _)) => Exit::Signal(signal as i32),
                Ok(_) => continue,
                // nix knows no real-time signals; nothing else makes waitid(2) say so.
                Err(Errno::EINVAL) => Exit::Signal(REAL_TIME_SIGNAL),
                Err(error) => {
                    log::error!("run {}: waiting for its process failed: {error}", child.run);
                    Exit::Code(-1)
                }
            };
            child.exited = true;
            exits.push((child.run, exit));
        }
        exits
    }

    /// Ends what an earlier agent left behind; before anything is started.
    pub fn end_leftovers(&self, groups: &[(RunId, Group)]) {
        leftover::end(groups, &self.instance);
    }

    /// When to call `tend`, from now on.
    pub fn tend_in(&self) -> Option<Duration> {
        self.orphans.look_in()
    }

    /// Looks after those whom no run waits for: orphans, and the guard.
    pub fn tend(&mut self) {
        if self.orphans.look_in() == Some(Duration::ZERO) {
            self.guard.tend();
            self.orphans.look(&mut self.guard, |run| !self.by_run.contains_key(&run));
        }
    }

    /// Closes what is left of the child's pipes and reaps it. It has ended, and what it left behind ends now.
    pub fn release(&mut self, run: RunId) {
        let Some(slot) = self.by_run.remove(&run) else { return };
        let Some(child) = self.slots[slot].take() else {
            return;
        };
        debug_assert!(child.exited, "only a child that has ended is released");
        self.guard.remove(child.pid.as_raw());
        if let Err(error) = waitpid(child.pid, None)
            && error != Errno::EINVAL
        {
            log::error!("run {run}: reaping its process failed: {error}");
        }
        self.orphans.forget(child.pid.as_raw());
        self.orphans.on_change();
        self.free.push(slot);
    }

    /// Kills every process that is still there; for the end of the program.
    pub fn kill_all(&mut self) {
        for child in self.slots.iter().flatten() {
            let _ = killpg(child.pid, Signal::SIGKILL);
        }
        self.orphans.end_all(&self.guard);
    }

    fn child(&mut self, run: RunId) -> Option<&mut Child> {
        let slot = *self.by_run.get(&run)?;
        self.slots[slot].as_mut()
    }
}
