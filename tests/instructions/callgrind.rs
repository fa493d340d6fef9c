//! The agent under callgrind: how it is started, and what callgrind has written when it has ended.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::scenes::LATER;
use super::support::{AgentBuilder, AgentProcess};

/// As long as this file is not there, the agent runs as it is.
const COUNTING: &str = "counting";
const OUT: &str = "callgrind.out";
const AGENT: &str = env!("CARGO_BIN_EXE_agent");
/// Lines of a profile.
const LINES_MAX: usize = 70;

pub struct Count {
    pub instructions: u64,
    /// Where they went, as a text.
    pub profile: Box<dyn FnOnce() -> String>,
}

/// Puts callgrind between the test and the agent. The environment is always the same: the agent copies it for every executor.
pub fn wrapped(builder: AgentBuilder) -> AgentBuilder {
    let path = builder.dir().join("wrapped");
    let environment = "env -i PATH=\"$PATH\" HOME=\"$HOME\" FARADAY_STANDIN_DIR=\"$FARADAY_STANDIN_DIR\"";
    let valgrind = format!("valgrind --quiet --tool=callgrind --callgrind-out-file={OUT}");
    let text = format!("[ -e {COUNTING} ] || exec '{AGENT}' \"$@\"\nexec {environment} {valgrind} '{AGENT}' \"$@\"");
    builder.script("wrapped", &text).binary(path)
}

/// From its next start on the agent in this directory is counted.
pub fn begin(directory: &Path) {
    std::fs::write(directory.join(COUNTING), "").expect("a directory of our own");
}

/// Ends the agent and reads what it took.
#[track_caller]
pub fn end(agent: AgentProcess) -> Count {
    agent.terminate();
    let status = agent.wait_exit(LATER);
    assert!(status.success(), "{status}\n{}", agent.report());
    let path = agent.dir().join(OUT);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{e}: is valgrind here?\n{}", agent.report()));
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")).expect("a line with the sum");
    let instructions = total.trim().parse().expect("a number");
    // The directory lives as long as the agent's handle.
    Count { instructions, profile: Box::new(move || annotate(agent.dir().join(OUT))) }
}

/// By what the functions do themselves, then with what they call.
fn annotate(out: PathBuf) -> String {
    let lists = ["--inclusive=no", "--inclusive=yes"].map(|inclusive| {
        let mut command = Command::new("callgrind_annotate");
        let output = command.args(["--auto=no", "--threshold=100", inclusive]).arg(&out).output();
        let output = output.expect("it comes with valgrind").stdout;
        let text = String::from_utf8_lossy(&output);
        text.lines().take(LINES_MAX).collect::<Vec<_>>().join("\n")
    });
    lists.join("\n\n")
}
