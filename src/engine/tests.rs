//! Scenarios: events in, exact actions out, one behaviour each. The world here has no I/O at all; time is what the test says.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::config::settings::Secret;
use crate::frame::record::{self, Replay};
use crate::proto::channel::Protocol;
use crate::proto::param::{Param, ParamType};
use crate::proto::repair::Repairs;

use super::event::*;
use super::executor::Executor;
use super::note::Group;
use super::resume::Resumed;
use super::{DiskLimits, Engine, Profile};
use crate::bounds::{POST_SLOW_AFTER, POSTS_AT_ONCE_MAX, POSTS_PER_WORKSPACE_MAX, WORKERS_MAX};

mod bounds;
mod deliveries;
mod journals;
mod once_wrong;
mod restarts;
mod runs;
mod sessions;
mod shares;

/// The engine with its shell played by hand.
struct World {
    engine: Engine,
    up: Duration,
    actions: Vec<Action>,
    /// What the journals hold, of one file each.
    journals: BTreeMap<RunId, Vec<u8>>,
    journal_full: bool,
    /// A full disk still takes so many bytes at once.
    room: usize,
    protocol: Protocol,
    /// Whether the server acknowledges statuses, on Socket.IO.
    acknowledges: bool,
    /// Every status that was sent.
    told: Vec<Value>,
}

const RUN: RunId = RunId(1);
const HOST: &[u8] = br#"{"ip":"10.0.0.1","description":""}"#;

fn executor(name: &str, params: &[(&str, ParamType, bool)]) -> Executor {
    let params = params.iter().map(|&(name, kind, mandatory)| Param {
        name: name.into(),
        mandatory,
        types: vec![kind],
        base: kind.name().into(),
        accept: None,
    });
    Executor {
        name: name.into(),
        command: format!("run {name}"),
        checks: Vec::new(),
        params: params.collect(),
        varenvs: Vec::new(),
        timeout: None,
        category: Vec::new(),
        tool: String::new(),
    }
}

impl World {
    fn new(executors: Vec<Executor>) -> World {
        World::with(executors, |_| {})
    }

    fn with(executors: Vec<Executor>, change: impl FnOnce(&mut Profile)) -> World {
        World::after(BTreeMap::new(), executors, change)
    }

    /// A world in which an earlier agent has left journals.
    fn after(journals: BTreeMap<RunId, Vec<u8>>, executors: Vec<Executor>, change: impl FnOnce(&mut Profile)) -> World {
        let mut profile = Profile {
            agent_name: "a1".into(),
            executors,
            concurrent_runs_max: None,
            waiting_runs_max: usize::MAX,
            stop_grace: Duration::from_secs(10),
            delivery_grace: Duration::from_secs(60),
            retry_max: Duration::from_secs(7 * 86_400),
            disk: DiskLimits { bytes_max: 4 << 30, sync_after: Duration::from_secs(1) },
            seed: 1,
            first_run: RUN,
        };
        change(&mut profile);
        let now = Now { up: Duration::ZERO, utc: utc(Duration::ZERO) };
        let mut world = World {
            engine: Engine::new(profile, journals.iter().map(|(run, bytes)| resumed(*run, bytes)).collect(), now),
            up: Duration::ZERO,
            actions: Vec::new(),
            journals,
            journal_full: false,
            room: 0,
            protocol: Protocol::SocketIo,
            acknowledges: true,
            told: Vec::new(),
        };
        world.drain();
        world
    }

    /// A world in which the agent has joined over Socket.IO.
    fn joined(executors: Vec<Executor>) -> World {
        let mut world = World::new(executors);
        world.join();
        world.take();
        world
    }

