//! A second, tiny process that outlives the agent by an instant: when the agent is gone, however it went, the guard kills the
//! process groups of its executors. Nothing inside a process can promise that for SIGKILL, and PR_SET_PDEATHSIG reaches one
//! process, not its group.
//!
//! The agent tells the guard over a pipe which groups live (`+123`) and which do not any more (`-123`), a line each. The end of
//! that pipe is the agent's end.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, killpg, sigprocmask};
use nix::unistd::Pid;

use super::{environment, null};

/// The agent's end of the pipe.
#[derive(Debug)]
pub struct Guard {
    process: Option<Child>,
    pipe: Option<ChildStdin>,
}

impl Guard {
    /// Starts the guard from this program's own file. Without one the agent works all the same, and says so.
    pub fn start(own_path: &Path) -> Guard {
        match spawn(own_path) {
            Ok(mut process) => Guard { pipe: process.stdin.take(), process: Some(process) },
            Err(error) => {
                log::warn!("no guard: {error}; executors would live on if this agent were killed with SIGKILL");
                Guard { process: None, pipe: None }
            }
        }
    }

    pub fn add(&mut self, group: Pid) {
        self.tell(format_args!("+{group}\n"));
    }

    pub fn remove(&mut self, group: Pid) {
        self.tell(format_args!("-{group}\n"));
    }

    fn tell(&mut self, line: std::fmt::Arguments<'_>) {
        let Some(pipe) = &mut self.pipe else { return };
        if let Err(error) = pipe.write_all(line.to_string().as_bytes()) {
            log::warn!("the guard is gone: {error}; executors would live on if this agent were killed with SIGKILL");
            self.pipe = None;
        }
    }
}

fn spawn(own_path: &Path) -> io::Result<Child> {
    let mut command = Command::new(own_path);
    command.arg("guard").stdin(Stdio::piped()).stdout(null::output()?).stderr(null::output()?);
    command.env_clear().envs(environment::handed_down());
    // A group of its own, so that Ctrl-C in a terminal does not reach it.
    command.process_group(0).spawn()
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.pipe = None;
        if let Some(process) = &mut self.process {
            let _ = process.wait();
        }
    }
}

/// The guard's own life: `agent guard`.
pub fn main(input: impl BufRead) -> io::Result<()> {
    // Whoever ends the agent's whole service by signal must not end the guard before the agent.
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        signals.add(signal);
    }
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&signals), None)?;
    for group in survivors(input) {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    Ok(())
}

/// The groups that live when the lines end. A last line that broke off does not count.
fn survivors(mut input: impl BufRead) -> BTreeSet<i32> {
    let mut groups = BTreeSet::new();
    let mut line = String::new();
    while matches!(input.read_line(&mut line), Ok(1..)) && line.ends_with('\n') {
        // A group id of 0 or 1 would be ourselves or everybody.
        match (line.as_bytes()[0], line[1..].trim_end().parse::<i32>()) {
            (b'+', Ok(group @ 2..)) => {
                groups.insert(group);
            }
            (b'-', Ok(group)) => {
                groups.remove(&group);
            }
            _ => {}
        }
        line.clear();
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::survivors;

    #[test]
    fn groups_that_were_added_and_not_removed_survive() {
        for (lines, expected) in [
            ("", vec![]),
            ("+10\n+11\n-10\n", vec![11]),
            ("+10\n+12", vec![10]),
            ("+0\n+1\n+-5\n+x\nnonsense\n+7\n", vec![7]),
        ] {
            assert_eq!(survivors(lines.as_bytes()).into_iter().collect::<Vec<_>>(), expected, "{lines:?}");
        }
    }
}
