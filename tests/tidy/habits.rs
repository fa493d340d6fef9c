//! What files and functions may grow to, how they begin, and which words are not used.

use std::fs;

use super::source::{Source, words};
use super::{Finding, assert_clean};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// Words that stand for a design that was not thought to its end.
const NO_NAMES: [&str; 6] = ["Manager", "Helper", "Utils", "utils", "util", "helpers"];

#[test]
fn every_file_says_what_it_is() {
    assert_clean(|source| {
        let silent = !source.text.starts_with("//! ");
        Vec::from_iter(silent.then(|| Finding::new(1, "has no //! head")))
    });
}

#[test]
fn files_stay_short() {
    assert_clean(|source| {
        let lines = source.text.lines().count();
        Vec::from_iter((lines > FILE_LINES_MAX).then(|| Finding::new(lines, format!("{lines} lines"))))
    });
}

#[test]
fn functions_fit_on_a_screen() {
    assert_clean(long_functions);
}

fn long_functions(source: &Source) -> Vec<Finding> {
    let starts = words(&source.code).filter(|(_, word)| *word == "fn").map(|(at, _)| at);
    let long = starts.filter_map(|start| {
        let lines = source.line_of(function_end(&source.code, start)?) - source.line_of(start) + 1;
        let words = format!("a function of {lines} lines");
        (lines > FUNCTION_LINES_MAX).then(|| Finding::new(source.line_of(start), words))
    });
    long.collect()
}

/// Where the body of the function that begins at `start` ends; `None` if it has none.
fn function_end(code: &str, start: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => depth -= 1,
            b';' if depth == 0 => return None,
            _ => continue,
        }
        if depth == 0 && byte == b'}' {
            return Some(at);
        }
        if depth < 0 {
            return None;
        }
    }
    None
}

#[test]
fn the_program_has_no_shortcuts() {
    assert_clean(shortcuts);
}

/// What may stand in a draft and in tests, but not in the program.
fn shortcuts(source: &Source) -> Vec<Finding> {
    let code = source.program();
    let found = words(code).filter_map(|(at, word)| {
        let (before, after) = (&code[..at], &code[at + word.len()..]);
        let wrong = match word {
            "unwrap" => before.trim_end().ends_with('.') && after.starts_with("()"),
            "todo" | "unimplemented" | "dbg" => after.starts_with('!'),
            _ => false,
        };
        wrong.then(|| Finding::new(source.line_of(at), format!("`{word}` outside of tests")))
    });
    found.collect()
}

#[test]
fn names_mean_something() {
    assert_clean(empty_names);
}

fn empty_names(source: &Source) -> Vec<Finding> {
    let (mut found, mut last) = (Vec::new(), "");
    for (at, word) in words(&source.code) {
        if (last == "fn" && word.starts_with("get_")) || is_empty_name(word) {
            found.push(Finding::new(source.line_of(at), format!("the name `{word}`")));
        }
        last = word;
    }
    let mut file = source.path.split(['/', '.']);
    if file.any(is_empty_name) || source.path == "src/core.rs" || source.path.starts_with("src/core/") {
        found.push(Finding::new(1, "the name of the file"));
    }
    found
}

fn is_empty_name(word: &str) -> bool {
    NO_NAMES.contains(&word) || NO_NAMES[..3].iter().any(|end| word.ends_with(end))
}

#[test]
fn every_dependency_has_a_reason() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let text = fs::read_to_string(path).expect("this package has a manifest");
    let found = dependencies_without_reason(&text);
    assert!(found.is_empty(), "Cargo.toml: no comment above {found:?}");
}

fn dependencies_without_reason(manifest: &str) -> Vec<&str> {
    let (mut in_dependencies, mut above, mut found) = (false, "", Vec::new());
    for line in manifest.lines() {
        let name = line.split_once('=').map(|(name, _)| name.trim()).filter(|_| !line.starts_with(['#', ' ', ']']));
        match name {
            _ if line.starts_with('[') => in_dependencies = line.ends_with("dependencies]"),
            Some(name) if in_dependencies && !above.starts_with("# ") => found.push(name),
            _ => {}
        }
        above = line;
    }
    found
}

#[test]
fn bad_habits_are_found() {
    let long = format!("fn a();\nfn b() {{\n{}}}\n", "    c();\n".repeat(69));
    for (check, text, lines) in [
        (long_functions as fn(&Source) -> Vec<Finding>, long.as_str(), vec![2]),
        (long_functions, &long.replacen("c();", "", 1).replacen('\n', "", 2), vec![]),
        (
            shortcuts,
            "a.unwrap();\nb.unwrap_or(c);\ntodo!();\n// dbg!()\n#[cfg(test)]\nmod tests {\na.unwrap() }",
            vec![1, 3],
        ),
        (shortcuts, "fn unwrap() {}\na\n    .unwrap()", vec![3]),
        (empty_names, "fn get_a() {}\nstruct RunManager;\nmap.get_mut();\nmod utils;\n// Helper\n", vec![1, 2, 4]),
    ] {
        let found: Vec<usize> = check(&Source::new("src/a.rs", text)).iter().map(|finding| finding.line).collect();
        assert_eq!(found, lines, "{text}");
    }
    assert_eq!(empty_names(&Source::new("src/utils.rs", "")).len(), 1);
    let manifest = "[dependencies]\n# Reason.\na = \"1\"\nb = \"1\"\n\n[profile.release]\nlto = true\n[dev-dependencies]\nc = \"1\"\n";
    assert_eq!(dependencies_without_reason(manifest), ["b", "c"]);
}
