//! Streams of good documents: where they may stand, how they may be printed, where they end.

use super::*;

#[test]
fn documents_follow_each_other_in_any_way() {
    let two = ["host 1", "document", "host 2", "document"];
    for stream in [
        "{\"hosts\":[1]}\n{\"hosts\":[2]}\n",
        "{\"hosts\":[1]}\n{\"hosts\":[2]}",
        "{\"hosts\":[1]}{\"hosts\":[2]}",
        "{\"hosts\":[1]} \t{\"hosts\":[2]}\t",
        "{\"hosts\":[1]}\r\n{\"hosts\":[2]}\r\n",
        "\n{\"hosts\":[1]}\n{\"hosts\":[2]}\n",
        "\r\n{\"hosts\":[1]}\n{\"hosts\":[2]}\n",
        "  {\"hosts\":[1]}\n\t{\"hosts\":[2]}\n",
        "\u{feff}{\"hosts\":[1]}\n{\"hosts\":[2]}\n",
        "\u{feff}\n{\"hosts\":[1]}\n{\"hosts\":[2]}\n",
        "{ \"hosts\" : [ 1 ] } {\n\"hosts\"\n:\n[\n2\n]\n}",
        "{\r\n\t\"hosts\":[\r\n\r\n1]\n\n}\n{\n\n\"hosts\":\n\n[2]}\n",
    ] {
        check(stream, &two);
    }
}

#[test]
fn nothing_comes_of_nothing() {
    for stream in ["", "\n", "\r\n", " ", " \n", "\t\n  \n \r\n", "\u{feff}", "\u{feff}\n"] {
        check(stream, &[]);
    }
}

#[test]
fn pieces_are_cut_as_printed() {
    check(
        r#"{"hosts":[ {"ip" : "1.2.3.4"} ,"text", [1,[2]], null,true,false ,-0.5e+3, {}, [] , "" , 0]}"#,
        &[
            r#"host {"ip" : "1.2.3.4"}"#,
            r#"host "text""#,
            "host [1,[2]]",
            "host null",
            "host true",
            "host false",
            "host -0.5e+3",
            "host {}",
            "host []",
            r#"host """#,
            "host 0",
            "document",
        ],
    );
}

