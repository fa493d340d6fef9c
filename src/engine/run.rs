//! One run from RUN to its last status: its stages, its journal, its deliveries. It asks for system calls through the agenda and
//! tells the server through the outbox; the engine decides only when it may start.
//!
//! ```text
//! Waiting → Opening (journal) → Checking (check_cmds) → Running → Settling (deliveries) → Finished
//! ```
//!
//! Invariant: the shell answers each `Append` with `Journaled` before any other event of the same run.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::config::settings::Secret;
use crate::frame::record::Kind;
use crate::proto::bulk::{self, Envelope};
use crate::proto::excerpt::excerpt;
use crate::proto::message::{RunCommand, RunStatus};

use super::admission::Admitted;
use super::agenda::Agenda;
use super::delivery::Delivery;
use super::event::{Action, Exit, PostId, RunId};
use super::executor::Executor;
use super::intake::Intake;
use super::process::{Leftover, Process};
use super::redact::Redactor;
use super::tally::Complaints;
use super::timers::Timer;
use super::verdict;

/// A check command that hangs must not hang the run.
const CHECK_WITHIN: Duration = Duration::from_secs(60);
const JOURNAL_RETRY: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Opening,
    Checking(usize),
    Running,
    Settling,
    Finished,
}

/// Why the agent itself ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    TimedOut(Duration),
    Stopped(&'static str),
}

pub struct Run {
    pub id: RunId,
    pub executor: Arc<Executor>,
    pub agent_name: Arc<str>,
    execution_ids: Vec<i64>,
    workspaces: Vec<Arc<str>>,
    params: String,
    env: Vec<(String, Secret)>,
    stage: Stage,
    has_place: bool,
    process: Option<Process>,
    started: (Duration, SystemTime),
    /// How long it took, once the executor has ended.
    took: Option<Duration>,
    pub intake: Intake,
    journal_bytes: u64,
    /// Why the journal takes nothing at present.
    obstacle: Option<String>,
    pub deliveries: Vec<Delivery>,

    pub cause: Option<Cause>,
    pub exit: Option<Exit>,
    /// Why it came to nothing before its executor was started.
    pub failure: Option<String>,
    pub leftover: Option<Leftover>,
}

impl Run {
    pub fn new(
        id: RunId,
        command: RunCommand,
        executor: Arc<Executor>,
        admitted: Admitted,
        agent_name: Arc<str>,
        agenda: &Agenda,
    ) -> Run {
        let redactor = Redactor::new(&executor, &command.args);
        Run {
            id,
            executor,
            agent_name,
            intake: Intake::new(id, !command.workspaces.is_empty(), redactor),
            execution_ids: command.execution_ids,
            workspaces: command.workspaces.into_iter().map(Arc::from).collect(),
            params: admitted.params,
            env: admitted.env,
            stage: Stage::Waiting,
            has_place: false,
            process: None,
            started: (agenda.now.up, agenda.now.utc),
            took: None,
            journal_bytes: 0,
            obstacle: None,
            deliveries: Vec::new(),
            cause: None,
            exit: None,
            failure: None,
            leftover: None,
        }
    }

    pub fn is_waiting(&self) -> bool {
        self.stage == Stage::Waiting
    }

    pub fn is_finished(&self) -> bool {
        self.stage == Stage::Finished
    }

    /// Whether it gives back, now, the place of `max_concurrent_runs` that `start` took.
    pub fn leaves_place(&mut self) -> bool {
        let is_busy = matches!(self.stage, Stage::Opening | Stage::Checking(_) | Stage::Running);
        let leaves = self.has_place && !is_busy;
        self.has_place &= is_busy;
        leaves
    }

    pub fn journal_bytes(&self) -> u64 {
        self.journal_bytes
    }

    /// How long it took, once nothing more will come from it.
    pub fn took(&self) -> Option<Duration> {
        self.took
    }

    pub fn workspace_names(&self) -> String {
        excerpt(&self.workspaces.join(", "), 200)
    }

