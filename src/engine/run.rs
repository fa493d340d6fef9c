//! One run from RUN to its last status: its stages, its journal, its deliveries. It asks for system calls through the agenda and
//! tells the server through the outbox; the engine decides only when it may start.
//!
//! ```text
//! Opening (journal) → Waiting (place) → Checking (check_cmds) → Running → Settling (deliveries) → Told
//! ```
//!
//! A run that an earlier agent left begins at Settling. `record` is what it writes into its journal, `status` what it tells,
//! `workspaces` where its documents go.
//!
//! Invariant: the shell answers each `Append` with `Journaled` before any other event of the same run.

mod record;
mod status;
mod workspaces;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::config::settings::Secret;
use crate::proto::message::RunCommand;

use super::admission::{Admitted, RUN_BYTES};
use super::agenda::Agenda;
use super::backoff::Backoff;
use super::deliveries::Deliveries;
use super::delivery::Delivery;
use super::event::{Action, Exit, RunId};
use super::executor::Executor;
use super::intake::Intake;
use super::journal::Journal;
use super::note::{Ended, Group};
use super::process::{Leftover, Process};
use super::redact::Redactor;
use super::tally::Complaints;
use super::timers::Timer;
use super::verdict;

use record::Unsaid;

/// A check command that hangs must not hang the run.
const CHECK_WITHIN: Duration = Duration::from_secs(60);
/// A machine that lacks what a process needs is asked again after these pauses …
const START_AGAIN_FIRST: Duration = Duration::from_secs(1);
const START_AGAIN_MAX: Duration = Duration::from_secs(30);
/// … so many times: some five minutes.
const STARTS_MAX: u32 = 15;

/// What is reckoned for a run has room for its buffers and a status.
const _: () = assert!(2 * size_of::<Run>() < RUN_BYTES);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Opening,
    Waiting,
    Checking(usize),
    Running,
    Settling,
    Told,
}

/// Why the agent itself ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    TimedOut(Duration),
    Stopped(&'static str),
    /// Its journal cannot be read back: what it prints would be kept for nobody, and take the room of others.
    Unreadable,
}

pub struct Run {
    pub id: RunId,
    pub executor: Arc<Executor>,
    pub agent_name: Arc<str>,
    /// What it holds of the agent's memory.
    pub bytes: usize,
    execution_ids: Arc<[i64]>,
    workspaces: Vec<Arc<str>>,
    params: Arc<str>,
    env: Arc<[(String, Secret)]>,
    stage: Stage,
    has_place: bool,
    process: Option<Process>,
    /// Tries to start a process that came to nothing because of what the machine lacked.
    starts_failed: u32,
    start_again: Backoff,
    started: (Duration, SystemTime),
    pub intake: Intake,
    pub journal: Journal,
    pub deliveries: Deliveries,
    unsaid: Unsaid,
    group: Option<Group>,
    /// How the executor ended, once nothing more will come from it.
    pub ended: Option<Ended>,
    /// Nothing is left to post, nor an end to tell.
    is_delivered: bool,
    /// The server was told that the run has ended though something waits for it.
    is_late: bool,
    /// Nothing is read from its executor, because its journal holds its share of the room.
    is_crowded: bool,
    /// Workspaces have had something to tell since the server was told last.
    has_news: bool,

    pub cause: Option<Cause>,
    pub exit: Option<Exit>,
    /// Why it came to nothing before its executor was started.
    pub failure: Option<String>,
    pub leftover: Option<Leftover>,
}

impl Run {
    pub fn new(
        id: RunId,
        command: RunCommand<'_>,
        executor: Arc<Executor>,
        admitted: Admitted,
        agent_name: Arc<str>,
        agenda: &Agenda,
    ) -> Run {
        let redactor = Redactor::new(&executor, &admitted.secrets);
        Run {
            id,
            executor,
            agent_name,
            bytes: admitted.bytes(&command.workspaces),
            intake: Intake::new(id, !command.workspaces.is_empty(), redactor),
            execution_ids: command.execution_ids.into(),
            workspaces: command.workspaces.into_iter().map(Arc::from).collect(),
            params: admitted.params.into(),
            env: admitted.env.into(),
            stage: Stage::Opening,
            has_place: false,
            process: None,
            starts_failed: 0,
            start_again: Backoff::new(START_AGAIN_FIRST, START_AGAIN_MAX),
            started: (agenda.now.up, agenda.now.utc),
            journal: Journal::new(id),
            deliveries: Deliveries::default(),
            unsaid: Unsaid::default(),
            group: None,
            ended: None,
            is_delivered: false,
            is_late: false,
            is_crowded: false,
            has_news: false,
            cause: None,
            exit: None,
            failure: None,
            leftover: None,
        }
    }

