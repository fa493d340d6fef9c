//! The face of the program: command line in, log and exit status out. Decides nothing about runs; hands over to `shell` and
//! `report`.

pub mod arguments;
mod logging;
mod registration;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;

use arguments::{Report, Request, Resend, Run};
use log::{LevelFilter, error, warn};

use crate::config::settings::Settings;
use crate::config::{self, Findings};
use crate::official;
use crate::report::{self, Options, ReportError};
use crate::shell::enrol::RegistrationToken;
use crate::shell::{self, StartError, exposure};

/// A mistake in the configuration or on the command line: trying again without a change is no use.
const MISTAKE: u8 = 2;

/// The whole program; `words` are those after its name.
pub fn main(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    match arguments::parse(words, |name| std::env::var_os(name)) {
        Ok(Request::Print(text)) => print(&text),
        Ok(Request::Report(asked)) => report(asked),
        Ok(Request::Resend(asked)) => resend(&asked),
        Ok(Request::List) => list(),
        Ok(Request::Guard) => guard(),
        Ok(Request::Run(asked)) => run(asked),
        Err(mistake) => {
            complain(&format!("{mistake} (agent --help lists the options)"));
            ExitCode::from(MISTAKE)
        }
    }
}

fn run(asked: Run) -> ExitCode {
    shell::hide_secrets();
    // Before anything else: a secret that is to be seen is to be seen for as short a time as can be.
    let hidden = registration::hide(&asked);
    if let Err(error) = logging::start(asked.log_level, asked.log_file.as_deref()) {
        let file = asked.log_file.unwrap_or_default();
        complain(&format!("writing the log to {}: {error}", file.display()));
        return ExitCode::from(MISTAKE);
    }
    let has_log_file = asked.log_file.is_some();
    if let Err(error) = hidden {
        warn!(
            "the registration token stays where others can see it, because this program cannot be executed anew: {error}; \
             hand it over by --token-file"
        );
    }
    let reading = format!("reading {}", asked.config.display());
    let settings = match config::read(&asked.config) {
        Ok((settings, warnings)) => {
            warnings.iter().for_each(|warning| warn!("{reading}: {warning}"));
            settings
        }
        Err(findings) => {
            complain_of_all(&reading, &findings, has_log_file);
            return ExitCode::from(MISTAKE);
        }
    };
    exposure::warnings(&asked.config, &settings).iter().for_each(|warning| warn!("{warning}"));
    match asked.registration.map(registration::read).transpose() {
        Ok(token) => serve(&settings, token, has_log_file),
        Err(problem) => {
            report_failure(&problem, has_log_file);
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

fn serve(settings: &Settings, registration: Option<RegistrationToken>, has_log_file: bool) -> ExitCode {
    match shell::run(settings, registration) {
        Ok(code) => ExitCode::from(code),
        Err(StartError::Configuration(problem)) => {
            report_failure(&problem, has_log_file);
            ExitCode::from(MISTAKE)
        }
        Err(StartError::Machine(problem)) => {
            report_failure(&problem, has_log_file);
            ExitCode::FAILURE
        }
    }
}

/// In the log, and on stderr for the person who starts the agent, should the log go elsewhere.
fn report_failure(problem: &str, has_log_file: bool) {
    error!("{problem}");
    if has_log_file {
        complain(problem);
    }
}

/// An executor's converter: its log is the executor's stderr.
fn report(asked: Report) -> ExitCode {
    if let Err(error) = logging::start(LevelFilter::Info, None) {
        complain(&format!("report: writing to stderr: {error}"));
    }
    let options = Options::from_environment(|name| std::env::var(name).ok());
    let done = options.and_then(|options| match &asked.file {
        None => report::run(&asked.tool, io::stdin().lock(), io::stdout().lock(), &options),
        Some(path) => {
            let file = File::open(path).map_err(ReportError::Read)?;
            report::run(&asked.tool, file, io::stdout().lock(), &options)
        }
    });
    match done {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("report: {error}"));
            let is_mistake = matches!(
                error,
                ReportError::UnknownTool { .. } | ReportError::Option { .. } | ReportError::Tags { .. }
            );
            ExitCode::from(if is_mistake { MISTAKE } else { 1 })
        }
    }
}

/// For a person: stderr is the log.
fn resend(asked: &Resend) -> ExitCode {
    if let Err(error) = logging::start(LevelFilter::Info, None) {
        complain(&format!("resend: writing to stderr: {error}"));
    }
    shell::hide_secrets();
    let reading = format!("reading {}", asked.config.display());
    let settings = match config::read(&asked.config) {
        Ok((settings, _)) => settings,
        Err(findings) => {
            complain_of_all(&reading, &findings, false);
            return ExitCode::from(MISTAKE);
        }
    };
    match shell::resend::run(&settings, &asked.file) {
        Ok(resent) => {
            complain(&format!(
                "resend: the server took {} hosts and credentials, {} lines are left",
                resent.taken, resent.left
            ));
            ExitCode::from(u8::from(resent.left > 0))
        }
        Err(StartError::Configuration(problem)) => {
            complain(&format!("resend: {problem}"));
            ExitCode::from(MISTAKE)
        }
        Err(StartError::Machine(problem)) => {
            complain(&format!("resend: {problem}"));
            ExitCode::FAILURE
        }
    }
}

fn list() -> ExitCode {
    let lines = io::read_to_string(io::stdin())
        .map_err(|error| error.to_string())
        .and_then(|text| official::list_lines(&text).map_err(|error| error.to_string()));
    match lines {
        Ok(lines) => print(&lines),
        Err(problem) => {
            complain(&format!("list: {problem}"));
            ExitCode::FAILURE
        }
    }
}

fn guard() -> ExitCode {
    match shell::guard::main(io::stdin().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
