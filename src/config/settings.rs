//! What a checked configuration says, in types that cannot hold a mistake. Filled by the reader beside it, read by everybody.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::bounds::{CONCURRENT_RUNS_MAX, WAITING_RUNS_MAX};
use crate::proto::param::Param;

/// The whole of a `dispatcher.yaml`.
#[derive(Clone, Debug)]
pub struct Settings {
    pub server: Server,
    /// `tokens.agent`: the token of an agent that registered earlier.
    pub token: Option<AgentToken>,
    pub agent: Agent,
}

/// Where the Faraday server is and how to speak to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Name or address, without scheme, port, brackets or path.
    pub host: String,
    pub api_port: u16,
    /// Same as `api_port` where the file names none.
    pub websocket_port: u16,
    /// TLS for REST and the command channel.
    pub tls: bool,
    /// PEM file: a CA, or the server's own certificate.
    pub tls_cert: Option<PathBuf>,
    /// `ssl_ignore` turned round: false accepts any certificate.
    pub tls_verify: bool,
    /// Put before every path: empty, or `/one/or/more` with no slash at the end.
    pub base_route: String,
    pub protocol: ProtocolChoice,
}

/// `server.protocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProtocolChoice {
    #[default]
    Auto,
    SocketIo,
    WebSocket,
}

/// What this agent is called, what it runs and within which bounds.
#[derive(Clone, Debug)]
pub struct Agent {
    pub name: String,
    pub description: String,
    /// In the order of the file.
    pub executors: Vec<Executor>,
    /// `agent.state_dir`; where to look without it is the shell's to say.
    pub state_dir: Option<PathBuf>,
    /// How many runs may be alive at once; `None` is any number.
    pub concurrent_runs_max: Option<usize>,
    /// How many more may wait for them; what is above is refused.
    pub waiting_runs_max: usize,
    /// Between SIGTERM and SIGKILL.
    pub stop_grace: Duration,
    /// `agent.sync_ms`: from a write to a journal to its sync; zero is at once.
    pub sync_after: Duration,
    /// All journals together.
    pub journal_bytes_max: u64,
    /// From the end of an executor until the server is told that something still waits for it.
    pub delivery_grace: Duration,
    /// `agent.retry_days`: what the server has not taken for this long is set aside.
    pub retry_max: Duration,
}

/// What an agent is that was told nothing: no name, no executors, and every limit at its usual value.
impl Default for Agent {
    fn default() -> Agent {
        Agent {
            name: String::new(),
            description: String::new(),
            executors: Vec::new(),
            state_dir: None,
            concurrent_runs_max: Some(CONCURRENT_RUNS_MAX),
            waiting_runs_max: WAITING_RUNS_MAX,
            stop_grace: Duration::from_secs(10),
            sync_after: Duration::from_millis(1000),
            journal_bytes_max: 4 << 30,
            delivery_grace: Duration::from_secs(60),
            retry_max: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

impl Agent {
    /// The name as one component of a path: what is not a letter, digit, `-`, `_`, `.` or space in between stands as `%`
    /// and two hex digits, so that different names give different directories and `..` or `a/b` lead nowhere else.
    pub fn directory_name(&self) -> String {
        let mut directory = String::new();
        for (index, byte) in self.name.bytes().enumerate() {
            match byte {
                b'.' if index == 0 => directory.push_str("%2E"),
                b'-' | b'_' | b'.' | b' ' => directory.push(char::from(byte)),
                byte if byte.is_ascii_alphanumeric() => directory.push(char::from(byte)),
                byte => directory.push_str(&format!("%{byte:02X}")),
            }
        }
        if directory.len() > DIRECTORY_BYTES_MAX {
            directory.truncate(DIRECTORY_BYTES_MAX);
            directory.push_str(&format!("%{:08x}", crc32fast::hash(self.name.as_bytes())));
        }
        directory
    }
}

/// With the checksum of a longer name behind it still below the 255 bytes that file systems take.
const DIRECTORY_BYTES_MAX: usize = 200;

/// One executor as configured.
#[derive(Clone, Debug)]
pub struct Executor {
    pub name: String,
    pub program: Program,
    /// In the order of the file.
    pub params: Vec<Param>,
    /// Names in upper case.
    pub varenvs: Vec<(String, Secret)>,
    /// `timeout_s`: a run is ended after this long.
    pub timeout: Option<Duration>,
}

/// What an executor starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// `cmd`, for `/bin/sh -c`.
    Command(String),
    /// `repo_executor` without its extension: one of the executors inside this binary.
    Official(String),
}

/// A value that nobody may read in a log: prints as `[redacted]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: String) -> Secret {
        Secret(value)
    }

    /// The value itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The 64 letters and digits by which the server knows this agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentToken(Secret);

impl AgentToken {
    /// `None` unless it is 64 ASCII letters and digits.
    pub fn parse(text: &str) -> Option<AgentToken> {
        let fits = text.len() == 64 && text.bytes().all(|b| b.is_ascii_alphanumeric());
        fits.then(|| AgentToken(Secret::new(text.to_owned())))
    }

    /// The token itself, for the header that carries it and the file that keeps it.
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_component_of_a_path() {
        let long = "x".repeat(300);
        let table = [
            ("agent-1", "agent-1"),
            ("My Agent v1.2", "My Agent v1.2"),
            ("a/b", "a%2Fb"),
            ("..", "%2E."),
            (".hidden", "%2Ehidden"),
            ("100%", "100%25"),
            ("é", "%C3%A9"),
            (&long, &format!("{}%{:08x}", &long[..200], crc32fast::hash(long.as_bytes()))),
        ];
        for (name, expected) in table {
            let agent = Agent { name: name.to_owned(), ..Agent::default() };
            assert_eq!(agent.directory_name(), expected, "{name}");
        }
    }

    #[test]
    fn secrets_print_as_nothing() {
        let token = AgentToken::parse(&"a1B2".repeat(16));
        assert_eq!(format!("{token:?}"), "Some(AgentToken([redacted]))");
    }
}
