//! A second, tiny process that outlives the agent by an instant: when the agent is gone, however it went, the guard ends what
//! its executors have started. Nothing inside a process can promise that for SIGKILL, and PR_SET_PDEATHSIG reaches one process,
//! not its children.
//!
//! The agent tells the guard over a pipe who it is (`=INSTANCE`), which processes live (`+123/4567`, the number and the birth:
//! leaders of executors' groups, and orphans) and which do not any more (`-123`), a line each. The end of that pipe is the
//! agent's end. The guard is no ancestor of the executors, so it does not inherit their orphans; the agent does, and tells it.
//!
//! Who may signal the agent may signal its guard. One that was killed, that stands still or that does not read is replaced by
//! another, which is told everything anew; and nobody ever waits for one without a deadline.

use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use mio::unix::pipe::Sender;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use crate::bounds::{GUARD_END_TIME_MAX, GUARD_PAUSE_MAX, GUARD_READ_TIME_MAX};

use super::sweep::{self, Told};
use super::{environment, null};

/// What a missing guard means.
const UNGUARDED: &str = "executors would live on if this agent were killed with SIGKILL";
/// The second replacement comes so long after the first, the third twice as long after that, and so on.
const PAUSE: Duration = Duration::from_secs(1);
/// Nobody tells of the end of one process, or of room in one pipe, within a time.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// The agent's end of the pipe, and all that was said into it.
#[derive(Debug)]
pub struct Guard {
    own_path: PathBuf,
    instance: String,
    told: Told,
    running: Option<Running>,
    /// When the last one was started, and how many were before it.
    started: Instant,
    replaced: u32,
}

#[derive(Debug)]
struct Running {
    pid: Pid,
    pipe: Sender,
}

impl Guard {
    /// Starts the guard from this program's own file. Without one the agent works all the same, and says so.
    pub fn start(own_path: PathBuf, instance: String) -> Guard {
        let mut guard =
            Guard { own_path, instance, told: Told::new(), running: None, started: Instant::now(), replaced: 0 };
        guard.launch();
        guard
    }

    /// From now on the process and its group end with the agent.
    pub fn add(&mut self, process: i32, born: u64) {
        self.told.insert(process, born);
        self.send(&line_of(process, born));
    }

    pub fn remove(&mut self, process: i32) {
        if self.told.remove(&process).is_some() {
            self.send(&format!("-{process}\n"));
        }
    }

    /// Whether this is the process of the guard, which nobody else waits for.
    pub fn is(&self, process: i32) -> bool {
        self.running.as_ref().is_some_and(|running| running.pid.as_raw() == process)
    }

    /// To be called when a child has ended or was stopped, and now and then: replaces a guard that guards nothing.
    pub fn tend(&mut self) {
        if let Some(running) = &self.running {
            let any = WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED;
            match waitid(Id::Pid(running.pid), any | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT) {
                Ok(WaitStatus::StillAlive) => {}
                Ok(WaitStatus::Stopped(..)) => self.lose("it was stopped"),
                _ => self.lose("it was ended"),
            }
        }
        if self.running.is_none() && self.started.elapsed() >= (PAUSE * self.replaced).min(GUARD_PAUSE_MAX) {
            self.replaced += 1;
            self.launch();
            if self.running.is_some() {
                log::warn!("another guard was started");
            }
        }
    }

    fn launch(&mut self) {
        self.started = Instant::now();
        match self.spawn() {
            Ok(running) => self.running = Some(running),
            Err(error) => return log::warn!("no guard: {error}; {UNGUARDED}"),
        }
        let told = self.told.iter().map(|(process, born)| line_of(*process, *born));
        let lines: String = std::iter::once(format!("={}\n", self.instance)).chain(told).collect();
        self.send(&lines);
    }

    fn spawn(&self) -> io::Result<Running> {
        let mut command = Command::new(&self.own_path);
        command.arg("guard").stdin(Stdio::piped()).stdout(null::output()?).stderr(null::output()?);
        command.env_clear().envs(environment::handed_down());
        // A group of its own, so that Ctrl-C in a terminal does not reach it.
        let mut child = command.process_group(0).spawn()?;
        let pid = Pid::from_raw(child.id().cast_signed());
        let pipe = child.stdin.take().map(Sender::from).ok_or(io::ErrorKind::BrokenPipe)?;
        pipe.set_nonblocking(true)?;
        Ok(Running { pid, pipe })
    }

