//! The executors inside this binary, each a folder of `executors`: a manifest, what its arguments may be, and a script that
//! `/bin/sh -c` runs, so that `repo_executor` in a configuration needs no file on disk. Also what those scripts lack in plain
//! `sh`: taking a JSON list apart (`agent list`). Running them is the shell's.

use std::fmt;

use serde_json::Value;

use crate::proto::manifest::Manifest;

/// The variable that tells a script where the agent's own binary is, for `agent report` and `agent list`.
pub const AGENT_VARIABLE: &str = "FARADAY_AGENT";

/// An executor inside this binary.
#[derive(Clone, Debug)]
pub struct Official {
    pub name: &'static str,
    pub manifest: Manifest,
    /// For `/bin/sh -c`.
    pub script: &'static str,
}

struct Source {
    name: &'static str,
    manifest: &'static str,
    accepts: &'static str,
    script: &'static str,
}

/// The folder of an executor.
macro_rules! folder {
    ($name:literal) => {
        Source {
            name: $name,
            manifest: include_str!(concat!("../executors/", $name, "/manifest.json")),
            accepts: include_str!(concat!("../executors/", $name, "/accepts.json")),
            script: include_str!(concat!("../executors/", $name, "/run")),
        }
    };
}

const SOURCES: [Source; 1] = [folder!("nmap")];

/// The executor that a configuration calls `repo_executor`. The Python agent's names end in `.py` or `.sh`.
pub fn find(repo_executor: &str) -> Option<Official> {
    let name = [".py", ".sh"].iter().find_map(|end| repo_executor.strip_suffix(end)).unwrap_or(repo_executor);
    let source = SOURCES.iter().find(|source| source.name == name)?;
    let manifest =
        Manifest::parse(source.manifest, source.accepts).expect("a test parses every manifest in this binary");
    Some(Official { name: source.name, manifest, script: source.script })
}

/// All that `find` knows, for a message to somebody who asked for another.
pub fn names() -> impl Iterator<Item = &'static str> {
    SOURCES.iter().map(|source| source.name)
}

/// Why a text cannot be given out as lines.
#[derive(Debug)]
pub enum ListError {
    Json(serde_json::Error),
    /// Neither text nor number; counted from 1.
    NotPlain {
        place: usize,
    },
    /// It would come out as two lines, or end early.
    LineBreak {
        place: usize,
    },
}

/// `["10.0.0.1", 80]` → one element a line, for scripts. A text that is no JSON list is a list of one (so is an argument
/// that an older manifest calls a string), an empty text is an empty list.
pub fn list_lines(text: &str) -> Result<String, ListError> {
    let elements: Vec<Value> = match text.trim() {
        "" => Vec::new(),
        list if list.starts_with('[') => serde_json::from_str(list).map_err(ListError::Json)?,
        plain => vec![Value::from(plain)],
    };
    let mut lines = String::new();
    for (index, element) in elements.iter().enumerate() {
        let place = index + 1;
        match element {
            Value::String(text) if text.contains(['\n', '\r', '\0']) => {
                return Err(ListError::LineBreak { place });
            }
            Value::String(text) => lines.push_str(text),
            Value::Number(number) => lines.push_str(&number.to_string()),
            _ => return Err(ListError::NotPlain { place }),
        }
        lines.push('\n');
    }
    Ok(lines)
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListError::Json(error) => write!(f, "not a JSON list: {error}"),
            ListError::NotPlain { place } => write!(f, "element {place} of the list is neither a text nor a number"),
            ListError::LineBreak { place } => {
                write!(f, "element {place} of the list holds a line break or NUL")
            }
        }
    }
}

impl std::error::Error for ListError {}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_manifest_in_this_binary_parses_and_names_its_executor() {
        for name in names() {
            let official = find(name).unwrap();
            assert_eq!(official.manifest.name, name);
            assert_eq!(official.manifest.tool, name);
            assert!(!official.manifest.check_cmds.is_empty(), "{name}: nothing tells whether its tool is there");
            assert!(official.script.starts_with("#!/bin/sh\n"), "{name}");
        }
    }

    #[test]
    fn every_folder_is_an_executor() {
        let folders = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/executors")).unwrap();
        let mut found: Vec<_> = folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        found.sort();
        assert_eq!(found, names().collect::<Vec<_>>());
    }

    #[test]
    fn the_python_agents_file_names_are_known() {
        for (name, found) in [
            ("nmap", true),
            ("nmap.py", true),
            ("nmap.sh", true),
            ("nmap.rb", false),
            ("Nmap", false),
            ("../nmap", false),
            (".py", false),
            ("", false),
        ] {
            assert_eq!(find(name).is_some(), found, "{name:?}");
        }
    }

    #[test]
    fn lists_come_out_one_element_a_line() {
        for (text, lines) in [
            (r#"["10.0.0.1", "10.0.0.0/24"]"#, "10.0.0.1\n10.0.0.0/24\n"),
            (r#"[80, "443", 1.5]"#, "80\n443\n1.5\n"),
            (r#"["a b", "", "*", "-oN", "\u00e9\"'$(x)"]"#, "a b\n\n*\n-oN\né\"'$(x)\n"),
            ("[]", ""),
            ("  ", ""),
            ("10.0.0.1", "10.0.0.1\n"),
            ("1-1024", "1-1024\n"),
            (" [ 1 ]\n", "1\n"),
        ] {
            assert_eq!(list_lines(text).unwrap(), lines, "{text}");
        }
    }

    #[test]
    fn what_is_no_list_of_plain_values_is_refused() {
        for (text, says) in [
            ("[1, ", "not a JSON list"),
            ("[1] [2]", "not a JSON list"),
            ("[1, [2]]", "element 2"),
            ("[null]", "element 1"),
            ("[true]", "element 1"),
            (r#"[{"a": 1}]"#, "element 1"),
            (r#"["a", "b\nc"]"#, "element 2 of the list holds a line break"),
            (r#"["a\u0000"]"#, "element 1 of the list holds a line break or NUL"),
        ] {
            let error = list_lines(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
