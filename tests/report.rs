//! `report::run` as a whole: every fixture, however it is cut into reads, wherever it ends, and that each host is out
//! before the next one is read.

#[path = "report/costs.rs"]
mod costs;

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::rc::Rc;

use faraday_agent::report::document::Severity;
use faraday_agent::report::{self, Options, ReportError, Summary};
use serde_json::Value;

const FIXTURES: [&str; 5] = ["nmap_0port", "nmap_multiple_port", "nmap_script_vulners", "scripts_and_os", "odd_hosts"];

fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nmap").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn convert(input: impl Read) -> (String, Result<Summary, ReportError>) {
    convert_with(input, &Options::default())
}

fn convert_with(input: impl Read, options: &Options) -> (String, Result<Summary, ReportError>) {
    let mut output = Vec::new();
    let result = report::run("nmap", input, &mut output, options);
    (String::from_utf8(output).unwrap(), result)
}

fn hosts(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["hosts"][0].clone()).collect()
}

#[test]
fn every_fixture_becomes_the_documents_beside_it() {
    for name in FIXTURES {
        let (lines, result) = convert(fixture(&format!("{name}.xml")).as_bytes());
        assert_eq!(lines, fixture(&format!("{name}.jsonl")), "{name}");
        let summary = result.unwrap();
        assert_eq!(summary.hosts, lines.lines().count() as u64, "{name}");
    }
}

#[test]
fn a_summary_counts_what_was_written() {
    let (_, result) = convert(fixture("nmap_script_vulners.xml").as_bytes());
    assert_eq!(result.unwrap(), Summary { hosts: 1, services: 1, vulnerabilities: 2 });
}

/// The rules of the server's schema, and what it would take and then lose.
#[test]
fn every_document_is_one_that_the_server_keeps() {
    for name in FIXTURES {
        let (lines, _) = convert(fixture(&format!("{name}.xml")).as_bytes());
        assert!(!lines.contains("null") && !lines.contains("\\u0000"), "{name}");
        for host in hosts(&lines) {
            check_host(&host);
        }
    }
}

fn check_host(host: &Value) {
    assert!(!host["ip"].as_str().unwrap().is_empty());
    assert!(host["description"].is_string());
    check_findings(&host["vulnerabilities"], &["Vulnerability"]);
    let mut ports = HashSet::new();
    for service in host["services"].as_array().unwrap() {
        let port = service["port"].as_u64().unwrap();
        let protocol = service["protocol"].as_str().unwrap();
        assert!(port < 65536 && !protocol.is_empty());
        assert!(ports.insert((protocol, port)), "{protocol}/{port} twice");
        assert!(["open", "closed", "filtered"].contains(&service["status"].as_str().unwrap()));
        check_findings(&service["vulnerabilities"], &["Vulnerability", "VulnerabilityWeb"]);
    }
}

fn check_findings(findings: &Value, kinds: &[&str]) {
    let mut keys = HashSet::new();
    for finding in findings.as_array().unwrap() {
        let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        assert!(kinds.contains(&text("type").as_str()));
        assert!(!text("name").is_empty());
        assert!(Severity::from_name(&text("severity")).is_some());
        assert!(keys.insert((text("type"), text("name"), text("desc"), text("website"))), "{finding} twice");
        for reference in finding["refs"].as_array().unwrap() {
            assert!(!reference["name"].as_str().unwrap().is_empty());
        }
    }
}

/// Gives out its bytes in pieces that end at the given places.
struct Pieces<'a> {
    bytes: &'a [u8],
    at: usize,
    cuts: Vec<usize>,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = self.cuts.iter().copied().find(|cut| *cut > self.at).unwrap_or(self.bytes.len());
        let mut piece = &self.bytes[self.at..end];
        let count = piece.read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

#[test]
fn a_report_may_be_cut_into_reads_at_every_byte() {
    for name in FIXTURES {
        let xml = fixture(&format!("{name}.xml"));
        let one_by_one = Pieces { bytes: xml.as_bytes(), at: 0, cuts: (1..xml.len()).collect() };
        assert_eq!(convert(one_by_one).0, fixture(&format!("{name}.jsonl")), "{name}");
    }
    let xml = fixture("nmap_script_vulners.xml");
    let expected = fixture("nmap_script_vulners.jsonl");
    for cut in 1..xml.len() {
        assert_eq!(convert(Pieces { bytes: xml.as_bytes(), at: 0, cuts: vec![cut] }).0, expected, "cut at {cut}");
    }
}

