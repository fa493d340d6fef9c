//! What has to hold after every step, and at the end, when all faults are over and nothing is left to do. What can be broken by
//! one thing that happens is checked where it happens: in `job`, `child` and `worker`.

use std::time::Duration;

use super::job::{Form, Job};
use super::world::World;

/// When the faults are over, all is to be settled within this.
const QUIET_WITHIN: Duration = Duration::from_secs(3 * 3600);
const STEPS_MAX: u64 = 400_000;
/// What was read of one run and is not on disk.
const HELD_BYTES_MAX: usize = 640 << 10;
/// On a link that holds, the server knows of a run that lives after this.
const SHOWN_WITHIN: Duration = Duration::from_secs(10);
/// A RUN or status that was lost by the last fault is sent again, and acknowledged, within this.
const ACKED_WITHIN: Duration = Duration::from_secs(45);
/// The end of a sync after its due time; another one may have to end first.
const SYNCS_WITHIN: Duration = Duration::from_secs(2);
const STOPS_WITHIN: Duration = Duration::from_secs(40);

impl World {
    /// The whole life of a world.
    pub fn play(&mut self) {
        while !self.is_quiet() {
            assert!(self.step(), "nothing happens any more");
            assert!(self.now < self.chaos_until + QUIET_WITHIN, "it does not come to rest: {}", self.unrest());
            assert!(self.stats.steps < STEPS_MAX, "too many steps: {}", self.unrest());
        }
        let (statuses, end) = (self.stats.statuses, self.now + Duration::from_secs(120));
        while self.now < end && self.step() {}
        assert!(self.is_quiet(), "it was quiet, and is not any more: {}", self.unrest());
        assert_eq!(self.stats.statuses, statuses, "statuses when nothing is left to tell");
        self.check_end();
        self.stats.seeds = 1;
        self.stats.time = self.now;
    }

    pub fn check(&self) {
        for job in &self.jobs {
            let held = job.unwritten;
            assert!(held <= HELD_BYTES_MAX, "job {}: {held} bytes are held in memory", job.number);
        }
        if let Some(since) = self.stopping {
            assert!(self.now <= since + self.plan.stop_grace + STOPS_WITHIN, "the stop does not end");
        }
        let bytes = self.disk.bytes();
        assert!(bytes <= self.plan.journal_bytes_max as usize + HELD_BYTES_MAX, "journals of {bytes} bytes");
        let reads = self.children.iter().find(|(_, child)| child.wanted);
        assert!(reads.is_none() || !self.is_disk_failing, "it reads what it cannot write");
        self.check_synced();
        self.check_shown();
        self.check_places();
    }

    /// What was written is soon safe from a power cut.
    fn check_synced(&self) {
        if self.plan.faults.syncs_fail > 0 || self.engine.is_none() {
            return;
        }
        for (name, file) in &self.disk.files {
            let since = file.unsafe_since.unwrap_or(self.now).max(self.born);
            assert!(self.now <= since + self.plan.sync_after + SYNCS_WITHIN, "{name:?} is not synced");
        }
    }

    /// A run that lives is shown as running.
    fn check_shown(&self) {
        let link = &self.link;
        let conn = link.conns.iter().find(|conn| conn.agent_end);
        let Some(conn) = conn.filter(|conn| link.joined == Some(conn.number) && conn.hole.is_none()) else { return };
        let is_old = |since: Duration| self.now > since + SHOWN_WITHIN;
        if !is_old(link.joined_since) || self.plan.faults.statuses_dropped > 0 {
            return;
        }
        for (run, _) in self.children.iter().filter(|(_, child)| is_old(child.started) && child.lives()) {
            let job = &self.jobs[self.job_of(*run)];
            for way in &job.ways {
                let is_shown = way.shown.as_ref().is_some_and(|shown| shown.running);
                assert!(
                    is_shown,
                    "job {} runs and is shown as {:?} (connection {})",
                    job.number, way.shown, conn.number
                );
            }
        }
    }

    fn is_quiet(&self) -> bool {
        let is_idle = self.children.is_empty() && self.works.is_empty() && self.disk.files.is_empty();
        let is_alive = self.engine.is_some() && self.stopping.is_none() && self.link.joined.is_some();
        let has_come = |sent: Duration| self.now > sent + ACKED_WITHIN;
        let is_over = self.jobs.iter().all(|job| job.sent.is_some_and(has_come) && job.is_over());
        has_come(self.chaos_until) && is_alive && is_idle && is_over
    }

    fn unrest(&self) -> String {
        let jobs = self.jobs.iter().filter(|job| !job.is_over() || job.sent.is_none());
        let jobs: Vec<String> =
            jobs.map(|job| format!("job {} of run {:?}: {:?}", job.number, job.run, job.ways)).collect();
        let files: Vec<_> = self.disk.files.keys().collect();
        format!(
            "agent {}, joined {:?}, children {:?}, works {:?}, files {files:?}, {}",
            self.engine.is_some(),
            self.link.joined,
            self.children.keys(),
            self.works.keys(),
            jobs.join("; ")
        )
    }

    fn check_end(&mut self) {
        // In a black hole the server does not see an agent die that never had a journal of the run.
        let no_runs = self.jobs.iter().filter(|job| !job.is_accepted && self.plan.faults.holes == 0);
        for way in no_runs.flat_map(|job| &job.ways) {
            assert!(way.shown.as_ref().is_none_or(|shown| !shown.running), "nobody runs it: {:?}", way.shown);
        }
        self.check_refused();
        for job in self.jobs.iter().filter(|job| job.is_accepted) {
            assert_eq!(job.form, Form::Good, "job {}: it is no use, and was run", job.number);
            self.stats.runs += 1;
            for (place, way) in job.ways.iter().enumerate() {
                assert_eq!(job.unsettled(place), None, "job {}: a piece is nowhere", job.number);
                let last = way.last.as_ref().unwrap_or_else(|| panic!("job {}: no last status", job.number));
                let shown = way.shown.as_ref().expect("it was told");
                assert_eq!((shown.running, shown.successful), (false, last.successful), "job {}", job.number);
            }
            let is_whole = job.exit.is_some() && !job.is_killed && !job.is_cut_off;
            let (booked, printed) = (job.booked.len(), job.script.pieces.len());
            assert!(!is_whole || booked == printed, "job {}: {booked} of {printed} pieces were read", job.number);
        }
    }

    /// Whoever did not get a run of its own knows why, unless the agent that heard of it is gone.
    fn check_refused(&mut self) {
        for job in self.jobs.iter().filter(|job| !job.is_accepted && job.heard == Some(self.life)) {
            self.stats.fault("runs refused");
            for way in &job.ways {
                let shown = way.shown.as_ref().unwrap_or_else(|| panic!("job {}: open for ever", job.number));
                assert_eq!((shown.running, shown.successful), (false, Some(false)), "job {}: {shown:?}", job.number);
            }
        }
    }

    /// Of those that this agent has heard of no more have a journal and no end than may run and wait.
    pub fn check_places(&self) {
        let Some(concurrent_max) = self.plan.concurrent_runs_max else { return };
        let most = concurrent_max + self.plan.waiting_runs_max;
        let has_ended = |job: &Job| job.ended.is_some() || job.exit.is_some() || job.is_forgotten;
        let is_alive = |job: &&Job| job.is_accepted && job.heard == Some(self.life) && !has_ended(job);
        let alive = self.jobs.iter().filter(is_alive).count();
        assert!(alive <= most || self.disk.is_full, "{alive} runs, but {most} may run and wait");
    }
}
