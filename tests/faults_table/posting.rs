//! The REST side goes wrong while an executor runs.
//!
//! | row of the table                                   | test |
//! |----------------------------------------------------|------|
//! | bulk_create 500 503 429 401 403 404 302 200, once or for a while | `whatever_is_answered_for_a_while_loses_nothing`, `while_it_lasts_the_run_is_not_over` |
//! | bulk_create 429 and 503 with Retry-After           | `retry_after_is_honoured`, `a_mad_retry_after_does_no_harm` |
//! | bulk_create 413                                    | `a_body_that_is_too_large_is_halved`, `a_host_that_is_too_large_alone_is_refused` |
//! | rejected by the server (400)                       | `one_bad_host_among_many_is_found_and_the_others_arrive`, `a_run_that_the_server_does_not_know_is_told` |
//! | two workspaces: a 400 in one does not stop the other | `a_refusal_in_one_workspace_does_not_stop_the_other` |
//! | reply lost / connection closed / request hangs     | `a_lost_answer_is_asked_for_again`, `a_closed_connection_is_tried_again`, `a_request_that_hangs_holds_up_nobody_else` |
//!
//! How long a request may hang (120 s) is tried in `tests/net` with shorter limits.

use std::time::{Duration, Instant};

use faraday_agent::bounds::POSTS_AT_ONCE_MAX;
use serde_json::json;

use crate::rig::{
    REFUSED, agent, await_file, check_order, check_run, ended, host, join, joined, line, payloads, posts_of, print,
    run, standin, started, touch, wait_file, without_number,
};
use crate::support::{Endpoint, Fault, Generation, Request, SOON, Workspace};

/// A run in a workspace for each fault; each strikes `times` times.
fn check_faults(faults: Vec<(&str, Fault)>, times: usize) {
    let server = standin(Generation::SocketIo);
    let names: Vec<&str> = faults.iter().map(|(name, _)| *name).collect();
    let mut hits = Vec::new();
    for (name, fault) in faults {
        server.workspace(name);
        hits.push(server.inject(fault.workspace(name).times(times)));
    }
    let _agent = join(&server, agent(&server, &print("10.0.0.1")));
    let ids = server.run("e", json!({}), &names);
    server.wait_over(ids[0], SOON);
    for ((name, id), hit) in names.iter().zip(&ids).zip(hits) {
        let told = payloads(&server, *id);
        let end = ended(&ids, true, "exit code 0; 1 host delivered");
        assert_eq!((told.first(), told.last()), (Some(&started(&ids)), Some(&end)));
        assert_eq!(server.hits(hit), times, "{name}");
        check_order(&server, *id, name);
        assert_eq!(posts_of(&server, *id, name).len(), 2, "{name}: nothing is sent again that was taken");
        assert_eq!(server.host_ips(name), ["10.0.0.1"], "{name}");
    }
}

#[test]
fn whatever_is_answered_for_a_while_loses_nothing() {
    let statuses = [500, 502, 503, 504, 429, 408, 401, 403, 404, 302, 200, 204];
    let names: Vec<String> = statuses.iter().map(|status| format!("w{status}")).collect();
    for times in [1, 2] {
        let faults = names.iter().zip(statuses).map(|(name, status)| (name.as_str(), Fault::answer(status)));
        check_faults(faults.collect(), times);
    }
}

#[test]
fn a_closed_connection_is_tried_again() {
    check_faults(
        vec![
            ("closed", Fault::hang_up()),
            ("reset", Fault::hang_up().by_reset()),
            ("closed_in_body", Fault::hang_up_after(30)),
            ("reset_in_body", Fault::hang_up_after(30).by_reset()),
            ("no_http", Fault::raw("no http at all\r\n\r\n")),
            ("cut_answer", Fault::raw("HTTP/1.1 201 CREA")),
            ("nothing", Fault::raw("")),
        ],
        2,
    );
}

