//! One deadline for each thing that may be waited for. Knows no clock: it is asked what is due at a given time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::event::{PostId, RunId};

/// Everything that the engine waits for by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Dial again.
    Connect,
    /// The server has to say the next word of the handshake.
    Handshake,
    /// Ask the server for a sign of life.
    Ping,
    /// The sign of life is overdue.
    Pong,
    /// The Engine.IO ping that the server promised is overdue.
    Promise,
    /// The server's word for a status is overdue.
    Ack,
    /// The server has to answer LEAVE_AGENT.
    Leave,
    /// A requested stop has to come to its end.
    Stop,
    /// The turn ends: write what was read.
    Write,
    /// Start the next run that waits.
    Begin,
    /// A post is out for long.
    SlowPost,
    /// Try a disk that took nothing again.
    Disk,
    /// Bring to the disk what was written.
    Sync,
    /// `timeout_s` of a run.
    RunTimeout(RunId),
    /// A run that was told to end gets SIGKILL.
    RunKill(RunId),
    /// The pipes of an executor that has ended are still open.
    RunDrain(RunId),
    /// Try again to make the run's journal, or to start its process.
    Start(RunId),
    /// The run has ended; what still waits for the server now is late.
    Grace(RunId),
    /// What the run's workspaces have to tell may be told again.
    News(RunId),
    /// Try the post again.
    Post(PostId),
}

/// The deadlines, on the scale of `Now::up`.
#[derive(Debug, Default)]
pub struct Timers {
    deadlines: BTreeMap<Timer, Duration>,
    order: BTreeSet<(Duration, Timer)>,
}

impl Timers {
    /// Sets `timer`, in place of what it was set to before.
    pub fn set(&mut self, timer: Timer, deadline: Duration) {
        self.clear(timer);
        self.deadlines.insert(timer, deadline);
        self.order.insert((deadline, timer));
    }

    /// Sets `timer`, unless it comes earlier already.
    pub fn hasten(&mut self, timer: Timer, deadline: Duration) {
        if self.deadlines.get(&timer).is_none_or(|set| *set > deadline) {
            self.set(timer, deadline);
        }
    }

    pub fn clear(&mut self, timer: Timer) {
        if let Some(deadline) = self.deadlines.remove(&timer) {
            self.order.remove(&(deadline, timer));
        }
    }

    pub fn is_set(&self, timer: Timer) -> bool {
        self.deadlines.contains_key(&timer)
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Duration> {
        self.order.first().map(|(deadline, _)| *deadline)
    }

    /// Takes out the earliest timer that is due at `up`.
    pub fn pop_due(&mut self, up: Duration) -> Option<Timer> {
        let &(deadline, timer) = self.order.first()?;
        if deadline > up {
            return None;
        }
        self.clear(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn timers_come_in_the_order_of_their_deadlines() {
        let mut timers = Timers::default();
        timers.set(Timer::Ping, 3 * SECOND);
        timers.set(Timer::Connect, SECOND);
        timers.set(Timer::Stop, 2 * SECOND);
        assert_eq!(timers.next(), Some(SECOND));
        assert_eq!(timers.pop_due(2 * SECOND), Some(Timer::Connect));
        assert_eq!(timers.pop_due(2 * SECOND), Some(Timer::Stop));
        assert_eq!(timers.pop_due(2 * SECOND), None);
        assert!(timers.is_set(Timer::Ping));
    }

    #[test]
    fn setting_again_replaces_and_clearing_removes() {
        let mut timers = Timers::default();
        timers.set(Timer::Ping, SECOND);
        timers.set(Timer::Ping, 5 * SECOND);
        assert_eq!(timers.next(), Some(5 * SECOND));
        timers.clear(Timer::Ping);
        assert_eq!(timers.next(), None);
    }
}
