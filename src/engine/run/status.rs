//! What the server is told of a run, and when. The words of its end are `verdict`'s.

use std::time::Duration;

use crate::engine::agenda::Agenda;
use crate::engine::timers::Timer;
use crate::engine::verdict;
use crate::proto::message::RunStatus;

use super::{Run, Stage};

/// What workspaces have to tell is told so often at most; each status names all executions of the run.
const NEWS_EVERY: Duration = Duration::from_secs(1);

impl Run {
    fn status(&self, running: bool, successful: Option<bool>, message: String) -> RunStatus {
        RunStatus {
            execution_ids: self.execution_ids.clone(),
            executor_name: self.executor.name.clone(),
            running,
            successful,
            message,
        }
    }

    /// Tells the server how the run stands; also for a server that may have taken it for dead.
    pub fn tell_present(&self, agenda: &mut Agenda) {
        let pause = self.pause_words(agenda);
        // A run whose journal is there, or knows of its end, within this turn has more to tell then.
        let is_opening = self.stage == Stage::Opening && pause.is_none() && self.failure.is_none();
        if self.is_told() || self.is_settled() || is_opening {
            return;
        }
        let status = self.present_status(pause.as_deref());
        agenda.outbox.push(self.id, status);
    }

    /// A workspace has something to tell. A thousand of them have it at once, so that it is told with a pause in between.
    pub fn on_delivery_news(&mut self, agenda: &mut Agenda) {
        self.has_news = true;
        if !agenda.timers.is_set(Timer::News(self.id)) {
            self.tell_news(agenda);
        }
    }

    pub(super) fn tell_news(&mut self, agenda: &mut Agenda) {
        if std::mem::take(&mut self.has_news) {
            self.tell_present(agenda);
            agenda.after(NEWS_EVERY, Timer::News(self.id));
        }
    }

    fn present_status(&self, pause: Option<&str>) -> RunStatus {
        if self.is_late {
            return self.status(false, Some(false), verdict::waiting(self));
        }
        let executor = format!("Executor {} from {}", self.executor.name, self.agent_name);
        let message = match (self.stage, pause, &self.failure) {
            (Stage::Settling, ..) => verdict::delivering(self),
            (_, Some(words), _) => format!("{executor} is paused: {words}; it goes on when there is room"),
            (Stage::Waiting, ..) => format!("{executor} waits for a place: max_concurrent_runs are running"),
            (_, _, Some(words)) => format!("{executor} waits: {words}; it is tried again"),
            _ => format!("Running {} executor from {} agent", self.executor.name, self.agent_name),
        };
        self.status(true, None, message + &verdict::troubles(self))
    }

    /// The executor has ended a while ago, and something still waits for the server.
    pub(super) fn on_grace_over(&mut self, agenda: &mut Agenda) {
        if self.stage == Stage::Settling {
            self.is_late = true;
            log::warn!("run {}: {}", self.id, verdict::waiting(self));
            self.tell_present(agenda);
        }
    }

    /// The last status of a run that the agent has to leave behind.
    pub fn tell_abandoned(&self, agenda: &mut Agenda) {
        let status = self.status(false, Some(false), verdict::abandoned(self, self.pause_words(agenda)));
        log::error!("run {}: {}", self.id, status.message);
        agenda.outbox.push(self.id, status);
    }

    /// Everything is settled: how it went.
    pub(super) fn tell_last(&mut self, agenda: &mut Agenda) {
        let (successful, message) = verdict::verdict(self);
        let level = if successful { log::Level::Info } else { log::Level::Warn };
        log::log!(level, "run {}: {message}", self.id);
        agenda.outbox.push_last(self.id, self.status(false, Some(successful), message));
        agenda.timers.clear(Timer::Grace(self.id));
        self.stage = Stage::Told;
    }
}
