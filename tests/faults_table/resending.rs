//! What a server refused is kept with its words, and sent once more by `agent resend`, corrected or not.
//!
//! | row of the table                     | test |
//! |--------------------------------------|------|
//! | rejected by the server (400)         | `what_was_refused_is_kept_and_sent_again_when_corrected`, `what_is_refused_again_stays` |
//! | the server is gone while sending     | `without_a_server_everything_stays_as_it_is` |
//! | sending was interrupted              | `what_an_interrupted_call_has_left_is_sent_first` |
//! | two write to the file at once        | `a_file_that_somebody_writes_to_is_left_alone` |
//! | a file elsewhere, a link, a fifo     | `a_copy_elsewhere_is_sent_and_a_link_or_a_fifo_is_not` |
//! | a state directory open to others     | `a_state_directory_that_others_may_write_to_is_not_believed` |

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
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

fn correct(file: &Path) {
    let text = fs::read_to_string(file).expect("readable");
    let corrected =
        text.replace(r#""}],"refused"#, r#"","description":"late"}],"refused"#).replace(r#"":" ""#, r#"":"u""#);
    fs::write(file, corrected).expect("writable");
}

/// Where the lines are while they are sent.
fn taken_away(file: &Path) -> PathBuf {
    file.with_extension("jsonl.resending")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
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

    correct(&file);
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

#[test]
fn without_a_server_everything_stays_as_it_is() {
    let server = standin(Generation::SocketIo);
    let (agent, file) = refused(&server);
    let text = fs::read_to_string(&file).expect("readable");
    // Two batches, of which none is tried twice.
    let text = text.clone() + &text.replace(r#""workspace":"ws1""#, r#""workspace":"ws2""#);
    fs::write(&file, text.trim_end()).expect("writable");
    drop(server);
    let output = resend(&agent, &file);
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert_eq!(said.matches("there is no answer").count(), 1, "{said}");
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.contains("took 0 hosts and credentials, 6 lines are left"), "{said}");
    assert_eq!(fs::read_to_string(&file).expect("readable"), text);
    assert!(!taken_away(&file).exists());
}

#[test]
fn what_an_interrupted_call_has_left_is_sent_first() {
    let server = standin(Generation::SocketIo);
    let (agent, file) = refused(&server);
    correct(&file);
    let text = fs::read_to_string(&file).expect("readable");
    let (first, rest) = text.split_once('\n').expect("three lines");
    // The machine went down while a line was added to it.
    fs::write(taken_away(&file), format!("{first}\n{}", &rest[..20])).expect("writable");
    fs::write(&file, rest).expect("writable");
    let output = resend(&agent, &file);
    assert!(said(&output).contains("took 3 hosts and credentials, 0 lines are left"), "{}", said(&output));
    assert!(!file.exists() && !taken_away(&file).exists());
    server.wait_hosts("ws1", 3, SOON);
    assert_eq!(server.host_ips("ws1"), ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);

    fs::write(taken_away(&file), &text).expect("writable");
    let output = resend(&agent, &file);
    assert!(said(&output).contains("took 3 hosts and credentials, 0 lines are left"), "{}", said(&output));
    assert!(!file.exists() && !taken_away(&file).exists());
}

#[test]
fn a_file_that_somebody_writes_to_is_left_alone() {
    let server = standin(Generation::SocketIo);
    let (agent, file) = refused(&server);
    let text = fs::read_to_string(&file).expect("readable");
    let left = taken_away(&file);
    fs::write(&left, &text).expect("writable");
    for held in [&file, &left] {
        let holder = File::open(held).expect("readable");
        holder.lock().expect("free");
        let output = resend(&agent, &file);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains("is writing to it now; try again later"), "{}", said(&output));
        assert!(said(&output).contains(".jsonl.resending"), "{}", said(&output));
        for path in [&file, &left] {
            assert_eq!(fs::read_to_string(path).expect("readable"), text);
        }
    }
    assert_eq!(server.host_ips("ws1"), ["10.0.0.1"]);
}

/// What a person names may be anywhere, and anybody's; but it is a file.
#[test]
fn a_copy_elsewhere_is_sent_and_a_link_or_a_fifo_is_not() {
    let server = standin(Generation::SocketIo);
    let (agent, file) = refused(&server);
    correct(&file);
    let copy = agent.dir().join("copy.jsonl");
    fs::copy(&file, &copy).expect("room");
    fs::set_permissions(&copy, Permissions::from_mode(0o644)).expect("ours");
    let (link, fifo) = (agent.dir().join("link"), agent.dir().join("fifo"));
    symlink(&copy, &link).expect("a link");
    mkfifo(&fifo, Mode::S_IRWXU).expect("a fifo");
    for (path, words) in [(&link, "is a symbolic link"), (&fifo, "is no regular file")] {
        let output = resend(&agent, path);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains(words), "{}", said(&output));
    }
    assert_eq!(server.host_ips("ws1"), ["10.0.0.1"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_agent"));
    command.args(["resend", "--config", "dispatcher.yaml", "copy.jsonl"]).current_dir(agent.dir());
    let output = command.output().expect("the agent starts");
    assert!(said(&output).contains("took 3 hosts and credentials, 0 lines are left"), "{}", said(&output));
    assert!(!copy.exists() && file.exists());
}

#[test]
fn a_state_directory_that_others_may_write_to_is_not_believed() {
    let server = standin(Generation::SocketIo);
    let (agent, file) = refused(&server);
    fs::set_permissions(agent.state_dir(), Permissions::from_mode(0o777)).expect("ours");
    let output = resend(&agent, &file);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("can be written by others (mode 0777)"), "{}", said(&output));
    assert_eq!(lines(&file).len(), 3);
}
