//! What a run has printed, counted; and the last lines of its stderr, for the message of a failed run. Bounded whatever is printed.

use std::collections::VecDeque;

use crate::frame::{Fault, FaultKind};
use crate::proto::excerpt::excerpt;

use super::redact::Redactor;

/// Counts of a run's stdout.
#[derive(Debug, Default)]
pub struct Tally {
    pub hosts: u64,
    pub credentials: u64,
    /// Lines that were no documents; they cost nothing but themselves.
    pub bad_lines: u64,
    pub first_bad_line: Option<String>,
    /// Documents, hosts and credentials that cannot be delivered as printed.
    pub undeliverable: u64,
    pub first_undeliverable: Option<String>,
}

impl Tally {
    pub fn pieces(&self) -> u64 {
        self.hosts + self.credentials
    }

    /// Counts a fault; the first of its sort is given back as a line for the log.
    pub fn on_fault(&mut self, fault: &Fault<'_>, redactor: &Redactor) -> Option<String> {
        let quote = one_line(fault.quote);
        let words = format!("{}: {}", fault.kind, redactor.apply_to_part(&quote, false, true));
        let (count, first) = match fault.kind {
            FaultKind::NotJson | FaultKind::NotUtf8 | FaultKind::TooDeep => {
                (&mut self.bad_lines, &mut self.first_bad_line)
            }
            _ => (&mut self.undeliverable, &mut self.first_undeliverable),
        };
        *count += 1;
        first.is_none().then(|| first.insert(words).clone())
    }
}

/// A longer line of stderr is cut into lines of this length.
const LINE_BYTES_MAX: usize = 1024;
const LINES_KEPT: usize = 5;
/// An executor that floods its stderr must not fill the disk with its log.
const LINES_LOGGED_MAX: u64 = 10_000;

/// The stderr of a run, line by line.
#[derive(Debug, Default)]
pub struct Complaints {
    partial: Vec<u8>,
    /// `partial` goes on with a line that was cut.
    goes_on: bool,
    lines: u64,
    last: VecDeque<String>,
}

impl Complaints {
    /// Takes bytes as they come and gives every line that they complete to `line`, without secrets: the first
    /// `LINES_LOGGED_MAX` of them.
    pub fn on_bytes(&mut self, mut bytes: &[u8], redactor: &Redactor, mut line: impl FnMut(&str)) {
        while !bytes.is_empty() {
            let room = LINE_BYTES_MAX - self.partial.len();
            let newline = memchr::memchr(b'\n', &bytes[..bytes.len().min(room)]);
            let taken = newline.unwrap_or(bytes.len().min(room));
            self.partial.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken + usize::from(newline.is_some())..];
            if newline.is_some() || self.partial.len() == LINE_BYTES_MAX {
                self.end_line(newline.is_none(), redactor, &mut line);
            }
        }
    }

    /// A last line without a newline counts.
    pub fn on_end(&mut self, redactor: &Redactor, mut line: impl FnMut(&str)) {
        self.end_line(false, redactor, &mut line);
    }

    fn end_line(&mut self, is_cut: bool, redactor: &Redactor, line: &mut impl FnMut(&str)) {
        let text = one_line(&self.partial);
        self.partial.clear();
        let was_cut = std::mem::replace(&mut self.goes_on, is_cut);
        if text.is_empty() {
            return;
        }
        let text = redactor.apply_to_part(&text, was_cut, is_cut).into_owned();
        self.lines += 1;
        if self.lines <= LINES_LOGGED_MAX {
            line(&text);
        }
        if self.last.len() == LINES_KEPT {
            self.last.pop_front();
        }
        self.last.push_back(text);
    }

    /// How many lines were more than the log was given.
    pub fn unlogged(&self) -> u64 {
        self.lines.saturating_sub(LINES_LOGGED_MAX)
    }

    /// The last lines, oldest first.
    pub fn last_lines(&self) -> String {
        self.last.iter().map(String::as_str).collect::<Vec<_>>().join(" | ")
    }
}

/// Bytes of an executor, of any encoding and content, as one harmless line.
fn one_line(bytes: &[u8]) -> String {
    excerpt(&String::from_utf8_lossy(bytes), LINE_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> (Vec<String>, String) {
        let mut seen = Vec::new();
        let mut complaints = Complaints::default();
        for chunk in chunks {
            complaints.on_bytes(chunk, &Redactor::default(), |line| seen.push(line.to_owned()));
        }
        complaints.on_end(&Redactor::default(), |line| seen.push(line.to_owned()));
        (seen, complaints.last_lines())
    }

    #[test]
    fn lines_are_whole_whatever_the_chunks() {
        let (seen, last) = lines(&[b"o", b"ne\n\ntw", b"o\r\nthr", b"ee"]);
        assert_eq!(seen, ["one", "two", "three"]);
        assert_eq!(last, "one | two | three");
    }

    #[test]
    fn only_the_last_lines_are_kept_and_long_ones_are_cut() {
        let flood: Vec<u8> = (0..1000).flat_map(|i| format!("line {i}\n").into_bytes()).collect();
        let (_, last) = lines(&[&flood]);
        assert_eq!(last, "line 995 | line 996 | line 997 | line 998 | line 999");
        let (seen, _) = lines(&[&vec![b'x'; 3000]]);
        assert_eq!(seen.iter().map(String::len).collect::<Vec<_>>(), [1024, 1024, 952]);
    }

    #[test]
    fn bytes_that_are_no_text_become_harmless() {
        let (seen, _) = lines(&[b"\x1b[31mred\xff\n"]);
        assert_eq!(seen, ["[31mred\u{fffd}"]);
    }
}
