//! What executors print, and what of it stands in the workspaces afterwards.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::rig::{Rig, gate, print_host};
use super::server::{Generation, Server, text};

/// A host with everything that a report usually has.
fn rich_host() -> Value {
    json!({
        "ip": "192.0.2.10", "description": "the lab's web server", "hostnames": ["www.example.org", "example.org"],
        "os": "Linux", "mac": "52:54:00:12:34:56",
        "services": [{
            "name": "https", "port": 443, "protocol": "tcp", "status": "open", "version": "nginx 1.22",
            "vulnerabilities": [{
                "type": "VulnerabilityWeb", "name": "Reflected XSS", "desc": "q is echoed", "severity": "high",
                "method": "GET", "path": "/search", "website": "www.example.org", "pname": "q",
                "refs": [{"name": "https://cwe.mitre.org/data/definitions/79.html", "type": "other"}],
            }],
        }],
        "vulnerabilities": [{
            "type": "Vulnerability", "name": "Outdated kernel", "desc": "Größe: 🦀", "severity": "med", "refs": [],
        }],
    })
}

pub fn appear_in_two_workspaces_while_the_executor_runs(server: Server) {
    let body = format!("cat rich.json; {}; {}; {}", gate("go"), print_host("192.0.2.11"), "true");
    let params = json!({
        "TARGET": {"mandatory": true, "type": "string", "base": "string"},
        "KEY": {"mandatory": false, "type": "password", "base": "string"},
    });
    let rich = json!({"hosts": [rich_host()]}).to_string();
    let rig = Rig::new(server, |agent| agent.file("rich.json", rich).executor("web", &body, params));
    let workspaces = [rig.server.workspace(), rig.server.workspace()];
    let [one, two] = &workspaces;
    let commands = rig.run("web", json!({"TARGET": "lab", "KEY": "p4ss-w0rd"}), &[one, two]);

    for (workspace, command) in workspaces.iter().zip(&commands) {
        rig.wait_ips(workspace, &["192.0.2.10"]);
        let execution = rig.wait_running(*command);
        assert_eq!(execution.successful, None, "{execution}");
    }
    rig.open("go");
    for (workspace, command) in workspaces.iter().zip(&commands) {
        let execution = rig.wait_success(*command);
        assert!(execution.message.contains("finished successfully") && execution.message.contains("2 hosts delivered"));
        rig.wait_ips(workspace, &["192.0.2.10", "192.0.2.11"]);
        check_rich_host(&rig, workspace);
        check_command(&rig, workspace, *command);
    }
}

#[track_caller]
fn check_rich_host(rig: &Rig, workspace: &str) {
    let vulns = rig.wait("both vulnerabilities", || {
        let vulns = rig.server.list(workspace, "vulns");
        (vulns.len() == 2).then_some(vulns)
    });
    let vulns: BTreeSet<_> =
        vulns.iter().map(|v| [&v["name"], &v["severity"], &v["desc"], &v["type"]].map(text)).collect();
    let expected = [
        ["Outdated kernel", "med", "Größe: 🦀", "Vulnerability"],
        ["Reflected XSS", "high", "q is echoed", "VulnerabilityWeb"],
    ];
    assert_eq!(vulns, expected.map(|vuln| vuln.map(str::to_owned)).into());
    let hosts = rig.server.list(workspace, "hosts");
    let host = hosts.iter().find(|host| host["ip"] == "192.0.2.10").expect("it was waited for");
    let names: BTreeSet<_> = host["hostnames"].as_array().into_iter().flatten().map(text).collect();
    assert_eq!(names, ["example.org", "www.example.org"].map(str::to_owned).into(), "{host}");
    assert_eq!((text(&host["os"]), text(&host["mac"])), ("Linux".to_owned(), "52:54:00:12:34:56".to_owned()));
    let services = rig.server.list(workspace, "services");
    let shown: Vec<_> =
        services.iter().map(|s| [&s["name"], &s["protocol"], &s["status"], &s["version"]].map(text)).collect();
    assert_eq!(shown, [["https", "tcp", "open", "nginx 1.22"].map(str::to_owned)], "{services:?}");
}

