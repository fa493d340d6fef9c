//! What the server takes only when somebody has done something: hosts that it refuses, workspaces that take nothing.

use std::fs;

use serde_json::{Value, json};

use super::rig::{Rig, gate, print_host};
use super::server::{Generation, PATIENCE, Server};

/// One host of ten is refused; the others arrive. The file of what was refused holds it as an executor prints it: corrected
/// and printed again, it arrives too.
pub fn a_refused_host_is_kept_and_arrives_when_it_is_corrected(server: Server) {
    let bad = r#"{"ip":"192.0.2.99","description":"","vulnerabilities":[{"type":"Vulnerability","name":"x","desc":"","severity":"awful"}]}"#;
    let good = |n: u32| format!(r#"{{"ip":"192.0.2.{}","description":""}}"#, 20 + n);
    let hosts: Vec<String> = (0..7).map(good).chain([bad.to_owned()]).chain((7..9).map(good)).collect();
    let report = format!(r#"{{"hosts":[{}]}}"#, hosts.join(","));
    let rig = Rig::new(server, |agent| {
        let agent = agent.file("report.json", report).executor("report", "cat report.json", json!({}));
        agent.executor("corrected", "sed 's/awful/high/' state/refused/*.jsonl", json!({}))
    });
    let workspace = rig.server.workspace();
    let message = rig.wait_failure(rig.run_one("report", json!({}), &workspace));
    assert!(message.contains("refused 1 of 10") && message.contains("Invalid severity type."), "{message}");
    let mut ips: Vec<String> = (20..29).map(|n| format!("192.0.2.{n}")).collect();
    rig.wait_ips(&workspace, &ips.iter().map(String::as_str).collect::<Vec<_>>());

    let refused = only_file(&rig.agent.state_dir().join("refused"));
    let name = refused.0.strip_suffix(".jsonl").unwrap_or_else(|| panic!("{refused:?}"));
    assert!(message.contains(&format!("refused/{name}.jsonl of the agent's state directory")), "{message}");
    let document: Value = serde_json::from_str(&refused.1).expect("one line with one document");
    assert_eq!(document["hosts"], serde_json::from_str::<Value>(&format!("[{bad}]")).expect("it was written above"));
    assert_eq!(document["refused"]["workspace"], workspace.as_str());
    assert!(document["refused"]["why"].to_string().contains("Invalid severity type."), "{document}");

    let execution = rig.wait_success(rig.run_one("corrected", json!({}), &workspace));
    assert!(execution.message.contains("1 host delivered"), "{execution}");
    ips.push("192.0.2.99".to_owned());
    rig.wait_ips(&workspace, &ips.iter().map(String::as_str).collect::<Vec<_>>());
}

fn only_file(directory: &std::path::Path) -> (String, String) {
    let paths: Vec<_> = fs::read_dir(directory).expect("it is there").flatten().map(|entry| entry.path()).collect();
    assert_eq!(paths.len(), 1, "{paths:?}");
    let name = paths[0].file_name().unwrap_or_default().to_string_lossy().into_owned();
    (name, fs::read_to_string(&paths[0]).expect("the agent wrote it"))
}

/// Somebody switches off one workspace of a run and closes another one, and changes his mind later.
pub fn findings_wait_for_workspaces_that_take_nothing(server: Server) {
    let body = format!("{}; {}; {}; {}", print_host("192.0.2.40"), gate("go"), print_host("192.0.2.41"), gate("end"));
    let rig = Rig::new(server, |agent| agent.executor("slow", &body, json!({})));
    let workspaces = [(); 3].map(|()| rig.server.workspace());
    let [off, closed, open] = workspaces.each_ref().map(String::as_str);
    let commands = rig.run("slow", json!({}), &[off, closed, open]);
    workspaces.iter().for_each(|workspace| rig.wait_ips(workspace, &["192.0.2.40"]));
    rig.server.set_workspace(off, "active", false);
    rig.server.set_workspace(closed, "readonly", true);
    let off_words = match rig.server.generation {
        Generation::Five => "the workspace does not exist or is switched off: create it or switch it on",
        Generation::Four => "Disabled workspace",
    };
    rig.open("go");
    rig.wait_ips(open, &["192.0.2.40", "192.0.2.41"]);
    for command in &commands {
        let execution = rig.wait_execution(*command, "the run to say what to do", |execution| {
            execution.message.contains(off) && execution.message.contains(closed)
        });
        assert!(execution.is_running(), "{execution}");
        for words in [
            off_words,
            "the workspace is read-only or switched off, or this agent was deleted: change that on the server",
            "1 host kept for it",
        ] {
            assert!(execution.message.contains(words), "{words} is missing: {execution}");
        }
    }
    rig.open("end");
    rig.server.set_workspace(off, "active", true);
    rig.server.set_workspace(closed, "readonly", false);
    rig.agent.wait_log("the server answers again", PATIENCE);
    for (workspace, command) in workspaces.iter().zip(commands) {
        let execution = rig.wait_success(command);
        assert!(execution.message.contains("; 2 hosts delivered"), "{execution}");
        rig.wait_ips(workspace, &["192.0.2.40", "192.0.2.41"]);
    }
}
