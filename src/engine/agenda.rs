//! What the engine wants done: now (actions, in order), later (timers) and said (statuses). Every part of the engine writes into one agenda,
//! so that a decision is a line of code where it is made; nobody but the engine's owner reads it.

use std::collections::VecDeque;
use std::time::Duration;

use super::Profile;
use super::backoff::{Backoff, Random};
use super::disk::Disk;
use super::event::{Action, Now, RunId};
use super::outbox::Outbox;
use super::timers::{Timer, Timers};

#[derive(Debug)]
pub struct Agenda {
    /// When the event came that is being handled.
    pub now: Now,
    pub timers: Timers,
    pub actions: VecDeque<Action>,
    pub outbox: Outbox,
    pub disk: Disk,
    /// Between SIGTERM and SIGKILL.
    pub stop_grace: Duration,
    /// From the end of an executor until the server is told that something still waits for it.
    pub delivery_grace: Duration,
    /// What the server has not taken for this long is set aside.
    pub retry_max: Duration,
    random: Random,
}

impl Agenda {
    pub fn new(now: Now, profile: &Profile) -> Agenda {
        Agenda {
            now,
            timers: Timers::default(),
            actions: VecDeque::new(),
            outbox: Outbox::new(),
            disk: Disk::new(profile.disk),
            stop_grace: profile.stop_grace,
            delivery_grace: profile.delivery_grace,
            retry_max: profile.retry_max,
            random: Random::new(profile.seed),
        }
    }

    pub fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    /// The run has something to write into its journal.
    pub fn write(&mut self, run: RunId) {
        self.disk.want(run, self.now.up, &mut self.timers);
    }

    /// Sets `timer` to `pause` from now.
    pub fn after(&mut self, pause: Duration, timer: Timer) {
        self.timers.set(timer, self.now.up.saturating_add(pause));
    }

    /// Sets `timer` to the next pause of `backoff`, or to `at_least` if that is longer; gives the pause.
    pub fn back_off(&mut self, backoff: &mut Backoff, at_least: Duration, timer: Timer) -> Duration {
        let pause = backoff.pause(&mut self.random).max(at_least);
        self.after(pause, timer);
        pause
    }
}
