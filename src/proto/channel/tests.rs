//! Both codecs through the one door that the engine has, against what was recorded from real servers.

use super::*;
use crate::proto::json::Json;
use crate::proto::param::{Param, ParamType};

const RUN_SOCKETIO: &str = r#"42/dispatcher,["run",{"execution_ids":[1,2],"agent_id":1,"workspaces":["ws1","ws2"],"action":"RUN","executor":"nmap","args":{"TARGET":["10.0.0.1"]},"plugin_args":{"ignore_info":false,"resolve_hostname":true,"vuln_tag":null,"service_tag":null,"hostname_tag":null,"min_severity":null,"max_severity":null}}]"#;
const RUN_RAW: &str = r#"{"execution_ids": [1], "agent_id": 1, "workspaces": ["old1"], "action": "RUN", "executor": "ok", "args": {"TARGET": "192.0.2.1", "PORTS": "80"}, "plugin_args": {"ignore_info": false, "resolve_hostname": true, "vuln_tag": null, "service_tag": null, "host_tag": null}}"#;
const RUN_RAW_TWO: &str = r#"{"execution_ids": [2, 3], "agent_id": 1, "workspaces": ["old1", "old2"], "action": "RUN", "executor": "ok", "args": {"TARGET": "192.0.2.1"}, "plugin_args": {"ignore_info": true, "resolve_hostname": false, "vuln_tag": ["vt1", "vt2"], "service_tag": ["st"], "host_tag": ["ht"]}}"#;
const OPEN: &str = r#"0{"sid":"x","upgrades":[],"pingTimeout":220000,"pingInterval":60000,"maxPayload":1000000}"#;

