//! RUN and RUN_STATUS as they stand in JSON, whatever channel carried them.

use serde_json::json;

use super::*;

fn status(message: &str) -> RunStatus {
    RunStatus {
        execution_ids: vec![1, 2],
        executor_name: "nmap".to_owned(),
        running: true,
        successful: None,
        message: message.to_owned(),
    }
}

#[test]
fn a_run_keeps_ids_workspaces_and_the_order_of_its_arguments() {
    let message = json!({
        "execution_ids": [1, 2], "agent_id": 1, "workspaces": ["ws1", "ws2"], "action": "RUN", "executor": "nmap",
        "args": { "Z": ["10.0.0.1"], "A": 80, "M": null }, "plugin_args": { "ignore_info": false, "vuln_tag": null },
    });
    let run = RunCommand::parse(message).unwrap();
    assert_eq!(run.execution_ids, [1, 2]);
    assert_eq!(run.workspaces, ["ws1", "ws2"]);
    assert_eq!(run.executor.as_deref(), Some("nmap"));
    assert_eq!(Value::Object(run.args.clone()).to_string(), r#"{"Z":["10.0.0.1"],"A":80,"M":null}"#);
    assert_eq!(run.plugin_args["ignore_info"], json!(false));
}

#[test]
fn what_is_missing_but_harmless_is_empty() {
    let sparse = [
        json!({ "execution_ids": [5], "workspaces": ["w"] }),
        json!({ "execution_ids": [5], "workspaces": ["w"], "executor": null, "args": null, "plugin_args": null }),
        json!({ "execution_ids": [5], "workspaces": ["w"], "executor": "", "args": {}, "plugin_args": {}, "new_key": [1] }),
    ];
    for message in sparse {
        let run = RunCommand::parse(message.clone()).unwrap();
        assert_eq!((run.executor, run.args.len(), run.plugin_args.len()), (None, 0, 0), "{message}");
    }
}

#[test]
fn a_run_for_no_workspace_is_a_run() {
    let run = RunCommand::parse(json!({ "execution_ids": [], "workspaces": [], "executor": "ok" })).unwrap();
    assert_eq!((run.execution_ids.len(), run.workspaces.len()), (0, 0));
}

#[test]
fn a_bad_run_says_why_and_keeps_what_a_status_needs() {
    let table = [
        (json!(null), &[][..], None, "RUN is null, not an object"),
        (json!([1]), &[], None, "RUN is a list, not an object"),
        (json!({}), &[], None, "execution_ids is missing; workspaces is missing"),
        (
            json!({ "execution_ids": 7, "workspaces": ["w"], "executor": "ok" }),
            &[],
            Some("ok"),
            "execution_ids is a number, not a list of integers",
        ),
        (
            json!({ "execution_ids": [7, "8", 9.5, null], "workspaces": ["w"] }),
            &[7],
            None,
            "execution_ids has 3 entries that are not integers",
        ),
        (json!({ "execution_ids": [7], "executor": "ok" }), &[7], Some("ok"), "workspaces is missing"),
        (
            json!({ "execution_ids": [7], "workspaces": "w" }),
            &[7],
            None,
            "workspaces is text, not a list of names of workspaces",
        ),
        (
            json!({ "execution_ids": [7, 8], "workspaces": [1, ""] }),
            &[7, 8],
            None,
            "workspaces has 2 entries that are not names of workspaces",
        ),
        (
            json!({ "execution_ids": [7, 8], "workspaces": ["..", "."] }),
            &[7, 8],
            None,
            "workspaces has 2 entries that are not names of workspaces",
        ),
        (json!({ "execution_ids": [7], "workspaces": ["a", "b"] }), &[7], None, "1 execution_ids for 2 workspaces"),
        (
            json!({ "execution_ids": [7], "workspaces": ["w"], "executor": ["ok"] }),
            &[7],
            None,
            "executor is a list, not a name",
        ),
        (
            json!({ "execution_ids": [7], "workspaces": ["w"], "executor": "ok", "args": ["hunter2"] }),
            &[7],
            Some("ok"),
            "args is a list, not an object",
        ),
        (
            json!({ "execution_ids": [7], "workspaces": ["w"], "args": "hunter2", "plugin_args": [1] }),
            &[7],
            None,
            "args is text, not an object; plugin_args is a list, not an object",
        ),
    ];
    for (message, execution_ids, executor, problem) in table {
        let expected = BadRun {
            execution_ids: execution_ids.to_vec(),
            executor: executor.map(str::to_owned),
            problem: problem.to_owned(),
        };
        assert_eq!(RunCommand::parse(message.clone()), Err(expected), "{message}");
    }
}

#[test]
fn debug_of_a_run_shows_names_of_arguments_only() {
    let message = json!({
        "execution_ids": [1], "workspaces": ["w"], "executor": "ok",
        "args": { "SECRET": "hunter2", "LIST": [{ "deep": "hunter2" }] }, "plugin_args": { "vuln_tag": ["hunter2"] },
    });
    let shown = format!("{:?}", RunCommand::parse(message).unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("SECRET") && shown.contains("vuln_tag"), "{shown}");
}

#[test]
fn a_status_always_has_all_its_keys() {
    let running = status("started").object();
    assert_eq!(
        running.to_string(),
        r#"{"action":"RUN_STATUS","execution_ids":[1,2],"executor_name":"nmap","running":true,"successful":null,"message":"started"}"#
    );
    let ended = RunStatus { running: false, successful: Some(true), ..status("done") }.object();
    assert_eq!((&ended["running"], &ended["successful"]), (&json!(false), &json!(true)));
}

#[test]
fn a_status_message_loses_its_nuls_and_is_cut_between_characters() {
    assert_eq!(status("a\0b\nc").object()["message"], "ab\nc");
    assert_eq!(status(&"x".repeat(MESSAGE_BYTES_MAX)).object()["message"], "x".repeat(MESSAGE_BYTES_MAX));
    let long = format!("x{}", "é".repeat(MESSAGE_BYTES_MAX));
    let cut = format!("x{}…", "é".repeat((MESSAGE_BYTES_MAX - 1) / 2));
    assert_eq!(status(&long).object()["message"], cut);
    let ghost = RunStatus { executor_name: "gh\0ost".to_owned(), ..status("") };
    assert_eq!(ghost.object()["executor_name"], "ghost");
}
