//! The truth about one RUN: what its executor printed, what of that was written into the journal, what the server has of it and
//! what it was told. Every invariant of delivery is checked here, as soon as something happens that could break it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use faraday_agent::engine::event::{Exit, RunId};
use faraday_agent::engine::note::{Ended, Settled};

use super::script::{Quality, Script, Tag};

/// What was told of a run, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub running: bool,
    pub successful: Option<bool>,
    pub message: String,
}

/// One workspace of a job.
#[derive(Debug)]
pub struct Way {
    pub execution: i64,
    pub workspace: String,
    /// The execution was deleted on the server.
    pub is_deleted: bool,
    /// How often each piece has arrived.
    pub arrived: BTreeMap<usize, u32>,
    /// Pieces that were set aside.
    pub refused: BTreeMap<usize, String>,
    /// Something may arrive a second time: an answer was lost, or an agent.
    pub may_repeat: bool,
    /// A body was answered 5xx, so pieces may be sent ahead one by one.
    pub may_overtake: bool,
    /// Those that were; it is forgotten of some of them, and they come again.
    pub ahead: BTreeSet<usize>,
    /// When something of it was settled last, as far as the agent knows.
    pub progress: Duration,
    pub is_closed: bool,
    /// Waiting for it took longer than the agent waits.
    pub is_given_up: bool,
    /// How far it has got and whether it is closed, as the journal says.
    pub noted: (u64, bool),
    /// What the server shows.
    pub shown: Option<Told>,
    pub last: Option<Told>,
}

/// What is wrong with a RUN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Good,
    /// An execution stands in it twice.
    Repeats,
    /// It has more arguments than a RUN may have.
    Overloaded,
}

#[derive(Debug)]
pub struct Job {
    pub number: usize,
    pub executor: &'static str,
    pub form: Form,
    pub script: Script,
    pub ways: Vec<Way>,
    /// The server sent it; whether the agent heard it, nobody knows.
    pub sent: Option<Duration>,
    /// In which of its lives the agent heard it.
    pub heard: Option<u32>,
    /// There is a journal with its head.
    pub is_accepted: bool,
    pub run: Option<RunId>,
    /// Pieces in the journal, and where each ends.
    pub booked: Vec<(u64, Tag)>,
    /// What the journal says of its end.
    pub ended: Option<Ended>,
    /// Agents that died over it before its end was in the journal.
    pub is_cut_off: bool,
    /// The agent told it to end.
    pub is_killed: bool,
    pub start_failed: bool,
    pub exit: Option<Exit>,
    /// Bytes that were read since the last write.
    pub unwritten: usize,
    pub is_forgotten: bool,
    /// The agent died between the last status and the knowledge of it, while the disk took nothing.
    pub may_contradict: bool,
    /// The journal took something since the disk failed last.
    pub is_written: bool,
    /// A power cut has taken what was written last.
    pub lost_power: bool,
}

impl Job {
    pub fn new(number: usize, executor: &'static str, script: Script, ways: Vec<Way>) -> Job {
        Job {
            number,
            executor,
            form: Form::Good,
            script,
            ways,
            sent: None,
            heard: None,
            is_accepted: false,
            run: None,
            booked: Vec::new(),
            ended: None,
            is_cut_off: false,
            is_killed: false,
            start_failed: false,
            exit: None,
            unwritten: 0,
            is_forgotten: false,
            may_contradict: false,
            is_written: false,
            lost_power: false,
        }
    }

    /// A piece was written that ends at this journal offset.
    pub fn on_booked(&mut self, tag: Tag, end: u64) {
        assert_eq!(tag.job, self.number, "a piece in the wrong journal");
        assert_eq!(
            tag.index,
            self.booked.len(),
            "job {}: pieces in the journal have a gap or a repetition",
            self.number
        );
        assert_eq!(tag, self.script.pieces[tag.index]);
        self.booked.push((end, tag));
    }

