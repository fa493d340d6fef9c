//! Which runs may come, which may start: how many have a process, how many wait for a place, and what all of them hold. Counts
//! only; the engine tells what happens to a run.

use std::collections::VecDeque;

use crate::bounds::RUNS_BYTES_MAX;

use super::Profile;
use super::disk::Disk;
use super::event::RunId;

#[derive(Debug)]
pub struct Places {
    /// How many runs may have a process at once.
    concurrent_max: usize,
    /// How many more may wait.
    waiting_max: usize,
    /// Nobody gets a place at present, because the disk takes nothing.
    pub is_paused: bool,
    /// How many runs have a place.
    busy: usize,
    /// How many have no journal yet.
    opening: usize,
    /// Those that have one and wait for a place, oldest first.
    queue: VecDeque<RunId>,
    /// What all runs hold, until the server has their last status.
    bytes: usize,
}

impl Places {
    pub fn new(profile: &Profile) -> Places {
        Places {
            concurrent_max: profile.concurrent_runs_max.unwrap_or(usize::MAX),
            waiting_max: profile.waiting_runs_max,
            is_paused: false,
            busy: 0,
            opening: 0,
            queue: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Why no run that holds so many bytes can be taken now; the same words for everyone, so that many of them make one status.
    pub fn refusal(&self, bytes: usize, disk: &Disk) -> Option<String> {
        if self.opening + self.queue.len() >= self.free(disk).saturating_add(self.waiting_max) {
            return Some(format!(
                "as many runs as agent.waiting_runs_max allows ({}) wait for a place already; send it again when some have \
                 ended, or raise that or agent.max_concurrent_runs in the agent's configuration",
                self.waiting_max
            ));
        }
        (self.bytes + bytes > RUNS_BYTES_MAX).then(|| {
            format!(
                "it does not fit into the {} MiB that all runs may hold of the agent's memory until they are delivered; send \
                 it again when some are, or for fewer workspaces, or with less in its arguments",
                RUNS_BYTES_MAX >> 20
            )
        })
    }

    /// A run has come, or was left by an earlier agent.
    pub fn on_come(&mut self, bytes: usize, is_opening: bool) {
        self.bytes += bytes;
        self.opening += usize::from(is_opening);
    }

    /// Its journal is there. False if that was known.
    pub fn on_opened(&mut self, run: RunId) -> bool {
        let is_news = !self.queue.contains(&run);
        if is_news {
            self.opening -= 1;
            self.queue.push_back(run);
        }
        is_news
    }

    /// How many more runs may have a process.
    fn free(&self, disk: &Disk) -> usize {
        if self.is_paused || !disk.has_room() { 0 } else { self.concurrent_max - self.busy }
    }

    /// Whether one more run may have a process.
    pub fn has_one(&self, disk: &Disk) -> bool {
        self.free(disk) > 0
    }

    pub fn busy(&self) -> usize {
        self.busy
    }

    /// Gives a free place to the run that has waited longest.
    pub fn take_one(&mut self, disk: &Disk) -> Option<RunId> {
        let next = if self.has_one(disk) { self.queue.pop_front() } else { None }?;
        self.busy += 1;
        Some(next)
    }

    /// A run has given back its place.
    pub fn on_left(&mut self) {
        self.busy -= 1;
    }

    /// The server has the last status of a run.
    pub fn on_gone(&mut self, bytes: usize) {
        self.bytes -= bytes;
    }

    pub fn are_waited_for(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Nobody gets a place any more.
    pub fn close(&mut self) {
        self.queue.clear();
        self.opening = 0;
    }
}
