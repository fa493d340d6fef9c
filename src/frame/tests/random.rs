//! Random documents, whole and damaged, with `serde_json` as the judge.

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::*;

/// A value as some program might print it.
fn value(random: &mut Random, depth: usize) -> String {
    let kinds = if depth == 0 { 4 } else { 6 };
    match random.below(kinds) {
        0 => text(random),
        1 => random.pick(&["0", "-0", "1", "-12", "3.25", "1e9", "-0.5E-3", "1234567890123", "7.0e+1"]).into(),
        2 => random.pick(&["true", "false", "null"]).into(),
        3 => random.pick(&["{}", "[]", "\"\"", "[ ]", "{ }"]).into(),
        4 => {
            let elements: Vec<String> = (0..random.below(4)).map(|_| value(random, depth - 1)).collect();
            list(random, &elements)
        }
        _ => {
            let members: Vec<String> = (0..random.below(4)).map(|_| text(random)).collect();
            let members: Vec<(String, String)> =
                members.into_iter().map(|key| (key, value(random, depth - 1))).collect();
            object(random, &members)
        }
    }
}

fn text(random: &mut Random) -> String {
    const PARTS: [&str; 14] = [
        "a",
        "hosts",
        "10.0.0.1",
        "\\n",
        "\\\"",
        "\\\\",
        "\\u00e9",
        "\\ud83d\\ude00",
        "é",
        "€",
        "😀",
        " ",
        "{",
        "plain text of some length ",
    ];
    let parts: String = (0..random.below(5)).map(|_| random.pick(&PARTS)).collect();
    format!("\"{parts}\"")
}

fn blank(random: &mut Random) -> &'static str {
    random.pick(&["", "", "", "", "", "", " ", "\n", "\n  ", "\r\n\t"])
}

fn list(random: &mut Random, elements: &[String]) -> String {
    let mut printed = "[".to_string();
    for (i, element) in elements.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        printed += &[blank(random), comma, blank(random), element].concat();
    }
    printed + blank(random) + "]"
}

fn object(random: &mut Random, members: &[(String, String)]) -> String {
    let mut printed = "{".to_string();
    for (i, (key, value)) in members.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        printed += &[blank(random), comma, blank(random), key, blank(random), ":", blank(random), value].concat();
    }
    printed + blank(random) + "}"
}

/// A document and what is to come out of it.
fn document(random: &mut Random) -> (String, Vec<String>) {
    let mut members = Vec::new();
    let mut told = Vec::new();
    for _ in 0..random.below(4) {
        let (key, piece) = random.pick(&[("\"hosts\"", "host"), ("\"credentials\"", "credential"), ("\"x\"", "")]);
        let value = match piece {
            "" => value(random, 3),
            _ => {
                let elements: Vec<String> = (0..random.below(4)).map(|_| value(random, 4)).collect();
                told.extend(elements.iter().map(|element| format!("{piece} {element}")));
                list(random, &elements)
            }
        };
        members.push((key.to_string(), value));
    }
    let has = |key: &str| members.iter().any(|(k, _)| k == key);
    told.push(tell_lists(has("\"hosts\""), has("\"credentials\"")));
    // What follows a brace in column 0 may be another document; that has its own tests.
    (object(random, &members).replace("\n{", "\n {"), told.iter().map(|line| line.replace("\n{", "\n {")).collect())
}

fn tell_lists(hosts: bool, credentials: bool) -> String {
    match hosts || credentials {
        true => tell(Piece::Document { hosts, credentials }),
        false => "NoLists".into(),
    }
}

#[test]
fn random_documents_come_out_as_printed() {
    for seed in 0..3000 {
        let mut random = Random::new(seed);
        let (mut stream, mut expected) = (String::new(), Vec::new());
        for _ in 0..1 + random.below(4) {
            let (printed, told) = document(&mut random);
            stream += &(printed + random.pick(&["", "\n", " ", "\r\n", "\n \n"]));
            expected.extend(told);
        }
        for chunks in [vec![stream.as_bytes()], stream.as_bytes().chunks(1).collect(), random.split(stream.as_bytes())]
        {
            let told = read(chunks, 1 << 20).into_iter().map(without_quote).collect::<Vec<_>>();
            assert_eq!(told, expected, "seed {seed}: {stream}");
        }
    }
}

fn without_quote(told: String) -> String {
    if told.starts_with("NoLists") { "NoLists".into() } else { told }
}

/// The members of an object, repeated ones too.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// What `serde_json` says of a line: `None` if it is no object, else the elements of its lists if it can tell (it
/// refuses the values of some strings and numbers that are grammatical).
fn judge(line: &[u8]) -> Option<Option<Vec<(String, Value)>>> {
    let line = std::str::from_utf8(line).ok()?;
    serde_json::from_str::<IgnoredAny>(line).ok()?;
    if !line.trim_start().starts_with('{') {
        return None;
    }
    let Ok(Members(members)) = serde_json::from_str(line) else {
        return Some(None);
    };
    let mut pieces = Vec::new();
    for (key, value) in members {
        let piece = match key.as_str() {
            "hosts" => "host",
            "credentials" => "credential",
            _ => continue,
        };
        let Value::Array(elements) = value else {
            continue;
        };
        pieces.extend(elements.into_iter().map(|element| (piece.to_string(), element)));
    }
    Some(Some(pieces))
}

