//! What a body may hold against `bulk-create.md` 2 and 5, as tables: pointer | value | what is said.

use serde_json::{Value, json};

use crate::bulk::{server, with};
use crate::client::bulk_create;
use crate::support::Generation;

/// Pointer, value and the rest of each line; `-` removes the key, `*N` is a text of N characters.
fn table(text: &str) -> Vec<(String, Value, String)> {
    let short = [("HOST", "/hosts/0"), ("SERVICE", "/hosts/0/services/0"), ("VULN", "/hosts/0/vulnerabilities/0")];
    let line = |line: &str| {
        let mut columns = line.splitn(3, '|').map(|column| column.trim().to_owned());
        let (pointer, value) = (columns.next().unwrap(), columns.next().unwrap());
        let value = match value.strip_prefix('*') {
            Some(length) => json!("x".repeat(length.parse().unwrap())),
            None if value == "-" => json!("REMOVED"),
            None => serde_json::from_str(&value).unwrap_or_else(|e| panic!("{e} in {value}")),
        };
        let pointer = short.iter().fold(pointer, |pointer, (from, to)| pointer.replace(from, to));
        (pointer, value, columns.next().unwrap_or_default())
    };
    text.lines().map(str::trim).filter(|text| !text.is_empty()).map(line).collect()
}

const REFUSED: &str = r#"
    /command/start_date | "2026-11-23" | command.start_date: Not a valid datetime.
    /command/start_date | 1700000000   | command.start_date: Not a valid string.
    /command/start_date | "2026-11-23T18:10:12+01" | command.start_date: Not a valid datetime.
    /command/tool       | ""   | command.tool: Shorter than minimum length 1.
    /command/user       | *251 | command.user: Longer than maximum length 250.
    /command/duration   | "x"  | command.duration: Not a valid period of time.
    /command/import_source | "x" | command.import_source: Must be one of the allowed values.
    HOST/ip          | -    | hosts.0.ip: Missing data for required field.
    HOST/ip          | 5    | hosts.0.ip: Not a valid string.
    HOST/description | -    | hosts.0.description: Missing data for required field.
    HOST/os          | null | hosts.0.os: Field may not be null.
    HOST/hostnames   | "a"  | hosts.0.hostnames: Not a valid list.
    HOST/hostnames   | ["a", 5] | hosts.0.hostnames.1: Not a valid string.
    HOST/importance  | 4    | hosts.0.importance: Invalid value.
    HOST/services    | ["a"] | hosts.0.services.0._schema: Invalid input type.
    SERVICE/port     | -1   | hosts.0.services.0.port: Must be greater than or equal to 0.
    SERVICE/port     | true | hosts.0.services.0.port: Not a valid integer.
    SERVICE/protocol | -    | hosts.0.services.0.protocol: Missing data for required field.
    SERVICE/status   | "OPEN" | hosts.0.services.0.status: Must be one of the allowed values.
    SERVICE/vulnerabilities/0/severity | "High" | hosts.0.services.0.vulnerabilities.severity: Invalid severity type.
    VULN/severity  | 3      | hosts.0.vulnerabilities.0.severity: Invalid severity type.
    VULN/type      | -      | hosts.0.vulnerabilities.0.type: Missing data for required field.
    VULN/type      | "Vuln" | hosts.0.vulnerabilities.0.type: Invalid vulnerability type.
    VULN/type      | "VulnerabilityWeb" | hosts.0.vulnerabilities.0._schema: Type "Vulnerability Web" cannot have "Host" type as a parent
    VULN/refs      | ["CVE"] | hosts.0.vulnerabilities.0.refs.0._schema: Invalid input type.
    VULN/impact    | {"x": true} | hosts.0.vulnerabilities.0.impact.x: Unknown field.
    VULN/confirmed | "perhaps" | hosts.0.vulnerabilities.0.confirmed: Not a valid boolean.
    VULN/external_id | 5    | hosts.0.vulnerabilities.0.external_id: Not a valid string.
    /credentials   | null   | credentials: Field may not be null.
    /credentials/0/username | " " | credentials.0.username: Username cannot be empty
"#;

#[test]
fn schema_errors_name_the_place() {
    let (server, agent, _) = server(Generation::SocketIo);
    for (pointer, value, said) in table(REFUSED) {
        let body = with(&pointer, value.clone()).to_string();
        let reply = bulk_create(&server, "ws1", &agent, &body);
        assert_eq!(reply.status, 400, "{pointer} {value}: {}", reply.body);
        let (path, text) = said.split_once(": ").unwrap();
        let wanted = path.rsplit('.').fold(json!([text]), |inner, key| json!({key: inner}));
        assert_eq!(reply.json(), json!({"messages": {"json": wanted}}), "{pointer} {value}");
    }
    assert!(server.hosts("ws1").is_empty());
}

