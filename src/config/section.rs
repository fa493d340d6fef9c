//! One mapping of the file while it is read key by key: what is wrong with a key is collected under its path, what nobody
//! asked for becomes a warning. Knows no key itself. Driven by the readers of the sections.

use std::fmt;

use crate::config::kind::Kind;
use crate::config::nearest::nearest;
use crate::config::tree::Tree;

/// Enough of a value to find it again.
const QUOTED_CHARS_MAX: usize = 60;

/// Something to say about one place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `agent.executors.nmap.cmd`; empty for the file as a whole.
    pub path: String,
    /// What is wrong and what was expected. One line, without secrets.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.text),
            path => write!(f, "{path}: {}", self.text),
        }
    }
}

/// Everything that was found so far, in the order in which it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// With one of these the agent does not start.
    pub problems: Vec<Finding>,
    /// What deserves a word and no more.
    pub warnings: Vec<Finding>,
}

/// A mapping and what has been asked of it.
pub struct Section<'a> {
    path: String,
    /// Each key once: of several the last counts, as in PyYAML.
    entries: Vec<(&'a str, &'a Tree)>,
    known: Vec<&'a str>,
    findings: &'a mut Findings,
}

impl<'a> Section<'a> {
    /// The file as a whole. `None`, and a problem, unless it is a mapping.
    pub fn root(tree: &'a Tree, findings: &'a mut Findings) -> Option<Section<'a>> {
        Section::open(String::new(), tree, findings)
    }

    fn open(path: String, tree: &'a Tree, findings: &'a mut Findings) -> Option<Section<'a>> {
        let mut section = Section { path, entries: Vec::new(), known: Vec::new(), findings };
        match tree {
            // `params:` with nothing below it is how a person writes an empty mapping.
            Tree::Null => {}
            Tree::Map(entries) => entries.iter().for_each(|(key, value)| section.put(key, value)),
            other => {
                section.problem_here(format!("{} where a mapping of keys to values is expected", other.kind()));
                return None;
            }
        }
        Some(section)
    }

    fn put(&mut self, key: &'a str, value: &'a Tree) {
        match self.entries.iter_mut().find(|(known, _)| *known == key) {
            Some(entry) => {
                entry.1 = value;
                self.warning(key, "given more than once; the last one counts");
            }
            None => self.entries.push((key, value)),
        }
    }

    /// The value at a key that may be missing; `None` also for one that is wrong, which is then a problem.
    pub fn optional<T>(&mut self, key: &'a str, kind: &Kind<T>) -> Option<T> {
        self.value(key, kind)?
    }

    /// The value at a key that must be there.
    pub fn required<T>(&mut self, key: &'a str, kind: &Kind<T>) -> Option<T> {
        let value = self.value(key, kind);
        if value.is_none() {
            self.problem(key, format!("missing; expected {}", kind.expected));
        }
        value?
    }

    /// `None` if there is nothing, `Some(None)` if what there is has been complained about.
    fn value<T>(&mut self, key: &'a str, kind: &Kind<T>) -> Option<Option<T>> {
        let tree = self.tree(key)?;
        Some(read(tree, kind).map_err(|text| self.problem(key, text)).ok())
    }

    /// One value or a list of them at a key that must be there; a single problem makes it `None`.
    pub fn required_list<T>(&mut self, key: &'a str, kind: &Kind<T>) -> Option<Vec<T>> {
        let Some(Tree::List(items)) = self.entry(key) else {
            return self.required(key, kind).map(|value| vec![value]);
        };
        self.known.push(key);
        if items.is_empty() {
            let text = format!("an empty list; expected {}, or several", kind.expected);
            self.problem(key, text);
            return None;
        }
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match read(item, kind) {
                Ok(value) => values.push(value),
                Err(text) => self.problem(&format!("{key}[{index}]"), text),
            }
        }
        (values.len() == items.len()).then_some(values)
    }

    /// The mapping at a key; an empty one where the key has no value.
    pub fn section(&mut self, key: &'a str) -> Option<Section<'_>> {
        self.known.push(key);
        let tree = self.entry(key)?;
        Section::open(joined(&self.path, key), tree, self.findings)
    }

    /// The same, where it must be there. `expected` says what is in it.
    pub fn required_section(&mut self, key: &'a str, expected: &str) -> Option<Section<'_>> {
        if self.entry(key).is_none() {
            self.problem(key, format!("missing; expected {expected}"));
        }
        self.section(key)
    }

    /// Whether there is a value at the key, right or wrong.
    pub fn has(&self, key: &str) -> bool {
        self.entry(key).is_some_and(|tree| *tree != Tree::Null)
    }

    /// All keys, for mappings whose keys are names that the user chose.
    pub fn names(&self) -> Vec<&'a str> {
        self.entries.iter().map(|(key, _)| *key).collect()
    }

    /// Passes over keys that other agents read and this one does not need: no warning for these, and no hint to them.
    pub fn ignore(&mut self, keys: &[&str]) {
        self.entries.retain(|(key, _)| !keys.contains(key));
    }

    /// Complains about the value at `key`.
    pub fn problem(&mut self, key: &str, text: impl Into<String>) {
        let (path, text) = (joined(&self.path, key), text.into());
        self.findings.problems.push(Finding { path, text });
    }

    /// Complains about the mapping itself.
    pub fn problem_here(&mut self, text: impl Into<String>) {
        let (path, text) = (self.path.clone(), text.into());
        self.findings.problems.push(Finding { path, text });
    }

    /// Remarks on the value at `key`.
    pub fn warning(&mut self, key: &str, text: impl Into<String>) {
        let (path, text) = (joined(&self.path, key), text.into());
        self.findings.warnings.push(Finding { path, text });
    }

    /// Ends the reading: every key that nobody asked for is a warning, with the key that was probably meant.
    pub fn close(mut self) {
        for key in self.names() {
            if self.known.contains(&key) {
                continue;
            }
            let text = match nearest(key, self.known.iter().copied()) {
                Some(meant) => format!("unknown key, not read; did you mean {meant}?"),
                None => format!("unknown key, not read; known here: {}", self.known.join(", ")),
            };
            self.warning(key, text);
        }
    }

    fn tree(&mut self, key: &'a str) -> Option<&'a Tree> {
        self.known.push(key);
        self.entry(key).filter(|tree| **tree != Tree::Null)
    }

    fn entry(&self, key: &str) -> Option<&'a Tree> {
        self.entries.iter().find(|(known, _)| *known == key).map(|(_, tree)| *tree)
    }
}

fn read<T>(tree: &Tree, kind: &Kind<T>) -> Result<T, String> {
    let Tree::Text(text) = tree else {
        return Err(format!("{} is not {}", tree.kind(), kind.expected));
    };
    (kind.read)(text).ok_or_else(|| match kind.secret {
        true => format!("the value (not shown) is not {}", kind.expected),
        false => format!("{} is not {}", quoted(text), kind.expected),
    })
}

/// A value from the file as a complaint shows it: one line, not too long.
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// `a.b`, with keys that are not plain words in quotes. What follows a `=` is probably a value that was to follow a colon,
/// and may be secret.
fn joined(path: &str, key: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-[]".contains(c);
    let key = match key.split_once('=') {
        Some((name, _)) => format!("{}…", quoted(&format!("{name}="))),
        None if !key.is_empty() && key.chars().all(plain) => key.to_owned(),
        None => quoted(key),
    };
    match path {
        "" => key,
        path => format!("{path}.{key}"),
    }
}
