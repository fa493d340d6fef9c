//! What executors print, end to end.
//!
//! | row of the table                                   | test |
//! |----------------------------------------------------|------|
//! | invalid JSON line                                  | `a_line_that_is_not_json_costs_that_line` |
//! | JSON not an object                                 | `json_that_is_not_an_object_costs_its_line` |
//! | line > max_size (issue: no limit)                  | `lines_of_any_length_arrive` |
//! | no newline at EOF                                  | `a_last_document_without_newline_arrives` |
//! | blank line first / in the middle (issue: `\n\n` is the end) | `one_empty_line_at_the_start_is_nothing`, `a_double_newline_ends_the_output`, `after_its_end_the_output_is_read_and_thrown_away` |
//! | CRLF, CRLF blank line, spaces line                 | `carriage_returns_and_blanks_do_no_harm`, `a_double_newline_with_carriage_returns_ends_the_output` |
//! | UTF-8 BOM                                          | `a_byte_order_mark_is_skipped` |
//! | invalid UTF-8 on stdout / stderr                   | `a_line_that_is_not_utf8_costs_that_line`, `stderr_may_hold_any_bytes` |
//! | `\u0000` in a text                                 | `nul_and_lone_surrogates_are_taken_out_and_told` |
//! | a host that the server would take and lose         | `what_the_server_would_lose_is_repaired_and_told` |
//! | 10,000 invalid lines / stderr lines                | `ten_thousand_invalid_lines_are_counted`, `a_flood_on_stderr_is_bounded` |
//! | 10,000 documents                                   | `ten_thousand_documents_arrive_in_order_and_in_bulk` |
//!
//! Of issue 2, "What it prints": documents in every layout, as soon as they are complete, and one host above 64 MiB.

use serde_json::{Value, json};

use crate::rig::{
    agent, await_file, check_run, host, join, joined, line, payloads, posts_of, print, run, standin, started, touch,
    wait_file,
};
use crate::support::{Endpoint, Fault, Generation, Post, SOON};

/// Runs an executor that prints `output`: these hosts arrive in this order, and the last status says `rest`.
#[track_caller]
fn check(output: impl AsRef<[u8]>, ips: &[&str], successful: bool, rest: &str) {
    let server = standin(Generation::SocketIo);
    let _agent = join(&server, agent(&server, "cat output").file("output", output));
    check_run(&server, ips, successful, rest);
}

/// Two documents with `between` around and between them arrive whole.
#[track_caller]
fn check_harmless(output: &str) {
    check(output, &["10.0.0.1", "10.0.0.2"], true, "exit code 0; 2 hosts delivered");
}

#[test]
fn a_line_that_is_not_json_costs_that_line() {
    let output = format!("{}not json\n{}", line("10.0.0.1"), line("10.0.0.2"));
    let rest = "exit code 0; 2 hosts delivered; 1 line not read as documents, the first: not a JSON object: not json";
    check(output, &["10.0.0.1", "10.0.0.2"], true, rest);
}

#[test]
fn json_that_is_not_an_object_costs_its_line() {
    let odd = ["[]", "123", "null", "\"s\"", "true", &format!("[{}]", line("10.0.0.9").trim_end())];
    let output = format!("{}{}\n{}", line("10.0.0.1"), odd.join("\n"), line("10.0.0.2"));
    let rest = "exit code 0; 2 hosts delivered; 6 lines not read as documents, the first: not a JSON object: []";
    check(output, &["10.0.0.1", "10.0.0.2"], true, rest);
}

#[test]
fn a_document_without_hosts_makes_the_run_fail() {
    let output = format!("{{\"ip\":\"10.0.0.9\"}}\n{}", line("10.0.0.1"));
    let rest = "exit code 0; 1 host delivered; 1 could not be delivered, the first: document has no `hosts`: \
                {\"ip\":\"10.0.0.9\"}";
    check(output, &["10.0.0.1"], false, rest);
}