fn damage(random: &mut Random, line: &mut Vec<u8>) {
    for _ in 0..1 + random.below(2) {
        let at = random.below(line.len());
        match random.below(5) {
            0 => line[at] ^= 1 << random.below(8),
            1 => _ = line.remove(at),
            2 => line[at] = random.pick(b"{}[]\",:\\0-.eE tfn\x00\x1f\x7f\x80\xc3\xff"),
            3 => line.insert(at, random.pick(b"{}[]\",:\\0-.eE tfn\x00\x1f\x7f\x80\xc3\xff")),
            _ => line.truncate(at.max(1)),
        }
        line.retain(|&byte| byte != b'\n' && byte != b'\r');
        if line.is_empty() {
            line.push(b'x');
        }
    }
}

#[test]
fn damaged_documents_are_judged_as_serde_json_does_and_cost_no_other_line() {
    let good = ["host {\"good\":1}", "document"];
    let (mut whole, mut broken) = (0, 0);
    for seed in 0..20_000 {
        let mut random = Random::new(seed);
        let mut line = document(&mut random).0.replace(['\n', '\r'], " ").into_bytes();
        damage(&mut random, &mut line);
        let stream = [&line, &b"\n{\"hosts\":[{\"good\":1}]}\n"[..]].concat();
        let told = read([&stream[..]], 1 << 20);
        let text = stream.escape_ascii();
        assert_eq!(read(random.split(&stream), 1 << 20), told, "seed {seed}: {text}");
        assert!(told.ends_with(&good.map(String::from)), "seed {seed}: {text}: {told:?}");
        let told = &told[..told.len() - 2];
        let fault = told.iter().any(|line| line.starts_with("Not") || line.starts_with("Unfinished"));
        match judge(&line) {
            None if line.trim_ascii().is_empty() => assert!(told.is_empty()),
            None => {
                broken += 1;
                assert!(fault || two_documents(&line), "seed {seed}: {text}: {told:?}");
            }
            Some(pieces) => {
                whole += 1;
                assert!(!fault, "seed {seed}: {text}: {told:?}");
                let Some(pieces) = pieces else { continue };
                let cut: Vec<(String, Value)> = told
                    .iter()
                    .filter_map(|line| line.split_once(' '))
                    .filter(|(kind, _)| matches!(*kind, "host" | "credential"))
                    .map(|(kind, text)| (kind.to_string(), serde_json::from_str(text).unwrap()))
                    .collect();
                assert_eq!(cut, pieces, "seed {seed}: {text}");
            }
        }
    }
    assert!(whole > 1000 && broken > 1000, "the damage is too much or too little: {whole} whole, {broken} broken");
}

#[test]
fn damaged_documents_of_many_lines_cost_nothing_of_the_next_one() {
    for seed in 0..10_000 {
        let mut random = Random::new(seed);
        let document: Value = serde_json::from_str(&document(&mut random).0).unwrap();
        let indent = random.pick(&["", " ", "    "]);
        let mut printed = print(&document, indent).into_bytes();
        let at = random.below(printed.len());
        match random.below(3) {
            0 => printed[at] ^= 1 << random.below(8),
            1 => _ = printed.remove(at),
            _ => printed.truncate(at),
        }
        let next = random.pick(&["{\"hosts\":[{\"good\":1}]}", "{\n\"credentials\":[],\"hosts\": [\n{\"good\":1}]\n}"]);
        let stream = [&printed, &b"\n"[..], next.as_bytes(), b"\n"].concat();
        if stream.windows(2).any(|two| two == b"\n\n") {
            continue; // It may rightly end there.
        }
        let told = read([&stream[..]], 1 << 20);
        let text = stream.escape_ascii();
        assert_eq!(read(random.split(&stream), 1 << 20), told, "seed {seed}: {text}");
        assert!(told.ends_with(&read([next.as_bytes()], 1 << 20)), "seed {seed}: {text}: {told:?}");
    }
}

/// A line may hold several documents; `serde_json` wants to be asked for each.
fn two_documents(line: &[u8]) -> bool {
    serde_json::Deserializer::from_slice(line).into_iter::<IgnoredAny>().all(|document| document.is_ok())
}

#[test]
fn random_bytes_do_no_harm() {
    const PARTS: [&str; 22] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\"hosts\":",
        "\"credentials\":",
        "{\"hosts\":[",
        "]}",
        "\n",
        "\n{",
        "\n\n",
        "\r",
        " ",
        "1",
        "-",
        "true",
        "\\",
        "é",
        "x",
    ];
    for seed in 0..10_000 {
        let mut random = Random::new(seed);
        let stream: String = (0..random.below(40)).map(|_| random.pick(&PARTS)).collect();
        let mut stream = stream.into_bytes();
        if random.one_in(4) && !stream.is_empty() {
            let at = random.below(stream.len());
            stream[at] = random.below(256) as u8;
        }
        for piece_bytes_max in [1 << 20, 8] {
            let whole = read([&stream[..]], piece_bytes_max);
            let text = stream.escape_ascii();
            assert_eq!(read(stream.chunks(1), piece_bytes_max), whole, "seed {seed}: {text}");
            assert_eq!(read(random.split(&stream), piece_bytes_max), whole, "seed {seed}: {text}");
        }
    }
}
