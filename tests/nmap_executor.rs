//! The official nmap executor as the agent runs it (`/bin/sh -c`, a process group of its own), with a fake nmap that does
//! what each test says; where that is asked for, with the real one.

#[path = "nmap_executor/attacks.rs"]
mod attacks;
#[path = "support/mod.rs"]
mod support;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};

use faraday_agent::official::{self, AGENT_VARIABLE};
use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use serde_json::Value;

const AGENT: &str = env!("CARGO_BIN_EXE_agent");

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nmap")
}

/// One run of the executor and a folder of its own.
struct Run {
    command: Command,
    folder: PathBuf,
}

/// How a run ended and what it said.
struct Outcome {
    status: ExitStatus,
    documents: String,
    messages: String,
}

impl Run {
    /// A run of `shell -c` in which nmap is the fake, which does what `nmap_does` says in `sh`.
    fn in_shell(shell: &str, test: &str, nmap_does: &str) -> Run {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("nmap-{test}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let mut command = Command::new(shell);
        command
            .arg("-c")
            .arg(official::find("nmap.py").unwrap().script)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", fixtures().join("bin").display()))
            .env(AGENT_VARIABLE, AGENT)
            .env("FAKE_NMAP_ARGUMENTS", folder.join("arguments"))
            .env("FAKE_NMAP_DOES", nmap_does)
            .env("FIXTURES", fixtures())
            .env("GATE", folder.join("gate"))
            .current_dir(&folder)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Run { command, folder }
    }

    fn new(test: &str, nmap_does: &str) -> Run {
        Run::in_shell("/bin/sh", test, nmap_does)
    }

    fn with(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Run {
        self.command.env(name, value);
        self
    }

    fn target(self, list: &str) -> Run {
        self.with("EXECUTOR_CONFIG_TARGET", list)
    }

    fn start(mut self) -> Started {
        let mut child = self.command.spawn().unwrap();
        let documents = BufReader::new(child.stdout.take().unwrap());
        let messages = child.stderr.take().unwrap();
        Started { child, documents, messages }
    }

    fn finish(self) -> Outcome {
        self.start().finish()
    }

    /// What the fake was called with, one argument a line; `None` if it was not called.
    fn arguments(self) -> Option<String> {
        let path = self.folder.join("arguments");
        self.finish();
        fs::read_to_string(path).ok()
    }
}

struct Started {
    child: Child,
    documents: BufReader<ChildStdout>,
    messages: ChildStderr,
}

impl Started {
    fn next_document(&mut self) -> Value {
        let mut line = String::new();
        self.documents.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    /// Both streams end when the last process that holds them has ended.
    fn finish(mut self) -> Outcome {
        let (mut documents, mut messages) = (String::new(), String::new());
        self.documents.read_to_string(&mut documents).unwrap();
        self.messages.read_to_string(&mut messages).unwrap();
        Outcome { status: self.child.wait().unwrap(), documents, messages }
    }
}

const ONE_HOST: &str = r#"cat "$FIXTURES/nmap_0port.xml""#;
const ENDLESS: &str = r#"
    echo '<nmaprun><host><address addr="10.0.0.1" addrtype="ipv4"/></host>'
    echo '<host><address addr="10.0.0.2" addrtype="ipv4"/></host>'
    exec sleep 1000"#;

#[test]
fn arguments_become_nmaps_options() {
    let cases: [(&[(&str, &str)], &str); 14] = [
        (&[("TARGET", r#"["127.0.0.1"]"#)], "-oX - -- 127.0.0.1"),
        (&[("TARGET", r#"["10.0.0.1", "10.0.0.0/24", "host.example"]"#)], "-oX - -- 10.0.0.1 10.0.0.0/24 host.example"),
        (&[("TARGET", r#"["a"]"#), ("PORT_LIST", r#"["80", 443, "1-5", "U:53"]"#)], "-p80,443,1-5,U:53 -oX - -- a"),
        (
            &[("TARGET", r#"["a"]"#), ("OPTION_SC", "False"), ("OPTION_SV", "True"), ("OPTION_PN", "False")],
            "-sV -oX - -- a",
        ),
        (&[("TARGET", r#"["a"]"#), ("OPTION_SC", "True"), ("OPTION_PN", "True")], "-sC -Pn -oX - -- a"),
        (
            &[("TARGET", r#"["a"]"#), ("SCRIPT_TIMEOUT", "5"), ("HOST_TIMEOUT", "7"), ("TOP_PORTS", "100")],
            "--top-ports 100 --script-timeout 5s --host-timeout 7s -oX - -- a",
        ),
        (&[("TARGET", r#"["a"]"#), ("SCRIPT_CMD", "vulners,default")], "--script=vulners,default -oX - -- a"),
        (&[("TARGET", r#"["::1", "2001:db8::/64", "six.example"]"#)], "-6 -oX - -- ::1 2001:db8::/64 six.example"),
        // Older manifests: a text for a list, a list for a text.
        (
            &[("TARGET", "10.0.0.1"), ("PORT_LIST", "1-1024"), ("TOP_PORTS", r#"["10"]"#)],
            "-p1-1024 --top-ports 10 -oX - -- 10.0.0.1",
        ),
        // nmap gets the host of a URL.
        (
            &[(
                "TARGET",
                r#"["http://a.example/x?y#z", "HTTPS://u:p@b.example:8443", "http://10.0.0.1:80/http://c/@d"]"#,
            )],
            "-oX - -- a.example b.example 10.0.0.1",
        ),
        (&[("TARGET", r#"["https://[2001:db8::1]:8443/", "http://[::1]"]"#)], "-6 -oX - -- 2001:db8::1 ::1"),
        // Nothing turns into something else: options, file names, commands.
        (&[("TARGET", r#"["-oN", "*", "$(id)", "; id"]"#)], "-oX - -- -oN * $(id) ; id"),
        (&[("TARGET", "-iL")], "-oX - -- -iL"),
        (
            &[("TARGET", r#"["a", "", "\""]"#), ("PORT_LIST", "[]"), ("SCRIPT_CMD", ""), ("TOP_PORTS", "")],
            "-oX - -- a \"",
        ),
    ];
    for shell in ["/bin/sh", "/bin/bash"].into_iter().filter(|shell| Path::new(shell).exists()) {
        for (number, (arguments, expected)) in cases.iter().enumerate() {
            let mut run = Run::in_shell(shell, &format!("arguments-{number}"), ONE_HOST);
            for (name, value) in *arguments {
                run = run.with(&format!("EXECUTOR_CONFIG_{name}"), value);
            }
            let called = run.arguments().unwrap_or_else(|| panic!("{shell}: {arguments:?}: nmap was not called"));
            assert_eq!(called.trim_end().replace('\n', " "), *expected, "{shell}: {arguments:?}");
        }
    }
}

#[test]
fn an_argument_with_blanks_stays_one_argument() {
    let run = Run::new("blanks", ONE_HOST).target(r#"["a b"]"#).with("EXECUTOR_CONFIG_SCRIPT_CMD", "default and safe");
    assert_eq!(run.arguments().unwrap(), "--script=default and safe\n-oX\n-\n--\na b\n");
}

#[test]
fn arguments_that_make_no_scan_are_refused_before_nmap_starts() {
    for (number, (target, ports, says)) in [
        ("", "", "TARGET names nothing to scan"),
        ("[]", "", "TARGET names nothing to scan"),
        (r#"[""]"#, "", "TARGET names nothing to scan"),
        ("[1,", "", "TARGET is not a list"),
        ("[null]", "", "TARGET is not a list"),
        (r#"["a\n-oN"]"#, "", "TARGET is not a list"),
        (r#"["a"]"#, "[[1]]", "PORT_LIST is not a list"),
        (r#"["10.0.0.1", "::1"]"#, "", "IPv4 (10.0.0.1) and IPv6 (::1)"),
    ]
    .into_iter()
    .enumerate()
    {
        let run = Run::new(&format!("refused-{number}"), ONE_HOST);
        let arguments = run.folder.join("arguments");
        let outcome = run.target(target).with("EXECUTOR_CONFIG_PORT_LIST", ports).finish();
        assert_eq!(outcome.status.code(), Some(2), "{target}: {}", outcome.messages);
        assert!(outcome.messages.contains(says), "{target}: {}", outcome.messages);
        assert!(!arguments.exists(), "{target}: nmap was called");
    }
}

#[test]
fn a_scan_becomes_documents() {
    let outcome = Run::new("documents", r#"cat "$FIXTURES/odd_hosts.xml""#).target(r#"["x"]"#).finish();
    assert_eq!(outcome.status.code(), Some(0), "{}", outcome.messages);
    assert_eq!(outcome.documents, fs::read_to_string(fixtures().join("odd_hosts.jsonl")).unwrap());
}

#[test]
fn the_exit_status_is_that_of_who_failed() {
    for (number, (nmap_does, code, says)) in [
        (r#"cat "$FIXTURES/nmap_0port.xml""#, 0, ""),
        (r#"cat "$FIXTURES/nmap_0port.xml"; echo why >&2; exit 3"#, 3, "why"),
        ("echo '<nmaprun>'; exit 4", 4, "ends in the middle"),
        ("echo '<nmaprun>'", 1, "ends in the middle"),
        ("exit 255", 255, "the report is empty"),
        ("echo usage", 1, "not XML, it begins with \"usage\""),
        // Writes on after the converter has failed, until SIGPIPE.
        ("echo '<other>'; while echo '<x/>'; do :; done 2>/dev/null; kill -PIPE $$", 1, "outermost element is <other>"),
        ("echo '<nmaprun>'; kill -KILL $$", 137, "ends in the middle"),
    ]
    .into_iter()
    .enumerate()
    {
        let outcome = Run::new(&format!("status-{number}"), nmap_does).target(r#"["x"]"#).finish();
        assert_eq!(outcome.status.code(), Some(code), "{nmap_does}: {}", outcome.messages);
        assert!(outcome.messages.contains(says), "{nmap_does}: {}", outcome.messages);
    }
}

#[test]
fn without_nmap_the_status_is_127() {
    let outcome = Run::new("missing", "").with("PATH", "/nonexistent").target(r#"["x"]"#).finish();
    assert_eq!(outcome.status.code(), Some(127));
    assert!(outcome.messages.contains("nmap is not installed"), "{}", outcome.messages);
    let outcome = Run::new("no-agent", "").with(AGENT_VARIABLE, "/nonexistent/agent").target(r#"["x"]"#).finish();
    assert_eq!(outcome.status.code(), Some(127));
    assert!(outcome.messages.contains("set FARADAY_AGENT"), "{}", outcome.messages);
}

#[test]
fn the_agent_is_found_in_path_without_the_variable() {
    let mut run = Run::new("in-path", ONE_HOST).target(r#"["x"]"#);
    let folder = Path::new(AGENT).parent().unwrap();
    run.command.env_remove(AGENT_VARIABLE);
    let path = format!("{}:{}:/usr/bin:/bin", fixtures().join("bin").display(), folder.display());
    let outcome = run.with("PATH", path).finish();
    assert_eq!(outcome.status.code(), Some(0), "{}", outcome.messages);
    assert_eq!(outcome.documents.lines().count(), 1);
}

#[test]
fn a_host_arrives_while_nmap_still_scans() {
    let does = r#"
        echo '<nmaprun><host><address addr="10.0.0.1" addrtype="ipv4"/></host>'
        read -r _ <"$GATE"
        echo '<host><address addr="10.0.0.2" addrtype="ipv4"/></host></nmaprun>'"#;
    let run = Run::new("streaming", does).target(r#"["x"]"#);
    let gate = run.folder.join("gate");
    mkfifo(&gate, Mode::S_IRWXU).unwrap();
    let mut started = run.start();
    assert_eq!(started.next_document()["hosts"][0]["ip"], "10.0.0.1");
    // Opening waits for the fake, which thus has not gone on before.
    File::options().write(true).open(gate).unwrap().write_all(b"go\n").unwrap();
    assert_eq!(started.next_document()["hosts"][0]["ip"], "10.0.0.2");
    assert_eq!(started.finish().status.code(), Some(0));
}

#[test]
fn sigterm_to_the_group_ends_everything() {
    let mut started = Run::new("sigterm", ENDLESS).target(r#"["x"]"#).start();
    assert_eq!(started.next_document()["hosts"][0]["ip"], "10.0.0.1");
    let group = Pid::from_raw(started.child.id().cast_signed());
    killpg(group, Signal::SIGTERM).unwrap();
    // Returns only when no process holds the streams any more.
    let outcome = started.finish();
    assert_eq!(outcome.status.signal(), Some(Signal::SIGTERM as i32), "{}", outcome.messages);
}

#[test]
fn what_nmap_had_written_when_it_was_stopped_is_passed_on() {
    let does = r#"
        trap 'echo "<host><address addr=\"10.0.0.9\" addrtype=\"ipv4\"/></host>"; exit 1' TERM
        echo '<nmaprun><host><address addr="10.0.0.1" addrtype="ipv4"/></host>'
        read -r _ <"$GATE""#;
    let run = Run::new("last-words", does).target(r#"["x"]"#);
    mkfifo(&run.folder.join("gate"), Mode::S_IRWXU).unwrap();
    let mut started = run.start();
    started.next_document();
    killpg(Pid::from_raw(started.child.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert_eq!(started.next_document()["hosts"][0]["ip"], "10.0.0.9");
    assert!(started.finish().messages.contains("ends in the middle"));
}

/// Needs nmap: `cargo test --test nmap_executor -- --ignored`.
#[test]
#[ignore = "needs a real nmap"]
fn a_real_scan_of_loopback_finds_a_listening_port() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let outcome = Run::new("real", "")
        .with("PATH", std::env::var_os("PATH").unwrap())
        .target(r#"["127.0.0.1-2"]"#)
        .with("EXECUTOR_CONFIG_PORT_LIST", format!("[{port}]"))
        .with("EXECUTOR_CONFIG_OPTION_PN", "True")
        .finish();
    assert_eq!(outcome.status.code(), Some(0), "{}", outcome.messages);
    let hosts: Vec<Value> = outcome.documents.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(hosts.len(), 2, "{}", outcome.documents);
    let service = &hosts[0]["hosts"][0]["services"][0];
    assert_eq!((&service["port"], &service["status"]), (&port.into(), &"open".into()));
}
