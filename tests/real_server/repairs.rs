//! Hosts of which a server would lose something if they were sent as printed: bulk-create.md 5, row by row. All are printed at
//! once, so that one that is lost may take others with it, and what is stored is read back over REST.

use serde_json::{Value, json};

use super::rig::Rig;
use super::server::{Server, text};

/// A host, and what has to be stored of it.
struct Case {
    what: &'static str,
    host: Value,
    /// Ports, with the services' descriptions.
    services: Vec<(u64, &'static str)>,
    /// Names of the vulnerabilities, sorted, with some of their fields.
    vulnerabilities: Vec<(&'static str, Value)>,
}

/// With the vulnerabilities below the host, and a service with one of its own that is stored before them.
fn below_host(what: &'static str, vulnerabilities: Value, stored: Vec<(&'static str, Value)>) -> Case {
    let service = json!({"port": 22, "protocol": "tcp", "vulnerabilities": [vulnerability("z")]});
    let host = json!({"services": [service], "vulnerabilities": vulnerabilities});
    let vulnerabilities = stored.into_iter().chain([("z", json!({}))]).collect();
    Case { what, host, services: vec![(22, "")], vulnerabilities }
}

/// With the vulnerabilities below a service, and another one with one of its own that is stored behind them.
fn below_service(what: &'static str, vulnerabilities: Value, stored: Vec<(&'static str, Value)>) -> Case {
    let last = json!({"port": 443, "protocol": "tcp", "vulnerabilities": [vulnerability("z")]});
    let host = json!({"services": [{"port": 80, "protocol": "tcp", "vulnerabilities": vulnerabilities}, last]});
    let vulnerabilities = stored.into_iter().chain([("z", json!({}))]).collect();
    Case { what, host, services: vec![(80, ""), (443, "")], vulnerabilities }
}

fn vulnerability(name: &str) -> Value {
    json!({"type": "Vulnerability", "name": name, "desc": "d", "severity": "low"})
}

/// The usual one, with these fields set; null takes one away.
fn with(name: &str, fields: Value) -> Value {
    let mut vulnerability = vulnerability(name);
    for (key, value) in fields.as_object().into_iter().flatten() {
        match (value, vulnerability.as_object_mut()) {
            (Value::Null, Some(object)) => drop(object.remove(key)),
            (value, _) => vulnerability[key] = value.clone(),
        }
    }
    vulnerability
}

/// The usual one of a web page.
fn web(name: &str, mut fields: Value) -> Value {
    fields["type"] = json!("VulnerabilityWeb");
    with(name, fields)
}

/// Letters that no database can compress.
fn random_text(length: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[(state >> 40) as usize % 64])
    };
    (0..length).map(letter).collect()
}

fn other(name: &str) -> Value {
    json!([{"name": name, "type": "other"}])
}

/// What may stand in a vulnerability: below a host and below a service.
fn vulnerability_cases() -> Vec<Case> {
    let below_both = |(what, list, first): (&'static str, Value, Value)| {
        let stored = || vec![("a", first.clone()), ("b", json!({}))];
        [below_host(what, list.clone(), stored()), below_service(what, list, stored())]
    };
    lists().into_iter().chain(fields()).flat_map(below_both).collect()
}

/// Lists of vulnerabilities that do not go together, and what has to be stored of `a`. There is a `b` besides.
fn lists() -> Vec<(&'static str, Value, Value)> {
    let (b, simple, custom) =
        (vulnerability("b"), json!({"easeofresolution": "simple"}), json!({"custom_fields": {"x": 1}}));
    let (reference, cve) = (json!({"refs": other("r")}), json!({"cve": ["CVE-2020-1234"]}));
    let merged = json!({"refs": other("r"), "cve": ["CVE-2020-1234"]});
    let (one, two) = (with("a", json!({"path": "/1"})), with("a", json!({"path": "/2", "method": "GET"})));
    vec![
        ("the same twice", json!([with("a", reference), with("a", cve), b]), merged),
        ("the same but for what a plain one does not have", json!([one, two, b]), json!({})),
        ("easeofresolution first", json!([with("a", simple.clone()), b]), simple.clone()),
        ("easeofresolution last", json!([b, with("a", simple.clone())]), simple),
        ("custom_fields first", json!([with("a", custom.clone()), b]), json!({})),
        ("custom_fields last", json!([b, with("a", custom)]), json!({})),
    ]
}

