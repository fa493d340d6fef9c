//! Another user of this host, and the six digits by which an agent registers: he sees them for an instant at most, and no program
//! that the agent starts gets them.
//!
//! | what                                           | test |
//! |------------------------------------------------|------|
//! | arguments are everybody's to read in /proc     | `the_digits_are_gone_from_arguments_and_environment_before_anything_is_sent` |
//! | the same where that cannot be                  | `where_it_cannot_be_executed_anew_it_warns_and_hands_the_digits_to_nobody` |
//! | other ways to hand them over                   | `the_digits_may_come_from_a_file_or_stdin` |
//! | a file that holds something else, or is open   | `a_file_without_digits_is_named_and_not_quoted`, `a_file_of_digits_that_others_can_read_is_warned_of` |

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::rig::{agent, join, run, side_by_side, standin};
use crate::support::{AgentBuilder, AgentProcess, Endpoint, Fault, Generation, SOON, Standin};

const VARIABLE: &str = "FARADAY_AGENT_REGISTRATION_TOKEN";
const DIGITS: &str = "490217";

/// A server that takes these digits.
fn server() -> Standin {
    let server = standin(Generation::SocketIo);
    server.set_registration_token(DIGITS);
    server
}

/// An agent that has no token yet, and is told of none.
fn unregistered(server: &Standin, command: &str) -> AgentBuilder {
    agent(server, command).option("tokens", json!({}))
}

/// Empty where an ordinary user may not read it.
fn of_process(pid: u32, file: &str) -> String {
    let text = match fs::read(format!("/proc/{pid}/{file}")) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Vec::new(),
        text => text.expect("it runs"),
    };
    String::from_utf8_lossy(&text).replace('\0', " ")
}

#[track_caller]
fn check_hidden(agent: &AgentProcess) {
    for pid in agent.descendants().into_iter().chain([agent.pid()]) {
        for file in ["cmdline", "environ"] {
            let text = of_process(pid, file);
            assert!(!text.contains(DIGITS) && !text.contains(VARIABLE), "{file} of {pid}: {text}");
        }
    }
}

#[test]
fn the_digits_are_gone_from_arguments_and_environment_before_anything_is_sent() {
    type Give = fn(AgentBuilder) -> AgentBuilder;
    let ways: [Give; 3] = [
        |agent| agent.arg("--token").arg(DIGITS),
        |agent| agent.arg(&format!("--token={DIGITS}")),
        |agent| agent.env(VARIABLE, DIGITS),
    ];
    side_by_side(ways, |give| {
        let server = server();
        let held = server.inject(Fault::hang().on(Endpoint::Info));
        let agent = give(unregistered(&server, "env > environment")).start();
        server.wait_for("a first request", SOON, |state| (state.faults.hits(held) > 0).then_some(()));
        check_hidden(&agent);
        assert!(of_process(agent.pid(), "cmdline").contains("--token-file -"), "it is the process that was started");
        server.clear_faults();
        server.release();
        server.wait_joined(SOON);
        run(&server);
        let environment = fs::read_to_string(agent.dir().join("environment")).expect("the executor wrote it");
        assert!(environment.contains("FARADAY_AGENT_RUN=") && !environment.contains(VARIABLE), "{environment}");
        check_hidden(&agent);
        assert!(!agent.log().contains("[WARN]"), "{}", agent.log());
        assert_eq!(server.look(|state| state.agents.len()), 2, "it registered");
    });
}

/// Its file is gone when it starts.
#[test]
fn where_it_cannot_be_executed_anew_it_warns_and_hands_the_digits_to_nobody() {
    let server = server();
    let script =
        format!("cp {} gone && exec 3< gone && rm gone && exec /proc/self/fd/3 \"$@\"", env!("CARGO_BIN_EXE_agent"));
    let builder = unregistered(&server, "env > environment").script("start", &script).env(VARIABLE, DIGITS);
    let starter = builder.dir().join("start");
    let agent = join(&server, builder.binary(starter));
    let line = agent.wait_log("cannot be executed anew", SOON);
    assert!(line.contains("[WARN]") && line.contains("--token-file") && !line.contains(DIGITS), "{line}");
    run(&server);
    let environment = fs::read_to_string(agent.dir().join("environment")).expect("the executor wrote it");
    assert!(environment.contains("FARADAY_AGENT_RUN=") && !environment.contains(VARIABLE), "{environment}");
    assert_eq!(server.look(|state| state.agents.len()), 2, "it registered");
}

#[test]
fn the_digits_may_come_from_a_file_or_stdin() {
    side_by_side(["file", "stdin", "pipe"], |way| {
        let server = server();
        let builder = unregistered(&server, "true").file("digits", format!("{DIGITS}\n")).arg("--token-file");
        fs::set_permissions(builder.dir().join("digits"), Permissions::from_mode(0o600)).expect("ours");
        let script = format!("exec {} \"$@\"", env!("CARGO_BIN_EXE_agent"));
        let builder = match way {
            "file" => builder.arg("digits").script("start", &script),
            "stdin" => builder.arg("-").script("start", &format!("{script} < digits")),
            _ => builder.arg("/dev/fd/3").script("start", &format!("cat digits | {{ {script} 3<&0 < /dev/null; }}")),
        };
        let starter = builder.dir().join("start");
        let agent = join(&server, builder.binary(starter));
        assert_eq!(server.look(|state| state.agents.len()), 2, "{way}: it registered");
        assert!(!agent.log().contains("[WARN]"), "{way}: {}", agent.log());
    });
}

#[test]
fn a_file_without_digits_is_named_and_not_quoted() {
    let server = server();
    let six = "expected the six digits that the server shows for new agents";
    for (content, words) in
        [(Some("hunter2\n"), six), (Some(""), six), (Some("4902170\n"), six), (None, "No such file or directory")]
    {
        let builder = unregistered(&server, "true");
        let path = builder.dir().join("digits").display().to_string();
        let builder = match content {
            Some(content) => builder.file("digits", content),
            None => builder,
        };
        let agent = builder.arg("--token-file").arg(&path).start();
        assert_eq!(agent.wait_exit(SOON).code(), Some(2), "{content:?}");
        let log = agent.log();
        let last = log.lines().last().unwrap_or_default();
        assert!(last.contains(&format!("[ERROR] --token-file {path}: {words}")), "{log}");
        assert!(!log.contains("hunter2") && !log.contains("4902170"), "{log}");
    }
    assert_eq!(server.requests(), []);
}

#[test]
fn a_file_of_digits_that_others_can_read_is_warned_of() {
    let server = server();
    let builder = unregistered(&server, "true").file("digits", DIGITS);
    let path = builder.dir().join("digits");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("ours");
    let path = path.display().to_string();
    let agent = join(&server, builder.arg("--token-file").arg(&path));
    let line = agent.wait_log("can be read by others (mode 0644", SOON);
    assert!(line.contains("[WARN]") && line.ends_with(&format!("chmod 600 {path}")), "{line}");
}
