//! REST against a scripted server: what goes out, and what each answer means.

use std::time::Duration;

use faraday_agent::config::settings::{AgentToken, Secret, Server};
use faraday_agent::shell::net::fault::{Fault, Kind};
use faraday_agent::shell::net::http::{Api, Info, USER_AGENT};
use faraday_agent::shell::net::limits::Limits;

use crate::rig::{Reply, Rig, answer, black_hole, closed_port, server, short};

const TOKEN: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789xy";
const DIGITS: &str = "493027";

pub fn token() -> AgentToken {
    AgentToken::parse(TOKEN).unwrap()
}

fn digits() -> Secret {
    Secret::new(DIGITS.to_owned())
}

pub fn api(port: u16) -> Api {
    Api::new(&server(port), None, &Limits::default())
}

#[track_caller]
pub fn assert_fault(what: &str, result: Result<impl std::fmt::Debug, Fault>, kind: Kind, words: &[&str]) {
    let fault = result.expect_err(what);
    assert_eq!(fault.kind, kind, "{what}: {fault}");
    for word in words {
        assert!(fault.words.contains(word), "{what}: {word:?} is not in: {fault}");
    }
    assert!(!fault.words.contains('\n') && fault.words.len() < 600, "{what}: {fault}");
    for secret in [TOKEN, DIGITS] {
        assert!(!format!("{fault:?}").contains(secret), "{what}: {fault}");
    }
}

