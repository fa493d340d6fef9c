//! The sections `server` and `tokens`.

use super::*;

#[test]
fn every_server_key() {
    let plain = plain_server;
    let tls = || Server { tls: true, ..plain() };
    let table = [
        (SERVER, plain()),
        ("host: h, api_port: '5985', ssl: 'False', ssl_cert: '', ssl_ignore: 'no', base_route: ''", plain()),
        ("host: h, api_port: 5985, ssl: no, websocket_port: 0", plain()),
        ("host: h, api_port: 5985, ssl: no, websocket_port: null", plain()),
        ("host: h, api_port: 5985, ssl: no, ssl_cert: null, ssl_ignore: ~, base_route: null, protocol: ", plain()),
        ("host: h, api_port: 5985, ssl: no, workspaces: [w], workspace: w", plain()),
        ("host: h, api_port: 5985, ssl: no, websocket_port: '9000'", Server { websocket_port: 9000, ..plain() }),
        ("host: h, api_port: 5985, ssl: 'True'", tls()),
        ("host: h, api_port: 5985, ssl: no, ssl_cert: a.pem", Server { tls_cert: Some("a.pem".into()), ..plain() }),
        ("host: h, api_port: 5985, ssl: yes, ssl_ignore: yes", Server { tls_verify: false, ..tls() }),
        ("host: h, api_port: 5985, ssl: no, base_route: /b/c/", Server { base_route: "/b/c".into(), ..plain() }),
        ("host: h, api_port: 5985, ssl: no, base_route: b", Server { base_route: "/b".into(), ..plain() }),
        (
            "host: h, api_port: 5985, ssl: no, protocol: socketio",
            Server { protocol: ProtocolChoice::SocketIo, ..plain() },
        ),
        (
            "host: h, api_port: 5985, ssl: no, protocol: websocket",
            Server { protocol: ProtocolChoice::WebSocket, ..plain() },
        ),
    ];
    for (text, expected) in table {
        assert_eq!(server(text), expected, "{text}");
    }
}

#[test]
fn a_url_fills_what_the_keys_leave_out() {
    let at = |api_port: u16, tls: bool, base_route: &str| Server {
        api_port,
        websocket_port: api_port,
        tls,
        base_route: base_route.into(),
        ..plain_server()
    };
    let table = [
        ("host: 'https://h'", at(443, true, "")),
        ("host: 'http://h/'", at(80, false, "")),
        ("host: 'https://h:8443/b/'", at(8443, true, "/b")),
        ("host: 'http://h', api_port: 5985", at(5985, false, "")),
        ("host: 'https://h:8443/b', api_port: 8443, ssl: true, base_route: b", at(8443, true, "/b")),
        ("host: 'h:5985', ssl: no", at(5985, false, "")),
        ("host: 'https://h', websocket_port: 9000", Server { websocket_port: 9000, ..at(443, true, "") }),
    ];
    for (text, expected) in table {
        assert_eq!(server(text), expected, "{text}");
    }
    assert_eq!(server("host: '[::1]', api_port: 1, ssl: no").host, "::1");
}

#[test]
fn what_is_wrong_with_a_server() {
    check_problems(
        in_server,
        &[
            (
                "",
                &[
                    "server.host: missing; expected a host name, an address or a URL",
                    "server.api_port: missing; expected a port (1 to 65535)",
                ],
            ),
            ("host: h, ssl: no", &["server.api_port: missing; expected a port (1 to 65535)"]),
            ("host: h, ssl: no, api_port: abc", &["server.api_port: \"abc\" is not a port (1 to 65535)"]),
            ("host: h, ssl: no, api_port: 0", &["server.api_port: \"0\" is not a port (1 to 65535)"]),
            ("host: h, ssl: no, api_port: [1]", &["server.api_port: a list is not a port (1 to 65535)"]),
            (
                "host: h, ssl: no, api_port: 1, websocket_port: 65536",
                &["server.websocket_port: \"65536\" is not a port (1 to 65535, or 0 for api_port)"],
            ),
            ("host: h, api_port: 1, ssl: maybe", &["server.ssl: \"maybe\" is not true or false"]),
            ("host: h, api_port: 1, ssl: no, ssl_ignore: {}", &["server.ssl_ignore: a mapping is not true or false"]),
            ("host: h, api_port: 1, ssl: no, ssl_cert: [a]", &["server.ssl_cert: a list is not a path"]),
            (
                "host: h, api_port: 1, ssl: no, base_route: 'a b'",
                &["server.base_route: \"a b\" is not a path such as /faraday"],
            ),
            (
                "host: h, api_port: 1, ssl: no, protocol: http",
                &["server.protocol: \"http\" is not auto, socketio or websocket"],
            ),
            (
                "host: 'a b', api_port: 1, ssl: no",
                &[
                    "server.host: \"a b\" is not a host name, an address or a URL such as https://faraday.example:443/base",
                ],
            ),
            (
                "host: 'https://h:1/a', api_port: 2, ssl: no, base_route: b",
                &[
                    "server.api_port: contradicts the URL in server.host; take out one of the two",
                    "server.ssl: contradicts the URL in server.host; take out one of the two",
                    "server.base_route: contradicts the URL in server.host; take out one of the two",
                ],
            ),
        ],
    );
}

#[test]
fn a_server_without_ssl_is_taken_at_its_port_and_warned_about() {
    check_warnings(
        in_server,
        &[
            (
                "host: h, api_port: 5985",
                &["server.ssl: missing, taken as false (plain HTTP, the agent's token can be read on the way)"],
            ),
            ("host: h, api_port: 443", &["server.ssl: missing, taken as true (HTTPS), because api_port is 443"]),
            ("host: 'http://h'", &[]),
        ],
    );
    let tls = |text| parse(&in_server(text)).map(|(settings, _)| settings.server.tls);
    assert_eq!(tls("host: h, api_port: 5985"), Ok(false));
    assert_eq!(tls("host: h, api_port: 443"), Ok(true));
}

#[test]
fn tokens() {
    let token = "a1B2".repeat(16);
    let stored = |section: &str| {
        let parsed = parse(&format!("{}{section}", file(SERVER, AGENT)));
        parsed.map(|(settings, _)| settings.token.map(|token| token.reveal().to_owned()))
    };
    for none in ["", "tokens:", "tokens: {}", "tokens: {agent: }", "tokens: {agent: ''}", "tokens: {registration: x}"] {
        assert_eq!(stored(none), Ok(None), "{none}");
    }
    assert_eq!(stored(&format!("tokens: {{agent: {token}}}")), Ok(Some(token)));
    for wrong in ["hunter2", &"a".repeat(63), &"a".repeat(65), &"-".repeat(64)] {
        let findings = stored(&format!("tokens: {{agent: {wrong}}}")).expect_err(wrong);
        assert_eq!(lines(&findings.problems), ["tokens.agent: the value (not shown) is not 64 letters and digits"]);
    }
}