    /// What an agent writes down as settled has to be so.
    pub fn on_settled(&self, note: &Settled, may_expire: bool) {
        let way = &self.ways[note.workspace];
        let settled = self.booked.iter().take_while(|(end, _)| *end <= note.upto);
        let mut count = 0;
        for (_, tag) in settled {
            count += 1;
            let known = way.arrived.contains_key(&tag.index) || way.refused.contains_key(&tag.index);
            assert!(known, "job {}: piece {} is noted as settled and is nowhere", self.number, tag.index);
        }
        // A file may be gone for good when the note is lost that says why.
        assert!(note.pieces == count || self.lost_power, "job {}: {count} pieces, not {note:?}", self.number);
        assert!(note.refused <= way.refused.len() as u64, "job {}: {note:?}", self.number);
        let is_closed = way.is_closed || way.is_deleted || may_expire;
        assert!(!note.closed || is_closed, "job {}: the server knows nothing of the end: {note:?}", self.number);
    }

    /// The server took a body.
    pub fn on_arrived(&mut self, place: usize, pieces: &[Tag], closes: bool) {
        let number = self.number;
        let way = &mut self.ways[place];
        for tag in pieces {
            let times = way.arrived.entry(tag.index).or_default();
            *times += 1;
            let is_first = *times == 1;
            let may_repeat = way.may_repeat || way.ahead.contains(&tag.index);
            assert!(is_first || may_repeat, "job {number}: piece {} arrives twice, and no answer was lost", tag.index);
            let before = self.booked.iter().map(|(_, tag)| tag.index).take_while(|index| *index < tag.index);
            let mut missing =
                before.filter(|index| !way.arrived.contains_key(index) && !way.refused.contains_key(index));
            let overtakes = is_first.then(|| missing.next()).flatten();
            let may_overtake = way.may_overtake && pieces.len() == 1;
            if overtakes.is_some() {
                way.ahead.insert(tag.index);
            }
            assert!(
                overtakes.is_none() || may_overtake,
                "job {number}: piece {} arrives before piece {overtakes:?}",
                tag.index
            );
        }
        if closes {
            way.is_closed = true;
            assert_eq!(self.unsettled(place), None, "job {number}: the closing post comes too early");
        }
    }

    /// A piece that the server and the list of refused ones both lack.
    pub fn unsettled(&self, place: usize) -> Option<usize> {
        let way = &self.ways[place];
        let mut indices = self.booked.iter().map(|(_, tag)| tag.index);
        indices.find(|index| !way.arrived.contains_key(index) && !way.refused.contains_key(index))
    }

    /// The server was told how the run stands.
    pub fn on_told(&mut self, place: usize, told: Told) {
        let number = self.number;
        let is_last = self.is_last(&told);
        let way = &self.ways[place];
        if let Some(last) = &way.last {
            let is_same = is_last && (told.running, told.successful) == (last.running, last.successful);
            assert!(is_same || self.may_contradict, "job {number}: after its last status {last:?} comes {told:?}");
        }
        if is_last && way.last.is_none() {
            self.check_last(&told);
        }
        self.check_waiting(&told);
        let way = &mut self.ways[place];
        if is_last {
            way.last = Some(told.clone());
        }
        way.shown = Some(told);
    }

    pub fn is_last(&self, told: &Told) -> bool {
        let who = format!("Executor {} from {} ", self.executor, super::plan::AGENT);
        let rest = told.message.strip_prefix(&who).unwrap_or_default();
        rest.starts_with("finished successfully: ") || rest.starts_with("failed: ")
    }

