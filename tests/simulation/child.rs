//! The processes of runs: each plays its script, writes into a pipe that the agent may or may not read, and takes signals. Tells
//! the agent nothing that it did not ask for, and insists on being released once.

use std::collections::VecDeque;
use std::time::Duration;

use faraday_agent::engine::event::{Event, Exit, Kill, RunId};

use super::script::{Holder, Script, Step};
use super::world::{Happening, World};

/// A pipe takes no more.
const PIPE_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub struct Child {
    pub serial: u64,
    pub is_check: bool,
    pub started: Duration,
    steps: VecDeque<Step>,
    ignores_term: bool,
    holder: Option<Holder>,
    /// Until when somebody else holds the pipes.
    held_until: Option<Duration>,
    pipe: VecDeque<u8>,
    stdout_closed: bool,
    pub wanted: bool,
    pub exit: Option<Exit>,
    exit_told: bool,
    stdout_end_told: bool,
    stderr_end_told: bool,
}

impl Child {
    pub fn new(serial: u64, script: Script, is_check: bool, started: Duration) -> Child {
        Child {
            serial,
            is_check,
            started,
            steps: script.steps.into(),
            ignores_term: script.ignores_term,
            holder: script.holder,
            held_until: None,
            pipe: VecDeque::new(),
            stdout_closed: false,
            wanted: true,
            exit: None,
            exit_told: false,
            stdout_end_told: false,
            stderr_end_told: false,
        }
    }

    fn pipes_held(&self, now: Duration) -> bool {
        self.exit.is_none() || self.held_until.is_some_and(|until| until > now)
    }

    fn exits(&mut self, exit: Exit, now: Duration) {
        self.exit = Some(exit);
        self.steps.clear();
        self.held_until = self.holder.map(|holder| now + holder.lasts);
    }

    /// Whether its executor lives and nobody has told it to end.
    pub fn lives(&self) -> bool {
        self.exit.is_none()
    }

    /// Plays the next step; gives when the one after it comes.
    fn step(&mut self, now: Duration) -> Option<Duration> {
        match self.steps.pop_front()? {
            Step::Print(bytes) if self.pipe.len() + bytes.len() > PIPE_BYTES && !self.pipe.is_empty() => {
                self.steps.push_front(Step::Print(bytes));
                return Some(Duration::from_millis(500));
            }
            Step::Print(bytes) => self.pipe.extend(bytes),
            Step::Wait(pause) => return Some(pause),
            Step::CloseStdout => self.stdout_closed = true,
            Step::Complain => {}
            Step::Exit(exit) => self.exits(exit, now),
        }
        Some(Duration::ZERO)
    }
}

impl World {
    pub fn child_steps(&mut self, run: RunId, serial: u64) {
        let now = self.now;
        let Some(child) = self.children.get_mut(&run).filter(|child| child.serial == serial) else { return };
        let complains = matches!(child.steps.front(), Some(Step::Complain));
        if let Some(pause) = child.step(now) {
            self.later(pause, Happening::Child(run, serial));
        }
        if complains {
            self.tell(Event::Complaint { run, bytes: b"something is odd\n" });
        }
        self.child_changed(run, serial);
    }

    /// Whatever the agent can see of it now, it will see soon.
    pub fn child_changed(&mut self, run: RunId, serial: u64) {
        let pause = self.random.millis(0, 5);
        self.later(pause, Happening::Readable(run, serial));
    }

    /// One thing that the agent can see of a child: its exit, bytes, or the end of a pipe.
    pub fn child_readable(&mut self, run: RunId, serial: u64) {
        let now = self.now;
        let Some(child) = self.children.get_mut(&run).filter(|child| child.serial == serial) else { return };
        if let Some(exit) = child.exit.filter(|_| !child.exit_told) {
            child.exit_told = true;
            let is_check = child.is_check;
            self.child_changed(run, serial);
            let job = self.jobs.iter_mut().find(|job| job.run == Some(run) && !is_check);
            job.into_iter().for_each(|job| job.exit = Some(exit));
            return self.tell(Event::Exited { run, exit });
        }
        let (held, ended) = (child.pipes_held(now), child.stdout_closed || !child.pipes_held(now));
        if child.wanted && !child.pipe.is_empty() {
            let most = self.random.pick(&[100, 4096, 65_536]).min(child.pipe.len());
            let bytes: Vec<u8> = child.pipe.drain(..most).collect();
            self.child_changed(run, serial);
            return self.read(run, &bytes);
        }
        if child.wanted && child.pipe.is_empty() && ended && !child.stdout_end_told {
            child.stdout_end_told = true;
            self.child_changed(run, serial);
            return self.tell(Event::OutputEnded { run });
        }
        if !held && !child.stderr_end_told {
            child.stderr_end_told = true;
            return self.tell(Event::ComplaintsEnded { run });
        }
        if let Some(until) = child.held_until.filter(|until| *until > now) {
            self.later(until - now, Happening::Readable(run, serial));
        }
    }

    fn read(&mut self, run: RunId, bytes: &[u8]) {
        let job = self.jobs.iter_mut().find(|job| job.run == Some(run)).expect("a run of some job");
        job.unwritten += bytes.len();
        self.stats.bytes += bytes.len() as u64;
        self.tell(Event::Output { run, bytes });
    }

    pub fn child_signalled(&mut self, run: RunId, signal: Kill) {
        let now = self.now;
        let child = self.children.get_mut(&run).unwrap_or_else(|| panic!("run {run}: a signal to nobody"));
        let (is_killed, number) = (signal == Kill::AtOnce, if signal == Kill::AtOnce { 9 } else { 15 });
        if child.exit.is_none() && (is_killed || !child.ignores_term) {
            child.exits(Exit::Signal(number), now);
        }
        if child.holder.is_some_and(|holder| holder.is_of_group) && (is_killed || !child.ignores_term) {
            child.held_until = None;
        }
        let serial = child.serial;
        self.child_changed(run, serial);
    }

    pub fn child_released(&mut self, run: RunId) {
        let child = self.children.remove(&run).unwrap_or_else(|| panic!("run {run}: released twice"));
        assert!(child.exit_told, "run {run}: released before it was known to have ended");
    }
}
