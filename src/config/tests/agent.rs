//! The section `agent`, and warnings everywhere.

use super::*;

#[test]
fn every_agent_key() {
    let usual = agent(AGENT);
    assert_eq!((usual.name.as_str(), usual.description.as_str()), ("a", ""));
    assert_eq!((usual.state_dir, usual.concurrent_runs_max, usual.waiting_runs_max), (None, Some(64), 256));
    assert_eq!(usual.stop_grace, Duration::from_secs(10));
    assert_eq!((usual.sync_after, usual.delivery_grace), (Duration::from_secs(1), Duration::from_secs(60)));
    assert_eq!((usual.journal_bytes_max, usual.retry_max), (4 << 30, Duration::from_secs(7 * 86_400)));

    let told = agent(
        "agent_name: 'a / b', description: d, executors: {e: {cmd: x}}, state_dir: /s, max_concurrent_runs: '4', waiting_runs_max: 0, \
         stop_grace_s: 0.5, sync_ms: 0, journal_bytes_max: '1048576', delivery_grace_s: 5, retry_days: 0.5",
    );
    assert_eq!((told.name.as_str(), told.description.as_str()), ("a / b", "d"));
    assert_eq!((told.state_dir, told.concurrent_runs_max), (Some(PathBuf::from("/s")), Some(4)));
    assert_eq!(told.waiting_runs_max, 0);
    assert_eq!(agent("agent_name: a, executors: {e: {cmd: x}}, max_concurrent_runs: 0").concurrent_runs_max, None);
    assert_eq!(told.stop_grace, Duration::from_millis(500));
    assert_eq!((told.sync_after, told.delivery_grace), (Duration::ZERO, Duration::from_secs(5)));
    assert_eq!((told.journal_bytes_max, told.retry_max), (1 << 20, Duration::from_secs(43_200)));
}

#[test]
fn what_is_wrong_with_an_agent() {
    check_problems(
        in_agent,
        &[
            (
                "",
                &[
                    "agent.agent_name: missing; expected a name",
                    "agent.executors: missing; expected a mapping of names to executors",
                ],
            ),
            ("agent_name: ' ', executors: {}", &["agent.agent_name: \" \" is not a name"]),
            ("agent_name: \"a\\nb\", executors: {}", &["agent.agent_name: \"a\\nb\" is not a name"]),
            (
                "agent_name: a, executors: [nmap]",
                &["agent.executors: a list where a mapping of keys to values is expected"],
            ),
            (
                "agent_name: a, executors: {'my nmap': {cmd: x}, '': {cmd: x}, n: x}",
                &[
                    "agent.executors.\"my nmap\": an executor's name must not be empty or have spaces in it",
                    "agent.executors.\"\": an executor's name must not be empty or have spaces in it",
                    "agent.executors.n: a text where a mapping of keys to values is expected",
                ],
            ),
            (
                "agent_name: a, executors: {}, description: [d], state_dir: {}, max_concurrent_runs: -1, \
                 waiting_runs_max: no, stop_grace_s: -1, \
                 sync_ms: x, journal_bytes_max: 1000, delivery_grace_s: -1, retry_days: 0",
                &[
                    "agent.description: a list is not a text",
                    "agent.state_dir: a mapping is not a path",
                    "agent.max_concurrent_runs: \"-1\" is not a whole number (0 is no limit)",
                    "agent.waiting_runs_max: \"no\" is not a whole number",
                    "agent.stop_grace_s: \"-1\" is not a number of seconds (0 to 31622400)",
                    "agent.sync_ms: \"x\" is not a number of milliseconds (0 to 31622400000)",
                    "agent.journal_bytes_max: \"1000\" is not a whole number of bytes (at least 1048576)",
                    "agent.delivery_grace_s: \"-1\" is not a number of seconds (0 to 31622400)",
                    "agent.retry_days: \"0\" is not a number of days (more than 0, at most 366)",
                ],
            ),
        ],
    );
}

#[test]
fn what_deserves_a_warning() {
    check_warnings(
        in_executor,
        &[
            ("cmd: x, tiemout_s: 1", &["agent.executors.e.tiemout_s: unknown key, not read; did you mean timeout_s?"]),
            ("cmd: x, repo_executor: nmap", &["agent.executors.e.cmd: not used, because there is a repo_executor"]),
            ("cmd: x, cmd: y", &["agent.executors.e.cmd: given more than once; the last one counts"]),
            (
                "cmd: x, params: {T: {mandatory: no, type: ip, base: s, comment: s}}",
                &["agent.executors.e.params.T.comment: unknown key, not read; known here: mandatory, type, base"],
            ),
            (
                "cmd: x, params: {T: {mandatory: no, type: ip, base: s, basis: s}}",
                &["agent.executors.e.params.T.basis: unknown key, not read; did you mean base?"],
            ),
            (
                "cmd: x, varenvs: {a: 1, A: 2}",
                &[
                    "agent.executors.e.varenvs.A: another key becomes the same environment variable A; the last one counts",
                ],
            ),
        ],
    );
    check_warnings(
        in_agent,
        &[
            ("agent_name: a, executors: {}", &["agent.executors: empty; the server will have nothing to run here"]),
            ("agent_name: a, executors: ", &["agent.executors: empty; the server will have nothing to run here"]),
            (
                "agent_name: a, executors: {e: {cmd: x}}, descripcion: d",
                &["agent.descripcion: unknown key, not read; did you mean description?"],
            ),
        ],
    );
    check_warnings(
        |section| format!("{}{section}", file(SERVER, AGENT)),
        &[
            ("", &[]),
            ("tokens: {agnet: x}", &["tokens.agnet: unknown key, not read; did you mean agent?"]),
            ("token: {}", &["token: unknown key, not read; did you mean tokens?"]),
            ("plugins: {}", &["plugins: unknown key, not read; known here: server, tokens, agent"]),
        ],
    );
}

#[test]
fn of_a_key_given_twice_the_last_counts() {
    let text = file(SERVER, "agent_name: a, executors: {e: {cmd: x}, e: {cmd: y}}");
    let (settings, warnings) = parse(&text).expect("settings");
    assert_eq!(settings.agent.executors.len(), 1);
    assert_eq!(settings.agent.executors[0].program, Program::Command("y".into()));
    assert_eq!(lines(&warnings), ["agent.executors.e: given more than once; the last one counts"]);
}
