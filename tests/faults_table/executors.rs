//! Executors as processes: how they end, how long they take, what they leave behind, what they are given.
//!
//! | row of the table                                     | test |
//! |------------------------------------------------------|------|
//! | executor exits 1 / 127 / 126 / SIGKILL 137 / SEGV    | `every_way_to_fail_is_told`, `what_a_failing_executor_found_is_delivered` |
//! | never ends                                           | `timeout_s_ends_a_run_and_all_its_processes`, `timeout_s_kills_what_ignores_sigterm`, `a_stopped_executor_is_ended_too` |
//! | daemon keeps the pipe                                | `a_daemon_that_keeps_the_output_open_is_not_waited_for` |
//! | executor closes stdout, lives on                     | `an_executor_that_closes_its_output_is_waited_for` |
//! | (below the table) environment of executors           | `an_executor_gets_the_promised_environment_and_nothing_else`, `varenvs_win` |
//!
//! Of issue 2, "A run" and "What it prints": `max_concurrent_runs`, check commands, stderr in log and message.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::rig::{
    agent, await_file, check_order, check_run, ended, join, joined, param, payloads, print, run, standin, started,
    touch, wait_no_journals,
};
use crate::support::{AgentProcess, Generation, SOON, children};

#[test]
fn every_way_to_fail_is_told() {
    let server = standin(Generation::SocketIo);
    let table = [
        ("exit1", "exit 1", "exit code 1"),
        ("missing", "no-such-command-anywhere 2>/dev/null", "exit code 127 (its command was not found)"),
        ("data", "./data 2>/dev/null", "exit code 126 (its command cannot be executed)"),
        ("code137", "exit 137", "exit code 137"),
        ("killed", "kill -9 $$", "killed by signal 9 (SIGKILL)"),
        ("segv", "kill -SEGV $$", "killed by signal 11 (SIGSEGV)"),
    ];
    let builder = agent(&server, "true").file("data", "no program");
    let builder = table.iter().fold(builder, |builder, (name, command, _)| builder.executor(name, command, json!({})));
    let _agent = join(&server, builder);
    for (name, _, words) in table {
        let id = server.run(name, json!({}), &["ws1"])[0];
        let status = server.wait_over(id, SOON);
        assert_eq!((status.running, status.successful), (Some(false), Some(false)), "{name}");
        assert_eq!(status.message, format!("Executor {name} from agent1 failed: {words}; 0 hosts delivered"));
        check_order(&server, id, "ws1");
    }
}

#[test]
fn what_a_failing_executor_found_is_delivered() {
    let complaints = "for i in 1 2 3 4 5 6; do echo line $i >&2; done";
    let (server, agent) = joined(&format!("{}; {complaints}; exit 7", print("10.0.0.1")));
    let rest = "exit code 7; 1 host delivered; its last words on stderr: line 2 | line 3 | line 4 | line 5 | line 6";
    check_run(&server, &["10.0.0.1"], false, rest);
    for i in 1..=6 {
        let line = agent.wait_log(&format!("e: line {i}"), SOON);
        assert!(line.contains("[DEBUG]"), "{line}");
    }
}

#[test]
fn what_a_successful_executor_complains_of_is_for_the_log_alone() {
    let (server, agent) = joined("echo careful >&2");
    check_run(&server, &[], true, "exit code 0; 0 hosts delivered");
    agent.wait_log("e: careful", SOON);
}

/// The shell, a child of it, and one in the background.
#[test]
fn timeout_s_ends_a_run_and_all_its_processes() {
    let server = standin(Generation::SocketIo);
    let command = format!("{}; sleep 600 & sleep 601; true", print("10.0.0.1"));
    let entry = json!({"cmd": command, "timeout_s": 1});
    let agent = join(&server, agent(&server, "true").executor_entry("e", entry));
    let before = agent.descendants().len();
    let rest =
        "it was ended because it took longer than 1 s (timeout_s), killed by signal 15 (SIGTERM); 1 host delivered";
    check_run(&server, &["10.0.0.1"], false, rest);
    wait_descendants(&agent, before);
}

