//! What costs a line, a document or a piece, and that the rest of the stream is none the worse.

use super::*;

const GOOD: &str = "{\"hosts\":[1]}\n";
const TOLD: [&str; 2] = ["host 1", "document"];

/// The line is a fault and nothing else: alone, between good lines, with `\r\n`, and as a last line without newline.
#[track_caller]
fn costs_its_line(line: impl AsRef<[u8]>, fault: &str) {
    let line = line.as_ref();
    let good = GOOD.as_bytes();
    check([line, b"\n", good].concat(), &[fault, TOLD[0], TOLD[1]]);
    check([good, line, b"\r\n", good].concat(), &[TOLD[0], TOLD[1], fault, TOLD[0], TOLD[1]]);
    check([good, line, b"\n\n", good].concat(), &[TOLD[0], TOLD[1], fault, "end", "ignored 14"]);
}

#[test]
fn a_line_that_is_not_an_object_costs_that_line() {
    for line in [
        "[]",
        "[1]",
        "123",
        "null",
        "true",
        "\"s\"",
        "Starting nmap",
        "}",
        ",",
        "]",
        ":",
        "-",
        "[{\"hosts\":[1]}]",
        "\\",
        "'",
        "\u{7f}",
        "NaN",
        "// comment",
        "<?xml?>",
    ] {
        costs_its_line(line, &format!("NotJson {}", line.escape_default().to_string().replace("\\u{7f}", "\\x7f")));
    }
}

#[test]
fn wrong_grammar_costs_the_line() {
    for value in [
        "01",
        "-",
        "-a",
        "1.",
        ".5",
        "1.e5",
        "1e",
        "1e+",
        "+1",
        "0x1",
        "00",
        "-01",
        "1.5.5",
        "NaN",
        "Infinity",
        "-Infinity",
        "nul",
        "nulL",
        "truee",
        "True",
        "tru",
        "fals",
        "undefined",
        "'a'",
        "a",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1:2]",
        "{\"a\":1,}",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "{a:1}",
        "{1:2}",
        "{null:1}",
        "{\"a\":1]",
        "[1}",
        "]",
        "}}",
        "1 2",
        "\"a\" \"b\"",
        "\"a\"\"b\"",
        "[[]",
        "{}{}",
        "//",
        "1,",
        ",",
        ":",
        "",
    ] {
        let line = format!("{{\"x\":{value},\"hosts\":[]}}");
        costs_its_line(&line, &format!("NotJson {}", line.as_bytes().escape_ascii()));
    }
}

#[test]
fn wrong_text_costs_the_line() {
    for text in
        ["\\x41", "\\", "\\u12", "\\u12g4", "\\u", "\\'", "\\U0041", "\t", "\u{1f}", "\u{0}", "01234567\u{1}", "\r"]
    {
        for line in [format!("{{\"hosts\":[\"{text}\"]}}"), format!("{{\"{text}\":1,\"hosts\":[]}}")] {
            costs_its_line(&line, &format!("NotJson {}", line.as_bytes().escape_ascii()));
        }
    }
}

#[test]
fn wrong_utf8_costs_the_line() {
    let texts: [&[u8]; 12] = [
        b"\xff",
        b"\x80",
        b"caf\xe9",
        b"\xc0\x80",
        b"\xe2\x82",
        b"\xe2\x82\xe2\x82\xac",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf0\x9f\x98",
        b"\xc3\xc3\xa9",
        b"0123456789\xe9abcdefgh",
        b"\xc3\xa9\xe9\\x",
    ];
    for text in texts {
        for (left, right) in
            [("{\"hosts\":[\"", "\"]}"), ("{\"hosts\":[],\"", "\":1}"), ("{\"hosts\":[],\"a\":{\"b\":\"", "\"}}")]
        {
            let line = [left.as_bytes(), text, right.as_bytes()].concat();
            costs_its_line(&line, &format!("NotUtf8 {}", line.escape_ascii()));
        }
    }
    costs_its_line(b"{\"hosts\":[\"\xe9\"", "NotUtf8 {\\\"hosts\\\":[\\\"\\xe9\\\"");
    costs_its_line(b"{\"hosts\":[\xe9]}", "NotJson {\\\"hosts\\\":[\\xe9]}");
}

