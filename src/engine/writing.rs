//! How journals are written: everything that a turn has read goes out at the turn's end, one write for each journal; as long as
//! the disk takes nothing, nothing is read, and from a run whose journal holds its share of the room neither.

use super::Engine;
use super::event::{Action, RunId};
use super::run::Run;
use super::timers::Timer;

impl Engine {
    /// The turn ends, or a disk that failed is tried again.
    pub(super) fn on_write_due(&mut self) {
        let runs = &self.runs;
        for id in self.agenda.disk.take_unwritten(|id| runs.get(&id).is_some_and(Run::makes_room)) {
            if let Some(run) = self.runs.get_mut(&id) {
                run.write(&mut self.agenda);
            }
        }
    }

    pub(super) fn on_disk_due(&mut self) {
        // Whoever has settled all of a file may leave it.
        for (&id, _) in self.runs.iter().filter(|(_, run)| run.makes_room()) {
            self.agenda.write(id);
        }
        self.on_write_due();
    }

    pub(super) fn on_journaled(&mut self, id: RunId, bytes: Vec<u8>, result: Result<(), String>) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        match result {
            Ok(()) => run.on_written(bytes, &mut self.agenda),
            // What keeps a journal from being made may be its own trouble: others, that end, may be what it takes.
            Err(words) if run.is_opening() => run.on_open_failed(bytes, &words, &mut self.agenda),
            Err(words) => {
                run.on_unwritten(bytes);
                self.agenda.disk.on_failure(id, words);
            }
        }
        let is_opened = run.is_waiting() && self.places.on_opened(id);
        self.on_run_changed(id);
        let waits = is_opened && !self.places.has_one(&self.agenda.disk);
        if let Some(run) = self.runs.get(&id).filter(|run| waits && run.is_waiting()) {
            run.tell_present(&mut self.agenda);
        }
    }

    pub(super) fn on_sync_due(&mut self) {
        if let Some(runs) = self.agenda.disk.take_unsynced() {
            self.agenda.act(Action::Sync { runs });
        }
    }

    /// Reading stops when the disk takes nothing any more, and goes on when it does; the server is told of both. Whoever waits for
    /// room is looked at again when there is more.
    pub(super) fn heed_disk(&mut self) {
        self.agenda.disk.on_writers(self.places.busy());
        let is_failing = self.agenda.disk.is_failing();
        if self.places.is_paused != is_failing {
            self.places.is_paused = is_failing;
            for run in self.runs.values() {
                run.on_disk(&mut self.agenda);
            }
            self.start_waiting();
        }
        if self.agenda.disk.take_growth() {
            if self.agenda.disk.is_crowded() {
                self.runs.values_mut().for_each(|run| run.weigh(&mut self.agenda));
            }
            self.start_waiting();
        }
        self.agenda.disk.set_timers(self.agenda.now.up, &mut self.agenda.timers);
        if !is_failing {
            self.agenda.timers.clear(Timer::Disk);
        }
    }
}
