//! When what goes wrong, and who starts which job. Everything is laid out when the world begins; at the end of the chaos all faults are over.

use std::time::Duration;

use faraday_agent::engine::event::{Event, RunId};

use super::job::{Form, Job, Way};
use super::random::Random;
use super::script::Script;
use super::server::Mood;
use super::world::{Happening, World};

#[derive(Clone, Debug)]
pub enum Fault {
    Mood,
    MoodEnds,
    Workspace,
    WorkspaceEnds(String),
    Cut,
    Hole,
    DiskFull,
    DiskFree,
    Kill,
    PowerCut,
    Stop,
    ClockJump,
    /// All of it is over.
    Ends,
}

const WORKSPACES: [&str; 3] = ["ws1", "ws2", "ws3"];

impl World {
    pub fn prepare_jobs(&mut self) {
        for number in 0..self.plan.jobs {
            let random = &mut self.random;
            let script = Script::new(number, &self.plan.faults, random);
            let executor = random.pick(&["plain", "plain", "plain", "checked", "timed", "unfit", "unknown"]);
            let count = random.pick(&[1, 1, 1, 2, 3]);
            let ways = (0..count).map(|place| way(number, place, self.plan.faults.executions_deleted, random));
            let mut job = Job::new(number, executor, script, ways.collect());
            if random.chance(self.plan.faults.runs_malformed) {
                job.form = random.pick(&[Form::Repeats, Form::Overloaded]);
            }
            self.jobs.push(job);
            let within = if self.plan.is_burst { 200 } else { self.plan.chaos.as_millis() as u64 / 2 };
            let at = self.random.below(within);
            self.always(Duration::from_millis(at), Happening::Command(number));
        }
    }

    pub fn prepare_faults(&mut self) {
        let faults = self.plan.faults.clone();
        let lists = [
            (faults.moods, Fault::Mood),
            (faults.workspace_moods, Fault::Workspace),
            (faults.cuts, Fault::Cut),
            (faults.holes, Fault::Hole),
            (faults.disk_full, Fault::DiskFull),
            (faults.kills, Fault::Kill),
            (faults.power_cuts, Fault::PowerCut),
            (faults.stops, Fault::Stop),
            (faults.clock_jumps, Fault::ClockJump),
        ];
        for (count, fault) in lists {
            for _ in 0..count {
                let at = self.random.below(self.plan.chaos.as_millis() as u64);
                self.always(Duration::from_millis(at), Happening::Fault(fault.clone()));
            }
        }
        self.always(self.plan.chaos, Happening::Fault(Fault::Ends));
    }

    /// Somebody presses the button; while the agent is away, once more a little later.
    pub fn command(&mut self, job: usize) {
        self.jobs[job].sent = self.send_run(job).then_some(self.now);
        if self.jobs[job].sent.is_none() {
            let pause = self.random.millis(1000, 20_000);
            self.always(pause, Happening::Command(job));
        }
    }

    pub fn fault(&mut self, fault: Fault) {
        if !self.is_chaos() && !matches!(fault, Fault::Ends) {
            return;
        }
        match fault {
            Fault::Mood => {
                self.stats.fault("server in trouble");
                self.server.change_mood(&mut self.random);
                self.over_after(120, Fault::MoodEnds);
            }
            Fault::MoodEnds => self.server.mood = Mood::Fine,
            Fault::Workspace => {
                self.stats.fault("workspaces switched off");
                let name = self.random.pick(&WORKSPACES).to_owned();
                let status = self.random.pick(&[401, 403, 404]);
                self.server.workspaces.insert(name.clone(), status);
                self.over_after(400, Fault::WorkspaceEnds(name));
            }
            Fault::WorkspaceEnds(name) => drop(self.server.workspaces.remove(&name)),
            Fault::Cut => self.cut_link(),
            Fault::Hole => self.open_hole(),
            Fault::DiskFull => {
                self.stats.fault("disk full");
                self.disk.is_full = true;
                self.over_after(30, Fault::DiskFree);
            }
            Fault::DiskFree => self.disk.is_full = false,
            Fault::Kill => self.dies_in = Some(self.random.size(30) as u32),
            Fault::PowerCut => {
                self.dies_in = Some(self.random.size(30) as u32);
                self.dies_by_power = true;
            }
            Fault::Stop => self.stop(),
            Fault::ClockJump => {
                self.stats.fault("clock jumps");
                self.utc_s = self.random.pick(&[0, 1_000_000_000, 1_700_100_000, 4_000_000_000]);
            }
            Fault::Ends => self.end_faults(),
        }
    }

    fn over_after(&mut self, seconds_max: u64, fault: Fault) {
        let pause = self.random.millis(100, seconds_max * 1000);
        self.always(pause, Happening::Fault(fault));
    }

    fn end_faults(&mut self) {
        self.server.mood = Mood::Fine;
        self.server.workspaces.clear();
        self.disk.is_full = false;
        self.dies_in = None;
        self.dies_by_power = false;
    }

    fn stop(&mut self) {
        if self.engine.is_some() {
            self.stats.fault("stops");
            self.stopping.get_or_insert(self.now);
            if self.random.chance(300) {
                self.over_after(5, Fault::Stop);
            }
            self.tell(Event::Stop { signal: "SIGTERM" });
        }
    }

    /// The first number for the runs of an agent that starts now.
    pub fn first_run(&mut self) -> RunId {
        self.next_run = self.next_run.max(self.disk.newest) + 1;
        RunId(self.next_run)
    }
}

fn way(number: usize, place: usize, deleted: u64, random: &mut Random) -> Way {
    Way {
        execution: (number * 10 + place + 1) as i64,
        workspace: WORKSPACES[place].to_owned(),
        is_deleted: random.chance(deleted),
        arrived: Default::default(),
        refused: Default::default(),
        may_repeat: false,
        may_overtake: false,
        ahead: Default::default(),
        progress: Duration::ZERO,
        is_closed: false,
        is_given_up: false,
        noted: (0, false),
        shown: None,
        last: None,
    }
}