#[test]
fn timeout_s_kills_what_ignores_sigterm() {
    let server = standin(Generation::SocketIo);
    let command = "trap '' TERM; while :; do sleep 600; done";
    let entry = json!({"cmd": command, "timeout_s": 1});
    let agent = agent(&server, "true").executor_entry("e", entry).option("agent.stop_grace_s", 1);
    let agent = join(&server, agent);
    let before = agent.descendants().len();
    let begin = Instant::now();
    let rest =
        "it was ended because it took longer than 1 s (timeout_s), killed by signal 9 (SIGKILL); 0 hosts delivered";
    check_run(&server, &[], false, rest);
    assert!(begin.elapsed() >= Duration::from_secs(2), "a second to run and a second of grace");
    wait_descendants(&agent, before);
}

/// A process that is stopped takes no SIGTERM until it goes on.
#[test]
fn a_stopped_executor_is_ended_too() {
    let server = standin(Generation::SocketIo);
    let entry = json!({"cmd": "trap 'exit 4' TERM; kill -STOP $$; sleep 600", "timeout_s": 0.5});
    let _agent = join(&server, agent(&server, "true").executor_entry("e", entry));
    let rest = "it was ended because it took longer than 0.5 s (timeout_s), exit code 4; 0 hosts delivered";
    check_run(&server, &[], false, rest);
}

/// A member of the group that has neither of the pipes is nobody's to wait for, but must not live on.
#[test]
fn nothing_of_a_group_that_was_ended_lives_on() {
    let server = standin(Generation::SocketIo);
    let command = "(trap '' TERM; while :; do sleep 600; done) >/dev/null 2>&1 & wait";
    let entry = json!({"cmd": command, "timeout_s": 0.5});
    let agent = join(&server, agent(&server, "true").executor_entry("e", entry));
    let before = agent.descendants().len();
    let (_, status) = run(&server);
    assert_eq!(status.successful, Some(false));
    wait_descendants(&agent, before);
}

/// Three daemons: one in the executor's process group, one in a session of its own, which no signal to the group reaches, and
/// one there that has taken the mark of its run off.
#[test]
fn a_daemon_that_keeps_the_output_open_is_not_waited_for() {
    let server = standin(Generation::SocketIo);
    let [own_session, bare] = ["setsid", "env -u FARADAY_AGENT_RUN setsid"]
        .map(|start| format!("{}; {start} sleep 600 & {}", print("10.0.0.2"), print("10.0.0.3")));
    let builder = agent(&server, &format!("{}; sleep 600 &", print("10.0.0.1")));
    let builder = builder.executor("own_session", &own_session, json!({})).executor("bare", &bare, json!({}));
    let _agent = join(&server, builder);
    let begin = Instant::now();
    let ids = ["e", "own_session", "bare"].map(|name| server.run(name, json!({}), &["ws1"])[0]);
    let statuses = ids.map(|id| server.wait_over(id, SOON));
    assert!(begin.elapsed() < Duration::from_secs(12), "{:?}", begin.elapsed());
    let killed = "a process that it left behind held its output open and was killed";
    let alive = "a process that it left behind, without the mark of its run, holds its output open and lives on";
    for (status, (name, hosts, rest)) in
        statuses.iter().zip([("e", "1 host", killed), ("own_session", "2 hosts", killed), ("bare", "2 hosts", alive)])
    {
        let expected =
            format!("Executor {name} from agent1 finished successfully: exit code 0; {hosts} delivered; {rest}");
        assert_eq!(status.message, expected);
    }
    ids.iter().for_each(|id| check_order(&server, *id, "ws1"));
}

#[test]
fn what_a_daemon_prints_during_the_grace_is_delivered() {
    let (server, _agent) = joined(&format!("(sleep 0.3; {}) &", print("10.0.0.1")));
    check_run(&server, &["10.0.0.1"], true, "exit code 0; 1 host delivered");
}

