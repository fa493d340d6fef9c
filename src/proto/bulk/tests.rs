//! Bodies and paths of `bulk_create` byte for byte, and answers of real servers in words.

use std::time::Duration;

use serde_json::Value;

use super::*;

fn envelope() -> Envelope {
    Envelope {
        execution_id: 1,
        tool: "agent1".into(),
        command: "ok".into(),
        params: "TARGET=192.0.2.1, PORTS=80".into(),
        start_date: "2026-11-23T18:10:12.940110".into(),
    }
}

const COMMAND: &str = r#""command":{"tool":"agent1","command":"ok","user":"","hostname":"","params":"TARGET=192.0.2.1, PORTS=80","import_source":"agent","start_date":"2026-11-23T18:10:12.940110"}"#;

/// The body in one buffer.
fn body(envelope: &Envelope, hosts: &[&[u8]], credentials: &[&[u8]], duration_us: Option<u64>) -> Vec<u8> {
    let parts = envelope.parts(hosts.iter().copied(), credentials.iter().copied(), duration_us);
    parts.iter().flat_map(|part| part.bytes()).copied().collect()
}

#[test]
fn a_body_is_its_pieces_byte_for_byte_in_the_envelope() {
    let host = r#"{"ip": "192.0.2.10",  "description":"\u00fc"}"#;
    let credential = r#"{"username":"u","password":"p"}"#;
    let tail = format!(r#""execution_id":1,{COMMAND}}}"#);
    let table = [
        (0, 0, format!(r#"{{"hosts":[],{tail}"#)),
        (1, 0, format!(r#"{{"hosts":[{host}],{tail}"#)),
        (2, 1, format!(r#"{{"hosts":[{host},{host}],"credentials":[{credential}],{tail}"#)),
        (0, 2, format!(r#"{{"hosts":[],"credentials":[{credential},{credential}],{tail}"#)),
    ];
    for (hosts_count, credentials_count, expected) in table {
        let hosts = vec![host.as_bytes(); hosts_count];
        let credentials = vec![credential.as_bytes(); credentials_count];
        let body = String::from_utf8(body(&envelope(), &hosts, &credentials, None)).unwrap();
        assert_eq!(body, expected);
        serde_json::from_str::<Value>(&body).unwrap();
    }
}

#[test]
fn the_closing_post_says_how_long_it_took() {
    let body: Value = serde_json::from_slice(&body(&envelope(), &[], &[], Some(1_036_513))).unwrap();
    assert_eq!(body["hosts"], Value::Array(vec![]));
    assert_eq!(body["command"]["duration"], 1_036_513);
    assert_eq!(body["command"]["import_source"], "agent");
}

#[test]
fn names_with_quotes_stay_inside_their_strings() {
    let hostile = Envelope { tool: "a\"},\"x\":{\"".into(), command: "\\".into(), ..envelope() };
    let body: Value = serde_json::from_slice(&body(&hostile, &[b"{}"], &[], None)).unwrap();
    assert_eq!(body["command"]["tool"], &*hostile.tool);
    assert_eq!(body["command"]["command"], "\\");
    assert_eq!(body.as_object().unwrap().len(), 3);
}

#[test]
fn parts_need_no_bytes_to_know_their_order() {
    let parts = envelope().parts(["h1", "h2"], ["c"], None);
    let shape: Vec<&str> = parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => text.as_ref(),
            Part::Piece(piece) => *piece,
        })
        .collect();
    let tail = format!(r#"],"execution_id":1,{COMMAND}}}"#);
    let expected = [r#"{"hosts":["#, "h1", ",", "h2", r#"],"credentials":["#, "c", &tail];
    assert_eq!(shape, expected);
}

#[test]
fn a_workspace_cannot_leave_its_place_in_the_path() {
    let table = [
        ("", "ws1", "/_api/v3/ws/ws1/bulk_create"),
        ("/faraday", "ws1", "/faraday/_api/v3/ws/ws1/bulk_create"),
        ("", "a b/../c?d", "/_api/v3/ws/a%20b%2F..%2Fc%3Fd/bulk_create"),
        ("", "ü#%&+\r\n", "/_api/v3/ws/%C3%BC%23%25%26%2B%0D%0A/bulk_create"),
        ("", "a-b_c.d~e", "/_api/v3/ws/a-b_c.d~e/bulk_create"),
    ];
    for (base_route, workspace, expected) in table {
        assert_eq!(path(base_route, workspace), expected);
    }
}

#[test]
fn start_dates_are_utc_with_microseconds() {
    let table = [
        (Duration::ZERO, "1970-01-01T00:00:00.000000"),
        (Duration::new(1_795_457_412, 940_110_999), "2026-11-23T18:10:12.940110"),
        (Duration::new(1_709_164_800, 5_000), "2024-02-29T00:00:00.000005"),
        (Duration::from_secs(u64::MAX / 4), "1970-01-01T00:00:00.000000"),
    ];
    for (since_epoch, expected) in table {
        assert_eq!(start_date(UNIX_EPOCH + since_epoch), expected);
    }
    assert_eq!(start_date(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000000");
}

#[test]
fn params_leave_secrets_out() {
    let argument = |name: &str, text: &str, secret| Argument { name: name.to_owned(), text: text.to_owned(), secret };
    assert_eq!(params_text(&[]), "");
    let args = [
        argument("TARGET", r#"["10.0.0.1"]"#, false),
        argument("PASSWORD", "hunter2", true),
        argument("PORTS", "80", false),
    ];
    assert_eq!(params_text(&args), r#"TARGET=["10.0.0.1"], PORTS=80"#);
}

#[test]
fn answers_become_words() {
    let long = format!("{}…", "x".repeat(300));
    let table = [
        (201, r#"{"command_id":1,"message":"Created"}"#, "Created"),
        (
            400,
            r#"{"messages":{"json":{"hosts":{"0":{"vulnerabilities":{"2":{"severity":["Invalid severity type."]}}}}}}}"#,
            "hosts.0.vulnerabilities.2.severity: Invalid severity type.",
        ),
        (
            400,
            r#"{"messages":{"json":{"hosts":["Missing data for required field."],"command":["Missing data for required field."]}}}"#,
            "hosts: Missing data for required field.; command: Missing data for required field.",
        ),
        (400, r#"{"messages":{"json":{"_schema":["Invalid input type."]}}}"#, "Invalid input type."),
        (
            400,
            r#"{"messages":{"json":{"hosts":{"3":{"services":{"0":{"_schema":["bad"]}}}}}}}"#,
            "hosts.3.services.0: bad",
        ),
        (400, r#"{"PORTS":{"data":["Not a valid integer."]}}"#, "PORTS.data: Not a valid integer."),
        (403, r#"{"message":"Disabled workspace: old2"}"#, "Disabled workspace: old2"),
        (500, r#"{"message":"Internal Server Error","success":false}"#, "Internal Server Error"),
        (
            400,
            "<!doctype html>\n<html lang=en>\n<title>400 Bad Request</title>\n<h1>Bad Request</h1>\n<p>argument expected: execution_id</p>\n",
            "Bad Request argument expected: execution_id",
        ),
        (404, "<p>No such workspace: a&lt;b&amp;lt;&#39;</p>", "No such workspace: a<b&lt;'"),
        (
            502,
            "<html><head><TITLE>502</TITLE><style>p{a<b}</style><script>x('</p>')</script></head><body><h1>502 Bad Gateway</h1>nginx</body></html>",
            "502 Bad Gateway nginx",
        ),
        (502, "<html><title>never ended", "HTTP status 502 without a word"),
        (502, "<html", "HTTP status 502 without a word"),
        (503, "try 1 < 2 later\u{1b}[2J\n", "try 1 < 2 later [2J"),
        (503, "ends in <", "ends in <"),
        (503, "", "HTTP status 503 without a word"),
        (500, "{}", "HTTP status 500 without a word"),
        (500, "null", "HTTP status 500 without a word"),
        (500, r#"["a",1]"#, "a; 1"),
        (500, &"x".repeat(1000), &long),
    ];
    for (status, body, expected) in table {
        assert_eq!(answer_words(status, body.as_bytes()), expected, "{body}");
    }
}

#[test]
fn an_answer_may_be_any_bytes() {
    assert_eq!(answer_words(500, b"\xff\xfe oops"), "\u{fffd}\u{fffd} oops");
    let page = "<style></sty<p>é&#39;</style><title></title><script>".as_bytes();
    for end in 0..page.len() {
        for byte in [b'<', b'>', b'/', b'&', 0xc3, 0] {
            let mut damaged = page[..end].to_vec();
            damaged.push(byte);
            answer_words(400, &damaged);
        }
    }
}