#[test]
fn lines_of_any_length_arrive() {
    let long = |ip: &str, bytes: usize| {
        let description = "d".repeat(bytes);
        format!("{{\"hosts\":[{{\"ip\":\"{ip}\",\"description\":\"{description}\"}}]}}\n")
    };
    let lengths = [70_000, 200_000, 5_000_000];
    let output = lengths.map(|bytes| long(&format!("10.0.0.{}", bytes / 10_000), bytes)).concat() + &line("10.0.0.1");
    let server = standin(Generation::SocketIo);
    let _agent = join(&server, agent(&server, "cat output").file("output", output));
    let rest = "exit code 0; 4 hosts delivered";
    check_run(&server, &["10.0.0.7", "10.0.0.20", "10.0.0.500", "10.0.0.1"], true, rest);
    let lengths_taken =
        server.hosts("ws1").iter().map(|host| host["description"].as_str().map_or(0, str::len)).collect::<Vec<_>>();
    assert_eq!(lengths_taken[..3], lengths);
}

#[test]
fn a_report_on_one_line_travels_in_several_bodies() {
    let hosts: Vec<String> = (0..1200).map(|i| host(&format!("10.0.{}.{}", i / 200, i % 200))).collect();
    let output = format!("{{\"tool\":\"x\",\"hosts\":[{}],\"command\":{{\"a\":1}}}}\n", hosts.join(","));
    let server = standin(Generation::SocketIo);
    let _agent = join(&server, agent(&server, "cat output").file("output", output));
    let (id, status) = run(&server);
    assert_eq!(status.message, "Executor e from agent1 finished successfully: exit code 0; 1200 hosts delivered");
    let sent: Vec<Value> = server.hosts("ws1");
    let expected: Vec<Value> = hosts.iter().map(|host| serde_json::from_str(host).unwrap()).collect();
    assert_eq!(sent, expected);
    let posts = posts_of(&server, id, "ws1");
    assert!(posts.len() >= 4 && posts.iter().all(|post| post.hosts <= 500), "{} posts", posts.len());
}

#[test]
fn a_host_above_64_mib_is_refused_with_a_message() {
    let server = standin(Generation::SocketIo);
    let command = format!(
        "printf '{{\"hosts\":[{},{{\"ip\":\"10.0.0.2\",\"description\":\"'; head -c 67108864 /dev/zero | tr '\\0' d; \
         printf '\"}},{}]}}\\n'",
        host("10.0.0.1"),
        host("10.0.0.3"),
    );
    let _agent = join(&server, agent(&server, &command));
    let (_, status) = run(&server);
    let start = "Executor e from agent1 failed: exit code 0; 2 hosts delivered; 1 could not be delivered, the first: host or \
                 credential is too large: {\"ip\":\"10.0.0.2\",\"description\":\"ddd";
    assert!(status.message.starts_with(start), "{}", status.message);
    assert_eq!(server.host_ips("ws1"), ["10.0.0.1", "10.0.0.3"]);
}

#[test]
fn a_last_document_without_newline_arrives() {
    check_harmless(format!("{}{}", line("10.0.0.1"), line("10.0.0.2")).trim_end());
}

#[test]
fn documents_may_follow_each_other_directly() {
    check_harmless(&format!("{}{}", line("10.0.0.1").trim_end(), line("10.0.0.2")));
}

#[test]
fn documents_may_be_printed_over_many_lines() {
    let pretty = |ip: &str| format!("{:#}\n", serde_json::from_str::<Value>(&line(ip)).unwrap());
    check_harmless(&(pretty("10.0.0.1") + &pretty("10.0.0.2")));
}

#[test]
fn one_empty_line_at_the_start_is_nothing() {
    check_harmless(&format!("\n{}{}", line("10.0.0.1"), line("10.0.0.2")));
}

#[test]
fn a_double_newline_ends_the_output() {
    let output = format!("{}\n{}", line("10.0.0.1"), line("10.0.0.2"));
    let ignored = line("10.0.0.2").len();
    let rest = format!(
        "exit code 0; 1 host delivered; {ignored} bytes after the end of the output (a double newline) ignored"
    );
    check(output, &["10.0.0.1"], true, &rest);
}

#[test]
fn a_double_newline_with_carriage_returns_ends_the_output() {
    let output = format!("{}\r\n\r\n{}", line("10.0.0.1").trim_end(), line("10.0.0.2"));
    let ignored = line("10.0.0.2").len();
    let rest = format!(
        "exit code 0; 1 host delivered; {ignored} bytes after the end of the output (a double newline) ignored"
    );
    check(output, &["10.0.0.1"], true, &rest);
}

