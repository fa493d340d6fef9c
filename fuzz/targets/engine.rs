//! The engine against hostile events: frames, executors' bytes and answers of a server that says anything at any time. The shell
//! is played by `Shell`, which keeps its side of the contract; what the engine may ask for in one turn, and hold, is bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use faraday_agent::config::settings::Secret;
use faraday_agent::engine::event::{Action, Event, Exit, Failure, Kill, Now, Outcome, PostId, Posted, Range, RunId};
use faraday_agent::engine::executor::Executor;
use faraday_agent::engine::note::Group;
use faraday_agent::engine::resume::Resumed;
use faraday_agent::engine::{DiskLimits, Engine, Profile};
use faraday_agent::frame::record;
use faraday_agent::proto::channel::Protocol;
use faraday_agent::proto::param::{Param, ParamType};
use faraday_agent::proto::repair::Repairs;

use super::input::Input;

/// Because of one event, beside what grows with the runs.
const ACTIONS_MAX: usize = 200;
const PAUSES: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(20),
    Duration::from_secs(1),
    Duration::from_secs(16),
    Duration::from_secs(61),
    Duration::from_secs(90_000),
];
const STATUSES: [u16; 12] = [201, 200, 302, 400, 401, 403, 404, 413, 429, 500, 503, 0];
const DOCUMENT: &[u8] = b"{\"hosts\":[{\"ip\":\"10.0.0.1\",\"description\":\"\"}]}\n";

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let now = Now { up: Duration::ZERO, utc: UNIX_EPOCH + Duration::from_secs(1_700_000_000) };
    let mut shell = Shell::new(profile(), Vec::new(), now);
    while !input.is_empty() && !shell.has_quit {
        shell.step(&mut input);
    }
}

/// Two executors: one that takes anything and one that asks for a password.
pub fn profile() -> Profile {
    let executor = |name: &str, kinds: &[ParamType]| {
        let params = kinds.iter().map(|kind| Param {
            name: kind.name().to_uppercase(),
            mandatory: *kind == ParamType::Password,
            types: vec![*kind],
            base: kind.name().to_owned(),
            accept: None,
        });
        Executor {
            command: "true".to_owned(),
            params: params.collect(),
            timeout: Some(Duration::from_secs(60)),
            ..Executor::unknown(name)
        }
    };
    Profile {
        agent_name: "fuzz".to_owned(),
        executors: vec![
            executor("any", &ParamType::ALL[..2]),
            executor("secret", &[ParamType::Password, ParamType::List]),
        ],
        concurrent_runs_max: Some(3),
        waiting_runs_max: 5,
        stop_grace: Duration::from_secs(10),
        delivery_grace: Duration::from_secs(60),
        retry_max: Duration::from_secs(3600),
        disk: DiskLimits { bytes_max: 1 << 20, sync_after: Duration::from_secs(1) },
        seed: 1,
        first_run: RunId(1),
    }
}

#[derive(Default)]
struct Child {
    has_stdout: bool,
    has_stderr: bool,
    has_exited: bool,
    wanted: bool,
}

/// What the engine asked a worker for.
struct Work {
    id: PostId,
    range: Range,
    pieces_max: u32,
    is_set_aside: bool,
}

pub struct Shell {
    engine: Engine,
    now: Now,
    is_dialling: bool,
    is_fetching: bool,
    is_linked: bool,
    is_syncing: bool,
    disk_fails: bool,
    children: BTreeMap<RunId, Child>,
    works: Vec<Work>,
    journals: BTreeMap<(RunId, u64), Vec<u8>>,
    is_resumed: bool,
    pub has_quit: bool,
}

impl Shell {
    pub fn new(profile: Profile, resumed: Vec<Resumed>, now: Now) -> Shell {
        let mut shell = Shell {
            is_resumed: !resumed.is_empty(),
            engine: Engine::new(profile, resumed, now),
            now,
            is_dialling: false,
            is_fetching: false,
            is_linked: false,
            is_syncing: false,
            disk_fails: false,
            children: BTreeMap::new(),
            works: Vec::new(),
            journals: BTreeMap::new(),
            has_quit: false,
        };
        shell.perform_all();
        shell
    }

    /// A file that is there before the engine.
    pub fn keep(&mut self, run: RunId, segment: u64, bytes: &[u8]) {
        self.journals.insert((run, segment), bytes.to_vec());
    }

