//! One world: the real engine, what plays its shell, and everything around it. Time passes from one happening to the next; what
//! happens is chance, and the same for the same seed.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use faraday_agent::engine::Engine;
use faraday_agent::engine::event::{Event, Now, PostId, RunId};

use super::child::Child;
use super::disk::Disk;
use super::job::Job;
use super::link::{Link, ToAgent, ToServer};
use super::plan::Plan;
use super::random::Random;
use super::server::Server;
use super::stats::Stats;
use super::worker::Work;

/// What an agent may ask for because of one event, beside what grows with its runs.
const ACTIONS_MAX: usize = 40;

#[derive(Debug)]
pub enum Happening {
    AgentStarts,
    Dialled,
    TokenCame,
    AtAgent(u32, ToAgent),
    AtServer(u32, ToServer),
    AgentSeesEnd(u32),
    ServerSeesEnd(u32),
    ServerPings(u32),
    WorkBegins(PostId),
    WorkEnds(PostId),
    Synced(Vec<((RunId, u64), usize)>, Duration),
    Child(RunId, u64),
    Readable(RunId, u64),
    /// Somebody starts the job.
    Command(usize),
    Fault(super::chaos::Fault),
}

pub struct World {
    pub plan: Plan,
    pub random: Random,
    pub trace: bool,
    /// Since the world began; the agent counts from `born`.
    pub now: Duration,
    pub born: Duration,
    pub utc_s: u64,
    /// What will happen; with the life of the agent that it happens to, if it ends with it.
    agenda: BTreeMap<(Duration, u64), (Option<u32>, Happening)>,
    next: u64,
    pub life: u32,
    pub engine: Option<Engine>,
    /// Actions until the agent dies.
    pub dies_in: Option<u32>,
    pub dies_by_power: bool,
    /// The last agent died so.
    pub is_power_cut: bool,
    /// Since when a stop has been asked for.
    pub stopping: Option<Duration>,
    /// The last write failed, and the agent has not tried to go on since.
    pub is_disk_failing: bool,
    /// The server has said no for good.
    pub is_barred: bool,
    pub next_run: u64,
    pub disk: Disk,
    pub children: BTreeMap<RunId, Child>,
    pub works: BTreeMap<PostId, Work>,
    pub link: Link,
    pub server: Server,
    pub jobs: Vec<Job>,
    pub chaos_until: Duration,
    pub stats: Stats,
}

impl World {
    pub fn new(seed: u64, trace: bool) -> World {
        let mut random = Random::new(seed);
        let plan = Plan::new(&mut random);
        let mut world = World {
            chaos_until: plan.chaos,
            plan,
            random,
            trace,
            now: Duration::ZERO,
            born: Duration::ZERO,
            utc_s: 1_700_000_000,
            agenda: BTreeMap::new(),
            next: 0,
            life: 0,
            engine: None,
            dies_in: None,
            dies_by_power: false,
            is_power_cut: false,
            stopping: None,
            is_disk_failing: false,
            is_barred: false,
            next_run: 1,
            disk: Disk::default(),
            children: BTreeMap::new(),
            works: BTreeMap::new(),
            link: Link::default(),
            server: Server::new(),
            jobs: Vec::new(),
            stats: Stats::default(),
        };
        world.trace(|world| format!("{:#?}", world.plan));
        world.always(Duration::ZERO, Happening::AgentStarts);
        world.prepare_jobs();
        world.prepare_faults();
        world
    }

    /// Whether there are faults at present.
    pub fn is_chaos(&self) -> bool {
        self.now < self.chaos_until
    }

    /// Happens unless the agent dies before.
    pub fn later(&mut self, pause: Duration, what: Happening) {
        let life = Some(self.life);
        self.put(pause, life, what);
    }

    /// Happens whatever becomes of the agent.
    pub fn always(&mut self, pause: Duration, what: Happening) {
        self.put(pause, None, what);
    }