    fn send(&mut self, lines: &str) {
        let Some(running) = &mut self.running else { return };
        if let Err(error) = write_soon(&mut running.pipe, lines.as_bytes()) {
            self.lose(&format!("telling it something failed ({error})"));
        }
    }

    /// It guards nothing any more. Whoever reaps orphans reaps it too.
    fn lose(&mut self, why: &str) {
        if let Some(running) = self.running.take() {
            log::warn!("the guard is lost: {why}; {UNGUARDED} before there is another");
            let _ = kill(running.pid, Signal::SIGKILL);
        }
    }
}

/// How the guard is told of one that lives.
fn line_of(process: i32, born: u64) -> String {
    format!("+{process}/{born}\n")
}

/// A guard reads at once whatever it is told; a pipe that stays full is that of one that stands still.
fn write_soon(pipe: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    let begun = Instant::now();
    while !bytes.is_empty() {
        match pipe.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && begun.elapsed() < GUARD_READ_TIME_MAX => {
                sleep(LOOK_EVERY);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Drop for Guard {
    /// Waits for it to end what there may be to end.
    fn drop(&mut self) {
        let Some(Running { pid, pipe }) = self.running.take() else { return };
        drop(pipe);
        // One that was stopped would not notice.
        let _ = kill(pid, Signal::SIGCONT);
        let begun = Instant::now();
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
        while let Ok(WaitStatus::StillAlive) = waitid(Id::Pid(pid), flags) {
            if begun.elapsed() >= GUARD_END_TIME_MAX {
                log::warn!("the guard does not end by itself; killing it");
                let _ = kill(pid, Signal::SIGKILL);
                return;
            }
            sleep(LOOK_EVERY);
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
    // It has the agent's environment.
    super::hide_secrets();
    let (told, instance) = survivors(input);
    sweep::end(&told, &instance);
    Ok(())
}

/// Who lives when the lines end, and whose they are. A last line that broke off does not count.
fn survivors(mut input: impl BufRead) -> (Told, String) {
    let (mut told, mut instance) = (Told::new(), String::new());
    let mut line = String::new();
    while matches!(input.read_line(&mut line), Ok(1..)) && line.ends_with('\n') {
        let (kind, rest) = (line.as_bytes()[0], line[1..].trim_end());
        let (id, born) = rest.split_once('/').unwrap_or((rest, ""));
        match (kind, id.parse::<i32>(), born.parse::<u64>()) {
            (b'=', ..) => rest.clone_into(&mut instance),
            // An id of 0 or 1 would be ourselves or everybody.
            (b'+', Ok(id @ 2..), Ok(born)) => {
                told.insert(id, born);
            }
            (b'-', Ok(id), _) => {
                told.remove(&id);
            }
            _ => {}
        }
        line.clear();
    }
    (told, instance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_added_and_not_removed_survives() {
        for (lines, expected) in [
            ("", vec![]),
            ("+10/5\n+11/6\n-10\n", vec![(11, 6)]),
            ("+10/5\n+12/7", vec![(10, 5)]),
            ("+0/1\n+1/1\n+-5/1\n+x/1\n+8\n+9/x\nnonsense\n+7/1\n", vec![(7, 1)]),
        ] {
            assert_eq!(survivors(lines.as_bytes()).0.into_iter().collect::<Vec<_>>(), expected, "{lines:?}");
        }
        assert_eq!(survivors(&b"=8-1\n+10/5\n"[..]).1, "8-1");
    }

    #[test]
    fn a_guard_that_does_not_read_holds_up_nobody() {
        // yes(1) never reads.
        let mut guard = Guard::start("yes".into(), "1-2".to_owned());
        let begun = Instant::now();
        // Many times what a pipe holds.
        for id in 0..100_000 {
            guard.add(1_000_000 + id, 1);
            guard.remove(1_000_000 + id);
        }
        assert!(guard.running.is_none() && begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        guard.tend();
        assert!(guard.running.is_some(), "it is replaced");
        let begun = Instant::now();
        drop(guard);
        assert!(begun.elapsed() < GUARD_END_TIME_MAX + Duration::from_secs(2), "{:?}", begun.elapsed());
    }
}