    /// A server that takes everything, until there is nothing left to take.
    pub fn serve_all(&mut self) {
        self.connect(true, Protocol::SocketIo);
        for _ in 0..10_000 {
            if self.works.is_empty() {
                return;
            }
            self.post(0, 201);
        }
        panic!("posts without end");
    }

    /// One event, as the input says.
    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(16) {
            0 | 1 => {
                let text = String::from_utf8_lossy(input.stretch());
                if self.is_linked {
                    self.tell(Event::Frame(&text));
                }
            }
            2 => self.connect(!input.one_in(4), input.pick(&[Protocol::SocketIo, Protocol::WebSocket])),
            3 => self.token(input.one_in(2)),
            4 if self.is_linked => self.tell(Event::Pong(u32::from(input.byte()))),
            5 if std::mem::take(&mut self.is_linked) => {
                self.tell(Event::LinkLost { words: "cut".to_owned(), close_reason: None });
            }
            6 => {
                let bytes = input.stretch();
                self.print(input.byte(), bytes);
            }
            7 => self.print(input.byte(), DOCUMENT),
            8 => self.complain(input),
            9 => self.close_pipe(input.byte(), input.one_in(2)),
            10 => self.exit(input.byte(), i32::from(input.byte() % 3)),
            11 => self.post(input.byte().into(), input.pick(&STATUSES)),
            12 => self.synced(!input.one_in(4)),
            13 => self.disk_fails = input.one_in(2),
            14 if input.one_in(8) => self.tell(Event::Stop { signal: "SIGTERM" }),
            _ => self.wait(input.pick(&PAUSES)),
        }
    }

    fn connect(&mut self, is_well: bool, protocol: Protocol) {
        if !std::mem::take(&mut self.is_dialling) {
            return;
        }
        self.is_linked = is_well;
        self.tell(match is_well {
            true => Event::Connected { protocol, token: secret() },
            false => Event::ConnectFailed(failure()),
        });
    }

    fn token(&mut self, is_well: bool) {
        if std::mem::take(&mut self.is_fetching) {
            self.tell(if is_well { Event::TokenFetched(secret()) } else { Event::TokenFailed(failure()) });
        }
    }

    fn nth(&self, number: u8) -> Option<RunId> {
        self.children.keys().nth(usize::from(number) % self.children.len().max(1)).copied()
    }

    fn print(&mut self, number: u8, bytes: &[u8]) {
        let Some(run) = self.nth(number) else { return };
        if self.children[&run].has_stdout && self.children[&run].wanted {
            self.tell(Event::Output { run, bytes });
        }
    }

    fn complain(&mut self, input: &mut Input<'_>) {
        let Some(run) = self.nth(input.byte()) else { return };
        if self.children[&run].has_stderr {
            self.tell(Event::Complaint { run, bytes: input.stretch() });
        }
    }

    fn close_pipe(&mut self, number: u8, is_stdout: bool) {
        let Some(child) = self.nth(number).and_then(|run| self.children.get_mut(&run).map(|child| (run, child))) else {
            return;
        };
        let (run, child) = child;
        let pipe = if is_stdout { &mut child.has_stdout } else { &mut child.has_stderr };
        let is_open = std::mem::take(pipe);
        match (is_open, is_stdout) {
            (true, true) => self.tell(Event::OutputEnded { run }),
            (true, false) => self.tell(Event::ComplaintsEnded { run }),
            (false, _) => {}
        }
    }

    fn exit(&mut self, number: u8, code: i32) {
        let Some(run) = self.nth(number) else { return };
        let Some(child) = self.children.get_mut(&run) else { return };
        if !std::mem::replace(&mut child.has_exited, true) {
            self.tell(Event::Exited { run, exit: Exit::Code(code) });
        }
    }

    /// What came of one of the posts that are out; status 0 is no answer.
    fn post(&mut self, number: usize, status: u16) {
        if self.works.is_empty() {
            return;
        }
        let work = self.works.swap_remove(number % self.works.len());
        let found = self.pieces(&work);
        assert!(found.is_some() || self.is_resumed, "a range of what was written holds whole records");
        let (upto, pieces) = found.unwrap_or((work.range.from, 0));
        let words = "words".to_owned();
        let outcome = match status {
            _ if found.is_none() => Outcome::Unreadable { words },
            _ if work.is_set_aside => Outcome::SetAside,
            0 => Outcome::NoAnswer { words },
            status => {
                Outcome::Answer { status, words, retry_after: Some(Duration::from_secs(3)).filter(|_| status == 429) }
            }
        };
        self.tell(Event::Posted(Posted { id: work.id, upto, pieces, repairs: Repairs::default(), outcome }));
    }

    /// As a worker finds them in the journal; none where a note of an earlier agent points into the middle of a record.
    fn pieces(&self, work: &Work) -> Option<(u64, u32)> {
        let range = work.range;
        let (mut upto, mut pieces) = (range.from, 0);
        while upto < range.upto && pieces < work.pieces_max {
            let file = self.journals.get(&(work.id.run, range.segment))?;
            let found = record::decode(file.get((upto - range.segment) as usize..)?).ok()?;
            upto += found.bytes_used as u64;
            pieces += u32::from(found.kind.is_piece());
        }
        (upto <= range.upto).then_some((upto, pieces))
    }

    fn synced(&mut self, is_well: bool) {
        if std::mem::take(&mut self.is_syncing) {
            self.tell(Event::Synced { result: if is_well { Ok(()) } else { Err("EIO".to_owned()) } });
        }
    }

    fn wait(&mut self, pause: Duration) {
        self.now.up += pause;
        self.now.utc += pause;
        self.engine.handle_timeout(self.now);
        self.perform_all();
    }

    fn tell(&mut self, event: Event<'_>) {
        if self.has_quit {
            return;
        }
        self.engine.handle_event(event, self.now);
        self.perform_all();
        // The end of the turn.
        self.engine.handle_timeout(self.now);
        self.perform_all();
    }

    fn perform_all(&mut self) {
        let mut actions = 0;
        while let Some(action) = self.engine.poll_action() {
            actions += 1;
            assert!(actions <= ACTIONS_MAX + 20 * self.children.len(), "actions without end");
            if let Some(event) = self.perform(action) {
                self.engine.handle_event(event, self.now);
            }
        }
    }

    fn perform(&mut self, action: Action) -> Option<Event<'static>> {
        match action {
            Action::Connect => (self.is_dialling, self.is_linked) = (true, false),
            Action::FetchToken => self.is_fetching = true,
            Action::Close | Action::Disconnect => self.is_linked = false,
            Action::Spawn(spawn) => {
                let run = spawn.run;
                let child = Child { has_stdout: true, has_stderr: true, has_exited: false, wanted: true };
                assert!(self.children.insert(run, child).is_none(), "two children at once");
                return Some(Event::Started { run, group: Group { id: 1000, birth: "boot/1".to_owned() } });
            }
            Action::Kill { signal: Kill::Gently | Kill::AtOnce, .. } => {}
            Action::Read { run, wanted } => self.children.get_mut(&run).expect("a child").wanted = wanted,
            Action::Release { run } => {
                assert!(self.children.remove(&run).expect("a child").has_exited, "released before its end");
            }
            Action::Append { run, segment, bytes } => return Some(self.append(run, segment, bytes)),
            Action::Sync { .. } => {
                assert!(!std::mem::replace(&mut self.is_syncing, true), "two syncs at once");
            }
            Action::Trim { run, before } => self.journals.retain(|(whose, start), _| *whose != run || *start >= before),
            Action::Forget { run, .. } => self.journals.retain(|(whose, _), _| *whose != run),
            Action::Post(post) => {
                self.work(Work { id: post.id, range: post.range, pieces_max: post.pieces_max, is_set_aside: false })
            }
            Action::SetAside(asked) => {
                self.work(Work { id: asked.id, range: asked.range, pieces_max: u32::MAX, is_set_aside: true });
            }
            Action::Quit { .. } => self.has_quit = true,
            Action::Send(_) | Action::Ping(_) | Action::Workers(_) | Action::KillLeftover { .. } => {}
        }
        None
    }

    fn append(&mut self, run: RunId, segment: u64, bytes: Vec<u8>) -> Event<'static> {
        if self.disk_fails {
            return Event::Journaled { run, bytes, result: Err("ENOSPC".to_owned()) };
        }
        self.journals.entry((run, segment)).or_default().extend_from_slice(&bytes);
        Event::Journaled { run, bytes, result: Ok(()) }
    }

    fn work(&mut self, work: Work) {
        self.works.push(work);
        let ids: BTreeSet<PostId> = self.works.iter().map(|work| work.id).collect();
        assert_eq!(ids.len(), self.works.len(), "two posts of one run and workspace at once");
    }
}

fn secret() -> Secret {
    Secret::new("token".to_owned())
}

fn failure() -> Failure {
    Failure { words: "no".to_owned(), fatal: false }
}
