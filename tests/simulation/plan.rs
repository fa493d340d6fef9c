//! What one seed's world is like: how the agent is configured, and which faults it meets. Each seed has faults of some kinds only, so
//! that what has to hold without a kind is looked at too.

use std::time::Duration;

use faraday_agent::engine::event::RunId;
use faraday_agent::engine::executor::Executor;
use faraday_agent::engine::{DiskLimits, Profile};
use faraday_agent::proto::channel::Protocol;

use super::random::Random;

pub const AGENT: &str = "a1";

#[derive(Clone, Debug)]
pub struct Plan {
    pub protocol: Protocol,
    pub jobs: usize,
    /// All jobs are started at about the same time.
    pub is_burst: bool,
    pub concurrent_runs_max: Option<usize>,
    pub waiting_runs_max: usize,
    pub stop_grace: Duration,
    pub delivery_grace: Duration,
    pub retry_max: Duration,
    pub journal_bytes_max: u64,
    pub sync_after: Duration,
    /// How long faults come.
    pub chaos: Duration,
    /// The server refuses larger bodies.
    pub body_bytes_max: Option<usize>,
    pub faults: Faults,
}

/// Which faults there are; numbers are chances of a thousand for each occasion, or how many there are in all.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    pub answers_lost: u64,
    pub single_5xx: u64,
    pub bad_pieces: u64,
    pub poison_pieces: u64,
    pub executions_deleted: u64,
    pub moods: u64,
    pub workspace_moods: u64,
    pub cuts: u64,
    pub holes: u64,
    pub dials_fail: u64,
    pub joins_refused: u64,
    pub statuses_dropped: u64,
    pub disk_full: u64,
    pub unreadable: u64,
    pub unwritable: u64,
    pub syncs_fail: u64,
    pub starts_fail: u64,
    pub kills: u64,
    pub power_cuts: u64,
    pub stops: u64,
    pub clock_jumps: u64,
    pub late_wakes: u64,
    pub runs_malformed: u64,
}

impl Plan {
    pub fn new(random: &mut Random) -> Plan {
        let rolls = random.chance(500);
        Plan {
            protocol: random.pick(&[Protocol::SocketIo, Protocol::SocketIo, Protocol::WebSocket]),
            jobs: random.pick(&[1, 1, 2, 3, 4, 5, 12, 30]),
            is_burst: random.chance(250),
            concurrent_runs_max: random.pick(&[None, None, Some(1), Some(2)]),
            waiting_runs_max: random.pick(&[256, 256, 0, 1, 5]),
            stop_grace: random.pick(&[Duration::from_secs(1), Duration::from_secs(10)]),
            delivery_grace: random.pick(&[Duration::from_millis(500), Duration::from_secs(5), Duration::from_secs(60)]),
            retry_max: if random.chance(150) { Duration::from_secs(300) } else { Duration::from_secs(3600) },
            journal_bytes_max: if rolls { random.pick(&[32 << 10, 64 << 10, 256 << 10]) } else { 4 << 30 },
            sync_after: random.pick(&[Duration::ZERO, Duration::from_secs(1), Duration::from_secs(5)]),
            chaos: Duration::from_secs(random.between(20, 400)),
            body_bytes_max: random.chance(150).then(|| random.between(500, 8000) as usize),
            faults: Faults::new(random),
        }
    }

    pub fn profile(&self, first_run: RunId, seed: u64) -> Profile {
        Profile {
            agent_name: AGENT.into(),
            executors: executors(),
            concurrent_runs_max: self.concurrent_runs_max,
            waiting_runs_max: self.waiting_runs_max,
            stop_grace: self.stop_grace,
            delivery_grace: self.delivery_grace,
            retry_max: self.retry_max,
            disk: DiskLimits { bytes_max: self.journal_bytes_max, sync_after: self.sync_after },
            seed,
            first_run,
        }
    }
}

impl Faults {
    fn new(random: &mut Random) -> Faults {
        let mut faults = Faults::default();
        // One world of sixteen is a good one.
        if random.chance(60) {
            return faults;
        }
        let mut some = |chance: u64, low: u64, high: u64| {
            if random.chance(chance) { random.between(low, high) } else { 0 }
        };
        faults.answers_lost = some(400, 20, 300);
        faults.single_5xx = some(200, 1, 8);
        faults.bad_pieces = some(350, 10, 200);
        faults.poison_pieces = some(200, 10, 100);
        faults.executions_deleted = some(100, 50, 500);
        faults.moods = some(500, 1, 3);
        faults.workspace_moods = some(250, 1, 3);
        faults.cuts = some(500, 1, 6);
        faults.holes = some(250, 1, 2);
        faults.dials_fail = some(300, 50, 500);
        faults.joins_refused = some(200, 20, 300);
        faults.statuses_dropped = some(200, 20, 200);
        faults.disk_full = some(300, 1, 4);
        faults.unreadable = some(100, 5, 50);
        faults.unwritable = some(200, 50, 500);
        faults.syncs_fail = some(200, 50, 500);
        faults.starts_fail = some(200, 50, 400);
        faults.kills = some(400, 1, 4);
        faults.power_cuts = some(200, 1, 3);
        faults.stops = some(200, 1, 2);
        faults.clock_jumps = some(200, 1, 3);
        faults.late_wakes = some(300, 50, 500);
        faults.runs_malformed = some(200, 50, 300);
        faults
    }
}

/// What the agent can run. How a child behaves is in the script of its job; of a check, in its command.
fn executors() -> Vec<Executor> {
    let executor = |name: &str, checks: &[&str], timeout| Executor {
        name: name.into(),
        command: "run".into(),
        checks: checks.iter().map(|check| (*check).to_owned()).collect(),
        params: Vec::new(),
        varenvs: Vec::new(),
        timeout,
        category: Vec::new(),
        tool: String::new(),
    };
    vec![
        executor("plain", &[], None),
        executor("checked", &["check well", "check well"], None),
        executor("unfit", &["check well", "check badly"], None),
        executor("timed", &[], Some(Duration::from_secs(15))),
    ]
}