    /// Whether the last status is true.
    fn check_last(&self, told: &Told) {
        let number = self.number;
        assert!(!told.running && told.successful.is_some(), "job {number}: {told:?}");
        for place in 0..self.ways.len() {
            let unsettled = self.unsettled(place);
            assert_eq!(unsettled, None, "job {number}: its last status comes before its last piece: {told:?}");
        }
        let end = self.booked.last().map_or(0, |(end, _)| *end);
        let has_arrived = |way: &Way| way.noted.0 >= end && (way.noted.1 || way.is_deleted);
        let is_noted = self.ended.as_ref().is_some_and(|ended| !ended.ran || self.ways.iter().all(has_arrived));
        assert!(is_noted || !self.is_written, "job {number}: its journal does not know its end: {told:?}");
        let is_refused = self.ways.iter().any(|way| !way.refused.is_empty());
        let expected = !self.is_cut_off && self.is_well() && !is_refused;
        let truth = format!("cut off {}, {:?}, refused {is_refused}", self.is_cut_off, self.exit);
        assert_eq!(told.successful, Some(expected), "job {number}: {told:?}, but {truth}");
        let amount = self.amount();
        let ran = told.message.contains(" delivered") || told.message.contains(" read, ");
        let is_closed = |way: &Way| way.is_closed || way.is_deleted || way.is_given_up;
        assert!(!ran || self.ways.iter().all(is_closed), "job {number}: a workspace was not told of the end: {told:?}");
        let never_started =
            self.booked.is_empty() && (self.exit.is_none() || self.executor == "unfit" || self.executor == "checked");
        assert!(ran || never_started || self.start_failed || self.lost_power, "job {number}: {told:?}");
        assert!(!ran || told.message.contains(&amount), "job {number}: it is {amount}: {told:?}");
        assert_eq!(told.message.contains("what was refused is in refused/"), is_refused, "job {number}: {told:?}");
    }

    /// What is said to wait for the server must be no less than what it lacks.
    fn check_waiting(&self, told: &Told) {
        let Some((before, _)) = told.message.split_once(" for the server: ") else { return };
        let words: Vec<&str> = before.rsplit(' ').collect();
        let said: usize = words.get(2).and_then(|word| word.parse().ok()).unwrap_or(0);
        let lacks = |way: &Way| {
            let indices = self.booked.iter().map(|(_, tag)| tag.index);
            indices.filter(|index| !way.arrived.contains_key(index) && !way.refused.contains_key(index)).count()
        };
        let lacking = self.ways.iter().map(lacks).max().unwrap_or(0);
        assert!(said >= lacking && said <= self.booked.len(), "job {}: {lacking} are lacking: {told:?}", self.number);
        assert!(!told.running && told.successful == Some(false), "job {}: {told:?}", self.number);
    }

    /// By itself, with exit code 0, and everything it printed as documents could be read.
    fn is_well(&self) -> bool {
        self.exit == Some(Exit::Code(0)) && !self.is_killed && !self.script.is_spoilt && self.executor != "unfit"
    }

    fn amount(&self) -> String {
        let hosts = self.booked.iter().filter(|(_, tag)| tag.is_host).count();
        let credentials = self.booked.len() - hosts;
        let count = |number: usize, noun| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
        match credentials {
            0 => count(hosts, "host"),
            _ => format!("{} and {}", count(hosts, "host"), count(credentials, "credential")),
        }
    }

    /// A piece was set aside: there must have been a reason.
    pub fn on_refused(
        &mut self,
        place: usize,
        tag: Tag,
        words: &str,
        is_too_large: bool,
        retry_max: Duration,
        now: Duration,
    ) {
        let number = self.number;
        let way = &mut self.ways[place];
        let is_deserved = match () {
            () if is_expiry(words) => now >= way.progress + retry_max,
            () if way.is_deleted || is_too_large => true,
            () => tag.quality != Quality::Good,
        };
        assert!(is_deserved, "job {number}: piece {tag:?} is refused without a reason: {words}");
        let before = way.refused.insert(tag.index, words.to_owned());
        assert!(before.is_none() || way.may_repeat, "job {number}: piece {tag:?} is refused twice");
    }

    /// An agent has found its journal, which ends there.
    pub fn on_resumed(&mut self, end: u64) {
        self.booked.retain(|(piece_end, _)| *piece_end <= end);
        let count = self.booked.len();
        self.ways.iter_mut().for_each(|way| way.refused.retain(|index, _| *index < count));
        self.unwritten = 0;
    }

    /// A power cut has taken its journal before anything of that was safe.
    pub fn on_lost(&mut self) {
        (self.is_accepted, self.run) = (false, None);
        self.booked.clear();
    }

    /// Whether nothing more will happen to it.
    pub fn is_over(&self) -> bool {
        !self.is_accepted || self.is_forgotten
    }
}

pub fn is_expiry(words: &str) -> bool {
    words.starts_with("given up after agent.retry_days")
}
