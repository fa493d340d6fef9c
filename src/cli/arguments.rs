//! The command line: which words there are, and what is asked for with them. Reads no file and prints nothing. Driven by
//! `cli::main`.

use std::ffi::OsString;
use std::path::PathBuf;

use argh::FromArgs;
use log::LevelFilter;

use crate::shell::enrol::RegistrationToken;

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub enum Request {
    Run(Run),
    Report(Report),
    Resend(Resend),
    /// `agent list`: for executors' scripts, see [`List`].
    List,
    /// `agent guard`: the agent's own second process.
    Guard,
    /// `--help` or `--version`: this text, line ends and all, and nothing else.
    Print(String),
}

/// `agent --config …`: takes commands from the server until it is told to stop.
#[derive(Debug, PartialEq)]
pub struct Run {
    pub config: PathBuf,
    pub registration_token: Option<RegistrationToken>,
    pub log_level: LevelFilter,
    /// `None` is stderr.
    pub log_file: Option<PathBuf>,
}

/// turns a scanner's report into documents, one a line, as an executor prints them
#[derive(Debug, FromArgs, PartialEq)]
#[argh(subcommand, name = "report", help_triggers("-h", "--help"))]
pub struct Report {
    /// whose report it is, such as nmap
    #[argh(option, arg_name = "name")]
    pub tool: String,

    /// the report; stdin without it
    #[argh(positional)]
    pub file: Option<PathBuf>,
}

/// sends what a server refused earlier once more: corrected, or after something has changed on the server
#[derive(Debug, FromArgs, PartialEq)]
#[argh(subcommand, name = "resend", help_triggers("-h", "--help"))]
pub struct Resend {
    /// the dispatcher.yaml of the agent that it was refused for
    #[argh(option, short = 'c', arg_name = "path")]
    pub config: PathBuf,

    /// one of the files in the directory `refused` of the agent's state directory
    #[argh(positional)]
    pub file: PathBuf,
}

/// prints the elements of the JSON list on stdin, one a line; for executors written in sh
#[derive(Debug, FromArgs, PartialEq)]
#[argh(subcommand, name = "list", help_triggers("-h", "--help"))]
pub struct List {}

/// started by the agent itself: ends its executors should it be killed
#[derive(Debug, FromArgs, PartialEq)]
#[argh(subcommand, name = "guard", help_triggers("-h", "--help"))]
pub struct Guard {}

/// Runs executors on command of a Faraday server and delivers what they find.
#[derive(FromArgs)]
#[argh(
    help_triggers("-h", "--help"),
    note = "Exit status: 0 after a requested stop, 2 for a mistake in the configuration or on the\n\
            command line, 1 for everything else."
)]
struct Words {
    /// the dispatcher.yaml to run by (YAML or JSON)
    #[argh(option, short = 'c', arg_name = "path")]
    config: Option<PathBuf>,

    /// the six digits that the server shows for new agents; needed once, to register
    #[argh(option, arg_name = "123456")]
    token: Option<String>,

    /// error, warn, info, debug or trace; info without it
    #[argh(option, arg_name = "level", from_str_fn(level))]
    log_level: Option<LevelFilter>,

    /// append the log to this file; stderr without it
    #[argh(option, arg_name = "path")]
    log_file: Option<PathBuf>,

    /// print the version
    #[argh(switch)]
    version: bool,

    #[argh(subcommand)]
    command: Option<Command>,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum Command {
    Report(Report),
    Resend(Resend),
    List(List),
    Guard(Guard),
}

/// Reads the words after the program's name. The error is one line for the user.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Request, String> {
    let words = texts(words)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match Words::from_args(&["agent"], &words) {
        Ok(words) => request(words),
        Err(exit) if exit.status.is_ok() => Ok(Request::Print(format!("{}\n", exit.output.trim_end()))),
        Err(exit) => Err(one_line(&exit.output)),
    }
}

fn request(words: Words) -> Result<Request, String> {
    if words.version {
        return Ok(Request::Print(concat!("agent ", env!("CARGO_PKG_VERSION"), "\n").to_owned()));
    }
    let is_bare =
        words.config.is_none() && words.token.is_none() && words.log_level.is_none() && words.log_file.is_none();
    match words.command {
        Some(_) if !is_bare => Err("the options that come before a subcommand belong to the agent itself".into()),
        Some(Command::Report(report)) => Ok(Request::Report(report)),
        Some(Command::Resend(resend)) => Ok(Request::Resend(resend)),
        Some(Command::List(List {})) => Ok(Request::List),
        Some(Command::Guard(Guard {})) => Ok(Request::Guard),
        None => Ok(Request::Run(Run {
            config: words.config.ok_or("--config PATH is missing")?,
            registration_token: words.token.map(registration_token).transpose()?,
            log_level: words.log_level.unwrap_or(LevelFilter::Info),
            log_file: words.log_file,
        })),
    }
}

