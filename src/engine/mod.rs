//! Every decision of the agent: what runs, when to send, retry, kill, give up, what to tell the server. A pure state machine:
//! no I/O, no clock, no threads; it cannot fail. The shell calls `handle_event` and `handle_timeout`, and after each of them
//! drains `poll_action` and asks `poll_timeout` how long it may sleep.
//!
//! | part        | decides |
//! |-------------|---------|
//! | `session`   | the command channel: dial, join, dead or alive, leave |
//! | `admission` | whether a RUN may become a run |
//! | `places`    | which runs may come, which may start |
//! | `run`       | one run, from its start to its last status |
//! | `process`   | how a run's process is ended and waited for |
//! | `intake`    | what of a run's output counts |
//! | `journal`   | what of a run's output is on disk, in which files |
//! | `disk`      | whether journals can be written; `writing` writes them |
//! | `note`      | what a journal says of its run, and `resume` reads after a restart |
//! | `delivery`  | one run's posts to one workspace |
//! | `deliveries` | which of a run's deliveries has something to do |
//! | `posts`     | whose post goes next |
//! | `outbox`    | which statuses the server has not acknowledged |
//! | `verdict`   | how a run went, in words |
//! | `stopping`  | how the agent ends |

mod admission;
mod agenda;
mod backoff;
mod deliveries;
mod delivery;
mod disk;
pub mod event;
pub mod executor;
mod intake;
mod journal;
pub mod note;
mod outbox;
mod places;
mod posts;
mod process;
mod redact;
pub mod resume;
mod run;
mod session;
mod stopping;
mod tally;
mod timers;
mod verdict;
mod writing;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::proto::channel::Protocol;
use crate::proto::message::{BadRun, RunCommand};

use admission::Admitted;
use agenda::Agenda;
pub use disk::DiskLimits;
use event::{Action, Event, Now, RunId};
use executor::Executor;
use places::Places;
use posts::Posts;
use resume::Resumed;
use run::Run;
use session::{News, Session};
use timers::Timer;

/// A status that is not acknowledged within this time is sent once more: a server whose database is away drops it without a
/// word, and the link lives on.
const ACK_WITHIN: Duration = Duration::from_secs(30);
/// After this a timer is due in the next turn, and not in this one.
const NEXT_TURN: Duration = Duration::from_nanos(1);

/// What the engine is told once.
#[derive(Debug)]
pub struct Profile {
    pub agent_name: String,
    pub executors: Vec<Executor>,
    /// How many runs may have a process at once.
    pub concurrent_runs_max: Option<usize>,
    /// How many more may wait for that.
    pub waiting_runs_max: usize,
    /// Between SIGTERM and SIGKILL.
    pub stop_grace: Duration,
    /// From the end of an executor until the server is told that something still waits for it.
    pub delivery_grace: Duration,
    /// What the server has not taken for this long is set aside.
    pub retry_max: Duration,
    pub disk: DiskLimits,
    /// For the jitter of pauses.
    pub seed: u64,
    /// The id of the first run; the later ones count up from it.
    pub first_run: RunId,
}

pub struct Engine {
    agent_name: Arc<str>,
    executors: Vec<Arc<Executor>>,
    agenda: Agenda,
    session: Session,
    runs: BTreeMap<RunId, Run>,
    places: Places,
    posts: Posts,
    next_run: RunId,
    /// Executions of refused RUNs that the server will not hear of.
    forgotten: u64,
    /// The signal that asked the agent to stop.
    stopping: Option<&'static str>,
    /// The stop has taken as long as it may.
    out_of_time: bool,
    exit_code: u8,
}