#[test]
fn an_executor_that_closes_its_output_is_waited_for() {
    let command = format!("{}; exec >&- 2>&-; {}; exit 5", print("10.0.0.1"), await_file("go"));
    let (server, agent) = joined(&command);
    let id = server.run("e", json!({}), &["ws1"])[0];
    server.wait_hosts("ws1", 1, SOON);
    assert_eq!(payloads(&server, id), [started(&[id])]);
    touch(&agent, "go");
    server.wait_over(id, SOON);
    assert_eq!(payloads(&server, id), [started(&[id]), ended(&[id], false, "exit code 5; 1 host delivered")]);
}

/// The agent blocks signals for itself; an executor that inherited that could be ended by SIGKILL alone.
#[test]
fn an_executor_starts_with_no_signal_blocked() {
    let (server, agent) = joined("exec grep SigBlk /proc/self/status > blocked");
    check_run(&server, &[], true, "exit code 0; 0 hosts delivered");
    let blocked = fs::read_to_string(agent.dir().join("blocked")).expect("the executor has written");
    assert_eq!(blocked.trim_end(), "SigBlk:\t0000000000000000");
}

/// As in any pipeline.
#[test]
fn an_executor_is_not_spared_sigpipe() {
    let (server, _agent) = joined("sh -c 'kill -PIPE $$; exit 0'; exit $?");
    check_run(&server, &[], false, "exit code 141; 0 hosts delivered");
}

/// Its three streams, the directory that is being listed, and what this test's own parent left open.
#[test]
fn an_executor_inherits_no_files_of_the_agent() {
    let (server, agent) = joined("exec ls -l /proc/self/fd > files");
    check_run(&server, &[], true, "exit code 0; 0 hosts delivered");
    let own = fs::read_dir("/proc/self/fd").expect("a directory").flatten();
    let own: Vec<String> =
        own.filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.display().to_string())).collect();
    let files = fs::read_to_string(agent.dir().join("files")).expect("the executor has written");
    let others = files.lines().filter_map(|line| line.split_once(" -> ")).filter(|(line, _)| {
        let number = line.rsplit(' ').next().unwrap_or_default();
        !["0", "1", "2"].contains(&number)
    });
    for (_, target) in others {
        assert!(target.starts_with("/proc/") || own.iter().any(|other| other == target), "{files}");
    }
}

/// Neither zombies nor descriptors nor journals.
#[test]
fn runs_that_are_over_leave_nothing_in_the_agent() {
    let (server, agent) = joined(&format!("{}; {}", print("10.0.0.1"), "sleep 0.01 &"));
    // None for an ordinary user, who may not look there.
    let files = || fs::read_dir(format!("/proc/{}/fd", agent.pid())).map_or(0, Iterator::count);
    run(&server);
    let files_before = files();
    (0..20).for_each(|_| drop(run(&server)));
    // A connection more or less may be kept for the next post.
    assert!(files() <= files_before + 4, "{} files, now {}", files_before, files());
    let deadline = Instant::now() + SOON;
    while children(agent.pid()).len() > 1 {
        assert!(Instant::now() < deadline, "the guard alone: {:?}", children(agent.pid()));
        std::thread::sleep(Duration::from_millis(5));
    }
    wait_no_journals(&agent);
}

/// Somebody has cleared the state directory under the agent, and put something else there.
#[test]
fn a_run_that_cannot_be_kept_waits_and_says_so() {
    let (server, agent) = joined(&format!("touch ran; {}", print("10.0.0.1")));
    let runs = agent.state_dir().join("runs");
    fs::remove_dir(&runs).expect("an empty directory");
    fs::write(&runs, "").expect("a directory of our own");
    let id = server.run("e", json!({}), &["ws1"])[0];
    let why = format!("waits: its journal cannot be made: {} is no directory", runs.display());
    let status = server.wait_status(id, |status| status.message.contains(&why), SOON);
    assert_eq!(status.running, Some(true));
    assert!(!agent.dir().join("ran").exists());
    fs::remove_file(&runs).expect("a file of our own");
    let status = server.wait_over(id, SOON);
    assert_eq!(status.message, ended(&[id], true, "exit code 0; 1 host delivered")["message"]);
    assert_eq!(server.host_ips("ws1"), ["10.0.0.1"]);
}

