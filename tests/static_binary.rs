//! The binary for hosts that have nothing: one file, no shared libraries, small, at work in an empty chroot. Builds it first
//! (`cargo static`), which takes minutes, therefore apart from the other tests:
//!
//! `cargo test --test static_binary -- --ignored --nocapture`

#[path = "static_binary/chroot.rs"]
mod chroot;
#[path = "static_binary/elf.rs"]
mod elf;
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::json;

use chroot::Chroot;
use elf::Elf;
use support::{Identity, SOON, Standin};

const BYTES_MAX: u64 = 6_000_000;

/// What `cargo static` makes, made by this program so that it is never an old one.
static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.arg("static").current_dir(env!("CARGO_MANIFEST_DIR"));
    // What cargo tells a test about its package would look like a change to the build scripts of dependencies, and RUSTFLAGS
    // would be used in place of the flags that make the binary static.
    let told = std::env::vars_os().map(|(name, _)| name);
    let told = told.filter(|name| {
        name.to_string_lossy().starts_with("CARGO_PKG_") || name.to_string_lossy().starts_with("CARGO_MANIFEST_")
    });
    told.for_each(|name| {
        cargo.env_remove(name);
    });
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    assert!(cargo.status().is_ok_and(|status| status.success()), "cargo static failed");
    let target = Path::new(env!("CARGO_BIN_EXE_agent")).ancestors().nth(2).expect("target/debug/agent");
    target.join("x86_64-unknown-linux-gnu/release/agent")
});

#[test]
#[ignore = "builds a binary, see the head of tests/static_binary.rs"]
fn it_is_one_small_file_without_shared_libraries() {
    let file = std::fs::read(&*BINARY).expect("just built");
    let elf = Elf::parse(&file);
    println!("static binary: {} bytes", file.len());
    assert!(elf.is_position_independent, "an executable at a fixed address");
    assert_eq!(elf.interpreter, None);
    assert_eq!(elf.libraries, 0);
    assert!((file.len() as u64) < BYTES_MAX, "{} bytes", file.len());
}

#[test]
#[ignore = "builds a binary, see the head of tests/static_binary.rs"]
fn it_works_in_an_empty_chroot() {
    let chroot = Chroot::new(&BINARY);
    assert_eq!(chroot.output(&["--version"]), concat!("agent ", env!("CARGO_PKG_VERSION"), "\n"));

    let server = Standin::builder().workspace("ws").start();
    let agent = chroot.agent(&server).executor("none", "true", json!({})).start();
    server.wait_joined(SOON);
    let status = server.wait_over(server.run("none", json!({}), &["ws"])[0], SOON);
    assert_eq!(status.successful, Some(false));
    assert!(status.message.contains("could not be started"), "{}", status.message);
    agent.terminate();
    assert!(agent.wait_exit(SOON).success());
    server.wait_offline(SOON);
}

#[test]
#[ignore = "builds a binary, see the head of tests/static_binary.rs"]
fn it_runs_an_executor_where_there_is_nothing_but_a_shell() {
    let chroot = Chroot::new(&BINARY);
    chroot.add_shell();
    let server = Standin::builder().workspace("ws").start();
    let document = r#"{"hosts":[{"ip":"192.0.2.1","description":"","hostnames":[]}]}"#;
    let agent = chroot.agent(&server).executor("print", document, json!({})).start();
    server.wait_joined(SOON);
    let status = server.wait_over(server.run("print", json!({}), &["ws"])[0], SOON);
    assert_eq!(status.successful, Some(true), "{}", status.message);
    assert_eq!(server.host_ips("ws"), ["192.0.2.1"]);
    let warnings = agent.log().lines().filter(|line| line.contains("[WARN]")).count();
    assert_eq!(warnings, 0, "{}", agent.log());
}

/// Without /proc it knows its file by the name that it was called by.
#[test]
#[ignore = "builds a binary, see the head of tests/static_binary.rs"]
fn it_takes_the_digits_out_of_its_arguments_and_keeps_its_token_there() {
    let chroot = Chroot::new(&BINARY);
    let server = Standin::builder().start();
    let agent = chroot.agent(&server).executor("none", "true", json!({})).registering("123456").start();
    server.wait_joined(SOON);
    let arguments = std::fs::read_to_string(format!("/proc/{}/cmdline", agent.pid())).expect("it runs");
    assert!(arguments.contains("--token-file\0-\0") && !arguments.contains("123456"), "{arguments:?}");
    let warnings = agent.log().lines().filter(|line| line.contains("[WARN]")).count();
    assert_eq!(warnings, 0, "{}", agent.log());
    // Behind the root of the agent's process its token is where the configuration says.
    let token = agent.state_dir().join("token");
    assert!(chroot.holds(&token), "{}", token.display());
}

#[test]
#[ignore = "builds a binary, see the head of tests/static_binary.rs"]
fn it_looks_up_names_and_speaks_tls_there() {
    let name = "faraday.example";
    let chroot = Chroot::new(&BINARY);
    chroot.write("etc/hosts", &format!("127.0.0.1 {name}\n"));
    let server = Standin::builder().tls(Identity::self_signed(&[name])).start();
    let _agent = chroot.agent(&server).option("server.host", name).start();
    server.wait_joined(SOON);
}

#[test]
#[ignore = "builds a binary, see the head of tests/static_binary.rs"]
fn it_brings_roots_of_its_own() {
    let chroot = Chroot::new(&BINARY);
    let server = Standin::builder().tls(Identity::self_signed(&["127.0.0.1"])).start();
    let agent = chroot.agent(&server).option("server.ssl_cert", "").start();
    agent.wait_log("trusting the roots built in", SOON);
    // Nobody whom those roots know vouches for the stand-in.
    agent.wait_log("unknown issuer", SOON);
    assert!(server.joins().is_empty());
}