#[test]
fn a_damaged_byte_order_mark_is_a_fault() {
    check(b"\xef\xbb", &["NotJson \\xef\\xbb"]);
    check(
        b"\xef\xbb{\"hosts\":[1]}\n{\"hosts\":[1]}",
        &["NotJson \\xef\\xbb{\\\"hosts\\\":[1]}", "host 1", "document"],
    );
    check(b"\xef\n{\"hosts\":[1]}", &["NotJson \\xef", "host 1", "document"]);
    check(
        "{\"hosts\":[1]}\n\u{feff}{\"hosts\":[2]}\n",
        &["host 1", "document", "NotJson \\xef\\xbb\\xbf{\\\"hosts\\\":[2]}"],
    );
}

#[test]
fn what_was_cut_before_a_fault_stays_cut() {
    check(
        "{\"hosts\":[1,2,tru]}\n{\"hosts\":[1]}\n",
        &["host 1", "host 2", "NotJson {\\\"hosts\\\":[1,2,tru]}", "host 1", "document"],
    );
}

#[test]
fn garbage_behind_a_document_costs_the_rest_of_its_line() {
    check(
        "{\"hosts\":[1]} done {\"hosts\":[2]}\n{\"hosts\":[1]}",
        &["host 1", "document", "NotJson done {\\\"hosts\\\":[2]}", "host 1", "document"],
    );
    check("{\"hosts\":[1]},\n{\"hosts\":[1]}", &["host 1", "document", "NotJson ,", "host 1", "document"]);
}

#[test]
fn a_quote_is_the_beginning_of_the_line() {
    let line = "x".repeat(300);
    check(&line, &[&format!("NotJson {}", "x".repeat(120))]);
    check(format!("  \t{line}\n"), &[&format!("NotJson {}", "x".repeat(117))]);
    check("{\"hosts\":[\n  1,\n  2 3,\n  4\n]}", &["host 1", "host 2", "NotJson 2 3,", "NotJson 4", "NotJson ]}"]);
    check("{\"hosts\":[]}{\"hosts\":[x]}", &["document", "NotJson {\\\"hosts\\\":[x]}"]);
}

#[test]
fn a_document_without_lists_is_a_fault() {
    check("{}{\"hosts\":[1]}", &["NoLists {}", "host 1", "document"]);
    check("{\"a\":1}\n", &["NoLists {\\\"a\\\":1}"]);
    check("{\n  \"a\":1\n}\n", &["NoLists {\\n  \\\"a\\\":1\\n}"]);
    check("{\"credentials\":null}", &["NoLists {\\\"credentials\\\":null}"]);
    for value in ["null", "5", "{}", "\"a\"", "true", "{\"hosts\":[1]}"] {
        let document = format!("{{\"hosts\":{value}}}");
        check(&document, &[&format!("HostsNotList {}", document.as_bytes().escape_ascii())]);
    }
    check(r#"{"hosts":5,"hosts":[1]}"#, &["host 1", r#"HostsNotList {\"hosts\":5,\"hosts\":[1]}"#]);
    check(r#"{"hosts":[1],"hosts":5}"#, &["host 1", r#"HostsNotList {\"hosts\":[1],\"hosts\":5}"#]);
    check(
        "{\"hosts\":null,\"credentials\":[1]}",
        &["credential 1", "HostsNotList {\\\"hosts\\\":null,\\\"credentials\\\":[1]}"],
    );
    check(
        "{\"hosts\":[1],\"credentials\":{}}",
        &["host 1", "CredentialsNotList {\\\"hosts\\\":[1],\\\"credentials\\\":{}}"],
    );
}

#[test]
fn an_unfinished_last_document_is_a_fault() {
    check("{\"hosts\":[1,2", &["host 1", "Unfinished {\\\"hosts\\\":[1,2"]);
    check("{\"hosts\":[1,2\n\n\n", &["host 1", "host 2", "Unfinished {\\\"hosts\\\":[1,2"]);
    check("{", &["Unfinished {"]);
    check("{\"hosts\":[\"\u{20ac}", &["Unfinished {\\\"hosts\\\":[\\\"\\xe2\\x82\\xac"]);
    check(b"{\"hosts\":[\"\xe2\x82", &["Unfinished {\\\"hosts\\\":[\\\"\\xe2\\x82"]);
}

#[test]
fn nesting_has_an_end() {
    let nested = |depth: usize| format!("{{\"hosts\":[{}{}]}}\n", "[".repeat(depth), "]".repeat(depth));
    let told = read_split(nested(510).as_bytes(), 1 << 20);
    assert_eq!(told.len(), 2);
    let told = read([(nested(511) + GOOD).as_bytes()], 1 << 20);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].starts_with("TooDeep {"), "{told:?}");
    let objects = "{\"hosts\":".repeat(100_000);
    assert_eq!(read([(objects + "\n" + GOOD).as_bytes()], 1 << 20).len(), 3);
}

