//! What the engine wants done: now (actions, in order), later (timers) and said (statuses). Every part of the engine writes into one agenda,
//! so that a decision is a line of code where it is made; nobody but the engine's owner reads it.

use std::collections::VecDeque;
use std::time::Duration;

use super::backoff::{Backoff, Random};
use super::event::{Action, Now};
use super::outbox::Outbox;
use super::timers::{Timer, Timers};

#[derive(Debug)]
pub struct Agenda {
    /// When the event came that is being handled.
    pub now: Now,
    pub timers: Timers,
    pub actions: VecDeque<Action>,
    pub outbox: Outbox,
    /// Between SIGTERM and SIGKILL.
    pub stop_grace: Duration,
    random: Random,
}

impl Agenda {
    pub fn new(now: Now, seed: u64, stop_grace: Duration) -> Agenda {
        Agenda {
            now,
            timers: Timers::default(),
            actions: VecDeque::new(),
            outbox: Outbox::new(),
            stop_grace,
            random: Random::new(seed),
        }
    }

    pub fn act(&mut self, action: Action) {
        self.actions.push_back(action);
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
