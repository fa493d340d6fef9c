//! RUN and RUN_STATUS as they stand in JSON, whatever channel carried them.

use serde_json::json;

use super::*;

fn json(text: &str) -> Json<'_> {
    Json::parse(text).expect("JSON")
}

fn status(message: &str) -> RunStatus {
    RunStatus {
        execution_ids: [1, 2].into(),
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
    let message = message.to_string();
    let run = RunCommand::parse(json(&message)).unwrap();
    assert_eq!(run.execution_ids, [1, 2]);
    assert_eq!(run.workspaces, ["ws1", "ws2"]);
    assert_eq!(run.executor.as_deref(), Some("nmap"));
    let args = [("Z", r#"["10.0.0.1"]"#), ("A", "80"), ("M", "null")];
    assert_eq!(run.args, args.map(|(name, text)| (name.to_owned(), json(text))));
    assert_eq!(run.plugin_args[0], ("ignore_info".to_owned(), json("false")));
}

#[test]
fn what_is_missing_but_harmless_is_empty() {
    let sparse = [
        json!({ "execution_ids": [5], "workspaces": ["w"] }),
        json!({ "execution_ids": [5], "workspaces": ["w"], "executor": null, "args": null, "plugin_args": null }),
        json!({ "execution_ids": [5], "workspaces": ["w"], "executor": "", "args": {}, "plugin_args": {}, "new_key": [1] }),
    ];
    for message in sparse {
        let message = message.to_string();
        let run = RunCommand::parse(json(&message)).unwrap();
        assert_eq!((run.executor, run.args.len(), run.plugin_args.len()), (None, 0, 0), "{message}");
    }
}

#[test]
fn a_run_for_no_workspace_is_a_run() {
    let run = RunCommand::parse(json(r#"{ "execution_ids": [], "workspaces": [], "executor": "ok" }"#)).unwrap();
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
            "workspaces is text, not a list of names of workspaces (text of 1 to 256 bytes without control characters)",
        ),
        (
            json!({ "execution_ids": [7, 8], "workspaces": [1, ""] }),
            &[7, 8],
            None,
            "workspaces has 2 entries that are not names of workspaces (text of 1 to 256 bytes without control characters)",
        ),
        (
            json!({ "execution_ids": [7, 8], "workspaces": ["..", "."] }),
            &[7, 8],
            None,
            "workspaces has 2 entries that are not names of workspaces (text of 1 to 256 bytes without control characters)",
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
    check_bad(&table);
}

#[test]
fn no_execution_stands_in_a_run_twice_and_names_are_names() {
    check_bad(&[
        (
            json!({ "execution_ids": [7, 8, 7, 7], "workspaces": ["a", "b", "c", "d"] }),
            &[7, 8],
            None,
            "execution_ids has 2 entries that repeat others",
        ),
        (
            json!({ "execution_ids": [7], "workspaces": ["w"], "executor": "o\nk" }),
            &[7],
            None,
            r#"executor is "o k", which is no name (1 to 256 bytes without control characters)"#,
        ),
        (
            json!({ "execution_ids": [7], "workspaces": ["w"], "args": { "": 1, "a\0": 2 } }),
            &[7],
            None,
            r#"args has "", which is no name (1 to 256 bytes without control characters)"#,
        ),
    ]);
}

#[track_caller]
fn check_bad(table: &[(Value, &[i64], Option<&str>, &str)]) {
    for (message, execution_ids, executor, problem) in table {
        let expected = BadRun {
            execution_ids: execution_ids.to_vec(),
            executor: executor.map(str::to_owned),
            problem: (*problem).to_owned(),
        };
        let message = message.to_string();
        assert_eq!(RunCommand::parse(json(&message)), Err(expected), "{message}");
    }
}

fn problem(message: &str) -> BadRun {
    RunCommand::parse(json(message)).expect_err("too much")
}

fn repeated(what: impl Fn(usize) -> String, count: usize) -> String {
    (0..count).map(what).collect::<Vec<_>>().join(",")
}

#[test]
fn a_run_has_so_many_workspaces_and_no_more() {
    let run = |count: usize| {
        let (ids, names) = (repeated(|n| n.to_string(), count), repeated(|n| format!("\"w{n}\""), count));
        format!(r#"{{"execution_ids":[{ids}],"workspaces":[{names}]}}"#)
    };
    let text = run(WORKSPACES_MAX);
    assert_eq!(RunCommand::parse(json(&text)).unwrap().workspaces.len(), WORKSPACES_MAX);
    let bad = problem(&run(WORKSPACES_MAX + 1));
    assert_eq!(bad.execution_ids.len(), WORKSPACES_MAX + 1, "all of them can be told");
    let expected = "execution_ids has more than 1000 entries; split it over several runs; \
                    workspaces has more than 1000 entries; split it over several runs";
    assert_eq!(bad.problem, expected);
    assert_eq!(problem(&run(2 * REFUSED_IDS_MAX)).execution_ids.len(), REFUSED_IDS_MAX);
}

#[test]
fn a_run_has_so_many_arguments_and_options_and_no_more() {
    let run = |key: &str, count: usize| {
        let entries = repeated(|n| format!("\"A{n}\":{n}"), count);
        format!(r#"{{"execution_ids":[1],"workspaces":["w"],"{key}":{{{entries}}}}}"#)
    };
    for key in ["args", "plugin_args"] {
        let text = run(key, ARGUMENTS_MAX);
        let parsed = RunCommand::parse(json(&text)).unwrap();
        assert_eq!(parsed.args.len() + parsed.plugin_args.len(), ARGUMENTS_MAX);
        assert_eq!(problem(&run(key, 100_000)).problem, format!("{key} has more than 256 entries"));
    }
}

#[test]
fn names_are_short_and_no_name_comes_twice() {
    let long = "x".repeat(NAME_BYTES_MAX);
    let run = |executor: &str, workspace: &str, args: &str| {
        format!(r#"{{"execution_ids":[1],"workspaces":["{workspace}"],"executor":"{executor}","args":{{{args}}}}}"#)
    };
    let text = run(&long, &long, &format!("\"{long}\":1"));
    assert!(RunCommand::parse(json(&text)).is_ok());
    let one_more = format!("{long}x");
    for (message, expected) in [
        (run("e", "w", r#""A":1,"A":2"#), "args has A twice".to_owned()),
        (run("e", "w", r#""\u0041":1,"A":2"#), "args has A twice".to_owned()),
        (run("e", &one_more, ""), format!("workspaces has 1 entries that are not {WORKSPACES}")),
        (run("e", "a\\u007f", ""), format!("workspaces has 1 entries that are not {WORKSPACES}")),
        (run("e", "\\ud800", ""), format!("workspaces has 1 entries that are not {WORKSPACES}")),
        (run(&one_more, "w", ""), not_a_name("executor is", &one_more)),
        (run("e", "w", &format!("\"{one_more}\":1")), not_a_name("args has", &one_more)),
        (run("e", "w", r#""\ud800":1"#), "args has a name with half a character in it".to_owned()),
    ] {
        assert_eq!(problem(&message).problem, expected, "{message}");
    }
}

#[test]
fn debug_of_a_run_shows_names_of_arguments_only() {
    let message = json!({
        "execution_ids": [1], "workspaces": ["w"], "executor": "ok",
        "args": { "SECRET": "hunter2", "LIST": [{ "deep": "hunter2" }] }, "plugin_args": { "vuln_tag": ["hunter2"] },
    });
    let message = message.to_string();
    let shown = format!("{:?}", RunCommand::parse(json(&message)).unwrap());
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