    /// Up to the join, which has gone out.
    fn open(&mut self) {
        self.connect();
        self.hear(r#"0{"sid":"s","upgrades":[],"pingTimeout":220000,"pingInterval":60000,"maxPayload":1000000}"#);
        self.hear(r#"40/dispatcher,{"sid":"t"}"#);
    }

    fn join(&mut self) {
        self.open();
        let ack = self.join_ack();
        self.hear(&format!("43/dispatcher,{ack}[]"));
    }

    fn connect(&mut self) {
        let token = Secret::new("ws-token".into());
        self.handle(Event::Connected { protocol: self.protocol, token });
    }

    /// The ack id of the last JOIN_AGENT that was sent.
    fn join_ack(&self) -> String {
        let join = self.sent().into_iter().rfind(|text| text.contains("join_agent")).expect("a join");
        ack_id(&join)
    }

    fn handle(&mut self, event: Event<'_>) {
        let now = self.now();
        self.engine.handle_event(event, now);
        self.drain();
        self.end_turn();
    }

    /// What the shell does when it has handled everything that a poll gave; and the turns that follow at once.
    fn end_turn(&mut self) {
        let soon = self.up + Duration::from_micros(1);
        let mut now = self.now();
        loop {
            self.engine.handle_timeout(now);
            self.drain();
            match self.engine.poll_timeout() {
                Some(deadline) if deadline <= soon => now.up = deadline.max(now.up),
                _ => return,
            }
        }
    }

    fn hear(&mut self, frame: &str) {
        self.handle(Event::Frame(frame));
    }

    fn pass(&mut self, time: Duration) {
        let end = self.up + time;
        while let Some(deadline) = self.engine.poll_timeout().filter(|deadline| *deadline <= end) {
            self.up = deadline.max(self.up);
            let now = self.now();
            self.engine.handle_timeout(now);
            self.drain();
        }
        self.up = end;
    }

    /// Time in which the link stays alive.
    fn pass_alive(&mut self, time: Duration) {
        let end = self.up + time;
        while self.up < end {
            self.pass(Duration::from_secs(5).min(end - self.up));
            self.handle(Event::Pong(0));
            self.hear("2");
        }
    }

    fn now(&self) -> Now {
        Now { up: self.up, utc: utc(self.up) }
    }

    /// Performs what needs no world (journals, acknowledgements) and keeps everything for the test to look at.
    fn drain(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            let answer = self.answer_to(&action);
            let event = match &action {
                Action::Send(_) => answer.as_deref().map(Event::Frame),
                Action::Append { run, bytes, .. } if self.journal_full && bytes.len() > self.room => {
                    let result = Err("No space left on device".into());
                    Some(Event::Journaled { run: *run, bytes: bytes.clone(), result })
                }
                Action::Append { run, bytes, .. } => {
                    self.journals.entry(*run).or_default().extend_from_slice(bytes);
                    Some(Event::Journaled { run: *run, bytes: bytes.clone(), result: Ok(()) })
                }
                Action::SetAside(asked) => {
                    let pieces = self.ends(asked.id.run, asked.range).len() as u32;
                    let (id, upto) = (asked.id, asked.range.upto);
                    let repairs = Repairs::default();
                    Some(Event::Posted(Posted { id, upto, pieces, repairs, outcome: Outcome::SetAside }))
                }
                Action::Sync { .. } => Some(Event::Synced { result: Ok(()) }),
                Action::Spawn(spawn) => {
                    let group = Group { id: 1000 + spawn.run.0 as i32, birth: "boot/1".into() };
                    Some(Event::Started { run: spawn.run, group })
                }
                _ => None,
            };
            self.actions.push(action);
            if let Some(event) = event {
                let now = self.now();
                self.engine.handle_event(event, now);
            }
        }
    }

    /// The server's acknowledgement of a status.
    fn answer_to(&mut self, action: &Action) -> Option<String> {
        let Action::Send(text) = action else { return None };
        self.told.push(status_of(text)?);
        let acknowledges = self.acknowledges && self.protocol == Protocol::SocketIo;
        acknowledges.then(|| format!("43/dispatcher,{}[]", ack_id(text)))
    }

    /// The actions since the last call.
    fn take(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    fn sent(&self) -> Vec<String> {
        let texts = self.actions.iter().filter_map(|action| match action {
            Action::Send(text) => Some(text.clone()),
            _ => None,
        });
        texts.collect()
    }

    /// The statuses among what was sent, decoded.
    fn statuses(&self) -> Vec<Value> {
        self.sent().iter().filter_map(|text| status_of(text)).collect()
    }

    fn last_status(&self) -> Value {
        self.statuses().pop().expect("a status")
    }

    fn posts(&self) -> Vec<Post> {
        let posts = self.actions.iter().filter_map(|action| match action {
            Action::Post(post) => Some(post.clone()),
            _ => None,
        });
        posts.collect()
    }

    fn run_command(&mut self, executor: &str, ids: Value, workspaces: Value, args: Value) {
        let command = json!({
            "execution_ids": ids, "agent_id": 1, "workspaces": workspaces, "action": "RUN", "executor": executor,
            "args": args, "plugin_args": {"ignore_info": false, "resolve_hostname": true, "vuln_tag": null},
        });
        match self.protocol {
            Protocol::SocketIo => self.hear(&format!("42/dispatcher,{}", json!(["run", command]))),
            Protocol::WebSocket => self.hear(&command.to_string()),
        }
    }

    /// Joined, with runs of which each has printed a document of so many hosts.
    fn printing(runs: u64, hosts: usize) -> World {
        let mut world = World::joined(vec![executor("ok", &[])]);
        for id in 1..=runs {
            world.run_command("ok", json!([id]), json!(["ws1"]), json!({}));
            world.handle(Event::Output { run: RunId(id), bytes: &document(hosts) });
        }
        world
    }

    /// A RUN of `executor` for workspace `ws1` with execution id 7.
    fn run(&mut self, executor: &str) {
        self.run_command(executor, json!([7]), json!(["ws1"]), json!({}));
    }

    fn output(&mut self, bytes: &[u8]) {
        self.handle(Event::Output { run: RUN, bytes });
    }

    fn end(&mut self, exit: Exit) {
        self.end_run(RUN, exit);
    }

    fn end_run(&mut self, run: RunId, exit: Exit) {
        self.handle(Event::OutputEnded { run });
        self.handle(Event::ComplaintsEnded { run });
        self.handle(Event::Exited { run, exit });
    }

    /// Where the pieces of a range end.
    fn ends(&self, run: RunId, range: Range) -> Vec<u64> {
        let journal = self.journals.get(&run).map(Vec::as_slice).unwrap_or_default();
        let (mut at, mut ends) = (range.from, Vec::new());
        while at < range.upto {
            let found = record::decode(&journal[at as usize..]).expect("a record begins here");
            at += found.bytes_used as u64;
            ends.extend(found.kind.is_piece().then_some(at));
        }
        ends
    }

    /// How many pieces a worker takes for a post.
    fn pieces(&self, post: &Post) -> u32 {
        let ends = self.ends(post.id.run, post.range);
        let fitting = ends.iter().filter(|end| **end - post.range.from <= post.bytes_max).count();
        (fitting.max(1).min(ends.len()) as u32).min(post.pieces_max)
    }

    /// How many pieces of the journal stand before those of a post.
    fn pieces_before(&self, post: &Post) -> u32 {
        self.ends(post.id.run, Range { segment: 0, from: 0, upto: post.range.from }).len() as u32
    }

    /// The server's answer to a post that took `pieces` pieces.
    fn answer(&mut self, post: &Post, pieces: u32, status: u16) {
        let outcome = Outcome::Answer { status, words: format!("words of {status}"), retry_after: None };
        self.outcome(post, pieces, outcome);
    }

    fn outcome(&mut self, post: &Post, pieces: u32, outcome: Outcome) {
        let ends = self.ends(post.id.run, post.range);
        let upto = if pieces == 0 { post.range.from } else { ends[pieces as usize - 1] };
        assert!(pieces <= post.pieces_max);
        let repairs = Repairs::default();
        self.handle(Event::Posted(Posted { id: post.id, upto, pieces, repairs, outcome }));
    }
}

/// What the shell makes of a journal of one file.
fn resumed(run: RunId, bytes: &[u8]) -> Resumed {
    let mut resumed = Resumed::new(run);
    resumed.on_segment(0);
    Replay::default().read(bytes, |kind, payload, end| resumed.on_record(kind, payload, end)).expect("sound");
    resumed
}

fn utc(up: Duration) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000) + up
}

