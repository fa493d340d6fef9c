//! What the server does not take, in one answer or after a search: which piece is to blame, and its way out of the delivery. The
//! search itself is `search`'s, waiting is `patience`'s.

use super::patience::Trouble;
use super::search::{Judgement, Search};
use super::{Aside, Delivery, Kind};

impl Delivery {
    pub(super) fn on_refused(&mut self, kind: Kind, upto: u64, pieces: u32, words: String) {
        match (kind, &self.search) {
            // The run's own data are settled by now; a refused end date is not worth a failed run.
            (Kind::Closing, _) => {
                log::warn!("{self}: the closing post was refused: {words}");
                self.closed = true;
            }
            (Kind::Probe, _) => self.bar(words),
            // It says nothing of the piece before it, as it was not taken.
            (Kind::Beyond, _) => self.search = Search::Beyond { from: upto },
            (_, Search::Narrowing { .. }) if pieces == 1 => self.refuse(upto, words),
            (_, Search::Narrowing { .. }) => self.search = Search::Narrowing { suspects: pieces },
            _ => self.search = Search::Probing { suspects: pieces, upto, words },
        }
    }

    /// Whether the answer led to a decision; if not, the same body has to wait.
    pub(super) fn on_server_error(
        &mut self,
        kind: Kind,
        upto: u64,
        pieces: u32,
        trouble: &Trouble,
        (passed, sent): (u64, u64),
    ) -> bool {
        match kind {
            Kind::Pieces => {
                let is_narrowing = matches!(self.search, Search::Narrowing { .. } | Search::Beyond { .. });
                match self.blame.on_fail(pieces, is_narrowing, passed, sent) {
                    Judgement::Again => {}
                    Judgement::Smaller => {
                        self.search = Search::Narrowing { suspects: pieces };
                        self.patience.hurry();
                    }
                    Judgement::Unclear => {
                        self.search = Search::Beyond { from: self.ahead.map_or(upto, |ahead| ahead.upto.max(upto)) };
                    }
                    Judgement::Guilty => {
                        self.refuse(upto, trouble.words.clone());
                        return true;
                    }
                }
            }
            // Either it is bad too, or the server takes nothing at all.
            Kind::Beyond => self.search = Search::Beyond { from: upto },
            Kind::Probe if matches!(self.search, Search::Beyond { .. }) => {
                self.search = Search::Narrowing { suspects: 1 };
            }
            Kind::Probe | Kind::Closing | Kind::SetAside => {}
        }
        false
    }

    pub(super) fn refuse(&mut self, upto: u64, words: String) {
        log::warn!("{self}: the server refused a host or credential: {words}");
        self.blame.clear();
        self.search = Search::Idle;
        self.pieces_max = 1;
        self.aside = Some(Aside { upto, words });
    }

    pub(super) fn on_set_aside(&mut self, upto: u64, pieces: u32) {
        self.settle(upto, pieces);
        self.refusals.pieces += u64::from(pieces);
        let cursor = self.cursor;
        if let Some(aside) = self.aside.take_if(|aside| aside.upto <= cursor) {
            self.refusals.first.get_or_insert(aside.words);
        }
    }

    /// What remains to be waited for.
    pub(super) fn on_unreadable(&mut self, words: String) -> Option<Trouble> {
        self.unread += 1;
        if !self.is_unreadable() {
            return Some(Trouble::own(words));
        }
        self.bar(words);
        None
    }

    fn bar(&mut self, words: String) {
        log::error!("{self}: nothing of this run is taken: {words}");
        self.search = Search::Idle;
        self.refusals.barred = Some(words);
    }
}