    /// Has no journal yet.
    pub fn is_opening(&self) -> bool {
        self.stage == Stage::Opening
    }

    /// Has its journal and waits for a place.
    pub fn is_waiting(&self) -> bool {
        self.stage == Stage::Waiting
    }

    /// Nothing is left to do but to hear that the last status has arrived.
    pub fn is_told(&self) -> bool {
        self.stage == Stage::Told
    }

    /// Whether it gives back, now, the place of `max_concurrent_runs` that `start` took.
    pub fn leaves_place(&mut self) -> bool {
        let is_busy = matches!(self.stage, Stage::Checking(_) | Stage::Running);
        let leaves = self.has_place && !is_busy;
        self.has_place &= is_busy;
        leaves
    }

    /// How long it took, once nothing more will come from it.
    pub fn took(&self) -> Option<Duration> {
        self.ended.as_ref().filter(|ended| ended.ran).map(|ended| Duration::from_micros(ended.took_us))
    }

    /// Asks for its journal; nothing is started before that is there.
    pub fn open(&mut self, agenda: &mut Agenda) {
        agenda.write(self.id);
    }

    /// It cannot be made at present.
    pub fn on_open_failed(&mut self, bytes: Vec<u8>, words: &str, agenda: &mut Agenda) {
        self.journal.on_unwritten(bytes);
        agenda.back_off(&mut self.start_again, Duration::ZERO, Timer::Start(self.id));
        let is_news = self.failure.is_none();
        self.failure = Some(format!("its journal cannot be made: {words}"));
        if is_news {
            log::error!("run {}: its journal cannot be made: {words}; it waits until it can", self.id);
            self.tell_present(agenda);
        }
    }

    /// The journal is there.
    fn on_opened(&mut self, agenda: &mut Agenda) {
        self.failure = None;
        // Another write may have been faster than the next try.
        agenda.timers.clear(Timer::Start(self.id));
        self.open_deliveries(Vec::new());
        self.stage = Stage::Waiting;
    }

    /// It has a place.
    pub fn start(&mut self, agenda: &mut Agenda) {
        self.has_place = true;
        self.started = (agenda.now.up, agenda.now.utc);
        self.next_process(0, agenda);
    }

    /// Starts check command `check`, or the executor when all checks have passed.
    fn next_process(&mut self, check: usize, agenda: &mut Agenda) {
        let (stage, command) = match self.executor.checks.get(check) {
            Some(command) => (Stage::Checking(check), command),
            None => (Stage::Running, &self.executor.command),
        };
        self.stage = stage;
        self.process = Some(Process::start(self.id, command, &self.env, self.limit(), agenda));
    }

    /// How long the process of the present stage may take.
    fn limit(&self) -> Option<Duration> {
        if self.stage == Stage::Running { self.executor.timeout } else { Some(CHECK_WITHIN) }
    }

    pub fn on_started(&mut self, group: Group, agenda: &mut Agenda) {
        self.starts_failed = 0;
        self.process.iter_mut().for_each(Process::on_started);
        self.group = Some(group);
        self.unsaid.process = true;
        agenda.write(self.id);
        if self.is_paused(agenda) {
            agenda.act(Action::Read { run: self.id, wanted: false });
        }
        if self.stage == Stage::Running {
            // It is started once only, and passwords are nothing to keep.
            self.env = Arc::default();
            log::info!("run {}: {} started", self.id, self.executor.name);
            self.tell_present(agenda);
        }
    }

