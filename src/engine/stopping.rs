//! How the agent ends: at a signal it ends its executors, delivers what they found, tells the server and leaves; all of that in a
//! bounded time. What is not delivered then stays in its journal for the next start.

use std::time::Duration;

use super::Engine;
use super::event::{Action, RunId};
use super::run::Cause;
use super::timers::Timer;

/// A requested stop waits this long for deliveries and last statuses after the grace that executors get.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// After a second signal; and when nothing but last statuses waits, for a link that is down.
const STOP_HURRIED_WITHIN: Duration = Duration::from_secs(5);

impl Engine {
    /// Goes as soon as the server has been told everything; a link that is down is given a little time to come back.
    pub(super) fn leave(&mut self, signal: &str) {
        if self.agenda.outbox.is_empty() || self.out_of_time {
            let news = self.session.leave(&format!("{signal} received"), &mut self.agenda);
            self.on_news(news);
        } else if !self.session.is_joined() {
            self.agenda.timers.hasten(Timer::Stop, self.agenda.now.up + STOP_HURRIED_WITHIN);
        }
    }

    pub(super) fn on_stop(&mut self, signal: &'static str) {
        if self.stopping.is_none() {
            let alive = self.runs.values().filter(|run| !run.is_told()).count();
            log::info!("{signal}: ending {alive} runs, delivering what they found, then leaving");
            self.stop(signal);
        } else {
            log::warn!("{signal} again: not waiting for executors any more");
            for run in self.runs.values_mut() {
                run.kill(&mut self.agenda);
            }
            self.agenda.timers.hasten(Timer::Stop, self.agenda.now.up + STOP_HURRIED_WITHIN);
        }
    }

    fn stop(&mut self, signal: &'static str) {
        self.stopping = Some(signal);
        self.places.close();
        self.agenda.after(self.agenda.stop_grace + STOP_WITHIN, Timer::Stop);
        self.posts.on_stop(&mut self.runs, &mut self.agenda);
        if !self.is_told() || !self.agenda.outbox.is_empty() {
            self.session.hurry(&mut self.agenda);
        }
        let ids: Vec<RunId> = self.runs.keys().copied().collect();
        for id in ids {
            if let Some(run) = self.runs.get_mut(&id) {
                run.end(Cause::Stopped(signal), &mut self.agenda);
            }
            self.on_run_changed(id);
        }
    }

    /// Whatever is not delivered stays in its journal. The server is told so, if it can be.
    pub(super) fn on_stop_due(&mut self) {
        self.out_of_time = true;
        for run in self.runs.values_mut() {
            run.note_troubles();
            run.write(&mut self.agenda);
        }
        for run in std::mem::take(&mut self.runs).into_values() {
            if !run.is_told() {
                run.tell_abandoned(&mut self.agenda);
            }
        }
    }

    pub(super) fn quit(&mut self) {
        if !self.agenda.outbox.is_empty() {
            log::error!("the server has not acknowledged {} statuses", self.agenda.outbox.len());
        }
        self.on_write_due();
        self.agenda.act(Action::Quit { code: self.exit_code });
    }
}
