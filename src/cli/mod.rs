//! The face of the program: command line in, log and exit status out. Decides nothing about runs; hands over to `shell` and
//! `report`.

pub mod arguments;
mod logging;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use arguments::{Report, Request, Run};
use log::{error, warn};

use crate::config::settings::Settings;
use crate::config::{self, Findings};

/// A mistake in the configuration or on the command line: trying again without a change is no use.
const MISTAKE: u8 = 2;

/// The whole program; `words` are those after its name.
pub fn main(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    match arguments::parse(words) {
        Ok(Request::Print(text)) => print(&text),
        Ok(Request::Report(asked)) => report(asked),
        Ok(Request::Run(asked)) => run(asked),
        Err(mistake) => {
            complain(&format!("{mistake} (agent --help lists the options)"));
            ExitCode::from(MISTAKE)
        }
    }
}

fn run(asked: Run) -> ExitCode {
    if let Err(error) = logging::start(asked.log_level, asked.log_file.as_deref()) {
        let file = asked.log_file.unwrap_or_default();
        complain(&format!("writing the log to {}: {error}", file.display()));
        return ExitCode::from(MISTAKE);
    }
    let reading = format!("reading {}", asked.config.display());
    match config::read(&asked.config) {
        Ok((settings, warnings)) => {
            warnings
                .iter()
                .for_each(|warning| warn!("{reading}: {warning}"));
            let token = asked.registration_token;
            serve(settings, token.map(|token| token.reveal().to_owned()))
        }
        Err(findings) => {
            complain_of_all(&reading, &findings, asked.log_file.is_some());
            ExitCode::from(MISTAKE)
        }
    }
}

/// To stderr for the person who starts the agent; to a log file too, for the one who only finds that.
fn complain_of_all(reading: &str, findings: &Findings, has_log_file: bool) {
    for warning in &findings.warnings {
        complain(&format!("{reading}: warning: {warning}"));
    }
    for problem in &findings.problems {
        complain(&format!("{reading}: {problem}"));
        if has_log_file {
            error!("{reading}: {problem}");
        }
    }
}

/// A closed stderr is no reason to panic.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "agent: {text}");
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Stands for `crate::shell::run`.
fn serve(settings: Settings, registration_token: Option<String>) -> ExitCode {
    let _ = registration_token;
    error!(
        "{}: this build cannot speak to a server",
        settings.agent.name
    );
    ExitCode::FAILURE
}

/// Stands for the entry to `crate::report`.
fn report(asked: Report) -> ExitCode {
    complain(&format!(
        "report: this build cannot read reports of {}",
        asked.tool
    ));
    ExitCode::FAILURE
}
