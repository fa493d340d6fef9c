//! The process of a run's present stage: from its start over its end to the end of its pipes, which may be held by somebody who
//! outlives it. Asks for signals and sets the timers that lead to them; why a process has to end is the run's to know.

use std::sync::Arc;
use std::time::Duration;

use crate::config::settings::Secret;

use super::agenda::Agenda;
use super::event::{Action, Exit, Kill, RunId, Spawn};
use super::timers::Timer;

/// After a process has ended, its pipes are read to the end of file or for this long.
const DRAIN_WITHIN: Duration = Duration::from_secs(3);
/// After whoever holds the pipes was killed.
const DRAIN_FORCED_WITHIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Process {
    run: RunId,
    has_started: bool,
    exit: Option<Exit>,
    stdout_open: bool,
    stderr_open: bool,
    /// It was told to end, with its group.
    ending: bool,
    /// Its group got SIGKILL.
    killed: bool,
    leftover: Option<Leftover>,
}

/// Somebody outlived the process with its pipes open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// Of its group or with its run's mark, and killed.
    Killed,
    /// It has left the group and taken the mark off; the pipes were given up.
    Alive,
}

impl Process {
    /// Asks for `/bin/sh -c command`; `Timer::RunTimeout` comes after `limit`.
    pub fn start(
        run: RunId,
        command: &str,
        env: &Arc<[(String, Secret)]>,
        limit: Option<Duration>,
        agenda: &mut Agenda,
    ) -> Process {
        agenda.act(Action::Spawn(Spawn { run, command: command.to_owned(), env: env.clone() }));
        if let Some(limit) = limit {
            agenda.after(limit, Timer::RunTimeout(run));
        }
        Process {
            run,
            has_started: false,
            exit: None,
            stdout_open: true,
            stderr_open: true,
            ending: false,
            killed: false,
            leftover: None,
        }
    }

    /// It lives: from now on there is somebody to read from.
    pub fn on_started(&mut self) {
        self.has_started = true;
    }

    pub fn has_started(&self) -> bool {
        self.has_started
    }

    /// How it ended, once its pipes have ended too.
    pub fn done(&self) -> Option<Exit> {
        self.exit.filter(|_| !self.stdout_open && !self.stderr_open)
    }

    pub fn has_exited(&self) -> bool {
        self.exit.is_some()
    }

    pub fn leftover(&self) -> Option<Leftover> {
        self.leftover
    }

    /// Whether that was news.
    pub fn on_stdout_ended(&mut self) -> bool {
        std::mem::replace(&mut self.stdout_open, false)
    }

    pub fn on_stderr_ended(&mut self) {
        self.stderr_open = false;
    }

    pub fn on_exited(&mut self, exit: Exit, agenda: &mut Agenda) {
        self.exit = Some(exit);
        agenda.timers.clear(Timer::RunTimeout(self.run));
        // A group that was told to end has all of its grace, whoever of it goes first.
        if !agenda.timers.is_set(Timer::RunKill(self.run)) {
            agenda.after(DRAIN_WITHIN, Timer::RunDrain(self.run));
        }
    }

    /// Its pipes are still open. `reading` tells whether anybody reads from them at present. True if they are given up.
    pub fn on_drain_due(&mut self, reading: bool, agenda: &mut Agenda) -> bool {
        if !reading {
            agenda.after(DRAIN_WITHIN, Timer::RunDrain(self.run));
            return false;
        }
        if self.killed {
            log::warn!(
                "run {}: a process that has left its group and taken its mark off holds its output open; leaving it alone \
                 until this agent ends",
                self.run
            );
            self.leftover = Some(Leftover::Alive);
            return true;
        }
        log::warn!("run {}: a process that was left behind holds its output open; killing it", self.run);
        self.leftover = Some(Leftover::Killed);
        self.kill_group(agenda);
        false
    }

    /// SIGTERM to its group, and SIGKILL after `stop_grace`.
    pub fn end(&mut self, agenda: &mut Agenda) {
        if self.exit.is_none() {
            self.ending = true;
            agenda.act(Action::Kill { run: self.run, signal: Kill::Gently });
            agenda.after(agenda.stop_grace, Timer::RunKill(self.run));
        }
    }

    /// SIGKILL to its group; for `Timer::RunKill`, and for a grace that is cut short.
    pub fn kill(&mut self, agenda: &mut Agenda) {
        log::warn!("run {}: it did not end when asked to; killing it", self.run);
        agenda.timers.clear(Timer::RunKill(self.run));
        self.kill_group(agenda);
    }

    fn kill_group(&mut self, agenda: &mut Agenda) {
        self.killed = true;
        agenda.act(Action::Kill { run: self.run, signal: Kill::AtOnce });
        if self.exit.is_some() {
            agenda.after(DRAIN_FORCED_WITHIN, Timer::RunDrain(self.run));
        }
    }

    /// It is done with.
    pub fn release(self, agenda: &mut Agenda) {
        debug_assert!(self.exit.is_some());
        // Who is left of a group that was told to end has no part in its pipes, so nobody has waited for it.
        if self.ending && !self.killed {
            agenda.act(Action::Kill { run: self.run, signal: Kill::AtOnce });
        }
        for timer in [Timer::RunTimeout, Timer::RunKill, Timer::RunDrain] {
            agenda.timers.clear(timer(self.run));
        }
        agenda.act(Action::Release { run: self.run });
    }
}