#[test]
fn fifty_runs_at_once_are_fifty_runs() {
    let server = standin(Generation::SocketIo);
    let agent = join(&server, agent(&server, &format!("{}; {}", print("10.0.0.1"), await_file("go"))));
    let ids: Vec<i64> = (0..50).map(|_| server.run("e", json!({}), &["ws1"])[0]).collect();
    server.wait_hosts("ws1", 50, SOON);
    touch(&agent, "go");
    for id in ids {
        server.wait_over(id, SOON);
        check_order(&server, id, "ws1");
    }
}

/// Whoever started the agent may have left it signals that are ignored. A SIGHUP that is ignored is so by nohup(1).
#[test]
fn signals_that_were_ignored_at_the_start_do_no_harm() {
    let server = standin(Generation::SocketIo);
    let binary = env!("CARGO_BIN_EXE_agent");
    let builder = agent(&server, &print("10.0.0.1"));
    let wrapper = builder.dir().join("wrapper");
    let builder = builder.script("wrapper", &format!("trap '' HUP TERM INT; exec {binary} \"$@\"")).binary(wrapper);
    let agent = join(&server, builder);
    agent.hang_up();
    check_run(&server, &["10.0.0.1"], true, "exit code 0; 1 host delivered");
    agent.terminate();
    assert_eq!(
        agent.wait_exit(SOON).code(),
        Some(0),
        "SIGTERM is how it is stopped, whatever its parent thought of it"
    );
}

/// The kernel tells nobody of children's ends then, and forgets how they ended.
#[test]
fn an_agent_that_cannot_see_its_children_end_does_not_start() {
    let server = standin(Generation::SocketIo);
    let binary = env!("CARGO_BIN_EXE_agent");
    let builder = agent(&server, "true");
    let wrapper = builder.dir().join("wrapper");
    // dash takes no trap on SIGCHLD to its children; perl is on every Debian.
    let ignore = format!("exec perl -e '$SIG{{CHLD}} = \"IGNORE\"; exec @ARGV' {binary} \"$@\"");
    let agent = builder.script("wrapper", &ignore).binary(wrapper).start();
    assert_eq!(agent.wait_exit(SOON).code(), Some(1), "{}", agent.log());
    assert!(agent.log().contains("SIGCHLD is ignored"), "{}", agent.log());
}

#[test]
fn an_executor_reads_nothing_from_the_agents_stdin() {
    let (server, _agent) = joined("cat; read -r line; exit $((line + 3))");
    check_run(&server, &[], false, "exit code 3; 0 hosts delivered");
}

#[test]
fn an_executor_has_a_group_of_its_own_and_the_agents_directory() {
    let (server, agent) = joined("[ \"$(ps -o pgid= -p $$)\" -eq $$ ] && pwd > where");
    check_run(&server, &[], true, "exit code 0; 0 hosts delivered");
    let place = fs::read_to_string(agent.dir().join("where")).expect("the executor has written");
    assert_eq!(place.trim_end(), agent.dir().display().to_string());
}

/// The environment that execve(2) was given, without what the agent's own environment holds already: that of this test, but
/// for three variables, and `PLAIN`.
fn added_environment(agent: &AgentProcess, name: &str) -> Vec<String> {
    let bytes = fs::read(agent.dir().join(name)).expect("an environment");
    let given: Vec<String> =
        bytes.split(|b| *b == 0).map(|entry| String::from_utf8_lossy(entry).into_owned()).collect();
    let changed = ["FARADAY_STANDIN_DIR", "HOME", "STATE_DIRECTORY"];
    let here = std::env::vars().filter(|(variable, _)| !changed.contains(&variable.as_str()));
    let mut own: Vec<String> = here.map(|(variable, value)| format!("{variable}={value}")).collect();
    own.extend(changed[..2].iter().map(|variable| format!("{variable}={}", agent.dir().display())));
    own.extend(["PLAIN=of the agent".to_owned(), String::new()]);
    let missing: Vec<&String> = own.iter().filter(|entry| !given.contains(entry)).collect();
    assert_eq!(missing, [""; 0], "all of the agent's own is there");
    let mut added: Vec<String> = given.into_iter().filter(|entry| !own.contains(entry)).collect();
    added.sort();
    added
}

