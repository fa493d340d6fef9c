//! Values of `password` arguments and of varenvs, and the agent's own tokens: never in a log at any level, in a status or
//! in a post. (Issue 2, "A run" and "Posting"; rows "wrong type" and "saved token file".)

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::rig::{await_file, join, param, print, standin, with_both};
use crate::support::{AgentProcess, Generation, SOON, Standin};

const PASSWORD: &str = "correct-horse\"battery\\staple";
const VARENV: &str = "first line of a key\nsecond-line/of+a=key";

/// Nothing that the agent has said, in the log or to the server, holds `secret`, in any of its spellings.
#[track_caller]
fn check_hidden(server: &Standin, agent: &AgentProcess, secret: &str) {
    let escaped = Value::from(secret).to_string();
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let bodies = server.attempts("ws1").into_iter().map(|post| String::from_utf8_lossy(&post.body).into_owned());
    let said = server.replies().into_iter().map(|(_, text)| text).chain(bodies).chain([agent.log()]);
    for text in said {
        for spelling in [secret, escaped.trim_matches('"'), &hex] {
            let found =
                text.find(spelling).map(|at| text[at.saturating_sub(200)..].chars().take(400).collect::<String>());
            assert_eq!(found, None, "{spelling}");
        }
    }
}

#[test]
fn passwords_and_varenvs_are_never_shown() {
    let server = standin(Generation::SocketIo);
    // As it is, in JSON, in a line that is cut for the quote, in one that is cut for the log, and line by line.
    let command = r#"
        echo "bad line with $EXECUTOR_CONFIG_SECRET in it"
        printf '%s\n' "$EXECUTOR_CONFIG_SECRET" "$KEY" >&2
        printf '%s\n' '"correct-horse\"battery\\staple"' >&2
        printf '%01010d%s\n' 0 "$EXECUTOR_CONFIG_SECRET" >&2
        exit 1"#;
    let entry = json!({
        "cmd": command, "varenvs": {"key": VARENV},
        "params": {"SECRET": param(true, json!(["list", "password"])), "N": param(true, "integer")},
    });
    let builder = AgentProcess::builder(&server).executor_entry("e", entry).log_level("trace");
    let agent = join(&server, builder);
    let id = server.run("e", json!({"SECRET": PASSWORD, "N": 1}), &["ws1"])[0];
    let status = server.wait_over(id, SOON);
    assert!(status.message.contains("bad line with [redacted] in it"), "{}", status.message);
    assert_eq!(server.posts("ws1")[0].json()["command"]["params"], "N=1");
    check_hidden(&server, &agent, PASSWORD);
    for part in ["correct-horse", "staple", "first line of a key", "second-line"] {
        check_hidden(&server, &agent, part);
    }
}

#[test]
fn a_journal_is_its_owners_alone_and_holds_no_secrets() {
    let server = standin(Generation::SocketIo);
    let command = format!("{}; {}", print("10.0.0.1"), await_file("go"));
    let entry = json!({"cmd": command, "varenvs": {"key": "hunter3-"}, "params": {"SECRET": param(true, "password")}});
    let agent = join(&server, AgentProcess::builder(&server).executor_entry("e", entry));
    server.run("e", json!({"SECRET": "hunter2-"}), &["ws1"]);
    server.wait_hosts("ws1", 1, SOON);
    let runs = agent.state_dir().join("runs");
    let journals: Vec<_> = fs::read_dir(&runs).expect("a directory").flatten().map(|entry| entry.path()).collect();
    assert_eq!(journals.len(), 1);
    for (path, mode) in [(&runs, 0o700), (&journals[0], 0o600)] {
        assert_eq!(fs::metadata(path).expect("there").permissions().mode() & 0o7777, mode, "{}", path.display());
    }
    let journal = String::from_utf8_lossy(&fs::read(&journals[0]).expect("readable")).into_owned();
    assert!(journal.contains("10.0.0.1") && !journal.contains("hunter"), "{journal}");
}

/// The quote of a line that is no document ends in the middle of the password.
#[test]
fn a_password_that_a_quote_cuts_is_not_shown_in_part() {
    let server = standin(Generation::SocketIo);
    let command = r#"printf '%0105d%s\n' 0 "$EXECUTOR_CONFIG_SECRET""#;
    let builder = AgentProcess::builder(&server).executor("e", command, json!({"SECRET": param(true, "password")}));
    let agent = join(&server, builder);
    let id = server.run("e", json!({"SECRET": PASSWORD}), &["ws1"])[0];
    let status = server.wait_over(id, SOON);
    assert!(status.message.contains("0[redacted]"), "{}", status.message);
    check_hidden(&server, &agent, "correct-");
}

#[test]
fn a_password_that_is_refused_is_not_shown() {
    with_both(|generation| {
        let server = standin(generation);
        let params = json!({"SECRET": param(true, "password"), "N": param(false, "integer")});
        let builder = AgentProcess::builder(&server).executor("e", "true", params).log_level("trace");
        let agent = join(&server, builder);
        let long = "hunter2-".repeat(40);
        for secret in [json!(long), json!(["hunter2-"]), json!("hunter2-\u{0}"), json!({"a": "hunter2-"})] {
            let id = server.run("e", json!({"SECRET": secret}), &["ws1"])[0];
            assert_eq!(server.wait_over(id, SOON).successful, Some(false));
        }
        let id = server.run("e", json!({"SECRET": "hunter2-", "N": "x"}), &["ws1"])[0];
        assert_eq!(server.wait_over(id, SOON).successful, Some(false));
        let (_, mut message) = server.prepare_run("e", json!({"SECRET": "hunter2-"}), &["ws1"]);
        message["workspaces"] = json!("hunter2-");
        server.send_message(&message);
        server.send_raw("hunter2-");
        agent.wait_log("cannot use this RUN", SOON);
        check_hidden(&server, &agent, "hunter2-");
    });
}

#[test]
fn the_agents_own_tokens_are_not_in_the_log() {
    with_both(|generation| {
        let server = standin(generation);
        let builder = AgentProcess::builder(&server).registering("123456").log_level("trace");
        let agent = join(&server, builder);
        agent.terminate();
        agent.wait_exit(SOON);
        let tokens: Vec<String> = server.look(|state| state.agents.values().map(|agent| agent.token.clone()).collect());
        let ticket = server.wait_reply("a join", SOON, |text| text.contains("JOIN_AGENT"));
        let ticket =
            ticket.split("\"token\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a token").to_owned();
        assert!(ticket.len() > 30);
        let log = agent.log();
        for secret in tokens.iter().chain([&ticket, &"123456".to_owned()]) {
            assert!(!log.contains(secret.as_str()), "{secret}");
        }
    });
}
