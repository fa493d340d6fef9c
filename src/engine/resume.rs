//! What an earlier agent's journal comes to: the reading of one run's records, oldest first. Whoever reads the files hands in
//! every whole record; what the run becomes is `run/record.rs`'s to say. Text that is no note is passed over: a journal that is
//! partly understood is worth more than none.

use std::collections::VecDeque;

use serde::de::DeserializeOwned;

use crate::frame::record::Kind;

use super::event::RunId;
use super::journal::Segment;
use super::note::{Ended, Group, Head, Settled};

#[derive(Debug)]
pub struct Resumed {
    pub id: RunId,
    pub head: Head,
    pub segments: VecDeque<Segment>,
    /// Behind the last record.
    pub end: u64,
    /// By the place of the workspace.
    pub settled: Vec<Settled>,
    pub group: Option<Group>,
    pub ended: Option<Ended>,
    /// How many pieces were read.
    pub hosts: u64,
    pub credentials: u64,
    /// Not all of what was written could be read back.
    pub is_damaged: bool,
    has_head: bool,
}

impl Resumed {
    pub fn new(id: RunId) -> Resumed {
        Resumed {
            id,
            head: Head::default(),
            segments: VecDeque::new(),
            end: 0,
            settled: Vec::new(),
            group: None,
            ended: None,
            hosts: 0,
            credentials: 0,
            is_damaged: false,
            has_head: false,
        }
    }

    /// The next file, which begins at this journal offset.
    pub fn on_segment(&mut self, start: u64) {
        self.segments.push_back(Segment { start, pieces_end: start });
        self.end = start;
    }

    /// The next record of that file, and where it ends in the file.
    pub fn on_record(&mut self, kind: Kind, payload: &[u8], file_end: u64) {
        let Some(segment) = self.segments.back_mut() else { return };
        self.end = segment.start + file_end;
        match kind {
            Kind::Host => self.hosts += 1,
            Kind::Credential => self.credentials += 1,
            Kind::Run => self.on_head(payload),
            Kind::Settled => self.on_settled(payload),
            Kind::Process => self.group = self.note(payload).or(self.group.take()),
            Kind::Ended => self.ended = self.note(payload).or(self.ended.take()),
        }
        if let (true, Some(segment)) = (kind.is_piece(), self.segments.back_mut()) {
            segment.pieces_end = self.end;
        }
    }

    /// Whether it is known whose journal this is. If not, nothing of it can be delivered.
    pub fn is_known(&self) -> bool {
        self.has_head
    }

    fn on_head(&mut self, payload: &[u8]) {
        if let Some(head) = self.note::<Head>(payload) {
            // What the files before this one held counts if they are gone because it was settled.
            if self.segments.len() == 1 {
                (self.hosts, self.credentials) = (head.hosts, head.credentials);
            }
            self.head = head;
            self.has_head = true;
        }
    }

    fn on_settled(&mut self, payload: &[u8]) {
        let Some(settled) = self.note::<Settled>(payload).filter(|note| note.workspace < self.head.workspaces.len())
        else {
            return;
        };
        let place = settled.workspace;
        if self.settled.len() <= place {
            self.settled.resize_with(place + 1, Settled::default);
        }
        self.settled[place] = settled;
    }

    fn note<T: DeserializeOwned>(&self, payload: &[u8]) -> Option<T> {
        match serde_json::from_slice(payload) {
            Ok(note) => Some(note),
            Err(error) => {
                log::warn!("run {}: its journal holds a note that is not understood: {error}", self.id);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::note;
    use crate::frame::record::{Replay, encode};

    fn resumed(files: &[(u64, Vec<u8>)]) -> Resumed {
        let mut resumed = Resumed::new(RunId(1));
        for (start, bytes) in files {
            resumed.on_segment(*start);
            let mut replay = Replay::default();
            replay.read(bytes, |kind, payload, end| resumed.on_record(kind, payload, end)).expect("sound");
        }
        resumed
    }

    fn head(hosts: u64) -> Vec<u8> {
        let workspaces = vec!["ws1".to_owned(), "ws2".to_owned()];
        let head = Head { execution_ids: vec![7, 8], workspaces, executor: "ok".into(), hosts, ..Head::default() };
        let mut bytes = Vec::new();
        note::write(Kind::Run, &head, &mut bytes);
        bytes
    }

    #[test]
    fn the_last_note_of_each_kind_counts_and_pieces_are_counted() {
        let mut first = head(0);
        encode(Kind::Host, b"{}", &mut first);
        let pieces_end = first.len() as u64;
        for upto in [10, 20] {
            note::write(Kind::Settled, &Settled { workspace: 1, upto, ..Settled::default() }, &mut first);
        }
        let start = first.len() as u64;
        let mut second = head(1);
        encode(Kind::Host, b"{}", &mut second);
        encode(Kind::Credential, b"{}", &mut second);
        let end = start + second.len() as u64;
        let resumed = resumed(&[(0, first), (start, second)]);
        assert_eq!((resumed.hosts, resumed.credentials), (2, 1));
        assert_eq!(resumed.settled.iter().map(|note| note.upto).collect::<Vec<_>>(), [0, 20]);
        assert_eq!(resumed.segments, [Segment { start: 0, pieces_end }, Segment { start, pieces_end: end }]);
        assert_eq!(resumed.end, end);
        assert!(resumed.is_known() && resumed.ended.is_none());
    }

    #[test]
    fn pieces_of_files_that_are_gone_are_counted_too() {
        assert_eq!(resumed(&[(5000, head(41))]).hosts, 41);
    }

    #[test]
    fn notes_that_are_not_understood_cost_themselves() {
        let mut bytes = head(0);
        encode(Kind::Settled, b"nonsense", &mut bytes);
        encode(Kind::Settled, br#"{"workspace":2,"upto":1}"#, &mut bytes);
        encode(Kind::Ended, br#"{"well":true}"#, &mut bytes);
        encode(Kind::Host, b"{}", &mut bytes);
        let resumed = resumed(&[(0, bytes)]);
        assert_eq!((resumed.hosts, resumed.settled.len()), (1, 0));
        assert!(resumed.ended.is_none());
        assert!(!self::resumed(&[]).is_known());
    }
}