/// More than a pipe holds: an agent that stopped reading would block the executor for ever.
#[test]
fn after_its_end_the_output_is_read_and_thrown_away() {
    let (server, _agent) = joined(&format!("{}; echo; head -c 3000000 /dev/zero; exit 3", print("10.0.0.1")));
    let rest = "exit code 3; 1 host delivered; 3000000 bytes after the end of the output (a double newline) ignored";
    check_run(&server, &["10.0.0.1"], false, rest);
}

#[test]
fn carriage_returns_and_blanks_do_no_harm() {
    let [first, second] = ["10.0.0.1", "10.0.0.2"].map(line);
    check_harmless(&format!("{}\r\n   \n\t\r\n{}\r\n", first.trim_end(), second.trim_end()));
}

#[test]
fn a_byte_order_mark_is_skipped() {
    check_harmless(&format!("\u{feff}{}{}", line("10.0.0.1"), line("10.0.0.2")));
}

#[test]
fn a_line_that_is_not_utf8_costs_that_line() {
    let bad = b"{\"hosts\":[{\"ip\":\"10.0.0.9\",\"description\":\"\xff\"}]}\n";
    let output = [line("10.0.0.1").as_bytes(), bad, line("10.0.0.2").as_bytes()].concat();
    let rest = "exit code 0; 2 hosts delivered; 1 line not read as documents, the first: not UTF-8: \
                {\"hosts\":[{\"ip\":\"10.0.0.9\",\"description\":\"\u{fffd}\"}]}";
    check(output, &["10.0.0.1", "10.0.0.2"], true, rest);
}

#[test]
fn stderr_may_hold_any_bytes() {
    let (server, agent) = joined("printf 'a\\377b\\033[31mc\\n' >&2; exit 1");
    let rest = "exit code 1; 0 hosts delivered; its last words on stderr: a\u{fffd}b [31mc";
    check_run(&server, &[], false, rest);
    agent.wait_log("e: a\u{fffd}b [31mc", SOON);
}

/// The server answers 201 to such a host and then loses it.
#[test]
fn nul_and_lone_surrogates_are_taken_out_and_told() {
    let bad = r#"{"hosts":[{"ip":"10.0.0.1","description":"a\u0000b\ud800c\\u0000d\ud83d\ude00"}],"credentials":[{"username":"u\u0000","password":"\udc00p"}]}"#;
    let server = standin(Generation::SocketIo);
    let _agent = join(&server, agent(&server, "cat output").file("output", format!("{bad}\n{}", line("10.0.0.2"))));
    let rest = "exit code 0; 2 hosts and 1 credential delivered; \
                repaired before sending: 2 NUL characters taken out, 2 lone surrogates replaced";
    check_run(&server, &["10.0.0.1", "10.0.0.2"], true, rest);
    assert_eq!(server.hosts("ws1")[0]["description"], "ab\u{fffd}c\\u0000d😀");
    let bodies: Vec<Value> = server.posts("ws1").iter().map(Post::json).collect();
    let credentials = bodies.iter().find_map(|body| body.get("credentials")).expect("a body with credentials");
    assert_eq!(*credentials, json!([{"username": "u", "password": "\u{fffd}p"}]));
}