const TAKEN: &str = r#"
    /command/start_date | "2026-11-23 18:10:12+01:00"
    /command/start_date | "2026-11-23T18:10:12Z"
    /command/start_date | "2026-11-23T18:10:12.5"
    /command/duration   | "-5"
    /command/params     | *100000
    /command/import_source | null
    /command/unknown    | 1
    HOST/ip        | ""
    HOST/mac       | null
    HOST/tags      | 5
    HOST/owned     | "yes"
    SERVICE/port   | "80"
    SERVICE/port   | 80.5
    SERVICE/protocol | null
    SERVICE/vulnerabilities/0/type | "VulnerabilityWeb"
    VULN/severity  | "med"
    VULN/severity  | "unclassified"
    VULN/name      | null
    VULN/desc      | ""
    VULN/refs      | [{"name": "x", "type": "exploit"}]
    VULN/cwe       | ["79", "garbage"]
    VULN/cvss3     | {"vector_string": "nonsense", "base_score": 5}
    VULN/custom_fields | {"x": 1}
    VULN/run_date  | 1700000000
    VULN/id        | 7
    /execution_id  | "1"
"#;

#[test]
fn what_the_server_takes() {
    let (server, agent, _) = server(Generation::SocketIo);
    for (pointer, value, _) in table(TAKEN) {
        let body = with(&pointer, value.clone()).to_string();
        let reply = bulk_create(&server, "ws1", &agent, &body);
        assert_eq!(reply.status, 201, "{pointer} {value}: {}", reply.body);
    }
    assert_eq!(server.losses(), Vec::<String>::new());
    let crashing = with("/hosts/0/vulnerabilities/0/custom_fields", json!("x"));
    let crash = bulk_create(&server, "ws1", &agent, &crashing.to_string());
    assert_eq!(crash.body, r#"{"message":"Internal Server Error","success":false}"#);
    assert_eq!(crash.status, 500);
}

const LOST: &str = r#"
    HOST/ip       | "a\u0000b" | hosts.0: NUL in a text
    HOST/ip       | *3000      | hosts.0: ip is too long
    HOST/id       | 1          | hosts.0: id must not be sent
    SERVICE/port  | 2147483648 | hosts.0.services.0: port is out of range
    VULN/command_id | 1        | hosts.0.vulnerabilities.0: command_id must not be sent
    VULN/refs     | [{"type": "other"}] | hosts.0.vulnerabilities.0: a ref without name
    VULN/run_date | "2026-11-23" | hosts.0.vulnerabilities.0: run_date is not epoch seconds
    VULN/run_date | 1700000000000 | hosts.0.vulnerabilities.0: run_date is not epoch seconds
    VULN/owasp    | ["A1:2017"] | hosts.0.vulnerabilities.0: owasp: the workspace can no longer be listed
"#;

#[test]
fn what_is_taken_and_lost_is_noted() {
    let vulnerability = |name: &str| json!({"name": name, "type": "Vulnerability", "severity": "low"});
    let (same, mut eased) = (vulnerability("v"), vulnerability("w"));
    eased["easeofresolution"] = Value::Null;
    let twice = "hosts.0.vulnerabilities.1: the same vulnerability twice";
    let mixed = "hosts.0.vulnerabilities.1: easeofresolution in some vulnerabilities only";
    let mut cases = table(LOST);
    let vulnerabilities = || "/hosts/0/vulnerabilities".to_owned();
    cases.push((vulnerabilities(), json!([same, same]), twice.to_owned()));
    cases.push((vulnerabilities(), json!([same, eased]), mixed.to_owned()));
    for (pointer, value, wanted) in cases {
        let (server, agent, _) = server(Generation::SocketIo);
        let reply = bulk_create(&server, "ws1", &agent, &with(&pointer, value).to_string());
        assert_eq!(reply.status, 201, "{wanted}");
        assert_eq!(server.losses(), [wanted]);
    }
}

#[test]
fn an_unknown_key_at_the_top_loses_everything_on_newer_servers() {
    for (generation, taken) in [(Generation::SocketIo, 0), (Generation::Raw, 1)] {
        let (server, agent, _) = server(generation);
        let reply = bulk_create(&server, "ws1", &agent, &with("/extra", json!(1)).to_string());
        assert_eq!(reply.status, 201);
        assert_eq!(server.hosts("ws1").len(), taken);
        assert_eq!(server.losses().len(), 1 - taken);
    }
}
