//! How a run went, in one truth value and one sentence for the person at the server. Only reads; every count comes from the run.

use std::fmt::Write;

use super::delivery::Refusals;
use super::event::{Exit, REAL_TIME_SIGNAL};
use super::process::Leftover;
use super::run::{Cause, Run};

/// Whether the run was successful: it ended by itself with exit code 0, and everything that it printed as documents was
/// delivered. And the message of its last status.
pub fn verdict(run: &Run) -> (bool, String) {
    let refused = run.deliveries.iter().any(|delivery| !delivery.refusals().is_empty());
    let ended_well = run.cause.is_none() && run.failure.is_none() && run.exit == Some(Exit::Code(0));
    let successful = ended_well && !refused && run.intake.tally.undeliverable == 0;

    let (name, agent) = (&run.executor.name, &run.agent_name);
    let outcome = if successful { "finished successfully" } else { "failed" };
    let mut message = format!("Executor {name} from {agent} {outcome}: {}", ending(run));
    if run.exit.is_some() {
        let _ = write!(message, "; {}", deliveries(run));
    }
    remarks(run, &mut message);
    if !ended_well && !run.intake.complaints.last_lines().is_empty() {
        let _ = write!(message, "; its last words on stderr: {}", run.intake.complaints.last_lines());
    }
    (successful, run.intake.redactor.apply(&message).into_owned())
}

fn ending(run: &Run) -> String {
    if let Some(failure) = &run.failure {
        return failure.clone();
    }
    let cause = match run.cause {
        Some(Cause::TimedOut(limit)) => {
            format!("it was ended because it took longer than {} s (timeout_s)", limit.as_secs_f32())
        }
        Some(Cause::Stopped(signal)) => format!("it was ended because the agent was asked to stop ({signal})"),
        None => String::new(),
    };
    match (cause.is_empty(), run.exit) {
        (true, Some(exit)) => exit_words(exit),
        (false, Some(exit)) => format!("{cause}, {}", exit_words(exit)),
        (_, None) => cause,
    }
}

pub fn exit_words(exit: Exit) -> String {
    match exit {
        Exit::Code(126) => "exit code 126 (its command cannot be executed)".to_owned(),
        Exit::Code(127) => "exit code 127 (its command was not found)".to_owned(),
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(number) => match signal_name(number) {
            Some(name) => format!("killed by signal {number} ({name})"),
            None if number == REAL_TIME_SIGNAL => "killed by a real-time signal".to_owned(),
            None => format!("killed by signal {number}"),
        },
    }
}

/// The signals that end executors in practice; the engine knows no system library to ask for the others.
fn signal_name(number: i32) -> Option<&'static str> {
    Some(match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        6 => "SIGABRT",
        7 => "SIGBUS",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        _ => return None,
    })
}

fn deliveries(run: &Run) -> String {
    let read = amount(run);
    if run.deliveries.is_empty() {
        return format!("{read} read, for no workspace");
    }
    let refusals: Vec<String> = run
        .deliveries
        .iter()
        .filter(|delivery| !delivery.refusals().is_empty())
        .map(|delivery| refusal(&delivery.shown_workspace(), delivery.refusals(), run.intake.tally.pieces()))
        .collect();
    if refusals.is_empty() { format!("{read} delivered") } else { format!("{read} read, {}", refusals.join(", ")) }
}

fn refusal(workspace: &str, refusals: &Refusals, pieces: u64) -> String {
    if let Some(words) = &refusals.barred {
        return format!("workspace {workspace} takes nothing of this run ({words})");
    }
    let words = refusals.first.as_deref().unwrap_or_default();
    format!("workspace {workspace} refused {} of {pieces} (the first: {words})", refusals.pieces)
}

fn amount(run: &Run) -> String {
    let hosts = count(run.intake.tally.hosts, "host");
    match run.intake.tally.credentials {
        0 => hosts,
        credentials => format!("{hosts} and {}", count(credentials, "credential")),
    }
}

fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn remarks(run: &Run, message: &mut String) {
    let tally = &run.intake.tally;
    if tally.repaired > 0 {
        let _ = write!(message, "; NUL characters or lone surrogates were taken out of {} of them", tally.repaired);
    }
    if let Some(first) = &tally.first_undeliverable {
        let _ = write!(message, "; {} could not be delivered, the first: {first}", tally.undeliverable);
    }
    if let Some(first) = &tally.first_bad_line {
        let _ = write!(message, "; {} not read as documents, the first: {first}", count(tally.bad_lines, "line"));
    }
    if run.intake.ignored_bytes() > 0 {
        let ignored = count(run.intake.ignored_bytes(), "byte");
        let _ = write!(message, "; {ignored} after the end of the output (a double newline) ignored");
    }
    match run.leftover {
        None => {}
        Some(Leftover::Killed) => {
            message.push_str("; a process that it left behind held its output open and was killed");
        }
        Some(Leftover::Alive) => {
            message.push_str(
                "; a process that it left behind, in another process group, holds its output open and lives on",
            );
        }
    }
}
