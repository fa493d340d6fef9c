//! The command line: which words there are, and what is asked for with them. Reads no file and prints nothing. Driven by
//! `cli::main`.

use std::ffi::OsString;
use std::path::PathBuf;

use argh::FromArgs;
use log::LevelFilter;

use crate::shell::enrol::{REGISTRATION_VARIABLE, RegistrationToken};

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
    pub registration: Option<Registration>,
    pub log_level: LevelFilter,
    /// `None` is stderr.
    pub log_file: Option<PathBuf>,
}

/// Where the six digits are by which the agent registers.
#[derive(Debug, PartialEq)]
pub enum Registration {
    /// Here, and in the arguments or the environment, where others could see them.
    Shown(RegistrationToken),
    File(PathBuf),
    Stdin,
}

impl Run {
    /// What asks for the same with the digits on stdin.
    pub fn words_with_token_on_stdin(&self) -> Vec<OsString> {
        let Run { config, registration: _, log_level, log_file } = self;
        let level = log_level.as_str().to_ascii_lowercase();
        let mut words: Vec<OsString> = vec!["--config".into(), config.into(), "--token-file".into(), "-".into()];
        words.extend(["--log-level".into(), level.into()]);
        words.extend(log_file.iter().flat_map(|file| ["--log-file".into(), file.into()]));
        words
    }
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
    note = "Environment: FARADAY_AGENT_REGISTRATION_TOKEN, in place of --token.",
    note = "Exit status: 0 after a requested stop, 2 for a mistake in the configuration or on the\n\
            command line, 1 for everything else."
)]
struct Words {
    /// the dispatcher.yaml to run by (YAML or JSON)
    #[argh(option, short = 'c', arg_name = "path")]
    config: Option<PathBuf>,

    /// a file with the six digits that the server shows for new agents, or - for stdin; needed once, to register
    #[argh(option, arg_name = "path")]
    token_file: Option<PathBuf>,