#[test]
fn what_the_server_would_lose_is_repaired_and_told() {
    let kind = r#""type":"Vulnerability","severity":"low","desc":"d""#;
    let vulnerabilities = [
        format!(r#"{{{kind},"name":"v","refs":[{{"type":"other"}}],"run_date":"2026-11-23"}}"#),
        format!(r#"{{{kind},"name":"v","easeofresolution":"simple","command_id":1}}"#),
        format!(r#"{{{kind},"name":"w","run_date":"now"}}"#),
    ];
    let services = r#"[{"port":3000000000,"protocol":"tcp"}]"#;
    let output = format!(
        r#"{{"hosts":[{{"ip":"10.0.0.1","description":"","id":5,"services":{services},"vulnerabilities":[{}]}}]}}"#,
        vulnerabilities.join(",")
    );
    let rest = "exit code 0; 1 host delivered; repaired before sending: 1 duplicate vulnerability merged, 2 ids left out, \
                1 vulnerability given an empty easeofresolution, 1 reference without name left out, \
                1 run_date turned into epoch seconds, 1 unreadable run_date left out, 1 port out of range set to 0";
    check(output, &["10.0.0.1"], true, rest);
}

#[test]
fn ten_thousand_invalid_lines_are_counted() {
    let output = "no json at all\n".repeat(10_000) + &line("10.0.0.1");
    let rest = "exit code 0; 1 host delivered; 10000 lines not read as documents, the first: not a JSON object: no json at all";
    check(output, &["10.0.0.1"], true, rest);
}

#[test]
fn ten_thousand_documents_arrive_in_order_and_in_bulk() {
    let ips: Vec<String> = (0..10_000).map(|i| format!("10.{}.{}.1", i / 250, i % 250)).collect();
    let output: String = ips.iter().map(|ip| line(ip)).collect();
    let server = standin(Generation::SocketIo);
    let _agent = join(&server, agent(&server, "cat output").file("output", output));
    let (id, status) = run(&server);
    assert_eq!(status.message, "Executor e from agent1 finished successfully: exit code 0; 10000 hosts delivered");
    assert_eq!(server.host_ips("ws1"), ips);
    let posts = posts_of(&server, id, "ws1");
    assert!(posts.iter().all(|post| post.hosts <= 500 && post.body.len() <= 1_100_000));
    assert!(posts.len() < 200, "{} posts for 10,000 hosts", posts.len());
}

/// Lines, and then more without any newline; the log stays bounded and so does the message.
#[test]
fn a_flood_on_stderr_is_bounded() {
    let command = "yes 'a line of complaint' | head -n 10000 >&2; head -c 5000000 /dev/zero | tr '\\0' x >&2; \
                   echo the end >&2; exit 1";
    let server = standin(Generation::SocketIo);
    let agent = join(&server, agent(&server, command).log_level("info"));
    let (id, status) = run(&server);
    assert!(
        status.message.starts_with("Executor e from agent1 failed: exit code 1; 0 hosts delivered; its last words")
    );
    assert!(status.message.ends_with("xthe end") || status.message.ends_with("x | the end"), "{}", status.message);
    assert!(status.message.len() < 8 * 1024 + 100);
    assert_eq!(payloads(&server, id).len(), 2);
    assert!(agent.log().lines().count() < 20, "stderr is for the debug level\n{}", agent.log());
    assert!(agent.peak_rss_kb() < 64 * 1024, "{} kB", agent.peak_rss_kb());
}

#[test]
fn a_host_travels_when_it_is_complete_and_not_when_its_document_is() {
    let command = format!("printf '{{\"hosts\":[{}'; {}; echo ']}}'", host("10.0.0.1"), await_file("go"));
    let (server, agent) = joined(&command);
    let id = server.run("e", json!({}), &["ws1"])[0];
    server.wait_hosts("ws1", 1, SOON);
    assert_eq!(payloads(&server, id), [started(&[id])]);
    touch(&agent, "go");
    let status = server.wait_over(id, SOON);
    assert_eq!(status.message, "Executor e from agent1 finished successfully: exit code 0; 1 host delivered");
}

/// While a post is under way, what is printed waits for the next one.
#[test]
fn hosts_that_wait_for_a_post_go_together_in_the_next() {
    let server = standin(Generation::SocketIo);
    let held = Fault::hang().on(Endpoint::BulkCreate).times(1);
    let held = server.inject(held);
    let many: String = (0..600).map(|i| line(&format!("10.1.{}.{}", i / 250, i % 250))).collect();
    let command =
        format!("{}; {}; cat many; touch printed; {}", print("10.0.0.1"), await_file("go"), await_file("end"));
    let agent = join(&server, agent(&server, &command).file("many", many));
    let id = server.run("e", json!({}), &["ws1"])[0];
    server.wait_hits(held, 1, SOON);
    touch(&agent, "go");
    wait_file(&agent, "printed");
    server.release();
    touch(&agent, "end");
    server.wait_over(id, SOON);
    let sizes: Vec<usize> = posts_of(&server, id, "ws1").iter().map(|post| post.hosts).collect();
    assert_eq!(sizes, [1, 500, 100, 0]);
}
