//! What a journal says of its run beside the pieces: notes, as JSON, in records of their own. A later note of a kind replaces
//! the earlier one; together they are all that a restarted agent needs, and hold no secrets. Text only: when they are written
//! is the run's to decide (`run/record.rs`), what they come to after a restart is `resume`'s.

use serde::{Deserialize, Serialize};

use crate::frame::record::{self, Kind};
use crate::proto::repair::Repairs;

/// The first record of each file of a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub execution_ids: Vec<i64>,
    pub workspaces: Vec<String>,
    pub executor: String,
    /// For the command record on the server; without passwords.
    pub params: String,
    /// UTC, in microseconds since 1970.
    pub started_us: u64,
    /// How many pieces of each kind the files before this one held.
    pub hosts: u64,
    pub credentials: u64,
}

/// How far one workspace has got.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settled {
    /// Its place in the run's list of workspaces.
    pub workspace: usize,
    /// Journal offset before which everything is settled: delivered, or set aside.
    pub upto: u64,
    /// How many pieces that is.
    pub pieces: u64,
    /// What had to be repaired of them.
    #[serde(skip_serializing_if = "Repairs::is_empty")]
    pub repairs: Repairs,
    /// How many of them were set aside.
    #[serde(skip_serializing_if = "is_zero")]
    pub refused: u64,
    /// The server's words for the first of those.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// Why the server takes nothing of this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub barred: Option<String>,
    /// The closing post has arrived.
    #[serde(skip_serializing_if = "is_false")]
    pub closed: bool,
    /// How long the server has taken nothing, in seconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub waited_s: u64,
}

/// The process group of a run's executor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub id: i32,
    /// When its leader was born, in the system's own words: numbers are used again, births are not.
    pub birth: String,
}

/// How a run's executor ended. What a person is told was written down then, without secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// By itself, with exit code 0, and everything that it printed as documents could be read.
    pub well: bool,
    /// The executor itself was started; if not, there is nothing to deliver.
    pub ran: bool,
    /// It was cut off because the agent ended before it.
    pub cut_off: bool,
    pub ending: String,
    /// What else has to be said, with its `; ` before each remark.
    pub remarks: String,
    pub took_us: u64,
}

/// Appends a note to `out`.
pub fn write(kind: Kind, note: &impl Serialize, out: &mut Vec<u8>) {
    // Texts, numbers and lists of them: nothing in a note can fail to be JSON.
    let payload = serde_json::to_vec(note).unwrap_or_default();
    record::encode(kind, &payload, out);
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !*flag
}