#[test]
fn a_report_that_ends_anywhere_gives_its_complete_hosts_and_an_error() {
    let host =
        |n: u32| format!("<host><status state=\"up\"/><address addr=\"10.0.0.{n}\" addrtype=\"ipv4\"/></host>\n");
    let xml = format!("<?xml version=\"1.0\"?>\n<!-- x --><nmaprun>\n{}{}{}</nmaprun>", host(1), host(2), host(3));
    let (whole, _) = convert(xml.as_bytes());
    for cut in 1..xml.len() {
        let (lines, result) = convert(&xml.as_bytes()[..cut]);
        let complete = xml[..cut].matches("</host>").count();
        assert_eq!(lines, whole.split_inclusive('\n').take(complete).collect::<String>(), "cut at {cut}");
        assert!(matches!(result, Err(ReportError::Truncated)), "cut at {cut}: {result:?}");
    }
}

#[test]
fn a_report_that_ends_after_a_host_gives_that_host() {
    let xml = fixture("odd_hosts.xml");
    let whole = fixture("odd_hosts.jsonl");
    // The first is down, the fifth has no address.
    for ((start, end), written) in xml.match_indices("</host>").zip([0, 1, 2, 3, 3, 4]) {
        let (lines, result) = convert(&xml.as_bytes()[..start + end.len()]);
        assert_eq!(lines, whole.split_inclusive('\n').take(written).collect::<String>(), "cut at {start}");
        assert!(matches!(result, Err(ReportError::Truncated)), "cut at {start}: {result:?}");
    }
}

/// Looks, whenever more is wanted of it, at what has been flushed so far.
struct Scan {
    pieces: std::vec::IntoIter<&'static str>,
    flushed: Rc<RefCell<String>>,
    seen: Rc<RefCell<Vec<usize>>>,
}

impl Read for Scan {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.seen.borrow_mut().push(self.flushed.borrow().lines().count());
        let Some(piece) = self.pieces.next() else {
            return Ok(0);
        };
        buffer[..piece.len()].copy_from_slice(piece.as_bytes());
        Ok(piece.len())
    }
}

struct Flushes {
    waiting: String,
    flushed: Rc<RefCell<String>>,
}

impl Write for Flushes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.push_str(std::str::from_utf8(bytes).unwrap());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flushed.borrow_mut().push_str(&self.waiting);
        self.waiting.clear();
        Ok(())
    }
}

#[test]
fn a_host_is_out_before_more_is_read() {
    let (flushed, seen) = (Rc::default(), Rc::default());
    let pieces = vec![
        "<?xml version=\"1.0\"?>\n<nmaprun>",
        "<host><address addr=\"10.0.0.1\" addrtype=\"ipv4\"/></host>",
        "<host><address addr=\"10.0.0.2\" addrtype=\"ipv4\"/></host>\n",
        "</nmaprun>\n",
    ];
    let scan = Scan { pieces: pieces.into_iter(), flushed: Rc::clone(&flushed), seen: Rc::clone(&seen) };
    report::run("nmap", scan, Flushes { waiting: String::new(), flushed }, &Options::default()).unwrap();
    // Before each piece, and at the end.
    assert_eq!(*seen.borrow(), [0, 0, 1, 2, 2]);
}

#[test]
fn what_is_no_report_of_nmap_is_named() {
    let finished = |inside: &str| format!("<nmaprun><runstats>{inside}</runstats></nmaprun>");
    for (input, says) in [
        ("", "the report is empty"),
        (" \n\t", "the report is empty"),
        ("Starting Nmap 7.93\nmore", "not XML, it begins with \"Starting Nmap 7.93\""),
        ("\x00\x01\x7fELF", "not XML"),
        ("<NessusClientData_v2></NessusClientData_v2>", "outermost element is <NessusClientData_v2>"),
        ("<?xml version=\"1.0\"?>\n", "ends in the middle"),
        ("<nmaprun><a></b></nmaprun>", "broken at byte 12"),
        ("<nmaprun><!x></nmaprun>", "broken at byte 9"),
        (&finished("<finished exit=\"error\" errormsg=\"No route&#xa;stack traceback:&#xa;x\"/>"), "failed: No route"),
        (&finished("<finished exit=\"success\"/><hosts up=\"0\" down=\"0\" total=\"0\"/>"), "nothing was scanned"),
    ] {
        let (lines, result) = convert(input.as_bytes());
        let error = result.expect_err(input).to_string();
        assert!(error.contains(says), "{input}: {error}");
        assert!(!error.contains('\n') && lines.is_empty(), "{input}: {error}");
    }
}

#[test]
fn a_tool_without_converter_is_answered_with_those_there_are() {
    let error = report::run("nesus", io::empty(), io::sink(), &Options::default()).unwrap_err();
    assert_eq!(error.to_string(), "no converter for \"nesus\"; --tool takes: nmap");
}

