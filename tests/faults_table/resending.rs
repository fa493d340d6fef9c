//! What a server refused is kept with its words, and sent once more by `agent resend`, corrected or not.
//!
//! | row of the table                     | test |
//! |--------------------------------------|------|
//! | rejected by the server (400)         | `what_was_refused_is_kept_and_sent_again_when_corrected`, `what_is_refused_again_stays` |

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use crate::rig::{agent, join, run, standin};
use crate::support::{AgentProcess, Generation, SOON, Standin};

const OUTPUT: &str = concat!(
    r#"{"hosts":[{"ip":"10.0.0.1","description":""},{"ip":"10.0.0.2"},{"ip":"10.0.0.3"}],"#,
    r#""credentials":[{"username":" ","password":"p"}]}"#
);

/// After a run of which two hosts and a credential were refused: the file that holds them.
fn refused(server: &Standin) -> (AgentProcess, PathBuf) {
    let agent = join(server, agent(server, "cat output").file("output", OUTPUT));
    let (_, status) = run(server);
    assert!(status.message.contains("refused 3 of 4"), "{}", status.message);
    assert_eq!(server.host_ips("ws1"), ["10.0.0.1"]);
    let directory = agent.state_dir().join("refused");
    let file = fs::read_dir(directory).expect("a directory").flatten().next().expect("a file").path();
    (agent, file)
}

fn resend(agent: &AgentProcess, file: &PathBuf) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agent"));
    command.arg("resend").arg("--config").arg(agent.dir().join("dispatcher.yaml")).arg(file);
    command.output().expect("the agent starts")
}

fn lines(file: &PathBuf) -> Vec<Value> {
    let text = fs::read_to_string(file).expect("readable");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn what_was_refused_is_kept_and_sent_again_when_corrected() {
    let server = standin(Generation::SocketIo);
    let (agent, file) = refused(&server);
    let kept = lines(&file);
    assert_eq!(kept.len(), 3);
    assert_eq!(kept[0]["hosts"][0]["ip"], "10.0.0.2");
    assert_eq!(kept[0]["refused"]["workspace"], "ws1");
    assert!(
        kept[0]["refused"]["why"].as_str().is_some_and(|why| why.contains("description: Missing data")),
        "{}",
        kept[0]
    );
    assert_eq!(kept[2]["credentials"][0]["username"], " ");

    let text = fs::read_to_string(&file).expect("readable");
    let corrected =
        text.replace(r#""}],"refused"#, r#"","description":"late"}],"refused"#).replace(r#"":" ""#, r#"":"u""#);
    fs::write(&file, corrected).expect("writable");
    let output = resend(&agent, &file);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("took 3 hosts and credentials, 0 lines are left"), "{said}");
    assert!(!file.exists());
    server.wait_hosts("ws1", 3, SOON);
    assert_eq!(server.host_ips("ws1"), ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    let last = server.posts("ws1").pop().expect("a post").json();
    assert_eq!(last["execution_id"], 1);
    assert_eq!(last["command"]["command"], "e");
    assert_eq!(last["command"]["start_date"], server.posts("ws1")[0].json()["command"]["start_date"]);
}

#[test]
fn what_is_refused_again_stays() {
    let server = standin(Generation::SocketIo);
    let (agent, file) = refused(&server);
    let kept = lines(&file);
    let mut text = fs::read_to_string(&file).expect("readable");
    text.push_str("no JSON\n");
    fs::write(&file, text).expect("writable");
    let output = resend(&agent, &file);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("took 0 hosts and credentials, 4 lines are left"));
    let text = fs::read_to_string(&file).expect("readable");
    let stays: Vec<&str> = text.lines().collect();
    assert_eq!(stays.len(), 4);
    for (line, before) in stays.iter().zip(&kept) {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        assert!(line == Value::Null || line["hosts"] == before["hosts"], "{line}");
    }
    assert!(stays.contains(&"no JSON"));
    let missing = resend(&agent, &file.with_extension("gone"));
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains(".gone again: No such file"));
}
