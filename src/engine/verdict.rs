//! How a run went, in one truth value and one sentence for the person at the server. Only reads; every count comes from the run.

use std::fmt::Write;
use std::time::Duration;

use crate::bounds::WORKSPACES_NAMED_MAX;

use super::delivery::{Delivery, Refusals};
use super::event::{Exit, REAL_TIME_SIGNAL};
use super::note::Ended;
use super::process::Leftover;
use super::run::{Cause, Run};

/// How the executor ended, in the words that a person will be told, now or after a restart.
pub fn ended(run: &Run, took: Duration) -> Ended {
    let by_itself = run.cause.is_none() && run.failure.is_none() && run.exit == Some(Exit::Code(0));
    let mut remarks = remarks(run);
    if !by_itself && !run.intake.complaints.last_lines().is_empty() {
        let _ = write!(remarks, "; its last words on stderr: {}", run.intake.complaints.last_lines());
    }
    let redact = |text: &str| run.intake.redactor.apply(text).into_owned();
    Ended {
        well: by_itself && run.intake.tally.undeliverable == 0,
        ran: run.exit.is_some(),
        cut_off: false,
        ending: redact(&ending(run)),
        remarks: redact(&remarks),
        took_us: took.as_micros() as u64,
    }
}

/// Whether the run was successful: it ended by itself with exit code 0, and everything that it printed as documents was
/// delivered. And the message of its last status.
pub fn verdict(run: &Run) -> (bool, String) {
    let refused = run.deliveries.iter().any(|delivery| !delivery.refusals().is_empty());
    let Some(ended) = &run.ended else { return (false, String::new()) };
    let successful = ended.well && !refused;
    let outcome = if successful { "finished successfully" } else { "failed" };
    let mut message = format!("{} {outcome}: {}", who(run), ended.ending);
    if ended.ran {
        let _ = write!(message, "; {}", deliveries(run, ended));
    }
    // Every workspace gets the same.
    let furthest = run.deliveries.iter().max_by_key(|delivery| delivery.settled());
    if let Some(repairs) = furthest.map(Delivery::repairs).filter(|repairs| !repairs.is_empty()) {
        let _ = write!(message, "; repaired before sending: {repairs}");
    }
    message.push_str(&ended.remarks);
    if run.deliveries.iter().any(|delivery| delivery.refusals().pieces > 0) {
        let _ = write!(message, "; what was refused is in refused/{}.jsonl of the agent's state directory", run.id);
    }
    (successful, run.intake.redactor.apply(&message).into_owned())
}

/// Of a run whose executor has ended a while ago, and the server has not taken everything.
pub fn waiting(run: &Run) -> String {
    let Some(ended) = &run.ended else { return String::new() };
    let outcome = if ended.well { "finished" } else { "failed" };
    let most = open(run).map(|delivery| unsettled(run, delivery)).max().unwrap_or(0);
    let waits = match most {
        0 => "its end waits for the server".to_owned(),
        1 => "1 host waits for the server".to_owned(),
        hosts => format!("{hosts} hosts wait for the server"),
    };
    let whom = listed(open(run), trouble);
    let message = format!("{} {outcome}, {waits}: {}; {}", who(run), whom.join(", "), ended.ending);
    run.intake.redactor.apply(&message).into_owned()
}

/// Of a run whose executor has ended just now.
pub fn delivering(run: &Run) -> String {
    match &run.ended {
        Some(ended) if ended.cut_off => {
            format!("{} was cut off: {}; {} saved, being delivered", who(run), ended.ending, amount(run))
        }
        _ => format!("{} has ended; its findings are being delivered", who(run)),
    }
}

/// What somebody has to do on the server before a run's findings are taken, behind whatever else is said.
pub fn troubles(run: &Run) -> String {
    let troubles = listed(run.deliveries.iter().filter(|delivery| delivery.wants_person()), |delivery| {
        let kept = count(unsettled(run, delivery), "host");
        format!("nothing is taken at present: {}; {kept} kept for it", trouble(delivery))
    });
    let words: String = troubles.into_iter().map(|words| format!("; {words}")).collect();
    run.intake.redactor.apply(&words).into_owned()
}

/// Of a run that the agent has to leave behind when it stops.
pub fn abandoned(run: &Run, pause: Option<String>) -> String {
    let mut waits = listed(open(run), trouble);
    let held = run.journal.held();
    if held != (0, 0) {
        waits.push(format!("{} of them could not be written to it and are lost", count(held.0 + held.1, "host")));
    }
    waits.extend(pause);
    let message = format!(
        "{} was left by an agent that had to stop; what is not delivered is kept in its journal, for the agent's next start: {}",
        who(run),
        waits.join("; ")
    );
    run.intake.redactor.apply(&message).into_owned()
}

fn who(run: &Run) -> String {
    format!("Executor {} from {}", run.executor.name, run.agent_name)
}

/// Those to which something is left to post.
fn open(run: &Run) -> impl Iterator<Item = &Delivery> {
    run.deliveries.iter().filter(|delivery| !delivery.is_done(&run.journal))
}

/// The first few of them, in words, and how many more there are: a message does not grow with the workspaces.
fn listed<'r>(mut whom: impl Iterator<Item = &'r Delivery>, words: impl Fn(&Delivery) -> String) -> Vec<String> {
    let mut listed: Vec<String> = whom.by_ref().take(WORKSPACES_NAMED_MAX).map(words).collect();
    let more = whom.count();
    listed.extend((more > 0).then(|| format!("and {more} more workspaces")));
    listed
}

fn trouble(delivery: &Delivery) -> String {
    format!(
        "workspace {} ({})",
        delivery.shown_workspace(),
        delivery.trouble_words().unwrap_or("its posts are under way")
    )
}

/// How many pieces the server has not taken; of those that were read.
fn unsettled(run: &Run, delivery: &Delivery) -> u64 {
    run.intake.tally.pieces().saturating_sub(delivery.settled())
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
        Some(Cause::Unreadable) => "it was ended because its journal cannot be read back".to_owned(),
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

fn deliveries(run: &Run, ended: &Ended) -> String {
    let read = amount(run);
    if run.deliveries.is_empty() {
        return format!("{read} read, for no workspace");
    }
    let refusals = listed(run.deliveries.iter().filter(|delivery| !delivery.refusals().is_empty()), |delivery| {
        refusal(&delivery.shown_workspace(), delivery.refusals(), run.intake.tally.pieces())
    });
    match (refusals.is_empty(), ended.cut_off) {
        (true, true) => {
            format!("{read} {} saved and delivered", if run.intake.tally.pieces() == 1 { "was" } else { "were" })
        }
        (true, false) => format!("{read} delivered"),
        (false, _) => format!("{read} read, {}", refusals.join(", ")),
    }
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

/// What else a person should know, with `; ` before each.
fn remarks(run: &Run) -> String {
    let (tally, mut message) = (&run.intake.tally, String::new());
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
                "; a process that it left behind, without the mark of its run, holds its output open and lives on",
            );
        }
    }
    message
}