#[test]
fn requests_are_what_the_server_expects() {
    let rig = Rig::plain(|request| match request.path().rsplit('/').next() {
        Some("agents") => answer(201, &format!(r#"{{"id":1,"name":"a","token":"{TOKEN}"}}"#)),
        Some("agent_websocket_token") => answer(200, r#"{"token":"1.aw.Za"}"#),
        _ => answer(201, r#"{"command_id":1,"message":"Created"}"#),
    });
    let api = Api::new(&Server { base_route: "/one/two".to_owned(), ..server(rig.port) }, None, &Limits::default());
    api.info().unwrap();
    assert_eq!(api.register(&digits(), "näme", "").unwrap(), token());
    api.register(&digits(), "name", "what it is").unwrap();
    assert_eq!(api.websocket_token(&token()).unwrap().reveal(), "1.aw.Za");
    let post = api.bulk_create(&token(), "a b/ü", &b"{\"hosts\":[]}"[..], 12).unwrap();
    assert_eq!((post.status, post.body.as_slice()), (201, &br#"{"command_id":1,"message":"Created"}"#[..]));

    assert_eq!(
        rig.lines(),
        [
            "GET /one/two/_api/v3/info",
            "POST /one/two/_api/v3/agents",
            "POST /one/two/_api/v3/agents",
            "POST /one/two/_api/v3/agent_websocket_token",
            "POST /one/two/_api/v3/ws/a%20b%2F%C3%BC/bulk_create",
        ]
    );
    let requests = rig.requests();
    let bodies: Vec<_> = requests.iter().map(|request| String::from_utf8_lossy(&request.body)).collect();
    assert_eq!(
        bodies,
        [
            "",
            r#"{"token":"493027","name":"näme"}"#,
            r#"{"token":"493027","name":"name","description":"what it is"}"#,
            "",
            r#"{"hosts":[]}"#
        ]
    );
    for request in &requests {
        assert_eq!(request.header("host"), Some(&*format!("127.0.0.1:{}", rig.port)));
        assert_eq!(request.header("user-agent"), Some(USER_AGENT));
        assert_eq!(request.header("transfer-encoding"), None);
        assert_eq!(request.connection, 0, "one connection serves them all");
    }
    let header = |name| requests.iter().map(|request| request.header(name)).collect::<Vec<_>>();
    let authorization = format!("Agent {TOKEN}");
    assert_eq!(header("authorization"), [None, None, None, Some(&*authorization), Some(&*authorization)]);
    assert_eq!(header("content-length"), [None, Some("33"), Some("59"), Some("0"), Some("12")]);
    let json = Some("application/json");
    assert_eq!(header("content-type"), [None, json, json, None, json]);
}

#[test]
fn any_answer_to_info_means_that_there_is_a_server() {
    for (status, body, version) in [
        (200, r#"{"Faraday Server":"Running","Version":"4.6.2"}"#, Some("4.6.2")),
        (200, r#"{"Version":5}"#, None),
        (401, "<p>login</p>", None),
        (302, "", None),
        (500, "{", None),
    ] {
        let rig = Rig::plain(move |_| answer(status, body));
        let info = Info { version: version.map(str::to_owned), status };
        assert_eq!(api(rig.port).info(), Ok(info));
    }
}

#[test]
fn no_server_is_a_fault_that_may_pass() {
    let port = closed_port();
    let place = format!("nothing listens on 127.0.0.1:{port}");
    let words = [&*place, "server.host", "server.api_port", "inside a container"];
    assert_fault("closed", api(port).info(), Kind::Transient, &words);
    let words = ["did not answer within 0.3 s"];
    let api = Api::new(&server(black_hole()), None, &short());
    assert_fault("black hole", api.info(), Kind::Transient, &words);
    let gibberish = Rig::plain(|_| Reply::Raw(b"220 mail.example ESMTP\r\n\r\n".to_vec()));
    assert_fault("mail server", self::api(gibberish.port).info(), Kind::Transient, &["did not answer in HTTP"]);
    let no_host = Server { host: "not a host".to_owned(), ..server(1) };
    let api = Api::new(&no_host, None, &Limits::default());
    assert_fault("no host", api.info(), Kind::Setup, &["server.host"]);
}

#[test]
fn each_answer_to_a_registration_has_its_words() {
    for (reply, kind, words) in [
        ((401, "<p>Invalid Token</p>"), Kind::Refused, &["registration token", "--token"][..]),
        ((402, r#"{"message":"Licence"}"#), Kind::Refused, &["licence", "Licence"]),
        ((400, r#"{"messages":{"json":{"name":["Missing"]}}}"#), Kind::Refused, &["400", "Missing"]),
        ((404, "<h1>Not Found</h1>"), Kind::Setup, &["404", "no Faraday server", "server.base_route"]),
        ((502, "<h1>Bad Gateway</h1>"), Kind::Transient, &["502", "Bad Gateway"]),
        ((201, r#"{"token":"short"}"#), Kind::Refused, &["no agent token"]),
        ((200, "<html>"), Kind::Refused, &["no agent token"]),
    ] {
        let rig = Rig::plain(move |_| answer(reply.0, reply.1));
        assert_fault(reply.1, api(rig.port).register(&digits(), "name", ""), kind, words);
    }
    let rig = Rig::plain(|_| Reply::Answer(301, "Location: https://faraday.example/login\r\n", String::new()));
    let words = ["redirects the registration to https://faraday.example/login", "server.ssl"];
    assert_fault("redirect", api(rig.port).register(&digits(), "name", ""), Kind::Setup, &words);
    assert_eq!(rig.lines().len(), 1, "a redirect is not followed");
}

#[test]
fn a_registration_is_not_repeated_when_its_answer_got_lost() {
    let rig = Rig::plain(|_| Reply::Raw(Vec::new()));
    let words = ["closed the connection", "Agents page", "delete it"];
    assert_fault("lost", api(rig.port).register(&digits(), "name", ""), Kind::Refused, &words);
    assert_eq!(rig.lines().len(), 1);
    // Nothing was sent: trying again is safe.
    assert_fault("closed", api(closed_port()).register(&digits(), "name", ""), Kind::Transient, &["nothing listens"]);
}

#[test]
fn each_answer_to_a_websocket_token_has_its_words() {
    for (status, body, kind, words) in [
        (403, r#"{"message":"You don't have the permission"}"#, Kind::Refused, &["does not know", "permission"][..]),
        (402, "", Kind::Refused, &["licence has expired"]),
        (401, "", Kind::Setup, &["Authorization", "proxy"]),
        (503, "", Kind::Transient, &["503"]),
        (429, "", Kind::Transient, &["429"]),
        (405, "", Kind::Setup, &["no Faraday server"]),
        (200, "{}", Kind::Transient, &["without one"]),
    ] {
        let rig = Rig::plain(move |_| answer(status, body));
        let result = api(rig.port).websocket_token(&token());
        if status != 200 {
            assert_eq!(result.as_ref().unwrap_err().status, Some(status));
        }
        assert_fault(body, result.map(drop), kind, words);
    }
}

#[test]
fn every_answer_to_a_post_is_the_callers_to_judge() {
    for (status, headers, retry_after) in [
        (201, "", None),
        (302, "Location: /elsewhere\r\n", None),
        (400, "", None),
        (429, "Retry-After: 7\r\n", Some(Duration::from_secs(7))),
        (503, "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n", None),
    ] {
        let rig = Rig::plain(move |_| Reply::Answer(status, headers, "words".to_owned()));
        let answer = api(rig.port).bulk_create(&token(), "w", &b"{}"[..], 2).unwrap();
        assert_eq!((answer.status, answer.retry_after), (status, retry_after));
        assert_eq!(answer.body, b"words");
    }
}

#[test]
fn a_server_that_repeats_the_token_does_not_get_it_into_a_log() {
    let rig = Rig::plain(|request| answer(500, &format!("<pre>{:?}</pre>", request.headers)));
    assert_fault("echo", api(rig.port).websocket_token(&token()).map(drop), Kind::Transient, &["500"]);
    let answer = api(rig.port).bulk_create(&token(), "w", &b"{}"[..], 2).unwrap();
    assert!(!answer.quote().contains(TOKEN) && answer.quote().contains("****"), "{}", answer.quote());
}