#[test]
fn bytes_that_are_no_text_and_failing_devices_are_errors() {
    let mut xml = b"<nmaprun><host><address addr=\"10.0.0.1\" addrtype=\"ipv4\"/></host><host x=\"".to_vec();
    xml.extend_from_slice(b"\xff\"/></nmaprun>");
    let (lines, result) = convert(xml.as_slice());
    assert_eq!(hosts(&lines).len(), 1);
    assert!(matches!(result, Err(ReportError::Malformed { .. })), "{result:?}");

    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("unplugged"))
        }
    }
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let after_a_host = b"<nmaprun><host><address addr=\"10.0.0.1\" addrtype=\"ipv4\"/></host>".chain(Broken);
    let (lines, result) = convert(after_a_host);
    assert_eq!(hosts(&lines).len(), 1);
    assert_eq!(result.unwrap_err().to_string(), "reading the report: unplugged");
    let xml = fixture("nmap_0port.xml");
    let result = report::run("nmap", xml.as_bytes(), Broken, &Options::default());
    assert!(matches!(result, Err(ReportError::Write(_))), "{result:?}");
}

#[test]
fn options_choose_findings_by_severity_and_tag_everything() {
    let names = |options: &Options| -> Vec<String> {
        let lines = convert_with(fixture("odd_hosts.xml").as_bytes(), options).0;
        let host = hosts(&lines).pop().unwrap();
        let below = host["services"][0]["vulnerabilities"].as_array().unwrap();
        let own = host["vulnerabilities"].as_array().unwrap();
        below.iter().chain(own).map(|finding| finding["name"].as_str().unwrap().to_owned()).collect()
    };
    let all = [
        "http-vuln-cve2017-5638",
        "http-slowloris-check",
        "CVE-2021-44228",
        "EDB-ID:50592",
        "NOSCORE",
        "banner",
        "smb-vuln-ms17-010",
        "nbstat",
        "smb-vuln-x",
    ];
    assert_eq!(names(&Options::default()), all);
    let no_info = Options { ignore_info: true, ..Options::default() };
    let info = ["http-slowloris-check", "banner", "nbstat"];
    assert_eq!(names(&no_info), all.into_iter().filter(|name| !info.contains(name)).collect::<Vec<_>>());
    let high = Options { severity_min: Some(Severity::High), severity_max: Some(Severity::High), ..Options::default() };
    assert_eq!(names(&high), ["http-vuln-cve2017-5638", "EDB-ID:50592", "smb-vuln-ms17-010"]);

    let tags = |tag: &str| vec![tag.to_owned()];
    let tagged =
        Options { host_tags: tags("h"), service_tags: tags("s"), vulnerability_tags: tags("v"), ..Options::default() };
    let host = &hosts(&convert_with(fixture("nmap_script_vulners.xml").as_bytes(), &tagged).0)[0];
    assert_eq!(host["tags"][0], "h");
    assert_eq!(host["services"][0]["tags"][0], "s");
    assert_eq!(host["services"][0]["vulnerabilities"][1]["tags"][0], "v");
}

#[test]
fn options_are_read_from_the_variables_of_a_run() {
    let read = |pairs: &[(&str, &str)]| {
        let value = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Options::from_environment(value)
    };
    assert_eq!(read(&[]).unwrap(), Options::default());
    let options = read(&[
        ("AGENT_CONFIG_IGNORE_INFO", "True"),
        ("AGENT_CONFIG_MIN_SEVERITY", "med"),
        ("AGENT_CONFIG_MAX_SEVERITY", "Critical"),
        ("AGENT_CONFIG_VULN_TAG", "a,b"),
        ("AGENT_CONFIG_HOSTNAME_TAG", ""),
    ]);
    let expected = Options {
        ignore_info: true,
        severity_min: Some(Severity::Medium),
        severity_max: Some(Severity::Critical),
        vulnerability_tags: vec!["a".to_owned(), "b".to_owned()],
        ..Options::default()
    };
    assert_eq!(options.unwrap(), expected);
    assert!(!read(&[("AGENT_CONFIG_IGNORE_INFO", "False")]).unwrap().ignore_info);
    let most = "a".repeat(1024);
    assert_eq!(read(&[("AGENT_CONFIG_VULN_TAG", &most)]).unwrap().vulnerability_tags, [most.as_str()]);
    let error = read(&[("AGENT_CONFIG_VULN_TAG", &format!("{most},"))]).unwrap_err().to_string();
    assert!(error.starts_with("AGENT_CONFIG_VULN_TAG takes 1025 bytes, but every finding"), "{error}");
    let error = read(&[("AGENT_CONFIG_MAX_SEVERITY", "worst")]).unwrap_err().to_string();
    assert!(error.starts_with("AGENT_CONFIG_MAX_SEVERITY=\"worst\" is not a severity"), "{error}");
}