#[test]
fn an_executor_gets_the_promised_environment_and_nothing_else() {
    let server = standin(Generation::SocketIo);
    let params = json!({
        "TARGET": param(true, "list"), "port": param(false, "integer"), "Deep": param(false, "boolean"),
        "off": param(false, "boolean"), "rate": param(false, "float"), "hosts": param(false, "domains"),
        "PORTS": param(false, "range"), "AT": param(false, "ip"), "url": param(false, "url"),
        "note": param(false, "string"), "secret": param(false, "password"), "absent": param(false, "string"),
        "null": param(false, "string"),
    });
    let entry = json!({
        "cmd": "cat /proc/$$/environ > given", "params": params, "varenvs": {"my_tool_home": "/opt/x y", "EMPTY": ""},
    });
    let agent = agent(&server, "true").executor_entry("e", entry).env("PLAIN", "of the agent");
    let agent = join(&server, agent);
    let args = json!({
        "TARGET": ["10.0.0.1", 5, "ü \"q\""], "port": 80, "Deep": true, "off": false, "rate": 0.5,
        "hosts": ["example.com"], "PORTS": "1-10", "AT": "2001:db8::1", "url": "https://example.com/?a=b&c",
        "note": "two\nlines; $(rm -rf x) 'quoted'", "secret": "hunter2", "null": null,
    });
    let plugin_args = json!({
        "ignore_info": true, "resolve_hostname": false, "vuln_tag": ["a", "b c"], "service_tag": [], "host_tag": null,
        "hostname_tag": ["h"], "min_severity": "low", "max_severity": "",
    });
    let id = server.run_with("e", args, &["ws1"], plugin_args)[0];
    let status = server.wait_over(id, SOON);
    assert_eq!(status.successful, Some(true), "{}", status.message);
    let expected = [
        "AGENT_CONFIG_HOSTNAME_TAG=h",
        "AGENT_CONFIG_IGNORE_INFO=True",
        "AGENT_CONFIG_MIN_SEVERITY=low",
        "AGENT_CONFIG_RESOLVE_HOSTNAME=False",
        "AGENT_CONFIG_VULN_TAG=a,b c",
        "EMPTY=",
        "EXECUTOR_CONFIG_AT=2001:db8::1",
        "EXECUTOR_CONFIG_DEEP=True",
        "EXECUTOR_CONFIG_HOSTS=[\"example.com\"]",
        "EXECUTOR_CONFIG_NOTE=two\nlines; $(rm -rf x) 'quoted'",
        "EXECUTOR_CONFIG_OFF=False",
        "EXECUTOR_CONFIG_PORT=80",
        "EXECUTOR_CONFIG_PORTS=1-10",
        "EXECUTOR_CONFIG_RATE=0.5",
        "EXECUTOR_CONFIG_SECRET=hunter2",
        "EXECUTOR_CONFIG_TARGET=[\"10.0.0.1\",5,\"ü \\\"q\\\"\"]",
        "EXECUTOR_CONFIG_URL=https://example.com/?a=b&c",
        &format!("FARADAY_AGENT={}", env!("CARGO_BIN_EXE_agent")),
        "MY_TOOL_HOME=/opt/x y",
    ];
    let mut added = added_environment(&agent, "given");
    for mark in ["FARADAY_AGENT_INSTANCE=", "FARADAY_AGENT_RUN="] {
        let at = added.iter().position(|entry| entry.starts_with(mark));
        assert!(at.is_some_and(|at| added.remove(at).ends_with(|c: char| c.is_ascii_hexdigit())), "{mark}");
    }
    assert_eq!(added, expected);
    let command = server.posts("ws1")[0].json()["command"].clone();
    let shown = "TARGET=[\"10.0.0.1\",5,\"ü \\\"q\\\"\"], port=80, Deep=True, off=False, rate=0.5, hosts=[\"example.com\"], \
                 PORTS=1-10, AT=2001:db8::1, url=https://example.com/?a=b&c, note=two\nlines; $(rm -rf x) 'quoted'";
    assert_eq!(command["params"], shown);
}