/// As texts, and `--name=value` as the two words that argh knows. After `--` every word is a file's name.
fn texts(words: impl IntoIterator<Item = OsString>) -> Result<Vec<String>, String> {
    let mut texts = Vec::new();
    let mut is_name = false;
    for word in words {
        let word = word.into_string().map_err(|word| format!("{word:?} is not UTF-8"))?;
        is_name |= word == "--";
        match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") && !is_name => {
                texts.extend([name.to_owned(), value.to_owned()]);
            }
            _ => texts.push(word),
        }
    }
    Ok(texts)
}

/// Says nothing of the token itself: it opens the server to whoever reads the log.
fn registration_token(token: String) -> Result<RegistrationToken, String> {
    RegistrationToken::parse(&token)
        .ok_or_else(|| "--token: expected the six digits that the server shows for new agents".into())
}

fn level(name: &str) -> Result<LevelFilter, String> {
    match name {
        "error" => Ok(LevelFilter::Error),
        "warn" => Ok(LevelFilter::Warn),
        "info" => Ok(LevelFilter::Info),
        "debug" => Ok(LevelFilter::Debug),
        "trace" => Ok(LevelFilter::Trace),
        _ => Err("expected error, warn, info, debug or trace".into()),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Request, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn run() -> Run {
        Run { config: "a.yaml".into(), registration_token: None, log_level: LevelFilter::Info, log_file: None }
    }

    #[test]
    fn requests() {
        let full = Run {
            registration_token: RegistrationToken::parse("012345"),
            log_level: LevelFilter::Trace,
            log_file: Some("a.log".into()),
            ..run()
        };
        let report = |file: Option<&str>| Report { tool: "nmap".into(), file: file.map(PathBuf::from) };
        let table = [
            ("--config a.yaml", Request::Run(run())),
            ("--config=a.yaml", Request::Run(run())),
            ("-c a.yaml", Request::Run(run())),
            ("--log-file a.log --token 012345 --config a.yaml --log-level trace", Request::Run(full)),
            ("report --tool nmap", Request::Report(report(None))),
            ("report --tool=nmap a.xml", Request::Report(report(Some("a.xml")))),
            ("report --tool nmap -- --a=b", Request::Report(report(Some("--a=b")))),
            ("resend -c a.yaml 1.jsonl", Request::Resend(Resend { config: "a.yaml".into(), file: "1.jsonl".into() })),
            ("--version", Request::Print(format!("agent {}\n", env!("CARGO_PKG_VERSION")))),
        ];
        for (line, expected) in table {
            assert_eq!(parsed(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn help_names_every_option() {
        for line in ["--help", "-h"] {
            let Ok(Request::Print(help)) = parsed(line) else {
                panic!("{line} is no help");
            };
            for word in ["--config", "--token", "--log-level", "--log-file", "--version", "report", "resend"] {
                assert!(help.contains(word), "{word} is missing in\n{help}");
            }
        }
        let Ok(Request::Print(help)) = parsed("report --help") else {
            panic!("report has no help");
        };
        assert!(help.contains("--tool"), "{help}");
    }

    #[test]
    fn mistakes() {
        let table = [
            ("", "--config PATH is missing"),
            ("--config", "No value provided for option '--config'."),
            ("--config a --config b", "Error parsing option '--config' with value 'b': duplicate values provided"),
            ("--config a --color", "Unrecognized argument: --color"),
            ("a.yaml", "Unrecognized argument: a.yaml"),
            (
                "--config a --log-level loud",
                "Error parsing option '--log-level' with value 'loud': expected error, warn, info, debug or trace",
            ),
            ("--config a --token 12345", "--token: expected the six digits that the server shows for new agents"),
            ("--config a --token=1234567", "--token: expected the six digits that the server shows for new agents"),
            ("--config a --token 12345x", "--token: expected the six digits that the server shows for new agents"),
            (
                "--config a --token \u{661}\u{661}\u{661}",
                "--token: expected the six digits that the server shows for new agents",
            ),
            ("report", "Required options not provided: --tool"),
            ("--config a report --tool nmap", "the options that come before a subcommand belong to the agent itself"),
        ];
        for (line, expected) in table {
            assert_eq!(parsed(line), Err(expected.to_owned()), "{line}");
        }
    }

    #[test]
    fn words_that_are_not_utf_8() {
        use std::os::unix::ffi::OsStringExt;
        let word = OsString::from_vec(b"caf\xe9".to_vec());
        assert_eq!(parse([word]), Err("\"caf\\xE9\" is not UTF-8".into()));
    }
}
