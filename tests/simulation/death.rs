//! The agent's ends and beginnings: killed between any two system calls or within a write, without power, stopped; and started again
//! with what its journals hold.

use std::time::Duration;

use faraday_agent::engine::Engine;
use faraday_agent::engine::event::Action;
use faraday_agent::engine::resume::Resumed;

use super::world::{Happening, World};

/// What a stop may take beyond the grace of executors.
const STOPS_WITHIN: Duration = Duration::from_secs(35);

impl World {
    pub fn start_agent(&mut self) {
        if self.engine.is_some() {
            return;
        }
        self.born = self.now;
        let resumed = self.disk.scan();
        for job in self.jobs.iter_mut().filter(|job| job.is_accepted && !job.is_forgotten) {
            let found = resumed.iter().find(|resumed| Some(resumed.id) == job.run);
            let Some(found) = found else {
                assert!(self.is_power_cut, "job {}: its journal is gone", job.number);
                job.on_lost();
                continue;
            };
            job.on_resumed(found.end);
            // What was not safe from a power cut did not happen.
            job.exit = job.exit.filter(|_| found.group.is_some());
            (job.ended, job.is_cut_off) = (found.ended.clone(), found.ended.as_ref().is_none_or(|ended| ended.cut_off));
            assert_eq!(found.hosts + found.credentials, job.booked.len() as u64, "job {}", job.number);
        }
        (self.is_power_cut, self.is_disk_failing) = (false, false);
        for (way, note) in self.noted(&resumed) {
            self.jobs[way.0].ways[way.1].noted = note;
        }
        let seed = self.random.next();
        let first_run = self.first_run();
        let profile = self.plan.profile(first_run, seed);
        self.stats.starts += 1;
        let now = self.clock();
        self.trace(|_| format!("an agent starts with {} journals", resumed.len()));
        self.engine = Some(Engine::new(profile, resumed, now));
        self.perform_all();
    }

    /// What the journals that were found say of each workspace.
    fn noted(&self, resumed: &[Resumed]) -> Vec<((usize, usize), (u64, bool))> {
        let notes = resumed.iter().flat_map(|found| {
            let job = self.job_of(found.id);
            let places = 0..self.jobs[job].ways.len();
            places.map(move |place| {
                let note = found.settled.get(place).map_or((0, false), |note| (note.upto, note.closed));
                ((job, place), note)
            })
        });
        notes.collect()
    }

    /// Before `action` is carried out, or in the middle of it.
    pub fn die(&mut self, action: Action) {
        let by_power = self.dies_by_power;
        self.trace(|_| format!("the agent dies{}", if by_power { " by a power cut" } else { "" }));
        self.stats.fault(if by_power { "power cuts" } else { "kills" });
        if let Action::Append { run, segment, bytes } = action {
            let written = self.random.below(bytes.len() as u64 + 1) as usize;
            if !self.disk.is_full && written > 0 {
                let _ = self.disk.append(run, segment, &bytes[..written], self.now);
                self.note_append(run, segment, &bytes[..written]);
            }
        }
        self.bury();
        self.is_power_cut |= by_power;
        if by_power {
            self.disk.cut_power(&mut self.random);
        }
        let pause = self.random.millis(100, 30_000);
        self.always(pause, Happening::AgentStarts);
    }

    pub fn quit(&mut self, code: u8) {
        match self.stopping {
            Some(since) => {
                let took = self.now - since;
                assert!(took <= self.plan.stop_grace + STOPS_WITHIN, "a stop took {took:?}");
            }
            None => assert!(self.is_barred && code == 1, "it leaves by itself"),
        }
        let left = self.jobs.iter().find(|job| job.is_accepted && !job.is_forgotten && job.ended.is_none());
        assert!(code == 0 || left.is_none() || self.disk.is_full, "it gives up a run because of a refused connection");
        self.bury();
        let pause = self.random.millis(100, 10_000);
        self.always(pause, Happening::AgentStarts);
    }

    fn bury(&mut self) {
        for job in self.jobs.iter_mut().filter(|job| job.is_accepted && !job.is_forgotten) {
            job.ways.iter_mut().for_each(|way| way.may_repeat = true);
            job.may_contradict |= self.disk.is_full || self.dies_by_power;
            job.lost_power |= self.dies_by_power;
        }
        (self.dies_in, self.dies_by_power, self.stopping) = (None, false, None);
        self.engine = None;
        self.life += 1;
        self.agent_hangs_up();
        self.works_die();
        self.children.clear();
    }
}
