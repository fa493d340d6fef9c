//! The whole story in five seconds, with nothing to install: a stand-in of a Faraday server in this process, the real agent
//! beside it, one run of a sample executor in plain `sh`, and what arrived.
//!
//! `cargo run --release --example quickstart`

#[path = "../tests/support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use support::{AgentProcess, Event, Standin, What};

const WITHIN: Duration = Duration::from_secs(30);
const EXECUTOR: &str = include_str!("sample-executor.sh");

fn main() -> ExitCode {
    // Cargo does not build the agent for an example; but the agent is a library too, so this very program is started again
    // as the agent.
    if std::env::args().len() > 1 {
        return faraday_agent::cli::main(std::env::args_os().skip(1));
    }
    let server = Standin::builder().workspace("demo").start();
    let events = server.subscribe();
    let begin = Instant::now();
    thread::spawn(move || narrate(&events, begin));

    let params = json!({"TARGET": {"mandatory": true, "type": "string", "base": "string"}});
    let agent = AgentProcess::builder(&server)
        .binary(std::env::current_exe().expect("this program has a file"))
        .executor("sample", EXECUTOR, params)
        .registering(&server.registration_token())
        .start();
    server.wait_joined(WITHIN);
    let ids = server.run("sample", json!({"TARGET": "192.0.2"}), &["demo"]);
    let status = server.wait_over(ids[0], WITHIN);
    agent.terminate();
    let exit = agent.wait_exit(WITHIN);

    print_table(&server.hosts("demo"));
    println!("last status: {}", status.message);
    println!("the agent ended with {exit}");
    if status.successful == Some(true) && exit.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Says what happens at the server, as it happens.
fn narrate(events: &Receiver<Event>, begin: Instant) {
    for event in events {
        let line = match &event.what {
            What::Joined { .. } => "the agent has joined".to_owned(),
            What::Offline { .. } => "the agent has left".to_owned(),
            What::Request { method, target, status: Some(status), .. } => format!("{method} {target} → {status}"),
            What::Sent { text, .. } if text.contains("\"run\"") => "RUN goes to the agent".to_owned(),
            What::Received { text, .. } if text.contains("run_status") => match message(text) {
                Some(message) => format!("the agent reports: {message}"),
                None => continue,
            },
            _ => continue,
        };
        println!("{:6.3} s  {line}", event.at.saturating_duration_since(begin).as_secs_f32());
    }
}

/// The message in a `run_status` frame, which is a JSON text inside a JSON list.
fn message(frame: &str) -> Option<String> {
    let event: Value = serde_json::from_str(&frame[frame.find('[')?..]).ok()?;
    let status: Value = serde_json::from_str(event.get(1)?.as_str()?).ok()?;
    Some(status["message"].as_str()?.to_owned())
}

fn print_table(hosts: &[Value]) {
    println!("\n{:<14} {:<14} {:<12} {:<10} finding", "host", "name", "service", "severity");
    for host in hosts {
        for service in host["services"].as_array().into_iter().flatten() {
            for vuln in service["vulnerabilities"].as_array().into_iter().flatten() {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let place = format!("{}/{}", service["port"], text(&service["protocol"]));
                let name = text(&host["hostnames"][0]);
                println!(
                    "{:<14} {name:<14} {place:<12} {:<10} {}",
                    text(&host["ip"]),
                    text(&vuln["severity"]),
                    text(&vuln["name"])
                );
            }
        }
    }
    println!();
}