/// Fields of `a`, and what has to be stored of it. There is a `b` besides.
fn fields() -> Vec<(&'static str, Value, Value)> {
    let long = random_text(9_000);
    let date = json!({"created": "2023-11-14T22:13:20"});
    let nameless = json!({"refs": [{"type": "other"}, {"name": "r", "type": "other"}], "cve": ["CVE-2020-1234"]});
    let named = json!({"refs": other("r"), "cve": ["CVE-2020-1234"]});
    let nul =
        json!({"name": "a\u{0}", "desc": "d\u{0}", "tool": "t\u{0}", "refs": other("r\u{0}"), "cwe": ["79\u{0}"]});
    let credential = json!({"username": "root", "password": long});
    let table = [
        ("id", json!({"id": 1}), json!({})),
        ("id as a text", json!({"id": "x"}), json!({})),
        ("command_id", json!({"command_id": 1}), json!({})),
        ("metadata", json!({"metadata": {"creator": "x"}}), json!({})),
        ("issuetracker", json!({"issuetracker": {}}), json!({})),
        ("a reference without name", nameless, named),
        ("a reference without type", json!({"refs": [{"name": "r"}]}), json!({"refs": other("r")})),
        ("a reference of another type", json!({"refs": [{"name": "r", "type": "x"}]}), json!({"refs": other("r")})),
        ("a reference with an empty name", json!({"refs": other("")}), json!({"refs": other("")})),
        ("run_date as text", json!({"run_date": "2023-11-14T22:13:20Z"}), date.clone()),
        ("run_date in milliseconds", json!({"run_date": 1_700_000_000_000_u64}), date.clone()),
        ("run_date in milliseconds as text", json!({"run_date": "1700000000000"}), date.clone()),
        ("run_date in seconds", json!({"run_date": 1_700_000_000}), date),
        ("run_date in words", json!({"run_date": "yesterday"}), json!({})),
        ("run_date that is blank", json!({"run_date": " "}), json!({})),
        ("run_date of no time", json!({"run_date": 1e18}), json!({})),
        ("NUL", nul, json!({"desc": "d", "refs": other("r")})),
        ("description", json!({"desc": null, "description": "it is bad"}), json!({"desc": "it is bad"})),
        ("a long reference", json!({"refs": other(&long)}), json!({"refs": other(&long[..2_000])})),
        ("a long CWE", json!({"cwe": [long]}), json!({})),
        ("a long policy violation", json!({"policyviolations": [long]}), json!({"policyviolations": [&long[..2_000]]})),
        ("a long credential", json!({"credentials": [credential]}), json!({})),
    ];
    table.map(|(what, fields, stored)| (what, json!([with("a", fields), vulnerability("b")]), stored)).into()
}

/// What only vulnerabilities of web pages have.
fn web_cases() -> Vec<Case> {
    let stored = || vec![("a", json!({})), ("b", json!({}))];
    let one = |what, fields: Value| below_service(what, json!([web("a", fields), vulnerability("b")]), stored());
    let paths =
        json!([web("a", json!({"path": "/1"})), web("a", json!({"path": "/2"})), web("a", json!({"path": "/1"}))]);
    let both = vec![("a", json!({"path": "/1"})), ("a", json!({"path": "/2"}))];
    vec![
        one("owasp as a list", json!({"owasp": ["A1:2017"]})),
        one("owasp as a text", json!({"owasp": "A1:2017"})),
        one("owasp as an object", json!({"owasp": {"A1": 1}})),
        one("owasp as a number", json!({"owasp": 1})),
        one("status_code", json!({"status_code": 2_147_483_648_u64})),
        one("a negative status_code", json!({"status_code": -2_147_483_649_i64})),
        one("NUL in a page", json!({"request": "GET\u{0}", "response": "\u{0}", "path": "/\u{0}"})),
        below_service("the same page twice", paths, both),
    ]
}

/// What stands in hosts and services.
fn host_cases() -> Vec<Case> {
    let long = random_text(3_000);
    let service = |fields: Value| {
        let mut service = json!({"port": 80, "protocol": "tcp", "vulnerabilities": [vulnerability("a")]});
        fields.as_object().into_iter().flatten().for_each(|(key, value)| service[key] = value.clone());
        service
    };
    let last = || json!({"port": 443, "protocol": "tcp", "vulnerabilities": [vulnerability("z")]});
    let on_host = |what, fields: Value| {
        let mut host = json!({"services": [last()]});
        fields.as_object().into_iter().flatten().for_each(|(key, value)| host[key] = value.clone());
        Case { what, host, services: vec![(443, "")], vulnerabilities: vec![("z", json!({}))] }
    };
    let on_service = |what, fields, port, description| Case {
        what,
        host: json!({"services": [service(fields), last()]}),
        services: vec![(port, description), (443, "")],
        vulnerabilities: vec![("a", json!({})), ("z", json!({}))],
    };
    vec![
        on_host("id of a host", json!({"id": 1})),
        on_host("command_id of a host", json!({"command_id": 1})),
        on_host(
            "NUL in a host",
            json!({"description": "\u{0}", "os": "\u{0}", "mac": "\u{0}", "hostnames": ["h\u{0}"]}),
        ),
        on_host("a long hostname", json!({"hostnames": [long, "short"]})),
        on_service("id of a service", json!({"id": 1}), 80, ""),
        on_service("command_id of a service", json!({"command_id": 1}), 80, ""),
        on_service("a port out of range", json!({"port": 2_147_483_648_u64}), 0, "port out of range: 2147483648"),
        on_service("a long protocol", json!({"protocol": long}), 80, ""),
    ]
}

