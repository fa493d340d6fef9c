//! Files as they lie on disks.

use super::*;

#[test]
fn what_is_no_configuration_at_all() {
    let sections = [
        "server: missing; expected a section with host and api_port",
        "agent: missing; expected a section with agent_name and executors",
    ];
    for empty in ["", "# nothing\n", "---\n", "{}", "null"] {
        assert_eq!(problems(empty), sections, "{empty:?}");
    }
    assert_eq!(problems("- a\n"), ["a list where a mapping of keys to values is expected"]);
    assert_eq!(problems("hello"), ["a text where a mapping of keys to values is expected"]);
    assert_eq!(
        problems("server: []\nagent: x\ntokens: x\n"),
        ["server", "tokens", "agent"]
            .map(|key| format!("{key}: {} where a mapping of keys to values is expected", kind_of(key)))
    );
    assert!(problems("server:\n\thost: h\n")[0].starts_with("line 2, column 2: not YAML: "));
}

fn kind_of(key: &str) -> &'static str {
    if key == "server" { "a list" } else { "a text" }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config").join(name)
}

fn sample(name: &str) -> Settings {
    let (settings, warnings) = read(&fixture(name)).unwrap_or_else(|wrong| panic!("{name}: {wrong:?}"));
    assert_eq!(lines(&warnings), [""; 0], "{name}");
    settings
}

#[test]
fn files_of_the_python_agent_work_unchanged() {
    let old = sample("wizard-2.x.yaml");
    assert_eq!(old.server, Server { host: "localhost".into(), websocket_port: 9000, ..plain_server() });
    assert!(old.token.is_some());
    assert_eq!(old.agent.executors[0].program, Program::Official("nmap".into()));
    let command = r#"python3 /opt/scan/run.py --out "$HOME/out""#;
    assert_eq!(old.agent.executors[1].program, Program::Command(command.into()));
    assert_eq!(old.agent.executors[1].varenvs[0].0, "API_KEY");

    let new = sample("wizard-3.x.yaml");
    assert_eq!((new.server.api_port, new.server.websocket_port, new.server.tls), (443, 443, true));
    assert_eq!(new.server.base_route, "/faraday");
    assert_eq!(new.agent.executors[1].params[0].types.len(), 3);

    let web = sample("web-interface.yaml");
    assert_eq!((web.server.api_port, web.server.websocket_port), (5985, 5985));
    assert_eq!(web.agent.directory_name(), "Agent 7 %2F DMZ");
    assert!(web.token.is_none());
}

#[test]
fn json_is_yaml() {
    let json = sample("dispatcher.json");
    assert_eq!(
        json.server,
        Server {
            host: "2001:db8::7".into(),
            api_port: 8443,
            websocket_port: 8443,
            tls: true,
            base_route: "/faraday".into(),
            protocol: ProtocolChoice::WebSocket,
            ..plain_server()
        }
    );
    assert_eq!(json.agent.name, "json \u{e4}gent");
    let [echo] = &json.agent.executors[..] else {
        panic!("{:?}", json.agent.executors);
    };
    assert_eq!(echo.timeout, Some(Duration::from_secs(3600)));
    let expected = [("LEVEL", "3"), ("DEBUG", "true"), ("EMPTY", ""), ("RATIO", "1.50")];
    assert_eq!(varenvs_of(echo.clone()), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn a_certificate_must_be_there_only_with_tls() {
    let missing = |_: &Path| Err("a.pem cannot be read: gone".to_owned());
    let tls = in_server("host: h, api_port: 1, ssl: yes, ssl_cert: a.pem");
    let findings = check(&tls, &missing).expect_err("no certificate");
    assert_eq!(lines(&findings.problems), ["server.ssl_cert: a.pem cannot be read: gone"]);
    let plain = in_server("host: h, api_port: 1, ssl: no, ssl_cert: a.pem");
    assert!(check(&plain, &missing).is_ok());

    assert!(readable(&fixture("wrong.yaml")).is_ok());
    let gone = readable(Path::new("/no/such.pem")).expect_err("gone");
    assert!(gone.starts_with("/no/such.pem cannot be read: No such file"), "{gone}");
    let directory = readable(Path::new("/")).expect_err("a directory");
    assert!(directory.ends_with("it is a directory; expected a PEM file"), "{directory}");
}

#[test]
fn every_problem_is_told_at_once() {
    let wrong = read(&fixture("wrong.yaml")).map(|_| ()).expect_err("problems");
    let paths = |findings: &[Finding]| findings.iter().map(|found| found.path.clone()).collect::<Vec<_>>();
    assert_eq!(
        paths(&wrong.problems),
        [
            "server.api_port",
            "tokens.agent",
            "agent.agent_name",
            "agent.executors.\"my nmap\"",
            "agent.executors.\"my nmap\".params.TARGET.mandatory",
            "agent.executors.\"my nmap\".params.TARGET.type[1]",
            "agent.executors.\"my nmap\".params.TARGET.base",
            "agent.executors.nothing",
        ]
    );
    assert_eq!(paths(&wrong.warnings), ["server.web_socket_port"]);

    let all = "host: 'a b', api_port: x, websocket_port: x, ssl: x, ssl_cert: [], ssl_ignore: x, base_route: '?', protocol: x";
    assert_eq!(problems(&in_server(all)).len(), 8);
}

#[test]
fn files_that_cannot_be_read() {
    let read = |path: &Path| read(path).map(|_| ()).expect_err("a problem").problems.remove(0).to_string();
    assert!(read(&fixture("no-such.yaml")).starts_with("No such file or directory"));
    assert!(read(&fixture("")).starts_with("Is a directory"));
    assert!(read(Path::new("/dev/zero")).starts_with("larger than 4194304 bytes"));
    assert!(read(Path::new("dispatcher.ini")).contains("write a dispatcher.yaml"));
    let latin1 = std::env::temp_dir().join(format!("faraday-agent-latin1-{}.yaml", std::process::id()));
    std::fs::write(&latin1, b"server: \xe4").expect("a file");
    assert_eq!(read(&latin1), "byte 8 is not UTF-8; save the file as UTF-8");
    std::fs::remove_file(&latin1).expect("the file");
}