#[test]
fn a_piece_above_the_limit_costs_that_piece() {
    let fits = format!("\"{}\"", "a".repeat(198));
    let long = format!("\"{}\"", "b".repeat(199));
    let longer = format!("[\"{}\",{}]", "c".repeat(1000), "1".repeat(500));
    let stream =
        format!("{{\"hosts\":[{long},{fits},{longer}],\"credentials\":[{long}],\"x\":{longer}}}{{\"hosts\":[{fits}]}}");
    let host = format!("host {fits}");
    let quote = |text: &str| format!("TooLarge {}", text.as_bytes()[..120].escape_ascii());
    let expected =
        [quote(&long), host.clone(), quote(&longer), quote(&long), "document of both".into(), host, "document".into()];
    assert_eq!(read_split(stream.as_bytes(), 200), expected);
    let broken = format!("{{\"hosts\":[{longer}x]}}");
    assert_eq!(
        read_split(broken.as_bytes(), 200),
        [quote(&longer), format!("NotJson {}", broken.as_bytes()[..120].escape_ascii())]
    );
    let broken = format!("{{\"hosts\":[[{fits},x]]}}");
    assert_eq!(read_split(broken.as_bytes(), 200), [format!("NotJson {}", broken.as_bytes()[..120].escape_ascii())]);
}

#[test]
fn memory_comes_back_after_a_large_piece() {
    const PIECE_BYTES_MAX: usize = 1_000_000;
    let mut framer = Framer::new(PIECE_BYTES_MAX);
    let mut feed = |mut input: &[u8], pieces: usize| {
        for _ in 0..pieces {
            assert!(framer.next(&mut input).is_some());
        }
        assert!(framer.next(&mut input).is_none());
        assert!(framer.kept_bytes() <= PIECE_BYTES_MAX);
        framer.kept_bytes()
    };
    feed(b"{\"hosts\":[\"", 0);
    for _ in 0..15 {
        feed(&[b'a'; 1 << 16], 0);
    }
    assert!(feed(b"\",", 1) < 64 << 10, "after a piece that was cut");
    feed(b"\"", 0);
    for _ in 0..16 {
        feed(&[b'a'; 1 << 16], 0);
    }
    assert!(feed(b"a", 0) < 64 << 10, "within a piece that is too large");
    assert!(feed(b"\"", 1) < 64 << 10, "after it");
}

#[test]
fn ten_thousand_bad_lines_are_ten_thousand_faults() {
    let stream = "no JSON\n".repeat(10_000) + GOOD;
    let told = read(stream.as_bytes().chunks(4096), 1 << 20);
    assert_eq!(told.len(), 10_002);
    assert!(told[..10_000].iter().all(|line| line == "NotJson no JSON"));
}