#[test]
fn only_the_lists_at_the_top_are_cut() {
    check(
        r#"{"a":{"hosts":[1]},"b":[{"hosts":[2]},[]],"hosts":[{"hosts":[3],"credentials":[4]}],"credentials":[{"hosts":[5]}],"c":"hosts"}"#,
        &[r#"host {"hosts":[3],"credentials":[4]}"#, r#"credential {"hosts":[5]}"#, "document of both"],
    );
    check(r#"{"credentials":[1,2],"execution_id":5}"#, &["credential 1", "credential 2", "document of credentials"]);
    check(r#"{"hosts":[1],"credentials":null}"#, &["host 1", "document"]);
    check(r#"{"hosts":[],"command":{"tool":"x"}}"#, &["document"]);
}

#[test]
fn a_list_may_come_twice_and_its_name_may_be_escaped() {
    check(r#"{"hosts":[1],"x":2,"hosts":[3]}"#, &["host 1", "host 3", "document"]);
    check(
        r#"{"hos\u0074s":[1],"\u0063redentials":[2],"hosts\u0000":[3],"\ud800":[4],"h\u006fsts\"":[5]}"#,
        &["host 1", "credential 2", "document of both"],
    );
    let escaped: String = "credentials".bytes().map(|b| format!("\\u{b:04X}")).collect();
    check(format!(r#"{{"{escaped}":[1]}}"#), &["credential 1", "document of credentials"]);
    let long = "hosts".repeat(100);
    check(format!(r#"{{"{long}":[1],"hosts":[2],"{long}":[3]}}"#), &["host 2", "document"]);
}

#[test]
fn text_of_every_kind_passes() {
    let texts = [
        r#"\"\\\/\b\f\n\r\t\u0000\u0041\uD83D\ude00\ud800"#,
        "é€😀 – ÿ\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}\u{7f}",
        "Ж".repeat(40).as_str(),
        &format!("{}é{}", "a".repeat(30), "b".repeat(30)),
        r"0123456\\",
        r"01234567\\\\",
    ]
    .map(|text| format!("{{\"hosts\":[\"{text}\"],\"{text}\":\"{text}\"}}"));
    for document in texts {
        let host = format!("host {}", &document[10..document.find(']').unwrap()]);
        check(&document, &[&host, "document"]);
    }
}

#[test]
fn an_empty_line_between_documents_ends_the_stream() {
    for (stream, ignored) in [
        ("{\"hosts\":[1]}\n\n", None),
        ("{\"hosts\":[1]}\r\n\r\n", None),
        ("{\"hosts\":[1]}\n\r\n", None),
        ("{\"hosts\":[1]}\r\n\n", None),
        ("{\"hosts\":[1]} \n\n", None),
        ("{\"hosts\":[1]}\n \n\n", None),
        ("{\n\"hosts\":[1]\n}\n\n", None),
        ("\n{\"hosts\":[1]}\n\nabc", Some("ignored 3")),
        ("{\"hosts\":[1]}\n\n\n", Some("ignored 1")),
        ("{\"hosts\":[1]}\n\n{\"hosts\":[2]}\n\nabc\n", Some("ignored 19")),
    ] {
        let mut expected = vec!["host 1", "document", "end"];
        expected.extend(ignored);
        check(stream, &expected);
    }
    for stream in ["\n\n", "\r\n\r\n", "\n\r\n", " \n\n", "\u{feff}\n\n"] {
        check(stream, &["end"]);
    }
}

#[test]
fn a_line_of_blanks_is_not_an_end() {
    for blanks in [" ", "\t", "\r\r", " \r", "\r "] {
        check(format!("{{\"hosts\":[1]}}\n{blanks}\n{{\"hosts\":[2]}}"), &["host 1", "document", "host 2", "document"]);
    }
}

#[test]
fn any_indentation_passes() {
    let document = serde_json::json!({
        "command": {"tool": "x", "command": "y"},
        "credentials": [{"username": "a", "password": "b"}],
        "hosts": [
            {"credentials": [], "ip": "10.0.0.1", "services": [{"port": 80, "credentials": [{"x": []}]}]},
            {"ip": "10.0.0.2", "credentials": [], "command": 1, "vulnerabilities": [{}, {"refs": [{"name": "r"}]}]},
            {},
            [{}, {"credentials": [], "name": 1}],
        ],
        "execution_id": 4,
        "x": [{"command": {"a": [{"execution_id": 5}]}}],
    });
    for indent in ["", " ", "  ", "    ", "\t"] {
        let told: Vec<String> = read_split(print(&document, indent).as_bytes(), 1 << 20)
            .into_iter()
            .map(|piece| piece.split_whitespace().collect::<Vec<_>>().concat())
            .collect();
        let host = |i: usize| format!("host{}", document["hosts"][i]);
        let credential = format!("credential{}", document["credentials"][0]);
        assert_eq!(told, [credential, host(0), host(1), host(2), host(3), "documentofboth".into()], "{indent:?}");
    }
}

#[test]
fn one_host_on_each_line_passes() {
    check(
        "{\"hosts\":[\n{\"ip\":\"a\"},\n{\"credentials\":[],\"ip\":\"b\"},\n{},\n{\"command\":1,\"ip\":\"c\"}\n],\"x\":\n{\"ip\":\"d\"}}\n{\"hosts\":[1]}\n",
        &[
            r#"host {"ip":"a"}"#,
            r#"host {"credentials":[],"ip":"b"}"#,
            "host {}",
            r#"host {"command":1,"ip":"c"}"#,
            "document",
            "host 1",
            "document",
        ],
    );
}

#[test]
fn pieces_come_before_their_document_ends() {
    let mut framer = Framer::new(1 << 20);
    let mut input: &[u8] = b"{\"hosts\":[{\"ip\":1},2";
    assert_eq!(framer.next(&mut input), Some(Piece::Host(br#"{"ip":1}"#)));
    assert_eq!(framer.next(&mut input), None);
    let mut input: &[u8] = b"3,";
    assert_eq!(framer.next(&mut input), Some(Piece::Host(b"23")));
    assert_eq!(framer.next(&mut input), None);
}

#[test]
fn a_document_without_lists_is_walked_through_in_little_memory() {
    let mut framer = Framer::new(1 << 20);
    let mut feed = |mut input: &[u8]| {
        while let Some(piece) = framer.next(&mut input) {
            assert!(matches!(piece, Piece::Host(b"1") | Piece::Document { .. }), "{piece:?}");
        }
        framer.kept_bytes()
    };
    feed(b"{\"x\":[\"");
    let text = [b'a'; 60_000];
    for _ in 0..100 {
        assert!(feed(&text) < 1024);
    }
    feed(b"\",");
    for _ in 0..2000 {
        assert!(feed(b"{\"a\":[1,2,3,4,5,6,7,8,9],\"bbbbbbbbb\":null},") < 1024);
    }
    assert!(feed(b"0],\"hosts\":[1]}") < 1024);
}
