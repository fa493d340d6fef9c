//! The binary's face: exit status, and what it says on which stream.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const LINE_WITHIN: Duration = Duration::from_secs(30);

fn agent(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agent"));
    command.args(words).stdin(Stdio::null());
    command
}

fn output(words: &[&str]) -> Output {
    agent(words).output().expect("the agent starts")
}

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/config/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A directory for one test alone, empty.
fn scratch(test: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("a directory");
    path
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

/// Exit status, stdout and stderr.
fn said(output: &Output) -> (Option<i32>, &str, &str) {
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// What `wrong.yaml` is told, after the words that name the file.
const WRONG: [&str; 8] = [
    r#"server.api_port: "abc" is not a port (1 to 65535)"#,
    "tokens.agent: the value (not shown) is not 64 letters and digits",
    "agent.agent_name: missing; expected a name",
    r#"agent.executors."my nmap": an executor's name must not be empty or have spaces in it"#,
    r#"agent.executors."my nmap".params.TARGET.mandatory: "maybe" is not true or false"#,
    r#"agent.executors."my nmap".params.TARGET.type[1]: "strng" is not a type (integer, string, password, boolean, list, domains, range, ip, float or url)"#,
    r#"agent.executors."my nmap".params.TARGET.base: missing; expected a text"#,
    "agent.executors.nothing: expected cmd (a command) or repo_executor (such as nmap.py)",
];

#[test]
fn version_and_help_go_to_stdout_with_status_0() {
    let version = format!("agent {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(said(&output(&["--version"])), (Some(0), version.as_str(), ""));
    for words in [&["--help"][..], &["-h"], &["report", "--help"]] {
        let help = output(words);
        let (status, stdout, stderr) = said(&help);
        assert_eq!((status, stderr), (Some(0), ""), "{words:?}");
        assert!(stdout.starts_with("Usage: agent ") && stdout.ends_with('\n'), "{stdout}");
    }
}

#[test]
fn mistakes_on_the_command_line_are_one_line_with_status_2() {
    let hint = "(agent --help lists the options)";
    let config = fixture("wizard-2.x.yaml");
    let table: &[(&[&str], &str)] = &[
        (&[], "--config PATH is missing"),
        (&["--colour"], "Unrecognized argument: --colour"),
        (
            &["--config", &config, "--token", "12345"],
            "--token: expected the six digits that the server shows for new agents",
        ),
        (&["report"], "Required options not provided: --tool"),
    ];
    for (words, expected) in table {
        let expected = format!("agent: {expected} {hint}\n");
        assert_eq!(said(&output(words)), (Some(2), "", expected.as_str()), "{words:?}");
    }
}

#[test]
fn every_problem_of_a_configuration_is_a_line_with_status_2() {
    let path = fixture("wrong.yaml");
    let mut expected = format!(
        "agent: reading {path}: warning: server.web_socket_port: unknown key, not read; did you mean websocket_port?\n"
    );
    for problem in WRONG {
        expected += &format!("agent: reading {path}: {problem}\n");
    }
    assert_eq!(said(&output(&["--config", &path])), (Some(2), "", expected.as_str()));
}

#[test]
fn a_configuration_that_is_not_there_or_no_yaml_is_a_line_with_status_2() {
    let missing = "agent: reading /no/such.yaml: No such file or directory (os error 2)\n";
    assert_eq!(said(&output(&["--config", "/no/such.yaml"])), (Some(2), "", missing));

    let path = scratch("no-yaml").join("dispatcher.yaml");
    fs::write(&path, "server:\n\thost: hunter2\n").expect("a file");
    let wrong = output(&["--config", path.to_str().expect("UTF-8")]);
    let (status, _, stderr) = said(&wrong);
    let start = format!("agent: reading {}: line 2, column 2: not YAML: ", path.display());
    assert!(status == Some(2) && stderr.starts_with(&start), "{stderr}");
    assert!(stderr.lines().count() == 1 && !stderr.contains("hunter2"), "{stderr}");
}

#[test]
fn a_log_file_is_private_and_added_to() {
    let file = scratch("log-file").join("agent.log");
    let log_file = file.to_str().expect("UTF-8");
    for _ in 0..2 {
        let wrong = output(&["--config", &fixture("wrong.yaml"), "--log-file", log_file]);
        assert_eq!(wrong.status.code(), Some(2));
        assert_eq!(text(&wrong.stderr).lines().count(), 1 + WRONG.len());
    }
    let mode = fs::metadata(&file).expect("the log").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let log = fs::read_to_string(&file).expect("the log");
    assert_eq!(log.lines().count(), 2 * WRONG.len(), "{log}");
    for (line, problem) in log.lines().zip(WRONG.iter().cycle()) {
        assert!(line.contains("Z [ERROR] reading ") && line.ends_with(problem), "{line}");
    }
}

#[test]
fn a_log_file_that_cannot_be_written_is_a_line_with_status_2() {
    let words = ["--config", &fixture("wizard-2.x.yaml"), "--log-file", "/no/such/agent.log"];
    let expected = "agent: writing the log to /no/such/agent.log: No such file or directory (os error 2)\n";
    assert_eq!(said(&output(&words)), (Some(2), "", expected));
}

#[test]
fn a_key_that_nobody_knows_is_a_warning_in_the_log() {
    let directory = scratch("unknown-key");
    let path = directory.join("dispatcher.yaml");
    let config = format!(
        "server: {{host: 127.0.0.1, api_port: 1, ssl: no, websocket-port: 2}}\n\
         agent: {{agent_name: a, state_dir: {}, executors: {{e: {{cmd: 'true'}}}}}}\n",
        directory.display()
    );
    fs::write(&path, config).expect("a file");
    let expected = format!(
        "Z [WARN] reading {}: server.websocket-port: unknown key, not read; did you mean websocket_port?",
        path.display()
    );

    let mut child = agent(&["--config", path.to_str().expect("UTF-8"), "--token", "123456"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the agent starts");
    let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    let (line, first_line) = mpsc::channel();
    std::thread::spawn(move || line.send(stderr.lines().next()));
    let found = first_line.recv_timeout(LINE_WITHIN);
    child.kill().expect("the agent ends");
    child.wait().expect("the agent ends");
    let found = found.expect("a line in time").expect("a line").expect("UTF-8");
    assert!(found.ends_with(&expected), "{found}");
}
