//! Mapping, element by element; whole reports are in `tests/report.rs`.

use serde_json::Value;

use super::super::{Options, run};

/// The one host of a report that holds this between `<host>` and `</host>`.
fn host(inside: &str) -> Value {
    let address = r#"<address addr="10.0.0.1" addrtype="ipv4"/>"#;
    let xml = format!("<nmaprun><host>{address}{inside}</host></nmaprun>");
    let mut output = Vec::new();
    run("nmap", xml.as_bytes(), &mut output, &Options::default()).unwrap();
    serde_json::from_slice::<Value>(&output).unwrap()["hosts"][0].take()
}

fn service(inside: &str) -> Value {
    let port = format!(r#"<ports><port protocol="tcp" portid="80">{inside}</port></ports>"#);
    host(&port)["services"][0].take()
}

fn finding(script: &str) -> Value {
    service(script)["vulnerabilities"][0].take()
}

#[test]
fn a_state_is_one_of_the_three_that_the_server_takes() {
    for (state, status, description) in [
        ("open", "open", ""),
        ("closed", "closed", ""),
        ("filtered", "filtered", ""),
        ("unfiltered", "closed", "state by nmap: unfiltered"),
        ("open|filtered", "filtered", "state by nmap: open|filtered"),
        ("closed|filtered", "filtered", "state by nmap: closed|filtered"),
    ] {
        let service = service(&format!(r#"<state state="{state}"/>"#));
        assert_eq!((&service["status"], &service["description"]), (&status.into(), &description.into()), "{state}");
    }
}

#[test]
fn names_and_versions_are_as_people_know_them() {
    for (attributes, name, version) in [
        (
            r#"name="ssh" product="OpenSSH" version="9.2p1" extrainfo="protocol 2.0""#,
            "ssh",
            "OpenSSH 9.2p1 (protocol 2.0)",
        ),
        (r#"name="http" product="nginx""#, "http", "nginx"),
        (r#"name="http" version="1.1""#, "http", "1.1"),
        (r#"name="http" tunnel="ssl""#, "https", ""),
        (r#"name="imap" tunnel="ssl""#, "imaps", ""),
        (r#"name="ldaps" tunnel="ssl""#, "ldaps", ""),
        (r#"name="ssl" tunnel="ssl""#, "ssl", ""),
        (r#"name="mqtt" tunnel="ssl""#, "ssl/mqtt", ""),
        (r#"name="https""#, "https", ""),
        (r#"name="""#, "unknown", ""),
    ] {
        let service = service(&format!("<service {attributes}/>"));
        assert_eq!((&service["name"], &service["version"]), (&name.into(), &version.into()), "{attributes}");
    }
    assert_eq!(service("")["name"], "unknown");
}

#[test]
fn the_surest_system_counts_and_a_services_word_without_one() {
    let guesses = r#"<os><osmatch name="A" accuracy="85"/><osmatch name="B" accuracy="100"/><osmatch name="C" accuracy="100"/></os>"#;
    let spoken = r#"<ports><port protocol="tcp" portid="1"><service ostype="Windows"/></port><port protocol="tcp" portid="2"><service ostype="Linux"/></port></ports>"#;
    assert_eq!(host(guesses)["os"], "B");
    assert_eq!(host(&format!("{spoken}{guesses}"))["os"], "B");
    assert_eq!(host(spoken)["os"], "Windows");
    assert_eq!(host("")["os"], Value::Null);
}

#[test]
fn the_first_family_of_addresses_is_four() {
    let six = r#"<address addr="::1" addrtype="ipv6"/>"#;
    assert_eq!(host(six)["ip"], "10.0.0.1");
    let mac = host(r#"<address addr="00:00:5E:00:53:01" addrtype="mac" vendor="A &lt;B&gt;"/>"#);
    assert_eq!((&mac["mac"], &mac["description"]), (&"00:00:5E:00:53:01".into(), &"MAC vendor: A <B>".into()));
    assert_eq!(host("")["mac"], Value::Null);
}

#[test]
fn elements_of_other_places_are_not_taken_for_the_hosts_own() {
    let host = host(
        r#"<trace><hop ipaddr="10.9.9.9" host="hop.example"/><address addr="10.9.9.9" addrtype="ipv4"/></trace>
        <hostnames><x><hostname name="deep.example"/></x></hostnames>
        <os><x><osmatch name="deep" accuracy="100"/></x></os>
        <ports><port protocol="tcp" portid="1"><script id="a" output="b"><table><script id="c" output="d"/></table></script></port></ports>"#,
    );
    assert_eq!(host["ip"], "10.0.0.1");
    assert_eq!(host["os"], Value::Null);
    assert_eq!(host["hostnames"].as_array().unwrap().len(), 0);
    assert_eq!(host["services"][0]["vulnerabilities"].as_array().unwrap().len(), 1);
}

#[test]
fn a_script_is_as_severe_as_what_it_says() {
    for (output, severity) in [
        ("Directory listing for /", "info"),
        ("State: VULNERABLE", "high"),
        ("State: LIKELY VULNERABLE", "high"),
        ("State: NOT VULNERABLE", "info"),
        ("NOT VULNERABLE, but the other is VULNERABLE", "high"),
        ("ERROR: Script execution failed", "unclassified"),
        ("&#xa;  Couldn't find any CSRF VULNERABLE form", "unclassified"),
        ("HTTP 500 ERROR", "info"),
    ] {
        assert_eq!(finding(&format!(r#"<script id="x" output="{output}"/>"#))["severity"], severity, "{output}");
    }
}

#[test]
fn cves_are_taken_from_proof_alone() {
    let text =
        "IDs: CVE:CVE-2017-5638 CVE-2017-5638 CVE-2021-12345678 CVE-20x1-1234 CVE-2021-123 CVE-2020-1234567é CVE-";
    let proven = finding(&format!(r#"<script id="x" output="VULNERABLE {text}"/>"#));
    assert_eq!(proven["cve"], serde_json::json!(["CVE-2017-5638", "CVE-2020-1234567"]));
    let listed = finding(&format!(r#"<script id="vulscan" output="{text}"/>"#));
    assert_eq!(listed["cve"], serde_json::json!([]));
}

#[test]
fn a_vulners_script_without_entries_is_a_script_like_others() {
    for output in ["nothing", "no matches, see https://vulners.com", "https://vulners.com", "a b c", "1 2"] {
        let found = finding(&format!(r#"<script id="vulners" output="{output}"/>"#));
        assert_eq!((&found["name"], &found["desc"]), (&"vulners".into(), &output.into()));
    }
}
