//! The request of `bulk_create`: its path, the body around pieces that are JSON already, and its answer in a person's words.
//! Must not look into the pieces (hosts, credentials) nor decide what an answer means. Driven by the workers that post.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;

use crate::bounds::PARAMS_BYTES_MAX;

use super::excerpt::bounded;
use super::param::Argument;

mod answer;

pub use answer::answer_words;

/// What RFC 3986 leaves unreserved; all else in a workspace's name is encoded, slashes and question marks above all.
const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What all posts of one run to one workspace have in common. Its texts are those of all workspaces of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    pub execution_id: i64,
    /// The agent's name.
    pub tool: Arc<str>,
    /// The executor's name.
    pub command: Arc<str>,
    /// From [`params_text`]: every user of the workspace can read it.
    pub params: Arc<str>,
    /// From [`start_date`].
    pub start_date: Arc<str>,
}

/// A stretch of a body: text that belongs around the pieces, or one of the pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<T> {
    Text(Cow<'static, str>),
    Piece(T),
}

impl Envelope {
    /// The body as a row of parts. `T` is whatever stands for a piece's bytes (a slice, a range of the journal), so that a
    /// body can be sent, and its length be known, without being put together in memory.
    ///
    /// `duration_us`, in microseconds, belongs into the closing post alone: with it the server shows the command as ended.
    pub fn parts<T>(
        &self,
        hosts: impl IntoIterator<Item = T>,
        credentials: impl IntoIterator<Item = T>,
        duration_us: Option<u64>,
    ) -> Vec<Part<T>> {
        let mut parts = vec![text(r#"{"hosts":["#)];
        push_list(&mut parts, hosts);
        let mut credentials = credentials.into_iter().peekable();
        // Left out where there are none: servers before 5.0 do not know the key.
        if credentials.peek().is_some() {
            parts.push(text(r#"],"credentials":["#));
            push_list(&mut parts, credentials);
        }
        parts.push(Part::Text(Cow::Owned(self.tail(duration_us))));
        parts
    }

    /// What follows the last piece.
    fn tail(&self, duration_us: Option<u64>) -> String {
        let mut command = json!({
            "tool": self.tool,
            "command": self.command,
            "user": "",
            "hostname": "",
            "params": self.params,
            "import_source": "agent",
            "start_date": self.start_date,
        });
        if let Some(us) = duration_us {
            command["duration"] = json!(us);
        }
        format!(r#"],"execution_id":{},"command":{command}}}"#, self.execution_id)
    }
}

impl Part<&[u8]> {
    /// The bytes to send for this part.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Part::Text(text) => text.as_bytes(),
            Part::Piece(piece) => piece,
        }
    }
}

fn text<T>(text: &'static str) -> Part<T> {
    Part::Text(Cow::Borrowed(text))
}

fn push_list<T>(parts: &mut Vec<Part<T>>, pieces: impl IntoIterator<Item = T>) {
    for (i, piece) in pieces.into_iter().enumerate() {
        if i > 0 {
            parts.push(text(","));
        }
        parts.push(Part::Piece(piece));
    }
}

/// Where a workspace's posts go. `base_route` is empty or starts with a slash and ends without one.
pub fn path(base_route: &str, workspace: &str) -> String {
    format!("{base_route}/_api/v3/ws/{}/bulk_create", utf8_percent_encode(workspace, PATH_SEGMENT))
}

/// UTC in ISO form with microseconds and no zone, as the server reads it. A clock before 1970 or after 9999 gives 1970.
pub fn start_date(utc: SystemTime) -> String {
    let since_epoch = utc.duration_since(UNIX_EPOCH).unwrap_or_default();
    let date = i64::try_from(since_epoch.as_secs())
        .ok()
        .and_then(|secs| OffsetDateTime::from_unix_timestamp(secs).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}",
        date.year(),
        u8::from(date.month()),
        date.day(),
        date.hour(),
        date.minute(),
        date.second(),
        since_epoch.subsec_micros(),
    )
}

/// `k=v, k2=v2` in the order of the RUN, secrets left out entirely, cut where it is too much for every post to repeat.
pub fn params_text(args: &[Argument]) -> String {
    let shown: Vec<String> = args.iter().filter(|a| !a.secret).map(|a| format!("{}={}", a.name, a.text)).collect();
    bounded(shown.join(", "), PARAMS_BYTES_MAX)
}

#[cfg(test)]
mod tests;
