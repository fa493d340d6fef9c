//! What each kind takes and what not. The attacks on every argument of every official executor are in
//! `tests/official_arguments.rs`.

use serde_json::{Value, json};

use super::super::{Param, ParamType};
use super::Accept;

/// Every kind, the longest of what it takes and the nearest of what it does not.
const KINDS: [(&str, &[&str], &[&str]); 13] = [
    (r#""flag""#, &["True", "False"], &["true", "1", "True ", "yes"]),
    (
        r#"{"number": {"min": 1, "max": 65535}}"#,
        &["1", "65535", "080"],
        &["0", "65536", "-1", "+1", "1.0", "1e2", " 1", "1\n", "0x1", "٣", "99999999999999999999999"],
    ),
    (r#"{"one_of": ["tls", "ssh"]}"#, &["tls", "ssh"], &["TLS", "tls ", "tls,ssh", "gmp"]),
    (
        r#""identifier""#,
        &["a", "daba56c8-73ec-11df-a475-002264764cea", "org.example:app_1"],
        &["-a", ".a", "..", "a/b", "a b", "a\n", "é", "@a", "$a", "_a"],
    ),
    (
        r#""text""#,
        &["My scan (2), 50 %", "$(id)", "/etc/passwd", "ü", "DOMAIN\\user"],
        &["-oN", "@file", "a\nb", "a\0", "a\u{2028}b", "\u{1b}[31m"],
    ),
    (r#""secret""#, &["-pass@word", " blank "], &["a\nb", "a\0", "\r"]),
    (
        r#""file""#,
        &["scan.xml", "2025/My scan-1.xml", "a"],
        &[
            "/etc/passwd",
            "../a",
            "a/../b",
            "a/./b",
            "a//b",
            "a/",
            "-a",
            "a/-b",
            ".a",
            "a/.b",
            "~/a",
            "a\nb",
            "é",
            "a\\b",
        ],
    ),
    (
        r#""host""#,
        &["localhost", "a-b.example.", "10.0.0.1", "2001:db8::1", "fe80::1%eth0.1", "xn--bcher-kva.example", "1_a"],
        &[
            "-a",
            "a-",
            "a b",
            "a/b",
            "10.0.0.0/8",
            "bücher.example",
            "а.example",
            "http://a",
            "a:80",
            "[::1]",
            "fe80::1%",
            "fe80::1%../a",
        ],
    ),
    (
        r#""target""#,
        &[
            "a",
            "10.0.0.1",
            "10.0.0.0/24",
            "2001:db8::/64",
            "a.example/28",
            "10.0.0-5.1,7,20-",
            "10.0.*.-",
            "https://u:p@a.example:8443/x?y=$(id)#z",
            "http://[::1]:80",
            "HTTP://a",
        ],
        &[
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0/8/8",
            "10.0.0.256,",
            "1-2-3,.0.0.1",
            "-1.0.0.1",
            "*",
            "fe80::1%eth0/64",
            "ftp://a",
            "file:///a",
            "http://",
            "http://a b",
            "http://a/\"",
            "http://a/é",
            "http://bücher.example",
            "://a",
            "a,b",
        ],
    ),
    (r#""url""#, &["http://a", "https://[::1]/"], &["a", "ftp://a", "http:/a", "javascript://a", "http://a\\@b"]),
    (
        r#""ports""#,
        &["0", "80", "1-1024", "-1024", "1024-", "-", "T:80", "U:1-5,T:-,S:9", "http*", "T:http-alt", "*"],
        &[
            "65536", "1-65536", "--", "-oN", "80 ", "80,", ",", "T:", "t:80", "P:6", "80;id", "a b", "a/b", "1-2-3",
            "1-http", "[1-5]", "é",
        ],
    ),
    (
        r#""nmap_scripts""#,
        &["default", "http-*,banner", "(default or safe) and not (http-* or intrusive)", "*", "smb_x"],
        &[
            "/a", "a/", "../a", "a.nse", "+a", "-a", "a,-a", "(-a", "a\nb", "a\tb", "@a", "a;b", "a'b", "[a]", "a?",
            "\\a", "é", "a=b", "\"a\"",
        ],
    ),
    (r#"{"commas": "host"}"#, &["a", "a,10.0.0.1", "a, b ,c"], &[",", "a,", "a,,b", "a, -b", "a,\tb", "a b"]),
];

fn param(accept: Value, of: ParamType) -> Param {
    let accept = serde_json::from_value(accept).unwrap();
    Param { name: "A".to_owned(), mandatory: true, types: vec![of], base: "x".to_owned(), accept: Some(accept) }
}

#[test]
fn every_kind_takes_what_it_says_and_nothing_else() {
    for (accept, good, bad) in KINDS {
        let kind: Accept = serde_json::from_str(accept).unwrap();
        for text in good {
            assert!(kind.fits(text), "{accept} {text:?}");
        }
        for text in bad {
            assert!(!kind.fits(text), "{accept} {text:?}");
        }
    }
}

#[test]
fn the_table_holds_every_kind() {
    let kinds = KINDS.map(|(accept, ..)| match serde_json::from_str(accept).unwrap() {
        Accept::Flag => 0,
        Accept::Number { .. } => 1,
        Accept::OneOf(_) => 2,
        Accept::Identifier => 3,
        Accept::Text => 4,
        Accept::Secret => 5,
        Accept::File => 6,
        Accept::Host => 7,
        Accept::Target => 8,
        Accept::Url => 9,
        Accept::Ports => 10,
        Accept::NmapScripts => 11,
        Accept::Commas(_) => 12,
    });
    assert_eq!(kinds, std::array::from_fn(|number| number));
}

#[test]
fn every_element_of_a_list_has_to_fit_and_an_empty_text_is_not_given() {
    let list = param(json!("target"), ParamType::List);
    assert_eq!(list.check(&json!(["a", "", "::1"])).unwrap(), r#"["a","","::1"]"#);
    assert!(list.check(&json!([])).is_ok());
    for (value, held) in [(json!(["a", "@b"]), r#""@b""#), (json!(["a", true]), r#""true""#), (json!([-1]), r#""-1""#)]
    {
        let refusal = list.check(&value).unwrap_err();
        assert!(
            refusal.starts_with(&format!("A with an element {held} is refused; it may be a host name, ")),
            "{refusal}"
        );
    }
    assert_eq!(param(json!("ports"), ParamType::List).check(&json!([80, "1-5"])).unwrap(), r#"[80,"1-5"]"#);
    assert_eq!(param(json!("nmap_scripts"), ParamType::String).check(&json!("")).unwrap(), "");
    assert_eq!(param(json!("flag"), ParamType::Boolean).check(&json!("yes")).unwrap(), "True");
}

#[test]
fn a_refusal_quotes_a_short_line_and_no_secret() {
    let long = format!("/{}\n", "x".repeat(200));
    let refusal = param(json!("text"), ParamType::String).check(&json!(long)).unwrap_err();
    assert!(refusal.starts_with("A = \"/xxx") && refusal.len() < 300 && !refusal.contains('\n'), "{refusal}");
    let refusal = param(json!("secret"), ParamType::Password).check(&json!("hunter2\n")).unwrap_err();
    assert_eq!(refusal, "A is refused; it may be one line of text");
}
