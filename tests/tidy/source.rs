//! The sources as text: which there are, what of them is code, what of the code is tests.

use std::fs;
use std::path::Path;

/// Where sources are.
const DIRECTORIES: [&str; 6] = ["src", "tests", "examples", "benches", "fuzz/src", "fuzz/targets"];

pub struct Source {
    /// From the package's directory on: `src/engine/mod.rs`.
    pub path: String,
    pub text: String,
    /// The text with comments and literals made blank; every byte stands where it stood.
    pub code: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned(), code: code_of(text) }
    }

    /// Every Rust file of the package.
    pub fn all() -> Vec<Source> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut sources = Vec::new();
        for directory in DIRECTORIES {
            collect(root, Path::new(directory), &mut sources);
        }
        sources
    }

    /// Of a byte, counted from 1.
    pub fn line_of(&self, offset: usize) -> usize {
        self.text[..offset].matches('\n').count() + 1
    }

    /// Where tests begin: at once in a file of tests, at `mod tests {` in others.
    pub fn tests_from(&self) -> usize {
        let is_test =
            !self.path.starts_with("src/") || self.path.contains("/tests/") || self.path.ends_with("/tests.rs");
        if is_test { 0 } else { self.code.find("\nmod tests {").unwrap_or(self.code.len()) }
    }

    /// What runs in the program itself.
    pub fn program(&self) -> &str {
        &self.code[..self.tests_from()]
    }
}

fn collect(root: &Path, directory: &Path, sources: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(root.join(directory)) else {
        return;
    };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    for name in names {
        let path = directory.join(&name);
        if root.join(&path).is_dir() {
            collect(root, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(root.join(&path)).expect("a source is text");
            sources.push(Source::new(&path.display().to_string(), &text));
        }
    }
}

/// The words of code and where each begins.
pub fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + code[at..].find(is_word)?;
        at = code[start..].find(|c| !is_word(c)).map_or(code.len(), |length| start + length);
        Some((start, &code[start..at]))
    })
}

pub fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn code_of(text: &str) -> String {
    let mut code = text.as_bytes().to_vec();
    let mut at = 0;
    while at < code.len() {
        let length = opaque_length(&text.as_bytes()[at..]);
        code[at..at + length].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        at += length.max(1);
    }
    String::from_utf8(code).expect("Rust outside of comments and literals is ASCII here")
}

/// Length of the comment or literal that `rest` begins with; 0 if it begins with neither.
fn opaque_length(rest: &[u8]) -> usize {
    match rest {
        [b'/', b'/', ..] => rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment_length(rest),
        [b'"', ..] => 1 + until_quote(&rest[1..], b'"'),
        [b'\'', b'\\', ..] => 3 + until_quote(&rest[3..], b'\''),
        [b'\'', first, ..] => {
            let end = 1 + utf8_length(*first);
            // Without a quote it is a lifetime.
            if rest.get(end) == Some(&b'\'') { end + 1 } else { 0 }
        }
        [b'r', b'"' | b'#', ..] => raw_length(rest),
        _ => 0,
    }
}

fn block_comment_length(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Length up to and with a quote that no backslash stands before.
fn until_quote(rest: &[u8], quote: u8) -> usize {
    let mut at = 0;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn utf8_length(first: u8) -> usize {
    match first {
        0..0x80 => 1,
        0x80..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0.. => 4,
    }
}

/// `r#"…"#`; 0 for a raw identifier.
fn raw_length(rest: &[u8]) -> usize {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let mut end = vec![b'"'];
    end.resize(1 + hashes, b'#');
    let start = 2 + hashes;
    let found = rest[start..].windows(end.len()).position(|window| window == end);
    found.map_or(rest.len(), |length| start + length + end.len())
}

#[test]
fn comments_and_literals_are_no_code() {
    for (text, code) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */\n d */ e", "a             \n      e"),
        (r#"f("a\"b", 'c', '\'', '\u{e9}', 'é')"#, r#"f(      ,    ,     ,         ,     )"#),
        (r##"b"x" br#"a"b"# r"\" &'a T"##, r##"b    b              &'a T"##),
        ("'a: loop {}", "'a: loop {}"),
    ] {
        let source = Source::new("src/a.rs", text);
        assert_eq!(source.code.trim_end(), code.trim_end(), "{text}");
        assert_eq!(source.code.len(), text.len());
    }
}

#[test]
fn tests_are_told_from_the_program() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n}\n";
    assert_eq!(Source::new("src/a.rs", text).program(), "fn a() {}\n#[cfg(test)]");
    for path in ["src/a/tests/b.rs", "src/a/tests.rs", "tests/a.rs"] {
        assert_eq!(Source::new(path, text).program(), "");
    }
    assert_eq!(Source::new("src/a.rs", "a\n\nb").line_of(3), 3);
}