/// A repeat is harmless, a loss is not.
#[test]
fn a_lost_answer_is_asked_for_again() {
    let server = standin(Generation::SocketIo);
    server.inject(Fault::lose_answer().on(Endpoint::BulkCreate).times(1));
    let _agent = join(&server, agent(&server, &print("10.0.0.1")));
    let (id, status) = run(&server);
    assert_eq!(status.message, ended(&[id], true, "exit code 0; 1 host delivered")["message"]);
    let posts = server.attempts("ws1");
    assert_eq!(posts.len(), 3);
    assert_eq!(posts[0].body, posts[1].body, "the very same body");
    assert_eq!(server.host_ips("ws1"), ["10.0.0.1"; 2]);
}

#[test]
fn while_it_lasts_the_run_is_not_over() {
    let server = standin(Generation::SocketIo);
    server.workspace("ws2");
    let fault = server.inject(Fault::answer(503).workspace("ws1"));
    let agent = join(&server, agent(&server, &print("10.0.0.1")));
    let ids = server.run("e", json!({}), &["ws1", "ws2"]);
    server.wait_hits(fault, 3, SOON);
    assert_eq!(server.posts("ws2").len(), 2, "the other workspace has everything");
    assert_eq!(payloads(&server, ids[0]), [started(&ids)]);
    let warnings = agent.log().lines().filter(|line| line.contains("[WARN]")).count();
    assert_eq!(warnings, 1, "said once\n{}", agent.log());
    agent.wait_log("run ", SOON);
    let line = agent.wait_log("workspace ws1: 503: ", SOON);
    assert!(line.ends_with("; kept, and tried again until the server takes it"), "{line}");
    server.clear_faults();
    server.wait_over(ids[0], SOON);
    assert_eq!(payloads(&server, ids[0]), [started(&ids), ended(&ids, true, "exit code 0; 1 host delivered")]);
}

/// Both states can be lifted by a user.
#[test]
fn a_workspace_that_is_switched_off_gets_everything_when_it_is_back() {
    for (name, state, words) in [
        ("off", Workspace::Inactive, "the workspace does not exist or is switched off"),
        ("readonly", Workspace::ReadOnly, "Altering a readonly workspace is not allowed"),
    ] {
        let server = standin(Generation::SocketIo);
        server.set_workspace(name, state);
        let agent = join(&server, agent(&server, &print("10.0.0.1")));
        let id = server.run("e", json!({}), &[name])[0];
        let line = agent.wait_log(words, SOON);
        assert!(line.contains(&format!("workspace {name}: 40")), "{line}");
        server.workspace(name);
        assert_eq!(server.wait_over(id, SOON).successful, Some(true));
        check_order(&server, id, name);
    }
}

#[test]
fn retry_after_is_honoured() {
    let server = standin(Generation::SocketIo);
    for (name, status) in [("w429", 429), ("w503", 503)] {
        server.workspace(name);
        server.inject(Fault::answer(status).header("Retry-After", "2").workspace(name).times(1));
    }
    let _agent = join(&server, agent(&server, &print("10.0.0.1")));
    let ids = server.run("e", json!({}), &["w429", "w503"]);
    server.wait_over(ids[0], SOON);
    for name in ["w429", "w503"] {
        let posts = server.attempts(name);
        assert_eq!(posts.iter().map(|post| post.status).collect::<Vec<_>>()[1..], [201, 201]);
        let pause = posts[1].at - posts[0].at;
        assert!(pause >= Duration::from_secs(2), "{pause:?}");
    }
}

