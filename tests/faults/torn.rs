//! What stands in files: refused hosts, and journals that were torn.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::ledger::Ledger;
use crate::rig::{
    LATER, agent, cut_off, files, in_file, journals, kill, numbered, rejoin, run, wait_no_journals, wait_told,
    wait_until,
};
use crate::support::{Endpoint, Fault, SOON, Standin};

/// How a journal's end may look after a crash.
type Tear = (&'static str, fn(&mut Vec<u8>));

const TEARS: [Tear; 6] = [
    ("nothing at all", |_| {}),
    ("half a record", |journal| journal.extend_from_within(..20)),
    ("less than a header", |journal| journal.extend_from_within(..3)),
    ("zeros, of a power cut", |journal| journal.resize(journal.len() + 10_000, 0)),
    ("garbage", |journal| journal.extend((0..5000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8))),
    ("text", |journal| journal.extend_from_slice(b"{\"hosts\":[]}\n{\"hosts\":[]}\n")),
];

/// What the person at the server is told of what could not be read back.
const DAMAGED: &str = "a part of its journal was damaged, and what stood there could not be delivered";

#[test]
fn what_stands_before_a_torn_end_is_delivered() {
    for (name, tear) in TEARS {
        let (server, ledger) = Ledger::server(Standin::builder());
        server.inject(Fault::hang().on(Endpoint::BulkCreate));
        let mut agent = agent(&server, &format!("{}; sleep 600", numbered("0", 1000))).start();
        server.wait_joined(SOON);
        let id = run(&server);
        let path = || journals(&agent.state_dir()).pop().unwrap_or_default();
        wait_until("1000 hosts in the journal", SOON, || in_file(&path(), "\"ip\":") == 1000);
        kill(&agent);
        let path = path();
        let mut journal = fs::read(&path).expect("a journal");
        let sound = journal.len();
        tear(&mut journal);
        fs::write(&path, &journal).expect("a file of our own");
        let mark = agent.log_mark();
        rejoin(&server, &mut agent);
        if journal.len() > sound {
            let torn = format!("{} bytes", journal.len() - sound);
            agent.wait_log_from(mark, &torn, SOON);
        }
        server.clear_faults();
        server.release();
        let is_damaged = matches!(name, "garbage" | "text");
        let told = wait_told(&server, id, LATER);
        assert!(told.starts_with(&cut_off(1000)), "{name}: {told}");
        assert_eq!(told.contains(DAMAGED), is_damaged, "{name}: {told}");
        assert!(ledger.of(id).is_prefix(), "{name}");
        // Where whole records may follow the damage, a copy is kept for whoever wants to look.
        let runs = agent.state_dir().join("runs");
        wait_until("the journal's end", SOON, || journals(&agent.state_dir()).is_empty());
        let kept = files(&runs);
        assert!(kept.iter().all(|path| path.extension().is_some_and(|e| e == "damaged")), "{name}: {kept:?}");
        assert_eq!(!kept.is_empty(), is_damaged, "{name}: {kept:?}");
    }
}

/// A record in the middle costs itself and what is behind it, and a copy of the file is kept.
#[test]
fn damage_in_the_middle_costs_only_what_is_behind_it() {
    let (server, ledger) = Ledger::server(Standin::builder());
    server.inject(Fault::hang().on(Endpoint::BulkCreate));
    let mut agent = agent(&server, &format!("{}; sleep 600", numbered("0", 1000))).start();
    server.wait_joined(SOON);
    let id = run(&server);
    let path = || journals(&agent.state_dir()).pop().unwrap_or_default();
    wait_until("1000 hosts in the journal", SOON, || in_file(&path(), "\"ip\":") == 1000);
    kill(&agent);
    let path = path();
    let mut journal = fs::read(&path).expect("a journal");
    let at = memchr::memmem::find(&journal, b"\"ip\":\"500\"").expect("host 500");
    journal[at + 6] = b'X';
    fs::write(&path, &journal).expect("a file of our own");
    rejoin(&server, &mut agent);
    server.clear_faults();
    server.release();
    let told = wait_told(&server, id, LATER);
    assert!(told.starts_with(&cut_off(500)) && told.contains(DAMAGED), "{told}");
    assert!(ledger.of(id).is_prefix());
    let line = agent.wait_log("its journal is damaged", SOON);
    assert!(line.contains("[ERROR]"), "{line}");
    assert_eq!(fs::read(path.with_extension("damaged")).expect("a copy"), journal);
}

const SECRET: &str = "tr0ub4dor&3";

/// The lines of the file of refused hosts, each a document.
fn refused(state_dir: &Path) -> (PathBuf, Vec<Value>) {
    let path = files(&state_dir.join("refused")).pop().expect("a file of refused hosts");
    let text = fs::read_to_string(&path).expect("text");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("a document on each line"));
    (path, lines.collect())
}

/// The server takes no host without a description. Two of five have none.
#[test]
fn refused_hosts_are_kept_and_arrive_when_an_executor_prints_them_corrected() {
    let hosts =
        [r#"{"ip":"1","description":"d"}"#, r#"{"ip":"2"}"#, r#"{"ip":"3","description":"d"}"#, r#"{"ip":"4","os":7}"#];
    let server = Standin::builder().workspace("ws1").start();
    let params = json!({"password": {"mandatory": true, "type": "password", "base": "string"}});
    let agent = agent(&server, "cat corrected.jsonl")
        .executor(
            "finds",
            &format!("printf '{{\"hosts\":[{}]}}\\n'; echo \"$EXECUTOR_CONFIG_PASSWORD\" >&2", hosts.join(",")),
            params,
        )
        .start();
    server.wait_joined(SOON);
    let id = server.run("finds", json!({"password": SECRET}), &["ws1"])[0];
    let status = server.wait_over(id, LATER);
    assert!(status.message.contains("workspace ws1 refused 2 of 4"), "{}", status.message);
    let (path, lines) = refused(&agent.state_dir());
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().expect("a directory"))), (0o600, 0o700));
    let run = path.file_stem().and_then(|name| name.to_str()).expect("the run's number");
    assert!(
        status.message.contains(&format!("refused/{run}.jsonl of the agent's state directory")),
        "{}",
        status.message
    );
    assert_eq!(lines.iter().map(|line| line["hosts"][0]["ip"].clone()).collect::<Vec<_>>(), ["2", "4"]);
    for line in &lines {
        let about = &line["refused"];
        assert_eq!((&about["workspace"], &about["execution_id"]), (&json!("ws1"), &json!(id)));
        assert!(about["why"].as_str().is_some_and(|why| why.starts_with("400: ")), "{line}");
    }
    let text = fs::read_to_string(&path).expect("text");
    assert!(!text.contains(SECRET), "{text}");

    let corrected =
        text.replace("\"ip\":", "\"description\":\"corrected\",\"ip\":").replace("\"os\":7", "\"os\":\"7\"");
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(agent.dir().join("corrected.jsonl"))
        .and_then(|mut file| file.write_all(corrected.as_bytes()))
        .expect("a directory of our own");
    let id = server.run("e", json!({}), &["ws1"])[0];
    assert_eq!(server.wait_over(id, LATER).successful, Some(true), "{}", server.status(id).expect("ours").message);
    let mut ips = server.host_ips("ws1");
    ips.sort();
    assert_eq!(ips, ["1", "2", "3", "4"]);
    assert_eq!(server.losses(), [""; 0]);
    wait_no_journals(&agent);
}