/// `42/dispatcher,7["run_status",…` → `7`.
fn ack_id(frame: &str) -> String {
    let rest = frame.strip_prefix("42/dispatcher,").expect("an event");
    rest.chars().take_while(char::is_ascii_digit).collect()
}

/// The status in a frame of either protocol, if it is one.
fn status_of(frame: &str) -> Option<Value> {
    let object: Value = match frame.strip_prefix("42/dispatcher,") {
        Some(rest) => {
            let event: Value = serde_json::from_str(rest.trim_start_matches(|c: char| c.is_ascii_digit())).ok()?;
            serde_json::from_str(event.get(1)?.as_str()?).ok()?
        }
        None => serde_json::from_str(frame).ok()?,
    };
    (object["action"] == "RUN_STATUS").then_some(object)
}

/// A document of `hosts` hosts like `HOST`.
fn document(hosts: usize) -> Vec<u8> {
    let host = std::str::from_utf8(HOST).expect("text");
    format!("{{\"hosts\":[{}]}}\n", vec![host; hosts].join(",")).into_bytes()
}

fn message(status: &Value) -> &str {
    status["message"].as_str().expect("a message")
}

/// A world with a run that has printed `hosts` hosts; the first post is under way.
fn running(hosts: usize) -> World {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    world.take();
    world.output(&document(hosts));
    world
}

/// The one post among the actions.
fn the_post(world: &mut World) -> Post {
    let mut posts = world.posts();
    assert_eq!(posts.len(), 1, "{posts:?}");
    world.take();
    posts.remove(0)
}

fn lose(world: &mut World) {
    world.handle(Event::LinkLost { words: "cut".into(), close_reason: None });
}