pub fn what_a_server_would_lose_is_stored(server: Server) {
    let cases: Vec<Case> = [vulnerability_cases(), web_cases(), host_cases()].into_iter().flatten().collect();
    let mut hosts: Vec<Value> = Vec::new();
    for (place, case) in cases.iter().enumerate() {
        let mut host = case.host.clone();
        host["ip"] = json!(ip(place));
        host["description"] = host.get("description").cloned().unwrap_or_else(|| json!(""));
        hosts.push(host);
    }
    // JSON values cannot hold half a character; and an address of its own is cut.
    let lone = r#"{"ip":"lone","description":"\ud800","vulnerabilities":[{"type":"Vulnerability","name":"a\udc00","desc":"\ud83d","severity":"low"}]}"#;
    let long =
        json!({"ip": random_text(3_000), "description": "", "vulnerabilities": [vulnerability("a")]}).to_string();
    let printed: Vec<String> = hosts.iter().map(Value::to_string).chain([lone.to_owned(), long]).collect();
    let report = format!(r#"{{"hosts":[{}]}}"#, printed.join(","));
    let rig =
        Rig::new(server, |agent| agent.file("report.json", report).executor("report", "cat report.json", json!({})));
    let workspace = rig.server.workspace();
    let execution = rig.wait_success(rig.run_one("report", json!({}), &workspace));
    check_words(&execution.message, printed.len());
    rig.wait("all hosts", || (rig.server.stored_ips(&workspace).len() == printed.len()).then_some(()));
    // The last one in the queue is stored with what is below it when its vulnerability is there.
    let long_ip = &random_text(3_000)[..2_000];
    rig.wait("the last vulnerability", || {
        rig.server
            .list(&workspace, "vulns")
            .iter()
            .any(|vulnerability| vulnerability["target"] == long_ip)
            .then_some(())
    });
    let [hosts, services, vulnerabilities] =
        ["hosts", "services", "vulns"].map(|what| rig.server.list(&workspace, what));
    for (place, case) in cases.iter().enumerate() {
        let host = hosts.iter().find(|host| host["ip"] == ip(place)).expect("it was waited for");
        check_services(case, &rows(&services, "host_id", &host["id"]));
        check_vulnerabilities(case, &rows(&vulnerabilities, "target", &json!(ip(place))));
    }
    let lone = rows(&vulnerabilities, "target", &json!("lone"));
    assert_eq!(lone.iter().map(|one| text(&one["name"])).collect::<Vec<_>>(), ["a\u{fffd}"]);
    rig.server.forget_events();
}

fn ip(place: usize) -> String {
    format!("10.8.0.{place}")
}

/// Every rule is told, and nothing was refused.
#[track_caller]
fn check_words(message: &str, hosts: usize) {
    assert!(message.contains(&format!("; {hosts} hosts delivered")), "{message}");
    for words in [
        "NUL characters taken out",
        "lone surrogates replaced",
        "duplicate vulnerabilities merged",
        "ids left out",
        "metadata or issuetrackers left out",
        "owasps left out",
        "given an empty easeofresolution",
        "given empty custom_fields",
        "references without name left out",
        "references given the type other",
        "run_dates turned into epoch seconds",
        "unreadable run_dates left out",
        "port out of range set to 0",
        "status_codes out of range left out",
        "over-long texts cut",
        "descriptions taken as desc",
    ] {
        assert!(message.contains(words), "{words} is missing: {message}");
    }
}

fn rows<'v>(all: &'v [Value], key: &str, value: &Value) -> Vec<&'v Value> {
    all.iter().filter(|row| row[key] == *value).collect()
}

#[track_caller]
fn check_services(case: &Case, stored: &[&Value]) {
    // The older server shows one port, the newer one a list of one.
    let port = |service: &Value| service["ports"].as_u64().or(service["ports"][0].as_u64()).unwrap_or(u64::MAX);
    let mut found: Vec<(u64, String)> =
        stored.iter().map(|service| (port(service), text(&service["description"]))).collect();
    found.sort();
    let expected: Vec<(u64, String)> = case.services.iter().map(|(port, words)| (*port, (*words).to_owned())).collect();
    assert_eq!(found, expected, "{}", case.what);
}

#[track_caller]
fn check_vulnerabilities(case: &Case, stored: &[&Value]) {
    let names: Vec<String> = stored.iter().map(|one| text(&one["name"])).collect();
    assert_eq!(names.len(), case.vulnerabilities.len(), "{}: {names:?}", case.what);
    for (name, fields) in &case.vulnerabilities {
        let found = stored.iter().any(|one| one["name"] == *name && has_fields(one, fields));
        assert!(found, "{}: no {name} with {fields} in {stored:?}", case.what);
    }
}

fn has_fields(stored: &Value, expected: &Value) -> bool {
    expected.as_object().into_iter().flatten().all(|(key, value)| match key.as_str() {
        "created" => text(&stored["metadata"]["create_time"]).starts_with(&text(value)),
        _ => stored[key] == *value,
    })
}