    /// The last status of a run that the agent has to leave behind.
    pub fn abandoned_status(&self) -> RunStatus {
        let open = self.deliveries.iter().filter(|delivery| !delivery.is_closed());
        let mut waits: Vec<String> = open.map(Delivery::waiting_words).collect();
        waits.extend(self.obstacle.clone());
        let message = format!(
            "Executor {} from {} was left by an agent that had to stop; what is not delivered is kept in its journal: {}",
            self.executor.name,
            self.agent_name,
            waits.join("; ")
        );
        self.status(false, Some(false), message)
    }

    fn status(&self, running: bool, successful: Option<bool>, message: String) -> RunStatus {
        RunStatus {
            execution_ids: self.execution_ids.clone(),
            executor_name: self.executor.name.clone(),
            running,
            successful,
            message,
        }
    }

    /// The status of a run that is alive; also for a server that may have taken it for dead.
    pub fn present_status(&self) -> RunStatus {
        let executor = format!("Executor {} from {}", self.executor.name, self.agent_name);
        let message = match (self.stage, &self.obstacle) {
            (Stage::Waiting, _) => format!("{executor} waits for a place: max_concurrent_runs are running"),
            (_, Some(words)) => format!("{executor} is paused: {words}; it goes on when there is room"),
            (Stage::Settling, _) => format!("{executor} has ended; its findings are being delivered"),
            _ => format!("Running {} executor from {} agent", self.executor.name, self.agent_name),
        };
        self.status(true, None, message)
    }

    pub fn start(&mut self, agenda: &mut Agenda) {
        self.stage = Stage::Opening;
        self.has_place = true;
        self.started = (agenda.now.up, agenda.now.utc);
        self.intake.add_record(Kind::Run, self.head().to_string().as_bytes());
        self.append(agenda);
    }

    /// What the journal has to say of this run: everything that a later agent needs, and no secrets.
    fn head(&self) -> serde_json::Value {
        serde_json::json!({
            "execution_ids": self.execution_ids,
            "workspaces": self.workspaces.iter().map(|name| name.as_ref()).collect::<Vec<_>>(),
            "executor": self.executor.name,
            "params": self.params,
            "start_date": bulk::start_date(self.started.1),
        })
    }

    /// Gives the journal what there is.
    fn append(&mut self, agenda: &mut Agenda) {
        if self.intake.has_records() {
            agenda.act(Action::Append { run: self.id, bytes: self.intake.take_records() });
        }
    }

    /// The journal took the records, or gave them back.
    pub fn on_journaled(&mut self, bytes: Vec<u8>, result: Result<u64, String>, agenda: &mut Agenda) {
        match result {
            Ok(journal_bytes) => {
                self.journal_bytes = journal_bytes;
                self.on_appended(agenda);
            }
            Err(words) => {
                self.intake.give_back(bytes);
                agenda.after(JOURNAL_RETRY, Timer::Journal(self.id));
                self.on_obstacle(words, agenda);
            }
        }
    }

    fn on_appended(&mut self, agenda: &mut Agenda) {
        if self.obstacle.take().is_some() {
            log::info!("run {}: the journal takes data again", self.id);
            agenda.act(Action::Read { run: self.id, wanted: true });
            agenda.outbox.push(self.present_status());
        }
        if self.stage == Stage::Opening {
            self.open_deliveries();
            self.next_process(0, agenda);
        }
    }

    fn on_obstacle(&mut self, words: String, agenda: &mut Agenda) {
        if self.obstacle.is_none() {
            log::error!("run {}: the journal cannot be written: {words}; reading pauses until it can", self.id);
            agenda.act(Action::Read { run: self.id, wanted: false });
            self.obstacle = Some(words);
            agenda.outbox.push(self.present_status());
        }
    }

