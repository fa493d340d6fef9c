//! What a run writes into its journal: the head of each file, the pieces, and a note whenever something has happened that a
//! restarted agent has to know. And the way back, from what the journal says to a run.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::engine::admission::Admitted;
use crate::engine::agenda::Agenda;
use crate::engine::executor::Executor;
use crate::engine::intake::Intake;
use crate::engine::journal::Journal;
use crate::engine::note::{self, Head};
use crate::engine::redact::Redactor;
use crate::engine::resume::Resumed;
use crate::engine::timers::Timer;
use crate::frame::record::Kind;
use crate::proto::message::RunCommand;

use super::{Run, Stage};

const DAMAGED: &str = "; a part of its journal was damaged, and what stood there could not be delivered (what is left of it is \
                       in a .damaged file in the directory runs of the agent's state directory)";

/// Notes that are to be written.
#[derive(Debug, Default)]
pub struct Unsaid {
    pub process: bool,
    pub ended: bool,
}

impl Run {
    /// Asks for the one write of this turn, unless another one is not answered yet.
    pub fn write(&mut self, agenda: &mut Agenda) {
        if self.journal.is_writing() {
            return;
        }
        let settled = self.settled_offset();
        let is_room_wanted = self.is_crowded || agenda.disk.is_failing() || !agenda.disk.has_room();
        let head = self.journal.is_due_to_roll(settled, is_room_wanted, agenda).then(|| self.head(agenda.now.up));
        let notes = if head.is_some() { Vec::new() } else { self.notes(false, agenda.now.up) };
        self.journal.write(head, &notes, agenda);
    }

    /// The journal took what was to be written.
    pub fn on_written(&mut self, bytes: Vec<u8>, agenda: &mut Agenda) {
        self.journal.on_written(bytes, agenda);
        self.journal.trim(self.settled_offset(), agenda);
        if self.has_notes() {
            agenda.write(self.id);
        }
        if self.stage == Stage::Opening {
            self.on_opened(agenda);
        }
    }

    /// It did not: all of it is still to be written.
    pub fn on_unwritten(&mut self, bytes: Vec<u8>) {
        self.journal.on_unwritten(bytes);
        self.unsaid = Unsaid { process: true, ended: true };
        self.deliveries.note(|_| true);
    }

    /// Whether the journal knows how the run went and how far its workspaces have got.
    pub(super) fn is_noted(&self) -> bool {
        !self.has_notes() && !self.journal.holds_pieces()
    }

    fn has_notes(&self) -> bool {
        self.unsaid.process || self.unsaid.ended || self.deliveries.have_notes()
    }

    /// What has waited long is to count for the next agent too.
    pub fn note_troubles(&mut self) {
        self.deliveries.note(|delivery| delivery.trouble_words().is_some());
    }

    /// Whether a next file would let the present one go.
    pub fn makes_room(&self) -> bool {
        self.journal.is_spent(self.settled_offset())
    }

    /// What no workspace needs any more.
    fn settled_offset(&self) -> u64 {
        self.deliveries.settled_offset()
    }

    /// What a file begins with: all that was said until now.
    fn head(&mut self, now: Duration) -> Vec<u8> {
        let held = self.journal.held();
        let head = Head {
            execution_ids: self.execution_ids.to_vec(),
            workspaces: self.workspaces.iter().map(|name| name.to_string()).collect(),
            executor: self.executor.name.clone(),
            params: self.params.to_string(),
            started_us: self.started.1.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64,
            hosts: self.intake.tally.hosts - held.0,
            credentials: self.intake.tally.credentials - held.1,
        };
        let mut bytes = Vec::new();
        note::write(Kind::Run, &head, &mut bytes);
        bytes.append(&mut self.notes(true, now));
        bytes
    }

    /// The notes that are due, or all of them.
    fn notes(&mut self, all: bool, now: Duration) -> Vec<u8> {
        let mut bytes = Vec::new();
        let unsaid = std::mem::take(&mut self.unsaid);
        if let Some(group) = self.group.as_ref().filter(|_| all || unsaid.process) {
            note::write(Kind::Process, group, &mut bytes);
        }
        if all {
            self.deliveries.note(|_| true);
        }
        for settled in self.deliveries.take_notes(now) {
            note::write(Kind::Settled, &settled, &mut bytes);
        }
        if let Some(ended) = self.ended.as_ref().filter(|_| all || unsaid.ended) {
            note::write(Kind::Ended, ended, &mut bytes);
        }
        bytes
    }

    /// The run that an earlier agent left, to be settled and told.
    pub fn resume(resumed: Resumed, executors: &[Arc<Executor>], agent_name: Arc<str>, agenda: &mut Agenda) -> Run {
        let Resumed { id, head, segments, end, settled, group, ended, hosts, credentials, is_damaged, .. } = resumed;
        let started = UNIX_EPOCH + Duration::from_micros(head.started_us);
        let known = executors.iter().find(|executor| executor.name == head.executor);
        let executor = known.cloned().unwrap_or_else(|| Arc::new(Executor::unknown(&head.executor)));
        let command = RunCommand {
            execution_ids: head.execution_ids,
            workspaces: head.workspaces,
            executor: None,
            args: Default::default(),
            plugin_args: Default::default(),
        };
        let admitted = Admitted { env: Vec::new(), params: head.params, secrets: Default::default() };
        let mut run = Run::new(id, command, executor, admitted, agent_name, agenda);
        run.started.1 = started;
        run.intake = Intake::resumed(id, hosts, credentials, Redactor::new(&run.executor, &Default::default()));
        run.journal = Journal::resumed(id, segments, end);
        run.open_deliveries(settled);
        let ran = group.is_some() || hosts + credentials > 0;
        run.ended = Some(ended.unwrap_or_else(|| cut_off(ran, since(started, agenda))));
        if let Some(ended) = run.ended.as_mut().filter(|_| is_damaged) {
            ended.well = false;
            ended.remarks.push_str(DAMAGED);
        }
        run.unsaid.ended = true;
        run.group = group;
        run.stage = Stage::Settling;
        agenda.disk.on_found(run.journal.bytes());
        agenda.after(agenda.delivery_grace, Timer::Grace(id));
        agenda.write(id);
        run
    }
}

/// Clocks may have been set back meanwhile.
fn since(started: SystemTime, agenda: &Agenda) -> Duration {
    agenda.now.utc.duration_since(started).unwrap_or_default()
}

/// The end of a run that its agent did not live to see.
fn cut_off(ran: bool, took: Duration) -> note::Ended {
    let what = if ran { "while it ran" } else { "before it was started" };
    note::Ended {
        well: false,
        ran,
        cut_off: true,
        ending: format!("the agent was restarted {what}"),
        remarks: String::new(),
        took_us: took.as_micros() as u64,
    }
}