/// Frames that servers sent, and one with a password in each place where a RUN has room for one.
const RECORDED: &[(Protocol, &str)] = &[
    (Protocol::SocketIo, OPEN),
    (Protocol::SocketIo, r#"40/dispatcher,{"sid":"abc"}"#),
    (Protocol::SocketIo, r#"42/dispatcher,["message","Agent joined correctly to dispatcher namespace"]"#),
    (Protocol::SocketIo, r#"42/dispatcher,["disconnect",{"reason":"Invalid agent token!"}]"#),
    (Protocol::SocketIo, "43/dispatcher,7[]"),
    (Protocol::SocketIo, "41/dispatcher,"),
    (Protocol::SocketIo, RUN_SOCKETIO),
    (
        Protocol::SocketIo,
        r#"42/dispatcher,["run",{"execution_ids":[1],"workspaces":["w"],"executor":"ok","args":{"P":"hunter2"},"plugin_args":{"x":"hunter2"}}]"#,
    ),
    (Protocol::WebSocket, RUN_RAW),
    (Protocol::WebSocket, RUN_RAW_TWO),
    (
        Protocol::WebSocket,
        r#"{"execution_ids":[1],"workspaces":["w"],"action":"RUN","executor":"ok","args":{"P":"hunter2"},"plugin_args":{"x":"hunter2"}}"#,
    ),
];

fn odd(note: &str) -> Heard<'static> {
    Heard::odd(note)
}

/// Arguments are given by name and JSON text.
fn run<'m>(ids: &[i64], workspaces: &[&str], executor: &str, args: Texts<'m>, plugin_args: Texts<'m>) -> Heard<'m> {
    let named = |texts: Texts<'m>| {
        texts.iter().map(|(name, text)| ((*name).to_owned(), Json::parse(text).expect("JSON"))).collect()
    };
    Heard::Run(RunCommand {
        execution_ids: ids.to_vec(),
        workspaces: workspaces.iter().map(|w| w.to_string()).collect(),
        executor: Some(executor.to_owned()),
        args: named(args),
        plugin_args: named(plugin_args),
    })
}

type Texts<'m> = &'m [(&'m str, &'m str)];

fn offers() -> Vec<ExecutorOffer> {
    let param = |name: &str, mandatory, types: &[ParamType], base: &str| Param {
        name: name.to_owned(),
        mandatory,
        types: types.to_vec(),
        base: base.to_owned(),
        accept: None,
    };
    vec![
        ExecutorOffer {
            executor_name: "nmap".to_owned(),
            params: vec![param("TARGET", true, &[ParamType::List], "list")],
            category: vec!["Network Tools".to_owned()],
            tool: "nmap".to_owned(),
        },
        ExecutorOffer {
            executor_name: "own".to_owned(),
            params: vec![
                param("WHERE", true, &[ParamType::Ip, ParamType::Url], "string"),
                param("PORTS", false, &[ParamType::Integer], "integer"),
            ],
            category: vec![],
            tool: String::new(),
        },
    ]
}

fn status() -> RunStatus {
    RunStatus {
        execution_ids: [1].into(),
        executor_name: "ok".to_owned(),
        running: false,
        successful: Some(false),
        message: "exit code 1: \"no\"".to_owned(),
    }
}

#[test]
fn what_a_socketio_server_was_recorded_to_send_is_understood() {
    let day = Duration::from_secs(86_400);
    let seconds = Duration::from_secs;
    let table = [
        (OPEN, Heard::Opened { ping_interval: seconds(60), ping_timeout: seconds(220) }),
        (
            r#"0{"pingInterval":0,"pingTimeout":18446744073709551615}"#,
            Heard::Opened { ping_interval: seconds(1), ping_timeout: day },
        ),
        (
            r#"42/dispatcher,["message","Connected to faraday websocket"]"#,
            Heard::Notice("Connected to faraday websocket".to_owned()),
        ),
        (r#"40/dispatcher,{"sid":"abc"}"#, Heard::Connected),
        ("40/dispatcher", Heard::Connected),
        ("2", Heard::Ping),
        ("3", Heard::Nothing),
        ("6", Heard::Nothing),
        ("1", Heard::Closed),
        ("41/dispatcher,", Heard::Left),
        ("41/dispatcher", Heard::Left),
        ("43/dispatcher,7[]", Heard::Ack(7)),
        ("43/dispatcher,18446744073709551615[\"x\"]", Heard::Ack(u64::MAX)),
        (
            r#"42/dispatcher,["disconnect",{"reason":"Invalid agent token!"}]"#,
            Heard::Disconnect("Invalid agent token!".to_owned()),
        ),
        (r#"42/dispatcher,["disconnect"]"#, Heard::Disconnect("no reason given".to_owned())),
        (r#"44/dispatcher,"Unable to connect""#, Heard::ConnectRefused("Unable to connect".to_owned())),
        (r#"44/dispatcher,{"message":"Invalid namespace"}"#, Heard::ConnectRefused("Invalid namespace".to_owned())),
        ("44/dispatcher,", Heard::ConnectRefused("no reason given".to_owned())),
        (r#"42/dispatcher,["message",{"a":1}]"#, Heard::Notice("no words but an object".to_owned())),
        (
            RUN_SOCKETIO,
            run(
                &[1, 2],
                &["ws1", "ws2"],
                "nmap",
                &[("TARGET", r#"["10.0.0.1"]"#)],
                &[
                    ("ignore_info", "false"),
                    ("resolve_hostname", "true"),
                    ("vuln_tag", "null"),
                    ("service_tag", "null"),
                    ("hostname_tag", "null"),
                    ("min_severity", "null"),
                    ("max_severity", "null"),
                ],
            ),
        ),
        (
            r#"42/dispatcher,12["run",{"execution_ids":[1],"workspaces":["w"],"executor":"ok"}]"#,
            run(&[1], &["w"], "ok", &[], &[]),
        ),
    ];
    for (frame, expected) in table {
        assert_eq!(Protocol::SocketIo.hear(frame), expected, "{frame}");
    }
}

#[test]
fn malformed_and_unknown_socketio_frames_are_odd() {
    let table = [
        ("", "an empty frame"),
        ("4", "an empty message packet"),
        ("5", "an Engine.IO packet of unknown type '5'"),
        ("ß", "an Engine.IO packet of unknown type 'ß'"),
        ("<html>", "an Engine.IO packet of unknown type '<'"),
        ("0", "an Engine.IO open packet without pingInterval and pingTimeout"),
        ("0{\"pingInterval\":60000}", "an Engine.IO open packet without pingInterval and pingTimeout"),
        (
            "0{\"pingInterval\":-1,\"pingTimeout\":\"2\"}",
            "an Engine.IO open packet without pingInterval and pingTimeout",
        ),
        ("40", "a packet for the namespace /"),
        ("42[\"run\",{}]", "a packet for the namespace /"),
        ("42/other,[\"run\",{}]", "a packet for the namespace /other"),
        ("42/dispatcher[\"run\",{}]", "a packet for the namespace /dispatcher[\"run\""),
        (
            "451-/dispatcher,[\"run\",{\"_placeholder\":true,\"num\":0}]",
            "a binary packet, which no Faraday server sends",
        ),
        ("45/dispatcher,[]", "a binary packet, which no Faraday server sends"),
        ("46/dispatcher,1[]", "a binary packet, which no Faraday server sends"),
        ("49/dispatcher,", "a Socket.IO packet of unknown type '9'"),
        ("43/dispatcher,[]", "an acknowledgement without a usable id"),
        ("43/dispatcher,99999999999999999999[]", "an acknowledgement without a usable id"),
        ("42/dispatcher,", "an event that is no JSON list: not JSON at column 0"),
        ("42/dispatcher,[\"run\",", "an event that is no JSON list: not JSON at column 7"),
        ("42/dispatcher,{}", "an event that is no JSON list but an object"),
        ("42/dispatcher,7", "an event that is no JSON list: not JSON at column 0"),
        ("42/dispatcher,[]", "an event whose name is null"),
        ("42/dispatcher,[1e999]", "an event whose name is a number"),
        ("42/dispatcher,[{}]", "an event whose name is an object"),
        ("42/dispatcher,[\"ru\\nn\",{}]", "an unknown event \"ru n\""),
    ];
    for (frame, note) in table {
        assert_eq!(Protocol::SocketIo.hear(frame), odd(note), "{frame}");
    }
}

#[test]
fn a_bad_run_can_be_reported_on_both_channels() {
    let bad = Heard::BadRun(BadRun {
        execution_ids: vec![7],
        executor: Some("ok".to_owned()),
        problem: "args is a list, not an object".to_owned(),
    });
    let event = r#"42/dispatcher,["run",{"execution_ids":[7],"workspaces":["w"],"executor":"ok","args":[1]}]"#;
    let object = r#"{"action":"RUN","execution_ids":[7],"workspaces":["w"],"executor":"ok","args":[1]}"#;
    assert_eq!(Protocol::SocketIo.hear(event), bad);
    assert_eq!(Protocol::WebSocket.hear(object), bad);

    let empty = Protocol::SocketIo.hear(r#"42/dispatcher,["run"]"#);
    assert!(matches!(&empty, Heard::BadRun(bad) if bad.execution_ids.is_empty()), "{empty:?}");
}

#[test]
fn what_a_raw_server_was_recorded_to_send_is_understood() {
    let expected = run(
        &[1],
        &["old1"],
        "ok",
        &[("TARGET", "\"192.0.2.1\""), ("PORTS", "\"80\"")],
        &[
            ("ignore_info", "false"),
            ("resolve_hostname", "true"),
            ("vuln_tag", "null"),
            ("service_tag", "null"),
            ("host_tag", "null"),
        ],
    );
    assert_eq!(Protocol::WebSocket.hear(RUN_RAW), expected);
    let expected = run(
        &[2, 3],
        &["old1", "old2"],
        "ok",
        &[("TARGET", "\"192.0.2.1\"")],
        &[
            ("ignore_info", "true"),
            ("resolve_hostname", "false"),
            ("vuln_tag", r#"["vt1", "vt2"]"#),
            ("service_tag", r#"["st"]"#),
            ("host_tag", r#"["ht"]"#),
        ],
    );
    assert_eq!(Protocol::WebSocket.hear(RUN_RAW_TWO), expected);
}

#[test]
fn odd_raw_messages_get_the_recorded_replies_byte_for_byte() {
    let no_action = r#"{"error": "'action' key is mandatory in this websocket connection"}"#;
    let no_ids = r#"{"error": "'execution_ids' key is mandatory in this websocket connection"}"#;
    let no_workspaces = r#"{"error": "'workspaces' key is mandatory in this websocket connection"}"#;
    let table = [
        ("{}", Some(no_action)),
        (r#"{"execution_ids":[1]}"#, Some(no_action)),
        (r#"{"action":null}"#, Some(no_action)),
        (r#"{"action":5}"#, Some(no_action)),
        (r#"{"action":"FOO"}"#, Some(r#"{"FOO_RESPONSE": "Error: Unrecognized action"}"#)),
        (r#"{"action":"run"}"#, Some(r#"{"run_RESPONSE": "Error: Unrecognized action"}"#)),
        (r#"{"action":"a\"\n\\"}"#, Some(r#"{"a\"\n\\_RESPONSE": "Error: Unrecognized action"}"#)),
        (r#"{"action":"RUN"}"#, Some(no_ids)),
        (r#"{"action":"RUN","workspaces":["w"]}"#, Some(no_ids)),
        (r#"{"action":"RUN","execution_ids":[1]}"#, Some(no_workspaces)),
        ("", None),
        ("not JSON", None),
        ("[1]", None),
        ("null", None),
        (r#"{"action":"RUN"} {"action":"RUN"}"#, None),
        (RUN_SOCKETIO, None),
    ];
    for (frame, expected) in table {
        let heard = Protocol::WebSocket.hear(frame);
        let Heard::Odd { note, reply } = &heard else { panic!("{frame}: {heard:?}") };
        assert_eq!(reply.as_deref(), expected, "{frame}");
        assert!(!note.is_empty(), "{frame}");
    }
}

#[test]
fn frames_to_a_socketio_server_are_as_recorded() {
    let to = Protocol::SocketIo;
    assert_eq!(to.path(), "/socket.io/?EIO=4&transport=websocket");
    assert_eq!(to.connect().as_deref(), Some("40/dispatcher,"));
    assert_eq!(to.pong(), Some("3"));
    assert!(to.acknowledges());
    assert_eq!(to.leave("token", "SIGTERM received"), r#"42/dispatcher,["leave_agent"]"#);
    assert_eq!(
        to.join("1.a.b", &offers()[..1], 0),
        r#"42/dispatcher,0["join_agent",{"action":"JOIN_AGENT","token":"1.a.b","executors":[{"executor_name":"nmap","args":{"TARGET":{"mandatory":true,"type":"list","base":"list"}},"category":["Network Tools"],"tool":"nmap"}]}]"#
    );
    assert_eq!(
        to.join("t", &[], 1),
        r#"42/dispatcher,1["join_agent",{"action":"JOIN_AGENT","token":"t","executors":[]}]"#
    );
    assert_eq!(
        to.status(&status(), 7),
        r#"42/dispatcher,7["run_status","{\"action\":\"RUN_STATUS\",\"execution_ids\":[1],\"executor_name\":\"ok\",\"running\":false,\"successful\":false,\"message\":\"exit code 1: \\\"no\\\"\"}"]"#
    );
}

#[test]
fn frames_to_a_raw_server_are_as_recorded() {
    let to = Protocol::WebSocket;
    assert_eq!(to.path(), "/websockets");
    assert_eq!(to.connect(), None);
    assert_eq!(to.pong(), None);
    assert!(!to.acknowledges());
    assert_eq!(
        to.leave("1.a.b", "SIGTERM received"),
        r#"{"action":"LEAVE_AGENT","token":"1.a.b","reason":"SIGTERM received"}"#
    );
    assert_eq!(
        to.join("1.a.b", &offers(), 0),
        r#"{"action":"JOIN_AGENT","token":"1.a.b","executors":[{"executor_name":"nmap","args":{"TARGET":{"mandatory":true,"type":"list","base":"list"}}},{"executor_name":"own","args":{"WHERE":{"mandatory":true,"type":["ip","url"],"base":"string"},"PORTS":{"mandatory":false,"type":"integer","base":"integer"}}}]}"#
    );
    assert_eq!(
        to.status(&status(), 7),
        r#"{"action":"RUN_STATUS","execution_ids":[1],"executor_name":"ok","running":false,"successful":false,"message":"exit code 1: \"no\""}"#
    );
}

#[test]
fn an_executor_without_parameters_still_offers_an_object() {
    let bare = ExecutorOffer { params: vec![], ..offers().remove(1) };
    let frame = Protocol::WebSocket.join("t", &[bare], 0);
    assert!(frame.contains(r#""args":{}"#), "{frame}");
}

#[test]
fn words_of_the_server_cannot_forge_a_log_line() {
    let long = format!(r#"42/dispatcher,["message","{}\u001b[2J\nERROR forged"]"#, "x".repeat(290));
    let Heard::Notice(words) = Protocol::SocketIo.hear(&long) else { panic!("no notice") };
    assert!(words.chars().count() <= 301 && !words.contains(char::is_control), "{words:?}");
}

/// A fixed sequence, so that a failure can be repeated; xorshift64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below as u64).unwrap()
    }
}

fn listen_without_harm(protocol: Protocol, bytes: &[u8]) {
    let frame = String::from_utf8_lossy(bytes);
    let heard = protocol.hear(&frame);
    let leak = format!("{heard:?}").contains("hunter2");
    assert!(!leak, "{frame} leaks: {heard:?}");
    protocol.hear(&frame[frame.floor_char_boundary(bytes.len() / 2)..]);
}

#[test]
fn no_damaged_frame_panics_or_leaks_an_argument() {
    const BYTES: &[u8] = b"\0\"\\{}[],:/0149 \x7f\xc3\xff";
    for (protocol, frame) in RECORDED {
        for at in 0..frame.len() {
            listen_without_harm(*protocol, &frame.as_bytes()[..at]);
            for byte in BYTES {
                let mut replaced = frame.as_bytes().to_vec();
                replaced[at] = *byte;
                listen_without_harm(*protocol, &replaced);
                let mut inserted = frame.as_bytes().to_vec();
                inserted.insert(at, *byte);
                listen_without_harm(*protocol, &inserted);
            }
        }
    }
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for _ in 0..20_000 {
        let (protocol, frame) = RECORDED[dice.roll(RECORDED.len())];
        let mut bytes = frame.as_bytes().to_vec();
        for _ in 0..=dice.roll(6) {
            let at = dice.roll(bytes.len());
            match dice.roll(3) {
                0 => bytes[at] = dice.roll(256) as u8,
                1 if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, BYTES[dice.roll(BYTES.len())]),
            }
        }
        listen_without_harm(protocol, &bytes);
    }
}

#[test]
fn nesting_without_end_is_odd() {
    let deep = "[".repeat(100_000);
    for (protocol, frame) in [
        (Protocol::WebSocket, deep.clone()),
        (Protocol::SocketIo, format!("42/dispatcher,{deep}")),
        (Protocol::SocketIo, format!("0{deep}")),
        (Protocol::SocketIo, format!("44/dispatcher,{deep}")),
    ] {
        assert!(matches!(protocol.hear(&frame), Heard::Odd { reply: None, .. } | Heard::ConnectRefused(_)));
    }
}

/// A name that is as long as a frame may be is repeated nowhere as it is.
#[test]
fn what_is_repeated_of_a_frame_is_short() {
    let long = "ü".repeat(400_000);
    let frames = [
        (Protocol::SocketIo, format!("42/{long},[]")),
        (Protocol::SocketIo, format!(r#"42/dispatcher,["{long}"]"#)),
        (Protocol::SocketIo, format!(r#"42/dispatcher,["message","{long}"]"#)),
        (Protocol::SocketIo, format!(r#"42/dispatcher,["disconnect",{{"reason":"{long}"}}]"#)),
        (Protocol::SocketIo, format!(r#"44/dispatcher,{{"message":"{long}"}}"#)),
        (Protocol::SocketIo, format!(r#"42/dispatcher,["run",{{"execution_ids":[1],"executor":"{long}"}}]"#)),
        (Protocol::SocketIo, format!(r#"42/dispatcher,["run",{{"execution_ids":[1],"args":{{"{long}":1}}}}]"#)),
        (Protocol::WebSocket, format!(r#"{{"action":"{long}"}}"#)),
        (Protocol::WebSocket, format!(r#"{{"action":"RUN","execution_ids":"{long}","workspaces":["{long}"]}}"#)),
    ];
    for (protocol, frame) in frames {
        let heard = format!("{:?}", protocol.hear(&frame));
        assert!(heard.len() < 1500, "{} bytes: {}", heard.len(), &heard[..200]);
    }
}
