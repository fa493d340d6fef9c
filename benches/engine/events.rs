//! The engine with its shell played by hand, as the engine's own tests do it: nothing is written and nothing is sent, every
//! action is carried out at once. What is left is what the engine itself costs.

use std::time::{Duration, UNIX_EPOCH};

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use serde_json::json;

use faraday_agent::config::settings::Secret;
use faraday_agent::engine::event::{Action, Event, Exit, Now, Outcome, Posted, RunId};
use faraday_agent::engine::executor::Executor;
use faraday_agent::engine::note::Group;
use faraday_agent::engine::{DiskLimits, Engine, Profile};
use faraday_agent::proto::channel::Protocol;
use faraday_agent::proto::repair::Repairs;

use super::{CHUNK_BYTES, short_documents};

const RUNS: u64 = 1000;

struct World {
    engine: Engine,
    up: Duration,
    /// Runs that were started since somebody looked.
    started: Vec<RunId>,
    /// Whether the server takes posts; else they stay under way.
    takes_posts: bool,
    runs: u64,
    /// Runs of which the server has the last status.
    forgotten: u64,
}

impl World {
    /// An agent that has joined over Socket.IO.
    fn joined() -> World {
        let profile = Profile {
            agent_name: "a1".into(),
            executors: vec![Executor { command: "job".into(), ..Executor::unknown("job") }],
            concurrent_runs_max: None,
            waiting_runs_max: usize::MAX,
            stop_grace: Duration::from_secs(10),
            delivery_grace: Duration::from_secs(60),
            retry_max: Duration::from_secs(86_400),
            disk: DiskLimits { bytes_max: u64::MAX, sync_after: Duration::from_secs(1) },
            seed: 1,
            first_run: RunId(1),
        };
        let now = Now { up: Duration::ZERO, utc: UNIX_EPOCH };
        let engine = Engine::new(profile, Vec::new(), now);
        let mut world =
            World { engine, up: Duration::ZERO, started: Vec::new(), takes_posts: true, runs: 0, forgotten: 0 };
        world.drain();
        world.handle(Event::Connected { protocol: Protocol::SocketIo, token: Secret::new("token".into()) });
        world.hear(r#"0{"sid":"s","upgrades":[],"pingTimeout":220000,"pingInterval":60000,"maxPayload":1000000}"#);
        world.hear(r#"40/dispatcher,{"sid":"t"}"#);
        world
    }

    fn now(&self) -> Now {
        Now { up: self.up, utc: UNIX_EPOCH + self.up }
    }

    fn handle(&mut self, event: Event<'_>) {
        self.up += Duration::from_micros(1);
        let now = self.now();
        self.engine.handle_event(event, now);
        self.drain();
    }

    /// What the shell does at the end of a turn; and the turns that follow at once.
    fn end_turn(&mut self) {
        loop {
            self.up += Duration::from_micros(1);
            let now = self.now();
            self.engine.handle_timeout(now);
            self.drain();
            if self.engine.poll_timeout().is_none_or(|deadline| deadline > self.up) {
                return;
            }
        }
    }

    fn hear(&mut self, frame: &str) {
        self.handle(Event::Frame(frame));
        self.end_turn();
    }

    fn drain(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            let now = self.now();
            match action {
                Action::Append { run, bytes, .. } => {
                    self.engine.handle_event(Event::Journaled { run, bytes, result: Ok(()) }, now);
                }
                Action::Sync { .. } => self.engine.handle_event(Event::Synced { result: Ok(()) }, now),
                Action::Spawn(spawn) => {
                    self.started.push(spawn.run);
                    let group = Group { id: 2 + spawn.run.0 as i32, birth: "boot/1".into() };
                    self.engine.handle_event(Event::Started { run: spawn.run, group }, now);
                }
                Action::Post(post) if self.takes_posts => {
                    let pieces = u32::from(post.range.from < post.range.upto);
                    let outcome = Outcome::Answer { status: 201, words: String::new(), retry_after: None };
                    let (id, upto, repairs) = (post.id, post.range.upto, Repairs::default());
                    self.engine.handle_event(Event::Posted(Posted { id, upto, pieces, repairs, outcome }), now);
                }
                Action::Send(text) => {
                    if let Some(number) = ack_number(&text) {
                        self.engine.handle_event(Event::Frame(&format!("43/dispatcher,{number}[]")), now);
                    }
                }
                Action::Forget { .. } => self.forgotten += 1,
                _ => {}
            }
        }
    }

    fn run(&mut self) {
        self.runs += 1;
        let command = json!(["run", {
            "execution_ids": [self.runs], "agent_id": 1, "workspaces": ["ws"], "action": "RUN", "executor": "job",
            "args": {}, "plugin_args": {"ignore_info": false, "resolve_hostname": true, "vuln_tag": null},
        }]);
        self.hear(&format!("42/dispatcher,{command}"));
    }
}

/// `42/dispatcher,7["run_status",…` → `7`.
fn ack_number(frame: &str) -> Option<&str> {
    let rest = frame.strip_prefix("42/dispatcher,")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    (digits > 0).then(|| &rest[..digits])
}

/// What an executor prints, up to the write of the journal; its first post stays under way.
#[divan::bench]
fn output(bencher: Bencher) {
    let stream = short_documents();
    let documents = stream.iter().filter(|byte| **byte == b'\n').count();
    bencher.counter(BytesCount::new(stream.len())).counter(ItemsCount::new(documents)).bench_local(|| {
        let mut world = World::joined();
        world.takes_posts = false;
        world.run();
        let run = world.started[0];
        for chunk in black_box(&stream).chunks(CHUNK_BYTES) {
            world.handle(Event::Output { run, bytes: chunk });
            world.end_turn();
        }
    });
}

/// From the RUN to the acknowledged last status, with one document: statuses, journal, posts. So many runs are alive at once.
#[divan::bench(args = [1, 100, 1000])]
fn runs(bencher: Bencher, at_once: u64) {
    const DOCUMENT: &[u8] = b"{\"hosts\":[{\"ip\":\"10.0.0.1\",\"description\":\"\"}]}\n";
    bencher.counter(ItemsCount::new(RUNS)).bench_local(|| {
        let mut world = World::joined();
        for _ in 0..RUNS / at_once {
            (0..at_once).for_each(|_| world.run());
            let started = std::mem::take(&mut world.started);
            assert_eq!(started.len() as u64, at_once);
            for run in &started {
                world.handle(Event::Output { run: *run, bytes: DOCUMENT });
            }
            for run in started {
                world.handle(Event::OutputEnded { run });
                world.handle(Event::ComplaintsEnded { run });
                world.handle(Event::Exited { run, exit: Exit::Code(0) });
                world.end_turn();
            }
        }
        assert_eq!(world.forgotten, RUNS);
    });
}