    fn open_deliveries(&mut self) {
        let pairs = self.workspaces.iter().zip(&self.execution_ids).enumerate();
        let deliveries = pairs.map(|(workspace, (name, &execution_id))| {
            let envelope = Envelope {
                execution_id,
                tool: self.agent_name.to_string(),
                command: self.executor.name.clone(),
                params: self.params.clone(),
                start_date: bulk::start_date(self.started.1),
            };
            let id = PostId { run: self.id, workspace };
            Delivery::new(id, name.clone(), Arc::new(envelope), self.journal_bytes)
        });
        self.deliveries = deliveries.collect();
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

    pub fn on_started(&mut self, agenda: &mut Agenda) {
        if self.stage == Stage::Running {
            log::info!("run {}: {} started", self.id, self.executor.name);
            agenda.outbox.push(self.present_status());
        }
    }

    pub fn on_start_failed(&mut self, words: &str, agenda: &mut Agenda) {
        self.process = None;
        agenda.timers.clear(Timer::RunTimeout(self.id));
        self.failure = Some(format!("it could not be started: {words}"));
        self.finish(agenda);
    }

    pub fn on_output(&mut self, bytes: &[u8], agenda: &mut Agenda) {
        // What a check prints is its own business.
        if self.stage == Stage::Running {
            self.intake.on_stdout(bytes);
            self.append(agenda);
        }
    }

    pub fn on_output_ended(&mut self, agenda: &mut Agenda) {
        let is_news = self.process.as_mut().is_some_and(Process::on_stdout_ended);
        if is_news && self.stage == Stage::Running {
            self.intake.on_stdout_ended();
            self.append(agenda);
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
            Timer::Journal(_) => self.append(agenda),
            _ => debug_assert!(false, "{timer:?} is not a run's"),
        }
    }

    fn on_drain_due(&mut self, agenda: &mut Agenda) {
        let reading = self.obstacle.is_none();
        let Some(process) = &mut self.process else { return };
        if process.on_drain_due(reading, agenda) {
            self.on_complaints_ended();
            self.on_output_ended(agenda);
        }
    }

    /// The agent ends the run: at once if nothing of it lives, else by signals.
    pub fn end(&mut self, cause: Cause, agenda: &mut Agenda) {
        let has_ended = self.process.as_ref().is_some_and(Process::has_exited);
        if has_ended || self.cause.is_some() || matches!(self.stage, Stage::Settling | Stage::Finished) {
            return;
        }
        self.cause = Some(cause);
        match &mut self.process {
            Some(process) => process.end(agenda),
            None => self.finish(agenda),
        }
    }

    /// The grace is over.
    pub fn kill(&mut self, agenda: &mut Agenda) {
        if let Some(process) = &mut self.process {
            process.kill(agenda);
        }
    }

    /// Goes on to the next stage as soon as this one has nothing left to wait for.
    pub fn advance(&mut self, agenda: &mut Agenda) {
        let done = self.process.as_ref().and_then(Process::done).filter(|_| !self.intake.has_records());
        if let Some(exit) = done {
            self.on_process_done(exit, agenda);
        }
        if self.stage == Stage::Settling && self.deliveries.iter().all(Delivery::is_closed) {
            self.finish(agenda);
        }
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
                self.finish(agenda);
            }
            _ => {
                self.exit = Some(exit);
                self.took = Some(agenda.now.up.saturating_sub(self.started.0));
                self.stage = Stage::Settling;
            }
        }
    }

    /// What is wrong with a check that did not pass; nothing, if the agent is stopping.
    fn check_failure(&self, check: usize, exit: Exit) -> Option<String> {
        let command = &self.executor.checks[check];
        match self.cause {
            Some(Cause::Stopped(_)) => None,
            Some(Cause::TimedOut(limit)) => {
                Some(format!("its check `{command}` did not end within {} s", limit.as_secs_f32()))
            }
            None => Some(format!("its check `{command}` failed with {}", verdict::exit_words(exit))),
        }
    }

    fn finish(&mut self, agenda: &mut Agenda) {
        let (successful, message) = verdict::verdict(self);
        let level = if successful { log::Level::Info } else { log::Level::Warn };
        log::log!(level, "run {}: {message}", self.id);
        agenda.outbox.push(self.status(false, Some(successful), message));
        if self.deliveries.iter().any(Delivery::is_unread) {
            log::error!("run {}: its journal is kept: it holds what could not be read back", self.id);
        } else {
            agenda.act(Action::Forget { run: self.id });
        }
        agenda.timers.clear(Timer::Journal(self.id));
        self.stage = Stage::Finished;
    }
}