    /// What the machine lacks at present it may have again when other runs have ended.
    pub fn on_start_failed(&mut self, words: &str, passing: bool, agenda: &mut Agenda) {
        self.process = None;
        agenda.timers.clear(Timer::RunTimeout(self.id));
        self.starts_failed += 1;
        if passing && self.starts_failed < STARTS_MAX && self.cause.is_none() {
            let pause = agenda.back_off(&mut self.start_again, Duration::ZERO, Timer::Start(self.id));
            log::warn!("run {}: it cannot be started: {words}; trying again in {:.1} s", self.id, pause.as_secs_f32());
            self.failure = Some(format!("it cannot be started at present: {words}"));
            self.tell_present(agenda);
            return;
        }
        self.failure = Some(format!("it could not be started: {words}"));
        self.end_without_executor(agenda);
    }

    fn start_again(&mut self, agenda: &mut Agenda) {
        if self.stage == Stage::Opening {
            return self.open(agenda);
        }
        self.failure = None;
        let check = if let Stage::Checking(check) = self.stage { check } else { self.executor.checks.len() };
        self.next_process(check, agenda);
    }

    pub fn on_output(&mut self, bytes: &[u8], agenda: &mut Agenda) {
        // What a check prints is its own business.
        if self.stage == Stage::Running {
            self.intake.on_stdout(bytes, &mut self.journal);
            agenda.write(self.id);
        }
    }

    pub fn on_output_ended(&mut self, agenda: &mut Agenda) {
        let is_news = self.process.as_mut().is_some_and(Process::on_stdout_ended);
        if is_news && self.stage == Stage::Running {
            self.intake.on_stdout_ended(&mut self.journal);
            agenda.write(self.id);
        }
    }

    pub fn on_complaint(&mut self, bytes: &[u8]) {
        self.intake.on_stderr(bytes, &self.executor.name);
    }

    pub fn on_complaints_ended(&mut self) {
        self.intake.on_stderr_ended(&self.executor.name);
        if let Some(process) = &mut self.process {
            process.on_stderr_ended();
        }
    }

    pub fn on_exited(&mut self, exit: Exit, agenda: &mut Agenda) {
        if let Some(process) = &mut self.process {
            process.on_exited(exit, agenda);
        }
    }

    pub fn on_timer(&mut self, timer: Timer, agenda: &mut Agenda) {
        match timer {
            Timer::RunTimeout(_) => self.end(Cause::TimedOut(self.limit().unwrap_or_default()), agenda),
            Timer::RunKill(_) => self.kill(agenda),
            Timer::RunDrain(_) => self.on_drain_due(agenda),
            Timer::Start(_) => self.start_again(agenda),
            Timer::Grace(_) => self.on_grace_over(agenda),
            Timer::News(_) => self.tell_news(agenda),
            _ => debug_assert!(false, "{timer:?} is not a run's"),
        }
    }

    fn on_drain_due(&mut self, agenda: &mut Agenda) {
        let reading = !self.is_paused(agenda);
        let Some(process) = &mut self.process else { return };
        if process.on_drain_due(reading, agenda) {
            self.on_complaints_ended();
            self.on_output_ended(agenda);
        }
    }

    /// The agent ends the run: at once if nothing of it lives, else by signals.
    pub fn end(&mut self, cause: Cause, agenda: &mut Agenda) {
        let has_ended = self.process.as_ref().is_some_and(Process::has_exited);
        if has_ended || self.cause.is_some() || self.ended.is_some() {
            return;
        }
        self.cause = Some(cause);
        match &mut self.process {
            Some(process) => process.end(agenda),
            None => self.end_without_executor(agenda),
        }
    }

    /// The grace is over.
    pub fn kill(&mut self, agenda: &mut Agenda) {
        if let Some(process) = &mut self.process {
            process.kill(agenda);
        }
    }

    /// The disk takes what is read again, or does not any more.
    pub fn on_disk(&self, agenda: &mut Agenda) {
        if self.process.as_ref().is_some_and(Process::has_started) {
            agenda.act(Action::Read { run: self.id, wanted: !self.is_paused(agenda) });
        }
        if self.ended.is_none() {
            agenda.write(self.id);
            self.tell_present(agenda);
        }
    }