    fn put(&mut self, pause: Duration, life: Option<u32>, what: Happening) {
        self.next += 1;
        self.agenda.insert((self.now + pause, self.next), (life, what));
    }

    pub fn clock(&self) -> Now {
        let up = self.now - self.born;
        Now { up, utc: UNIX_EPOCH + Duration::from_secs(self.utc_s) + self.now }
    }

    /// One turn of the agent's loop: the next thing happens, perhaps others with it, and the turn ends. False if nothing is left.
    pub fn step(&mut self) -> bool {
        let Some(next) = self.next_time() else { return false };
        self.now = self.now.max(next);
        let many = 1 + self.random.size(6);
        for _ in 0..many {
            let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= self.now) else { break };
            let (life, what) = entry.remove();
            if life.is_none_or(|life| life == self.life) {
                self.trace(|_| format!("- {what:?}"));
                self.happen(what);
                self.stats.steps += 1;
            }
        }
        self.end_turn();
        self.check();
        true
    }

    fn next_time(&mut self) -> Option<Duration> {
        let happening = self.agenda.first_key_value().map(|(key, _)| key.0);
        let deadline = self.engine.as_ref().and_then(Engine::poll_timeout).map(|deadline| self.born + deadline);
        let deadline = deadline.map(|deadline| {
            let late = self.is_chaos() && self.random.chance(self.plan.faults.late_wakes);
            if late { deadline + self.random.millis(0, 300) } else { deadline }
        });
        happening.into_iter().chain(deadline).min()
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::AgentStarts => self.start_agent(),
            Happening::Dialled => self.dialled(),
            Happening::TokenCame => self.token_came(),
            Happening::AtAgent(number, what) => self.at_agent(number, what),
            Happening::AtServer(number, what) => self.at_server(number, what),
            Happening::AgentSeesEnd(number) => self.agent_sees_end(number),
            Happening::ServerSeesEnd(number) => self.server_sees_end(number),
            Happening::ServerPings(number) => self.server_pings(number),
            Happening::WorkBegins(id) => self.work_begins(id),
            Happening::WorkEnds(id) => self.work_ends(id),
            Happening::Synced(lengths, began) => self.synced(&lengths, began),
            Happening::Child(run, serial) => self.child_steps(run, serial),
            Happening::Readable(run, serial) => self.child_readable(run, serial),
            Happening::Command(job) => self.command(job),
            Happening::Fault(fault) => self.fault(fault),
        }
    }

    /// An event for the engine, and all that it asks for because of it.
    pub fn tell(&mut self, event: Event<'_>) {
        let now = self.clock();
        let Some(engine) = &mut self.engine else { return };
        engine.handle_event(event, now);
        self.perform_all();
    }

    fn end_turn(&mut self) {
        let now = self.clock();
        let Some(engine) = &mut self.engine else { return };
        engine.handle_timeout(now);
        self.perform_all();
    }

    pub fn perform_all(&mut self) {
        let mut actions = 0;
        while let Some(action) = self.engine.as_mut().and_then(Engine::poll_action) {
            actions += 1;
            if self.dies_in.as_mut().is_some_and(|left| std::mem::replace(left, left.saturating_sub(1)) == 0) {
                return self.die(action);
            }
            self.perform(action);
        }
        let most = ACTIONS_MAX + 12 * self.jobs.len();
        assert!(actions <= most, "{actions} actions at once");
        self.stats.actions_max = self.stats.actions_max.max(actions);
    }

    pub fn job_of(&self, run: RunId) -> usize {
        self.jobs.iter().position(|job| job.run == Some(run)).unwrap_or_else(|| panic!("run {run} is nobody's"))
    }

    pub fn trace(&self, words: impl FnOnce(&World) -> String) {
        if self.trace {
            println!("{:>12.6} {}", self.now.as_secs_f64(), words(self));
        }
    }
}