impl Engine {
    /// An engine that wants to connect at once, and to settle the runs that an earlier agent left.
    pub fn new(profile: Profile, resumed: Vec<Resumed>, now: Now) -> Engine {
        let mut agenda = Agenda::new(now, &profile);
        let mut session = Session::new(profile.executors.iter().map(Executor::offer).collect());
        session.dial(&mut agenda);
        let places = Places::new(&profile);
        let mut engine = Engine {
            agent_name: profile.agent_name.into(),
            executors: profile.executors.into_iter().map(Arc::new).collect(),
            agenda,
            session,
            runs: BTreeMap::new(),
            places,
            posts: Posts::default(),
            next_run: profile.first_run,
            forgotten: 0,
            stopping: None,
            out_of_time: false,
            exit_code: 0,
        };
        resumed.into_iter().for_each(|resumed| engine.resume(resumed));
        engine.settle();
        engine
    }

    fn resume(&mut self, resumed: Resumed) {
        let id = resumed.id;
        if let (Some(group), None) = (&resumed.group, &resumed.ended) {
            self.agenda.act(Action::KillLeftover { run: id, group: group.clone() });
        }
        log::info!("run {id}: an earlier agent left it with {} hosts in its journal; going on with it", resumed.hosts);
        let run = Run::resume(resumed, &self.executors, self.agent_name.clone(), &mut self.agenda);
        self.next_run = self.next_run.max(RunId(id.0 + 1));
        self.places.on_come(run.bytes, false);
        self.runs.insert(id, run);
        self.on_run_changed(id);
    }

    pub fn handle_event(&mut self, event: Event<'_>, now: Now) {
        self.agenda.now = now;
        self.on_event(event);
        self.settle();
    }

    pub fn handle_timeout(&mut self, now: Now) {
        self.agenda.now = now;
        while let Some(timer) = self.agenda.timers.pop_due(now.up) {
            self.on_timer(timer);
        }
        self.settle();
    }