/// Over the agent's environment, over arguments and over options.
#[test]
fn varenvs_win() {
    let server = standin(Generation::SocketIo);
    let varenvs = json!({"plain": "v1", "executor_config_target": "v2", "AGENT_CONFIG_IGNORE_INFO": "v3"});
    let command = "printf '%s %s %s' \"$PLAIN\" \"$EXECUTOR_CONFIG_TARGET\" \"$AGENT_CONFIG_IGNORE_INFO\" > given";
    let entry = json!({"cmd": command, "params": {"TARGET": param(true, "string")}, "varenvs": varenvs});
    let agent = join(&server, agent(&server, "true").executor_entry("e", entry).env("PLAIN", "of the agent"));
    let plugin_args = json!({"ignore_info": true});
    let id = server.run_with("e", json!({"TARGET": "x"}), &["ws1"], plugin_args)[0];
    server.wait_over(id, SOON);
    assert_eq!(fs::read_to_string(agent.dir().join("given")).expect("written"), "v1 v2 v3");
}

#[test]
fn runs_above_max_concurrent_runs_wait_in_order_and_say_so() {
    let server = standin(Generation::SocketIo);
    let command = format!("echo $EXECUTOR_CONFIG_N >> order; {}", await_file("go$EXECUTOR_CONFIG_N"));
    let builder = AgentProcess::builder(&server)
        .executor("e", &command, json!({"N": param(true, "integer")}))
        .option("agent.max_concurrent_runs", 1);
    let agent = join(&server, builder);
    let ids: Vec<i64> = (0..3).map(|n| server.run("e", json!({"N": n}), &["ws1"])[0]).collect();
    for id in &ids[1..] {
        server.wait_status(*id, |status| status.message.contains("waits for a place"), SOON);
    }
    for (n, id) in ids.iter().enumerate() {
        server.wait_status(*id, |status| status.message == "Running e executor from agent1 agent", SOON);
        touch(&agent, &format!("go{n}"));
        server.wait_over(*id, SOON);
    }
    assert_eq!(fs::read_to_string(agent.dir().join("order")).expect("written"), "0\n1\n2\n");
    let waits = |id: i64| {
        let mut waits = started(&[id]);
        waits["message"] = json!("Executor e from agent1 waits for a place: max_concurrent_runs are running");
        waits
    };
    let end = |id: i64| ended(&[id], true, "exit code 0; 0 hosts delivered");
    assert_eq!(payloads(&server, ids[0]), [started(&[ids[0]]), end(ids[0])]);
    for id in ids[1..].iter().copied() {
        assert_eq!(payloads(&server, id), [waits(id), started(&[id]), end(id)]);
    }
}

#[test]
fn an_official_executor_runs_after_its_checks_and_a_failing_check_is_the_message() {
    let server = standin(Generation::SocketIo);
    let builder = AgentProcess::builder(&server)
        .executor_entry("scan", json!({"repo_executor": "nmap.py", "repo_name": "Nmap"}))
        .script("nmap", "echo checking >&2; exit 9");
    let path = format!("{}:/usr/bin:/bin", builder.dir().display());
    let _agent = join(&server, builder.env("PATH", &path));
    let offered: Value = server.joins()[0].executors[0].clone();
    assert_eq!(
        (&offered["tool"], &offered["category"]),
        (&json!("nmap"), &json!(["Network and Vulnerability Scanners"]))
    );
    let id = server.run("scan", json!({"TARGET": ["127.0.0.1"]}), &["ws1"])[0];
    let status = server.wait_over(id, SOON);
    let expected = "Executor scan from agent1 failed: its check `nmap --version` failed with exit code 9; its last words on \
                    stderr: checking";
    assert_eq!((status.successful, status.message.as_str()), (Some(false), expected));
    assert_eq!(payloads(&server, id).len(), 1, "it never ran");
    assert_eq!(server.posts("ws1").len(), 0);
}

/// Waits until no more processes are left than there were.
#[track_caller]
fn wait_descendants(agent: &AgentProcess, count: usize) {
    let deadline = Instant::now() + SOON;
    while agent.descendants().len() > count {
        assert!(Instant::now() < deadline, "still running: {:?}", agent.descendants());
        std::thread::sleep(Duration::from_millis(5));
    }
}