/// A date, nonsense, and a number that no clock holds: the server is asked again all the same.
#[test]
fn a_mad_retry_after_does_no_harm() {
    let server = standin(Generation::SocketIo);
    for (name, value) in [
        ("date", "Wed, 21 Oct 2015 07:28:00 GMT"),
        ("nonsense", "soon"),
        ("negative", "-5"),
        ("fraction", "0.5"),
        ("zero", "0"),
        ("one", "1"),
    ] {
        server.workspace(name);
        server.inject(Fault::answer(503).header("Retry-After", value).workspace(name).times(1));
    }
    server.inject(Fault::answer(503).header("Retry-After", "18446744073709551615").workspace("ws1").times(1));
    let agent = join(&server, agent(&server, &print("10.0.0.1")));
    let names = ["date", "nonsense", "negative", "fraction", "zero", "one"];
    let ids = server.run("e", json!({}), &names);
    server.wait_over(ids[0], SOON);
    names.iter().zip(&ids).for_each(|(name, id)| check_order(&server, *id, name));
    server.run("e", json!({}), &["ws1"]);
    agent.wait_log("workspace ws1: 503", SOON);
    let again = server.run("e", json!({}), &["date"])[0];
    assert_eq!(server.wait_over(again, SOON).successful, Some(true), "the agent is alive and well");
}

/// One document with `count` hosts, of which the server does not take those in `bad`.
fn with_bad_hosts(count: usize, bad: &[usize]) -> String {
    let hosts: Vec<String> = (0..count)
        .map(|i| match bad.contains(&i) {
            true => format!("{{\"ip\":\"bad-{i}\"}}"),
            false => host(&format!("10.{}.{}.1", i / 250, i % 250)),
        })
        .collect();
    format!("{{\"hosts\":[{}]}}\n", hosts.join(","))
}

#[test]
fn one_bad_host_among_many_is_found_and_the_others_arrive() {
    let server = standin(Generation::SocketIo);
    let builder = agent(&server, "cat output").file("output", with_bad_hosts(400, &[123]));
    let agent = join(&server, builder);
    let (id, status) = run(&server);
    let words = "400: hosts.0.description: Missing data for required field.";
    let rest = format!("exit code 0; 400 hosts read, workspace ws1 refused 1 of 400 (the first: {words}){REFUSED}");
    assert_eq!(payloads(&server, id), [started(&[id]), ended(&[id], false, &rest)]);
    assert_eq!(without_number(&status.message), ended(&[id], false, &rest)["message"]);
    let expected: Vec<String> =
        (0..400).filter(|i| *i != 123).map(|i| format!("10.{}.{}.1", i / 250, i % 250)).collect();
    assert_eq!(server.host_ips("ws1"), expected, "in order, and none twice");
    let posts = server.attempts("ws1").len();
    assert!(posts < 40, "{posts} posts to find one host");
    let line = agent.wait_log("the server refused a host or credential", SOON);
    assert!(line.ends_with(words), "{line}");
}

#[test]
fn many_bad_hosts_and_credentials_cost_themselves_alone() {
    let server = standin(Generation::SocketIo);
    let bad = [0, 1, 17, 58, 59];
    let credentials = r#"{"credentials":[{"username":"u","password":"p"},{"username":" ","password":"p"}]}"#;
    let output = with_bad_hosts(60, &bad) + credentials;
    let _agent = join(&server, agent(&server, "cat output").file("output", output));
    let (id, status) = run(&server);
    assert!(
        status.message.contains("60 hosts and 2 credentials read, workspace ws1 refused 6 of 62"),
        "{}",
        status.message
    );
    assert_eq!(server.host_ips("ws1").len(), 55);
    let taken: usize = posts_of(&server, id, "ws1").iter().map(|post| post.credentials).sum();
    assert_eq!(taken, 1);
}