    /// the six digits themselves; other users of this machine may see them for a moment
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

/// Reads the words after the program's name, and what `variable` finds in the environment. The error is one line for the user.
pub fn parse(
    words: impl IntoIterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Request, String> {
    let words = texts(words)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match Words::from_args(&["agent"], &words) {
        Ok(words) => request(words, variable),
        Err(exit) if exit.status.is_ok() => Ok(Request::Print(format!("{}\n", exit.output.trim_end()))),
        Err(exit) => Err(one_line(&exit.output)),
    }
}

fn request(words: Words, variable: impl Fn(&str) -> Option<OsString>) -> Result<Request, String> {
    if words.version {
        return Ok(Request::Print(concat!("agent ", env!("CARGO_PKG_VERSION"), "\n").to_owned()));
    }
    let is_bare = words.config.is_none()
        && words.token.is_none()
        && words.token_file.is_none()
        && words.log_level.is_none()
        && words.log_file.is_none();
    match words.command {
        Some(_) if !is_bare => Err("the options that come before a subcommand belong to the agent itself".into()),
        Some(Command::Report(report)) => Ok(Request::Report(report)),
        Some(Command::Resend(resend)) => Ok(Request::Resend(resend)),
        Some(Command::List(List {})) => Ok(Request::List),
        Some(Command::Guard(Guard {})) => Ok(Request::Guard),
        None => Ok(Request::Run(Run {
            config: words.config.ok_or("--config PATH is missing")?,
            registration: registration(words.token_file, words.token, variable(REGISTRATION_VARIABLE))?,
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

fn registration(
    file: Option<PathBuf>,
    token: Option<String>,
    variable: Option<OsString>,
) -> Result<Option<Registration>, String> {
    // Where a template sets the variable in any case, it is empty for want of a token.
    let variable = variable.filter(|value| !value.is_empty());
    let shown = |token| Some(Registration::Shown(token));
    match (file, token, variable) {
        (None, None, None) => Ok(None),
        (Some(file), None, None) if file.as_os_str() == "-" => Ok(Some(Registration::Stdin)),
        (Some(file), None, None) => Ok(Some(Registration::File(file))),
        (None, Some(token), None) => registration_token("--token", &token).map(shown),
        (None, None, Some(value)) => {
            registration_token(REGISTRATION_VARIABLE, value.to_str().unwrap_or_default()).map(shown)
        }
        _ => Err(format!(
            "the registration token is given by more than one of --token-file, --token and {REGISTRATION_VARIABLE}; leave one"
        )),
    }
}

/// What `source` gives. The error says nothing of the token itself: it opens the server to whoever reads the log.
pub fn registration_token(source: &str, token: &str) -> Result<RegistrationToken, String> {
    RegistrationToken::parse(token)
        .ok_or_else(|| format!("{source}: expected the six digits that the server shows for new agents"))
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
        parse(line.split_whitespace().map(OsString::from), |_| None)
    }

    fn run() -> Run {
        Run { config: "a.yaml".into(), registration: None, log_level: LevelFilter::Info, log_file: None }
    }

    fn registering(registration: Registration) -> Run {
        Run { registration: Some(registration), ..run() }
    }

    /// The variable is set to this.
    fn parsed_with(value: &str, line: &str) -> Result<Request, String> {
        let variable = |name: &str| (name == "FARADAY_AGENT_REGISTRATION_TOKEN").then(|| value.into());
        parse(line.split_whitespace().map(OsString::from), variable)
    }

    #[test]
    fn the_digits_may_come_by_the_environment() {
        let token = RegistrationToken::parse("012345").expect("six digits");
        let run_with = Request::Run(registering(Registration::Shown(token)));
        assert_eq!(parsed_with("012345", "--config a.yaml"), Ok(run_with));
        assert_eq!(parsed_with("", "--config a.yaml"), Ok(Request::Run(run())));
        assert_eq!(parsed_with("hunter2", "list"), Ok(Request::List));
        let problem = "FARADAY_AGENT_REGISTRATION_TOKEN: expected the six digits that the server shows for new agents";
        assert_eq!(parsed_with("hunter2", "--config a.yaml"), Err(problem.into()));
    }

    #[test]
    fn the_digits_are_given_once() {
        let problem = "the registration token is given by more than one of --token-file, --token and \
                       FARADAY_AGENT_REGISTRATION_TOKEN; leave one";
        for (value, line) in [
            ("012345", "-c a --token 012345"),
            ("012345", "-c a --token-file b"),
            ("", "-c a --token-file b --token 012345"),
            ("012345", "-c a --token-file b --token 012345"),
        ] {
            assert_eq!(parsed_with(value, line), Err(problem.into()), "{value} {line}");
        }
    }

    #[test]
    fn the_words_with_the_digits_on_stdin_ask_for_the_same() {
        for line in ["-c a.yaml --token 012345", "--config --token --log-level trace --token=012345 --log-file a.log"] {
            let Ok(Request::Run(asked)) = parsed(line) else { panic!("{line} runs nothing") };
            let words = asked.words_with_token_on_stdin();
            assert!(words.iter().all(|word| word != "012345"), "{words:?}");
            assert_eq!(
                parse(words, |_| None),
                Ok(Request::Run(Run { registration: Some(Registration::Stdin), ..asked }))
            );
        }
    }

    #[test]
    fn requests() {
        let full = Run {
            registration: RegistrationToken::parse("012345").map(Registration::Shown),
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
            ("--config a.yaml --token-file=b", Request::Run(registering(Registration::File("b".into())))),
            ("--config a.yaml --token-file -", Request::Run(registering(Registration::Stdin))),
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
            for word in [
                "--config",
                "--token",
                "--token-file",
                "FARADAY_AGENT_REGISTRATION_TOKEN",
                "--log-level",
                "--log-file",
                "--version",
                "report",
                "resend",
            ] {
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
        assert_eq!(parse([word], |_| None), Err("\"caf\\xE9\" is not UTF-8".into()));
    }
}
