//! Takes out of a host or credential what JSON allows and a Faraday server cannot store: it answers 201 to it, and then
//! loses the host or spoils it (bulk-create.md 5). What the server refuses in the open is left alone, for it says what is
//! wrong. Driven by the workers that post, for every piece right before it is sent.
//!
//! Three steps, each only as far as it is needed. `text` looks at nothing but escapes. `inspect` passes over the host once and
//! says whether any of the rules may have to do with it; nearly always none has, and the host goes out as it was printed.
//! Else `rules` takes the host apart, only as deep as it goes, mends it and puts it together again: a value that no rule
//! touches is copied as it was printed, whatever its numbers or its depth.

mod identity;
mod inspect;
mod merge;
mod number;
mod rule;
mod rules;
mod run_date;
mod text;
mod tree;
mod walk;

#[cfg(test)]
mod tests;

pub use rule::{Repairs, Rule};

/// Names of hosts, services, references and the like stand in an index, whose entries PostgreSQL limits to 2,704 bytes, of
/// which the other columns take some. Text that it can compress may be longer, but who knows how well it will.
const INDEXED_BYTES_MAX: usize = 2_000;

/// The host as the server can store it; `None` if it can store it as it is. What was repaired is added to `repairs`.
/// `piece` is valid JSON, of any kind.
pub fn host(piece: &[u8], repairs: &mut Repairs) -> Option<Vec<u8>> {
    let cleaned = text::clean(piece, repairs);
    let bytes = cleaned.as_deref().unwrap_or(piece);
    let mended = if inspect::is_suspicious(bytes) { rules::mend(bytes, repairs) } else { None };
    mended.or(cleaned)
}

/// The same for a credential, of which the server loses only what holds a bad character.
pub fn credential(piece: &[u8], repairs: &mut Repairs) -> Option<Vec<u8>> {
    text::clean(piece, repairs)
}