    /// Looks whether its journal holds its share of the room now, and whether it has to wait therefore.
    pub fn weigh(&mut self, agenda: &mut Agenda) {
        let bytes = self.journal.bytes();
        let is_crowded = self.process.is_some() && agenda.disk.is_share(bytes, self.is_crowded);
        if self.is_crowded && self.makes_room() {
            agenda.write(self.id);
        }
        if self.is_crowded == is_crowded {
            return;
        }
        self.is_crowded = is_crowded;
        agenda.disk.on_crowded(is_crowded);
        match is_crowded {
            true => log::warn!(
                "run {}: {}; nothing is read from its executor until the server takes more",
                self.id,
                self.share_words()
            ),
            false => log::info!("run {}: its journal has room again", self.id),
        }
        self.on_disk(agenda);
    }

    /// Whether nothing is read from its executor.
    fn is_paused(&self, agenda: &Agenda) -> bool {
        self.is_crowded || agenda.disk.is_failing()
    }

    /// Why nothing is read from its executor.
    fn pause_words(&self, agenda: &Agenda) -> Option<String> {
        let failure = agenda.disk.failure().map(str::to_owned);
        failure.or_else(|| self.is_crowded.then(|| self.share_words()))
    }

    fn share_words(&self) -> String {
        format!(
            "its journal holds {:.1} MiB that the server has not taken yet, its share of what agent.journal_bytes_max leaves",
            self.journal.bytes() as f64 / f64::from(1 << 20)
        )
    }

    /// Goes on to the next stage as soon as this one has nothing left to wait for.
    pub fn advance(&mut self, agenda: &mut Agenda) {
        let done = self.process.as_ref().and_then(Process::done).filter(|_| !self.journal.holds_pieces());
        if let Some(exit) = done {
            self.on_process_done(exit, agenda);
        }
        if self.stage == Stage::Settling && self.deliveries.are_done(&self.journal) {
            self.is_delivered = true;
        }
        // Whoever finds the journal must not tell another end. A disk that takes nothing may wait for just this one to go.
        if self.is_settled() && (self.is_noted() || agenda.disk.is_failing()) {
            self.tell_last(agenda);
        }
    }

    /// Nothing is left to do but to tell how it went.
    fn is_settled(&self) -> bool {
        self.stage == Stage::Settling && (self.took().is_none() || self.is_delivered)
    }

    fn on_process_done(&mut self, exit: Exit, agenda: &mut Agenda) {
        if let Some(process) = self.process.take() {
            self.leftover = self.leftover.or(process.leftover());
            process.release(agenda);
        }
        match self.stage {
            Stage::Checking(check) if exit == Exit::Code(0) && self.cause.is_none() => {
                self.intake.complaints = Complaints::default();
                self.next_process(check + 1, agenda);
            }
            Stage::Checking(check) => {
                self.failure = self.check_failure(check, exit);
                self.end_without_executor(agenda);
            }
            _ => {
                self.exit = Some(exit);
                self.on_ended(agenda);
                self.stage = Stage::Settling;
                agenda.after(agenda.delivery_grace, Timer::Grace(self.id));
            }
        }
    }

    /// What is wrong with a check that did not pass; nothing, if the agent is stopping.
    fn check_failure(&self, check: usize, exit: Exit) -> Option<String> {
        let command = &self.executor.checks[check];
        match self.cause {
            Some(Cause::Stopped(_) | Cause::Unreadable) => None,
            Some(Cause::TimedOut(limit)) => {
                Some(format!("its check `{command}` did not end within {} s", limit.as_secs_f32()))
            }
            None => Some(format!("its check `{command}` failed with {}", verdict::exit_words(exit))),
        }
    }

    fn end_without_executor(&mut self, agenda: &mut Agenda) {
        agenda.timers.clear(Timer::Start(self.id));
        self.on_ended(agenda);
        self.stage = Stage::Settling;
    }

    fn on_ended(&mut self, agenda: &mut Agenda) {
        self.ended = Some(verdict::ended(self, agenda.now.up.saturating_sub(self.started.0)));
        self.unsaid.ended = true;
        agenda.write(self.id);
    }

    /// The server knows how the run went: its journal is not needed any more.
    pub fn on_told(self, agenda: &mut Agenda) {
        debug_assert!(self.stage == Stage::Told);
        let damaged = self.deliveries.iter().any(Delivery::is_unreadable);
        if damaged {
            log::error!("run {}: its journal is kept: it holds what could not be read back", self.id);
        }
        if self.journal.exists() {
            agenda.act(Action::Forget { run: self.id, damaged });
        }
        agenda.disk.forget(self.id, self.journal.bytes());
    }
}
