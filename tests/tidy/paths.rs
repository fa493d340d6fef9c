//! Paths in code (`crate::engine::event::{Action, Event}`): found, lists taken apart, and told from the package's root on.
//! Text only: macros and names that are brought in under another name pass.

use super::source::{is_word, words};

/// A path and where it begins.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    pub offset: usize,
    pub parts: Vec<String>,
}

/// Every path of two parts or more that the code names, from `crate`, `super` or `self` as well as from other packages.
pub fn named(code: &str) -> Vec<Named> {
    let (mut found, mut taken) = (Vec::new(), 0);
    for (offset, _) in words(code) {
        if offset >= taken && after_colons(code, word_end(code, offset)).is_some() {
            taken = take_path(code, offset, &[], &mut found);
        }
    }
    found
}

/// Takes the path at `at`, below `above`; returns where it ends.
fn take_path(code: &str, mut at: usize, above: &[String], found: &mut Vec<Named>) -> usize {
    let offset = at;
    let mut parts = above.to_vec();
    loop {
        if code[at..].starts_with('{') {
            return take_list(code, at + 1, &parts, found);
        }
        let end = word_end(code, at);
        if end > at {
            parts.push(code[at..end].to_owned());
        }
        match after_colons(code, end) {
            Some(next) if end > at => at = next,
            _ => {
                found.push(Named { offset, parts });
                return end;
            }
        }
    }
}

/// Takes the paths of a list behind its `{`; returns where it ends.
fn take_list(code: &str, mut at: usize, above: &[String], found: &mut Vec<Named>) -> usize {
    loop {
        at += code[at..].len() - code[at..].trim_start_matches(|c: char| c.is_whitespace() || c == ',').len();
        if at >= code.len() || code[at..].starts_with('}') {
            return code.len().min(at + 1);
        }
        let end = take_path(code, at, above, found);
        // Past `as name`, `*` and the like.
        at = code[end.max(at + 1)..].find([',', '}']).map_or(code.len(), |length| end.max(at + 1) + length);
    }
}

fn word_end(code: &str, at: usize) -> usize {
    code[at..].find(|c| !is_word(c)).map_or(code.len(), |length| at + length)
}

/// Where the next part begins, if `::` and a part follow.
fn after_colons(code: &str, end: usize) -> Option<usize> {
    let rest = code[end..].trim_start().strip_prefix("::")?.trim_start();
    let follows = rest.starts_with(|c| is_word(c) || c == '{');
    follows.then(|| code.len() - rest.len())
}

/// From where a path is to be read: inside the package (true), or another package's.
pub fn resolve(file: &str, parts: &[String]) -> (bool, String) {
    let mut module = module_of(file);
    let mut rest = parts;
    match rest.first().map(String::as_str) {
        Some("crate" | "faraday_agent") => (module, rest) = (Vec::new(), &rest[1..]),
        Some("self") => rest = &rest[1..],
        Some("super") => {
            while rest.first().is_some_and(|part| part == "super") {
                module.pop();
                rest = &rest[1..];
            }
        }
        _ => return (false, rest.join("::")),
    }
    module.extend(rest.iter().map(String::as_str));
    (true, module.join("::"))
}

/// `src/engine/mod.rs` → engine, `src/proto/bulk/answer.rs` → proto, bulk, answer.
fn module_of(file: &str) -> Vec<&str> {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs");
    let mut parts: Vec<&str> = path.split('/').collect();
    if matches!(parts.last(), Some(&("mod" | "lib" | "main"))) {
        parts.pop();
    }
    parts
}

#[test]
fn paths_are_found_and_taken_apart() {
    for (code, expected) in [
        ("use crate::a;", vec!["crate::a"]),
        ("use crate::{a::{self, B as C}, d};", vec!["crate::a::self", "crate::a::B", "crate::d"]),
        ("use std::{\n    net::*,\n    io,\n};", vec!["std::net", "std::io"]),
        ("x = Vec::<u8>::new(std::fs::read(p));", vec!["std::fs::read"]),
        ("match a { super::B::C { d } => e }", vec!["super::B::C"]),
        ("fn a(b: u8) -> C { d }", vec![]),
    ] {
        let found: Vec<String> = named(code).iter().map(|named| named.parts.join("::")).collect();
        assert_eq!(found, expected, "{code}");
    }
    assert_eq!(named("use a::{b,\n c::d};")[1].offset, 12);
}

#[test]
fn paths_are_resolved_from_the_file_they_stand_in() {
    for (file, path, expected) in [
        ("src/engine/mod.rs", "crate::frame::Piece", (true, "frame::Piece")),
        ("src/engine/mod.rs", "super::shell::net", (true, "shell::net")),
        ("src/engine/run.rs", "super::event", (true, "engine::event")),
        ("src/proto/bulk/answer.rs", "super::super::excerpt", (true, "proto::excerpt")),
        ("src/engine/mod.rs", "self::run", (true, "engine::run")),
        ("src/main.rs", "faraday_agent::cli::main", (true, "cli::main")),
        ("src/engine/run.rs", "std::fs", (false, "std::fs")),
    ] {
        let parts: Vec<String> = path.split("::").map(str::to_owned).collect();
        let (inside, resolved) = resolve(file, &parts);
        assert_eq!((inside, resolved.as_str()), expected, "{file}: {path}");
    }
}
