//! Holds the house: who may name whom, what a file and a function may grow to, which words are not used. Reads the sources as
//! text, and says file and line of everything that does not belong.

#[path = "tidy/habits.rs"]
mod habits;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/source.rs"]
mod source;

use std::sync::LazyLock;

use source::Source;

/// Something that does not belong.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// Counted from 1.
    pub line: usize,
    pub words: String,
}

impl Finding {
    pub fn new(line: usize, words: impl Into<String>) -> Finding {
        Finding { line, words: words.into() }
    }
}

/// Fails with all that `check` finds in the sources.
#[track_caller]
fn assert_clean(check: impl Fn(&Source) -> Vec<Finding>) {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(Source::all);
    assert!(SOURCES.len() > 100, "only {} files were found", SOURCES.len());
    let found = SOURCES.iter().flat_map(|source| {
        check(source).into_iter().map(|Finding { line, words }| format!("{}:{line}: {words}", source.path))
    });
    let found: Vec<String> = found.collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}
