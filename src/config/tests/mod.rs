//! Whole files in, settings or complaints out.

mod agent;
mod executor;
mod files;
mod server;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::settings::{Agent, Executor, Program, ProtocolChoice, Server};
use super::*;
use crate::proto::param::{Param, ParamType};

const SERVER: &str = "host: h, api_port: 5985, ssl: no";
const AGENT: &str = "agent_name: a, executors: {e: {cmd: x}}";

/// A file of the two sections in flow style.
fn file(server: &str, agent: &str) -> String {
    format!("server: {{{server}}}\nagent: {{{agent}}}\n")
}

fn server(text: &str) -> Server {
    let (settings, warnings) = parse(&file(text, AGENT)).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"));
    assert_eq!(lines(&warnings), [""; 0], "{text}");
    settings.server
}

fn agent(text: &str) -> Agent {
    let (settings, warnings) = parse(&file(SERVER, text)).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"));
    assert_eq!(lines(&warnings), [""; 0], "{text}");
    settings.agent
}

fn executor(text: &str) -> Executor {
    agent(&format!("agent_name: a, executors: {{e: {{{text}}}}}")).executors.remove(0)
}

fn lines(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(Finding::to_string).collect()
}

fn problems(text: &str) -> Vec<String> {
    let findings = parse(text).map(|_| ()).expect_err(text);
    lines(&findings.problems)
}

/// Each row: what stands in the file, and the complaints about it.
fn check_problems(section: impl Fn(&str) -> String, table: &[(&str, &[&str])]) {
    for (text, expected) in table {
        assert_eq!(problems(&section(text)), *expected, "{text}");
    }
}

fn check_warnings(section: impl Fn(&str) -> String, table: &[(&str, &[&str])]) {
    for (text, expected) in table {
        let (_, warnings) = parse(&section(text)).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"));
        assert_eq!(lines(&warnings), *expected, "{text}");
    }
}

fn in_server(text: &str) -> String {
    file(text, AGENT)
}

fn in_agent(text: &str) -> String {
    file(SERVER, text)
}

fn in_executor(text: &str) -> String {
    in_agent(&format!("agent_name: a, executors: {{e: {{{text}}}}}"))
}

fn plain_server() -> Server {
    Server {
        host: "h".into(),
        api_port: 5985,
        websocket_port: 5985,
        tls: false,
        tls_cert: None,
        tls_verify: true,
        base_route: String::new(),
        protocol: ProtocolChoice::Auto,
    }
}

fn varenvs_of(executor: Executor) -> Vec<(String, String)> {
    let revealed = |(name, value): (String, settings::Secret)| (name, value.reveal().to_owned());
    executor.varenvs.into_iter().map(revealed).collect()
}
