//! What the system tells of processes: their numbers, parents and groups, when they were born, and the marks by which a process
//! of a run is known. Reads `/proc` and changes nothing. Numbers of processes are used again, so a process is known by its
//! number and its birth.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::sync::LazyLock;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bounds::ENVIRONMENT_BYTES_MAX;
use crate::engine::event::RunId;

use super::directory::Directory;

/// In the environment of everything that a run starts: the run's number.
pub const RUN_VARIABLE: &str = "FARADAY_AGENT_RUN";
/// The same of the agent, since two agents may give the same number to runs of theirs: see [`instance`].
pub const INSTANCE_VARIABLE: &str = "FARADAY_AGENT_INSTANCE";

/// The same for as long as the machine runs.
static BOOT: LazyLock<String> = LazyLock::new(|| {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
});

/// A process as it was when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub id: i32,
    pub parent: i32,
    pub group: i32,
    /// In clock ticks since the boot.
    pub born: u64,
    /// It has ended, and nobody has waited for it yet.
    pub is_dead: bool,
}

impl Process {
    /// `None` if there is none, or no /proc.
    pub fn find(id: i32) -> Option<Process> {
        let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // From proc_pid_stat(5): the fields behind the name, which stands in brackets and may hold anything.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        // The third field comes first: state, parent, group; the start time is the 22nd.
        let is_dead = matches!(*fields.first()?, "Z" | "X");
        let [parent, group] = [1, 2].map(|at: usize| fields.get(at).and_then(|field| field.parse().ok()));
        Some(Process { id, parent: parent?, group: group?, born: fields.get(19)?.parse().ok()?, is_dead })
    }

    /// Every process that this one may see; none without /proc.
    pub fn all() -> Vec<Process> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.filter_map(Process::find).collect()
    }

    /// When it was born, in words that no other process ever has: the machine's boot and the clock tick since then. Empty where
    /// the boot has no name; then nobody is ever taken for it.
    pub fn birth(&self) -> String {
        if BOOT.is_empty() { String::new() } else { format!("{}/{}", *BOOT, self.born) }
    }

    /// Sends the signal, unless the number is somebody else's by now.
    pub fn signal(&self, signal: Signal) {
        if Process::find(self.id).is_some_and(|now| now.born == self.born) {
            let _ = kill(Pid::from_raw(self.id), signal);
        }
    }

    /// Whether its environment says `variable=value`. What it has changed there itself may be seen or not, proc_pid_environ(5).
    pub fn carries(&self, variable: &str, value: &str) -> bool {
        carried(self.id, variable).is_some_and(|carried| carried == value.as_bytes())
    }
}

/// The run whose mark the process with this number carries now.
pub fn run_of(id: i32) -> Option<RunId> {
    let number = carried(id, RUN_VARIABLE)?;
    std::str::from_utf8(&number).ok()?.parse().ok().map(RunId)
}

fn carried(id: i32, variable: &str) -> Option<Vec<u8>> {
    let file = File::open(format!("/proc/{id}/environ")).ok()?;
    let entries = BufReader::new(file.take(ENVIRONMENT_BYTES_MAX)).split(0);
    entries.map_while(Result::ok).find_map(|mut entry| {
        let begins = entry.starts_with(variable.as_bytes()) && entry.get(variable.len()) == Some(&b'=');
        begins.then(|| entry.split_off(variable.len() + 1))
    })
}

/// The children of this process, with those that have ended and nobody has waited for.
///
/// # Errors
///
/// Without /proc, or if the kernel keeps no such list (it is built without `CONFIG_PROC_CHILDREN`).
pub fn children() -> io::Result<Vec<i32>> {
    // Orphans become the first thread's, and nobody else starts a process here.
    let own = std::process::id();
    let text = fs::read_to_string(format!("/proc/self/task/{own}/children"))?;
    Ok(text.split_ascii_whitespace().filter_map(|id| id.parse().ok()).collect())
}

/// What no other agent of this machine marks its processes with: of a state directory there is one, and one agent at a time
/// works in it.
pub fn instance(state_dir: &Directory) -> io::Result<String> {
    let (device, number) = state_dir.identity(".")?.ok_or(io::ErrorKind::NotFound)?;
    Ok(format!("{device:x}-{number:x}"))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_process_is_known_by_its_marks() {
        let mut command = Command::new("/bin/cat");
        command.env(RUN_VARIABLE, "12").env(INSTANCE_VARIABLE, "a-1").stdin(Stdio::piped());
        let mut child = command.spawn().expect("cat");
        let process = Process::find(child.id().cast_signed()).expect("a child of ours");
        // For an instant after execve(2) has let the parent go on, the kernel shows no environment yet.
        let deadline = Instant::now() + Duration::from_secs(10);
        while run_of(process.id).is_none() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert_eq!((run_of(process.id), process.parent), (Some(RunId(12)), std::process::id().cast_signed()));
        assert!(process.carries(INSTANCE_VARIABLE, "a-1") && !process.carries(INSTANCE_VARIABLE, "a-12"));
        assert!(!process.carries("FARADAY_AGENT", "") && !process.carries(INSTANCE_VARIABLE, "a-"));
        assert!(Process::all().contains(&process));
        drop(child.stdin.take());
        child.wait().expect("ended");
        assert_eq!(Process::find(process.id), None);
    }

    #[test]
    fn a_signal_for_a_process_that_is_gone_hits_nobody() {
        let mut child = Command::new("/bin/cat").stdin(Stdio::piped()).spawn().expect("cat");
        let process = Process::find(child.id().cast_signed()).expect("a child of ours");
        Process { born: process.born + 1, ..process }.signal(Signal::SIGKILL);
        drop(child.stdin.take());
        assert!(child.wait().expect("ended").success());
    }
}