#[test]
fn a_refusal_in_one_workspace_does_not_stop_the_other() {
    let server = standin(Generation::SocketIo);
    server.workspace("ws2");
    let bad = |request: &crate::support::Request| String::from_utf8_lossy(&request.body).contains("10.0.0.2");
    server.inject(Fault::answer(400).workspace("ws1").when(bad).body("application/json", r#"{"message":"not here"}"#));
    let lines = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(line).concat();
    let _agent = join(&server, agent(&server, "cat output").file("output", lines));
    let ids = server.run("e", json!({}), &["ws1", "ws2"]);
    server.wait_over(ids[0], SOON);
    let rest = &format!("exit code 0; 3 hosts read, workspace ws1 refused 1 of 3 (the first: 400: not here){REFUSED}");
    assert_eq!(payloads(&server, ids[1]), [started(&ids), ended(&ids, false, rest)]);
    assert_eq!(server.host_ips("ws1"), ["10.0.0.1", "10.0.0.3"]);
    assert_eq!(server.host_ips("ws2"), ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
}

/// Somebody has deleted the execution, or the run names one of another workspace.
#[test]
fn a_run_that_the_server_does_not_know_is_told() {
    let server = standin(Generation::SocketIo);
    server.workspace("ws2");
    let _agent = join(&server, agent(&server, "cat output").file("output", with_bad_hosts(100, &[])));
    let (ids, mut message) = server.prepare_run("e", json!({}), &["ws2"]);
    message["workspaces"] = json!(["ws1"]);
    server.send_message(&message);
    let status = server.wait_over(ids[0], SOON);
    let rest = "exit code 0; 100 hosts read, workspace ws1 takes nothing of this run (400: Bad Request Trying to write to \
                the incorrect workspace)";
    let rest = format!("{rest}{REFUSED}");
    assert_eq!(without_number(&status.message), ended(&ids, false, &rest)["message"]);
    assert!(server.attempts("ws1").len() <= 3, "{} posts", server.attempts("ws1").len());
}

#[test]
fn a_body_that_is_too_large_is_halved() {
    let server = standin(Generation::SocketIo);
    server.inject(Fault::answer(413).when(|request| request.body.len() > 2_000).on(Endpoint::BulkCreate));
    let _agent = join(&server, agent(&server, "cat output").file("output", with_bad_hosts(300, &[])));
    let expected: Vec<String> = (0..300).map(|i| format!("10.{}.{}.1", i / 250, i % 250)).collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check_run(&server, &expected, true, "exit code 0; 300 hosts delivered");
}

#[test]
fn a_host_that_is_too_large_alone_is_refused() {
    let server = standin(Generation::SocketIo);
    server.inject(Fault::answer(413).when(|request| request.body.len() > 2_000).on(Endpoint::BulkCreate));
    let large = format!("{{\"hosts\":[{{\"ip\":\"10.0.0.9\",\"description\":\"{}\"}}]}}\n", "d".repeat(5_000));
    let output = [line("10.0.0.1"), large, line("10.0.0.2")].concat();
    let _agent = join(&server, agent(&server, "cat output").file("output", output));
    let (_, status) = run(&server);
    assert!(
        status.message.contains("3 hosts read, workspace ws1 refused 1 of 3 (the first: 413: "),
        "{}",
        status.message
    );
    assert_eq!(server.host_ips("ws1"), ["10.0.0.1", "10.0.0.2"]);
}

#[test]
fn a_request_that_hangs_holds_up_nobody_else() {
    let server = standin(Generation::SocketIo);
    server.workspace("ws2");
    let hang = server.inject(Fault::hang().workspace("ws1").times(1));
    let _agent = join(&server, agent(&server, &print("10.0.0.1")));
    let ids = server.run("e", json!({}), &["ws1", "ws2"]);
    server.wait_hits(hang, 1, SOON);
    server.wait_posts("ws2", 2, SOON);
    let other = server.run("e", json!({}), &["ws2"])[0];
    assert_eq!(server.wait_over(other, SOON).successful, Some(true));
    assert_eq!(payloads(&server, ids[0]), [started(&ids)]);
    server.release();
    server.wait_over(ids[0], SOON);
    check_order(&server, ids[0], "ws1");
}

/// As many as there are workers while all is well, and one more; to five workspaces, and to one.
#[test]
fn five_requests_that_hang_delay_a_sixth_run_by_less_than_a_second() {
    for workspaces in [["ws2", "ws3", "ws4", "ws5", "ws6"], ["ws2"; 5]] {
        let server = standin(Generation::SocketIo);
        ["ws2", "ws3", "ws4", "ws5", "ws6"].iter().for_each(|name| server.workspace(name));
        let others = |request: &Request| !request.target.contains("/ws/ws1/");
        let hang = server.inject(Fault::hang().on(Endpoint::BulkCreate).when(others));
        let _agent = join(&server, agent(&server, &print("10.0.0.1")));
        for workspace in workspaces {
            server.run("e", json!({}), &[workspace]);
        }
        server.wait_hits(hang, POSTS_AT_ONCE_MAX, SOON);
        let begin = Instant::now();
        let id = server.run("e", json!({}), &["ws1"])[0];
        assert_eq!(server.wait_over(id, SOON).successful, Some(true));
        println!("{workspaces:?}: {:?}", begin.elapsed());
        assert!(begin.elapsed() < Duration::from_secs(1), "{workspaces:?}: {:?}", begin.elapsed());
        server.release();
    }
}

#[test]
fn a_server_that_redirects_is_not_followed() {
    let server = standin(Generation::SocketIo);
    let other = standin(Generation::SocketIo);
    let target = format!("{}/_api/v3/ws/ws1/bulk_create", other.url());
    server.inject(Fault::answer(302).header("Location", &target).on(Endpoint::BulkCreate).times(2));
    let _agent = join(&server, agent(&server, &print("10.0.0.1")));
    check_run(&server, &["10.0.0.1"], true, "exit code 0; 1 host delivered");
    assert_eq!(other.requests(), [], "the token goes nowhere else");
}

/// The executor has long ended, the server is away; nothing is lost and nothing is claimed.
#[test]
fn what_was_printed_while_the_api_was_away_arrives_later() {
    let (server, agent) = joined(&format!("{}; {}; {}", print("10.0.0.1"), await_file("go"), print("10.0.0.2")));
    let id = server.run("e", json!({}), &["ws1"])[0];
    server.wait_hosts("ws1", 1, SOON);
    let fault = server.inject(Fault::hang_up().on(Endpoint::BulkCreate));
    touch(&agent, "go");
    server.wait_hits(fault, 2, SOON);
    assert_eq!(payloads(&server, id), [started(&[id])]);
    server.clear_faults();
    server.wait_over(id, SOON);
    check_order(&server, id, "ws1");
    assert_eq!(server.host_ips("ws1"), ["10.0.0.1", "10.0.0.2"]);
}

#[test]
fn a_refused_closing_post_does_not_spoil_the_run() {
    let server = standin(Generation::SocketIo);
    let closing = |request: &crate::support::Request| String::from_utf8_lossy(&request.body).contains("\"duration\"");
    server.inject(Fault::answer(400).when(closing).on(Endpoint::BulkCreate));
    let _agent = join(&server, agent(&server, &print("10.0.0.1")));
    let id = server.run("e", json!({}), &["ws1"])[0];
    let status = server.wait_over(id, SOON);
    assert_eq!(status.message, ended(&[id], true, "exit code 0; 1 host delivered")["message"]);
}

/// What waits for the server waits on disk.
#[test]
fn a_server_that_hangs_costs_no_memory() {
    let server = standin(Generation::SocketIo);
    let hang = server.inject(Fault::hang().on(Endpoint::BulkCreate));
    let line = line("10.0.0.1");
    let lines = 16_000_000 / line.len();
    let command = format!("yes '{}' | head -n {lines}; touch printed; {}", line.trim_end(), await_file("never"));
    let agent = join(&server, agent(&server, &command));
    let before = agent.rss_kb();
    server.run("e", json!({}), &["ws1"]);
    server.wait_hits(hang, 1, SOON);
    wait_file(&agent, "printed");
    let grown = agent.peak_rss_kb() - before;
    assert!(grown < 8 * 1024, "{grown} kB more for 16 MB that wait");
}