    /// The next thing to do, in order; `None` until the next event or timeout.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.agenda.actions.pop_front()
    }

    /// When `handle_timeout` has to be called, on the scale of `Now::up`.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.agenda.timers.next()
    }

    fn on_event(&mut self, event: Event<'_>) {
        match event {
            Event::Connected { protocol, token } => {
                self.posts.ready = true;
                self.session.on_connected(protocol, token, &mut self.agenda);
            }
            Event::ConnectFailed(mut failure) => {
                // What still has to be delivered outlives a refusal: a licence is renewed, an agent set active again.
                failure.fatal &= self.is_told();
                let news = self.session.on_connect_failed(failure, &mut self.agenda);
                self.on_news(news);
            }
            Event::TokenFetched(token) => self.session.on_token(token, &mut self.agenda),
            Event::TokenFailed(mut failure) => {
                failure.fatal &= self.is_told();
                let news = self.session.on_token_failed(failure, &mut self.agenda);
                self.on_news(news);
            }
            Event::Frame(frame) => {
                let news = self.session.on_frame(frame, &mut self.agenda);
                self.on_news(news);
            }
            Event::Pong(number) => {
                let news = self.session.on_pong(number, &mut self.agenda);
                self.on_news(news);
            }
            Event::LinkLost { words, close_reason } => {
                let news = self.session.on_link_lost(&words, close_reason.as_deref(), &mut self.agenda);
                self.on_news(news);
            }
            Event::Posted(posted) => {
                let id = posted.id;
                self.posts.on_posted(posted, &mut self.runs, &mut self.agenda);
                self.on_run_changed(id.run);
            }
            Event::Stop { signal } => self.on_stop(signal),
            Event::Journaled { run, bytes, result } => self.on_journaled(run, bytes, result),
            Event::Synced { result } => self.agenda.disk.on_synced(result),
            event => self.on_run_event(event),
        }
    }

    fn on_run_event(&mut self, event: Event<'_>) {
        let (Event::Started { run, .. }
        | Event::StartFailed { run, .. }
        | Event::Output { run, .. }
        | Event::OutputEnded { run }
        | Event::Complaint { run, .. }
        | Event::ComplaintsEnded { run }
        | Event::Exited { run, .. }) = event
        else {
            unreachable!("on_event handles every event that is not about a run");
        };
        let agenda = &mut self.agenda;
        let Some(target) = self.runs.get_mut(&run) else { return };
        match event {
            Event::Started { group, .. } => target.on_started(group, agenda),
            Event::StartFailed { words, passing, .. } => target.on_start_failed(&words, passing, agenda),
            Event::Output { bytes, .. } => target.on_output(bytes, agenda),
            Event::OutputEnded { .. } => target.on_output_ended(agenda),
            Event::Complaint { bytes, .. } => target.on_complaint(bytes),
            Event::ComplaintsEnded { .. } => target.on_complaints_ended(),
            Event::Exited { exit, .. } => target.on_exited(exit, agenda),
            _ => {}
        }
        self.on_run_changed(run);
    }

    fn on_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Connect | Timer::Handshake | Timer::Ping | Timer::Pong | Timer::Promise | Timer::Leave => {
                let news = self.session.on_timer(timer, &mut self.agenda);
                self.on_news(news);
            }
            Timer::RunTimeout(run)
            | Timer::RunKill(run)
            | Timer::RunDrain(run)
            | Timer::Start(run)
            | Timer::Grace(run)
            | Timer::News(run) => {
                if let Some(target) = self.runs.get_mut(&run) {
                    target.on_timer(timer, &mut self.agenda);
                    self.on_run_changed(run);
                }
            }
            // What follows, `settle` does.
            Timer::SlowPost => {}
            Timer::Post(id) => {
                if let Some(run) = self.runs.get_mut(&id.run) {
                    run.deliveries.on_wait_over(id.workspace);
                    self.on_run_changed(id.run);
                }
            }
            Timer::Ack => self.on_ack_overdue(),
            Timer::Stop => self.on_stop_due(),
            Timer::Write => self.on_write_due(),
            Timer::Begin => self.start_waiting(),
            Timer::Disk => self.on_disk_due(),
            Timer::Sync => self.on_sync_due(),
        }
    }

    fn on_news(&mut self, news: Option<News<'_>>) {
        match news {
            None => {}
            Some(News::Joined) => {
                self.posts.on_reachable(&mut self.runs, &mut self.agenda);
                // The server takes runs for dead whose link it lost; it believes the next status.
                for run in self.runs.values() {
                    run.tell_present(&mut self.agenda);
                }
            }
            Some(News::Lost) => self.agenda.outbox.on_link_lost(),
            Some(News::Refused(words)) => self.on_refused(&words),
            Some(News::Run(command)) => self.on_run_command(command),
            Some(News::BadRun(bad)) => self.on_bad_run(bad),
            Some(News::Acked(number)) => {
                let told = self.agenda.outbox.on_ack(number);
                self.on_told(told);
            }
            Some(News::AckedUpto(number)) => {
                let told = self.agenda.outbox.on_ack_upto(number);
                self.on_told(told);
            }
            Some(News::Gone) => self.quit(),
        }
    }

    /// The server has the last status of these runs.
    fn on_told(&mut self, runs: Vec<RunId>) {
        for id in runs {
            if let Some(run) = self.runs.remove(&id) {
                self.places.on_gone(run.bytes);
                run.on_told(&mut self.agenda);
            }
        }
    }

    /// Whether nothing is left to be delivered.
    fn is_told(&self) -> bool {
        self.runs.values().all(Run::is_told)
    }

    /// The server has said no for good, and nothing is left that has to be delivered.
    fn on_refused(&mut self, words: &str) {
        log::error!("{words}");
        self.exit_code = 1;
        self.quit();
    }

    fn on_run_command(&mut self, command: RunCommand<'_>) {
        match self.admit(&command) {
            Ok((executor, admitted)) => {
                let id = self.next_run;
                self.next_run.0 += 1;
                let mut run = Run::new(id, command, executor, admitted, self.agent_name.clone(), &self.agenda);
                log::info!("run {id}: {} for workspaces {}", run.executor.name, run.workspace_names());
                run.open(&mut self.agenda);
                if self.places.is_paused {
                    run.tell_present(&mut self.agenda);
                }
                self.places.on_come(run.bytes, true);
                self.runs.insert(id, run);
            }
            Err(message) => self.refuse(command.execution_ids, command.executor, message),
        }
    }

    /// What a run is made of, or the sentence that says why there is none.
    fn admit(&self, command: &RunCommand<'_>) -> Result<(Arc<Executor>, Admitted), String> {
        if self.stopping.is_some() {
            return Err(format!("The agent {} is stopping and starts nothing any more", self.agent_name));
        }
        let executor = admission::find(command, &self.executors, &self.agent_name)?;
        let admitted = admission::admit(command, executor)?;
        match self.places.refusal(admitted.bytes(&command.workspaces), &self.agenda.disk) {
            None => Ok((executor.clone(), admitted)),
            Some(words) => Err(format!("Executor {} was not started: {words}", executor.name)),
        }
    }

    fn on_bad_run(&mut self, bad: BadRun) {
        let message = format!("The agent {} cannot use this RUN: {}", self.agent_name, bad.problem);
        self.refuse(bad.execution_ids, bad.executor, message);
    }

    fn refuse(&mut self, execution_ids: Vec<i64>, executor: Option<String>, message: String) {
        log::warn!("RUN refused: {message}");
        let name = executor.unwrap_or_default();
        let is_known = self.executors.iter().any(|executor| executor.name == name);
        let forgotten = self.agenda.outbox.push_refusal(name, is_known, execution_ids, message) as u64;
        let (before, now) = (self.forgotten, self.forgotten + forgotten);
        self.forgotten = now;
        // Once each time that their number has doubled.
        if now.checked_ilog2() > before.checked_ilog2() {
            log::error!(
                "{now} executions of refused RUNs stay open at the server, because it has not acknowledged those that were \
                 refused before; end them there"
            );
        }
    }

    /// Gives a free place to the run that has waited longest; to the next one in the next turn: starting a process takes
    /// milliseconds, and a crowd of them must not keep a signal or a ping waiting.
    fn start_waiting(&mut self) {
        if self.agenda.timers.is_set(Timer::Begin) {
            return;
        }
        let Some(id) = self.places.take_one(&self.agenda.disk) else { return };
        if let Some(run) = self.runs.get_mut(&id) {
            run.start(&mut self.agenda);
        }
        if self.places.are_waited_for() {
            self.agenda.after(NEXT_TURN, Timer::Begin);
        }
    }

    /// After anything has happened to a run: its posts, its place, its end.
    fn on_run_changed(&mut self, id: RunId) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.advance(&mut self.agenda);
        run.weigh(&mut self.agenda);
        self.posts.queue(run, &self.agenda);
        if run.leaves_place() {
            self.places.on_left();
        }
        self.start_waiting();
    }

    /// What follows from whatever has just happened: posts and statuses go out, a stop comes to its end.
    fn settle(&mut self) {
        self.heed_disk();
        self.posts.dispatch(&mut self.runs, &mut self.agenda);
        if self.session.is_joined() {
            self.send_statuses();
        }
        match self.agenda.outbox.awaited_since() {
            Some(since) => self.agenda.timers.set(Timer::Ack, since + ACK_WITHIN),
            None => self.agenda.timers.clear(Timer::Ack),
        }
        if let Some(signal) = self.stopping
            && self.is_told()
        {
            self.leave(signal);
        }
    }

    fn send_statuses(&mut self) {
        let mut last = None;
        while let Some((number, status)) = self.agenda.outbox.next_unsent(self.agenda.now.up) {
            let frame = self.session.protocol().status(&status, u64::from(number));
            self.agenda.actions.push_back(Action::Send(frame));
            last = Some(number);
        }
        if let (Some(number), Protocol::WebSocket) = (last, self.session.protocol()) {
            self.agenda.act(Action::Ping(number));
        }
    }

    fn on_ack_overdue(&mut self) {
        let overdue = self.agenda.outbox.recall(self.agenda.now.up.saturating_sub(ACK_WITHIN));
        log::warn!("the server has not acknowledged {overdue} statuses (is its database away?); sending them again");
    }
}