/// The record of the run in the workspace's activity.
#[track_caller]
fn check_command(rig: &Rig, workspace: &str, id: i64) {
    let command = rig.wait("the command's end", || {
        let commands = rig.server.list(workspace, "commands");
        let command = commands.into_iter().find(|command| command["_id"] == id)?;
        command["duration"].is_number().then_some(command)
    });
    assert_eq!(command["command"], "web", "{command}");
    assert_eq!(command["tool"], rig.name, "{command}");
    // The older server writes down what was put in at the run button, password and all; nobody asks the agent.
    if rig.server.generation == Generation::Five {
        assert_eq!(command["params"], "TARGET=lab", "{command}");
        assert!(!command.to_string().contains("p4ss-w0rd"), "{command}");
    }
}

pub fn credentials_appear(server: Server) {
    let document = json!({
        "hosts": [{"ip": "192.0.2.12", "description": ""}],
        "credentials": [
            {"username": "root", "password": "toor", "endpoint": "ssh://192.0.2.12", "leak_date": null, "owned": true},
            {"username": "admin", "password": "admin"},
        ],
    });
    let alone = r#"echo '{"hosts":[],"credentials":[{"username":"guest","password":"guest"}]}'"#;
    let body = format!("cat found.json; {alone}");
    let rig =
        Rig::new(server, |agent| agent.file("found.json", document.to_string()).executor("leak", &body, json!({})));
    let workspace = rig.server.workspace();
    let execution = rig.wait_success(rig.run_one("leak", json!({}), &workspace));
    assert!(execution.message.contains("1 host and 3 credentials delivered"), "{execution}");
    let users = rig.wait("three credentials", || {
        let rows = rig.server.list(&workspace, "credential");
        let users: BTreeSet<String> = rows.iter().map(|row| text(&row["username"])).collect();
        (users.len() == 3).then_some(users)
    });
    assert_eq!(users, ["admin", "guest", "root"].map(str::to_owned).into());
    rig.wait_ips(&workspace, &["192.0.2.12"]);
}

/// More than one post holds, from an executor that is done long before the server.
pub fn a_flood_arrives_whole(server: Server) {
    let count = 550;
    let hosts: Vec<String> = (0..count).map(|n| format!("10.1.{}.{}", n / 100, n % 100)).collect();
    let hosts: Vec<Value> = hosts.iter().map(|ip| json!({"ip": ip, "description": ""})).collect();
    let report = json!({"hosts": hosts}).to_string();
    let rig =
        Rig::new(server, |agent| agent.file("report.json", report).executor("flood", "cat report.json", json!({})));
    let workspace = rig.server.workspace();
    let execution = rig.wait_success(rig.run_one("flood", json!({}), &workspace));
    assert!(execution.message.contains("550 hosts delivered"), "{execution}");
    rig.wait("550 hosts", || (rig.server.stored_ips(&workspace).len() == count).then_some(()));
}

/// Directly one after another, over many lines, with a byte order mark, between lines that are no documents, without a
/// newline at the end; and what stands behind a double newline does not count.
pub fn of_every_shape_of_output_arrive(server: Server) {
    let host = |n: u32| json!({"hosts": [{"ip": format!("192.0.2.{n}"), "description": "a\u{0}b"}]});
    let direct = format!("\u{feff}{}{}", host(30), host(31));
    let pretty = format!("{:#}", host(32)).replace('\n', "\r\n");
    let shapes = format!("{direct}\nnot a document\n{pretty}\n{}", host(33));
    let ended = format!("\n{}\n\n{}\n", host(34), host(35));
    let rig = Rig::new(server, |agent| {
        let agent = agent.file("shapes", shapes).file("ended", ended);
        agent.executor("shapes", "cat shapes", json!({})).executor("ended", "cat ended", json!({}))
    });
    let workspace = rig.server.workspace();
    let shapes = rig.wait_success(rig.run_one("shapes", json!({}), &workspace));
    assert!(
        shapes.message.contains("1 line not read as documents, the first: not a JSON object: not a document"),
        "{shapes}"
    );
    let ended = rig.wait_success(rig.run_one("ended", json!({}), &workspace));
    assert!(ended.message.contains("after the end of the output"), "{ended}");
    rig.wait_ips(&workspace, &["192.0.2.30", "192.0.2.31", "192.0.2.32", "192.0.2.33", "192.0.2.34"]);
}
