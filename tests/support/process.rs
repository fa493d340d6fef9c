//! The agent as a process: signals, its end, what it prints, uses and leaves behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use super::SOON;
use super::agent_log::AgentLog;
use super::dir::TempDir;

/// By this variable in its environment every process that descends from the agent is known.
const MARK: &str = "FARADAY_STANDIN_DIR";

/// All that was seen, for a wait that was in vain.
pub type Report = Arc<dyn Fn() -> String + Send + Sync>;

/// What it takes to start the agent, once or again.
pub struct Launch {
    pub binary: PathBuf,
    pub args: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub dir: TempDir,
    pub log: Arc<AgentLog>,
}

/// A started agent. Dropping it ends it and everything that it left behind.
pub struct AgentProcess {
    report: Report,
    life: Life,
    launch: Launch,
}

/// One life of the process. Its id is never used after it was reaped: both happen under the lock.
struct Life {
    pid: Pid,
    exit: Arc<(Mutex<Option<ExitStatus>>, Condvar)>,
}

impl Life {
    #[track_caller]
    fn start(launch: &Launch) -> Life {
        let Launch { binary, args, environment, dir, log } = launch;
        let mut command = Command::new(binary);
        command.args(args).current_dir(dir.path());
        command.env(MARK, dir.path()).env("HOME", dir.path()).env_remove("STATE_DIRECTORY");
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn();
        let mut child = child.unwrap_or_else(|e| panic!("starting {}: {e}", binary.display()));
        child.stdout.take().into_iter().for_each(|stdout| log.follow(stdout));
        child.stderr.take().into_iter().for_each(|stderr| log.follow(stderr));
        let pid = Pid::from_raw(child.id().cast_signed());
        let exit = Arc::new((Mutex::new(None), Condvar::new()));
        let told = exit.clone();
        std::thread::spawn(move || {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            while waitid(Id::Pid(pid), flags) == Err(Errno::EINTR) {}
            let (status, changed) = &*told;
            *status.lock().unwrap_or_else(PoisonError::into_inner) = child.wait().ok();
            changed.notify_all();
        });
        Life { pid, exit }
    }

    fn signal(&self, signal: Signal) {
        let status = self.exit.0.lock().unwrap_or_else(PoisonError::into_inner);
        if status.is_none() {
            // It may have ended a moment ago; it is a zombie then, and takes signals without effect.
            let _ = signal::kill(self.pid, signal);
        }
    }

    fn wait(&self, within: Duration) -> Option<ExitStatus> {
        let (status, changed) = &*self.exit;
        let status = status.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(status, within, |status| status.is_none());
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl AgentProcess {
    #[track_caller]
    pub fn start(launch: Launch, report: Report) -> AgentProcess {
        AgentProcess { report, life: Life::start(&launch), launch }
    }

    /// Starts it again, after its end, with the same directory, configuration and arguments.
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(!self.is_running(), "the agent still runs");
        self.life = Life::start(&self.launch);
    }

    /// The next start is without `--token` and its digits.
    pub fn drop_registration(&mut self) {
        let args = &mut self.launch.args;
        if let Some(at) = args.iter().position(|arg| arg == "--token") {
            args.drain(at..at + 2);
        }
    }

    /// All that was seen so far, as a failed wait prints it.
    pub fn report(&self) -> String {
        (self.report)()
    }

    pub fn pid(&self) -> u32 {
        self.life.pid.as_raw().cast_unsigned()
    }

    pub fn dir(&self) -> &Path {
        self.launch.dir.path()
    }

    pub fn state_dir(&self) -> PathBuf {
        self.launch.dir.join("state")
    }

    /// All that it printed so far, in all its lives.
    pub fn log(&self) -> String {
        self.launch.log.text()
    }

    /// The place in the log where new lines begin, for `wait_log_from`.
    pub fn log_mark(&self) -> usize {
        self.launch.log.mark()
    }

    /// Waits for a line that holds `pattern`.
    #[track_caller]
    pub fn wait_log(&self, pattern: &str, within: Duration) -> String {
        self.wait_log_from(0, pattern, within)
    }

    #[track_caller]
    pub fn wait_log_from(&self, mark: usize, pattern: &str, within: Duration) -> String {
        match self.launch.log.wait(mark, pattern, within) {
            Some(line) => line,
            None => panic!("waited {within:?} in vain for {pattern:?} in the agent's log\n{}", self.report()),
        }
    }

    /// SIGTERM, the ordinary way of stopping it.
    pub fn terminate(&self) {
        self.life.signal(Signal::SIGTERM);
    }

    pub fn interrupt(&self) {
        self.life.signal(Signal::SIGINT);
    }

    pub fn hang_up(&self) {
        self.life.signal(Signal::SIGHUP);
    }

    /// SIGKILL, to the agent alone.
    pub fn kill(&self) {
        self.life.signal(Signal::SIGKILL);
    }

    /// SIGSTOP (true) or SIGCONT.
    pub fn pause(&self, paused: bool) {
        self.life.signal(if paused { Signal::SIGSTOP } else { Signal::SIGCONT });
    }

    pub fn is_running(&self) -> bool {
        self.life.wait(Duration::ZERO).is_none()
    }

    /// Waits for its end; its log is complete then.
    #[track_caller]
    pub fn wait_exit(&self, within: Duration) -> ExitStatus {
        let Some(status) = self.life.wait(within) else {
            panic!("waited {within:?} in vain for the agent to end\n{}", self.report());
        };
        self.launch.log.wait_end(Duration::from_secs(2));
        status
    }

    /// Resident memory in kB (1024 bytes); 0 when it has ended.
    pub fn rss_kb(&self) -> u64 {
        self.status_number("VmRSS:")
    }

    pub fn peak_rss_kb(&self) -> u64 {
        self.status_number("VmHWM:")
    }

    pub fn threads(&self) -> u64 {
        self.status_number("Threads:")
    }

    /// Processor time so far, user and system, to 10 ms.
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        // Fields 14 and 15 of proc(5), counted after the name, which may hold blanks; in ticks of 10 ms.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }

    fn status_number(&self, key: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    /// Process ids of what the agent started and what that started, as far as they still run.
    pub fn descendants(&self) -> Vec<u32> {
        let mark = format!("{MARK}={}", self.dir().display());
        let marked = |pid: &u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let mut entries = environment.split(|b| *b == 0);
            *pid != self.pid() && entries.any(|entry| entry == mark.as_bytes())
        };
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(marked).collect()
    }

    /// Waits until nothing runs any more that the agent started.
    #[track_caller]
    pub fn wait_no_descendants(&self, within: Duration) {
        let left = self.descendants_after(within);
        assert!(left.is_empty(), "after {within:?} still running: {left:?}\n{}", self.report());
    }

    /// What still runs when `within` is over, or nothing as soon as nothing does.
    fn descendants_after(&self, within: Duration) -> Vec<u32> {
        let deadline = Instant::now() + within;
        loop {
            let left = self.descendants();
            if left.is_empty() || Instant::now() > deadline {
                return left;
            }
            // They are nobody's children here, so the kernel tells us nothing: looking again is all there is.
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        self.kill();
        self.life.wait(SOON);
        for pid in self.descendants() {
            let _ = signal::kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
        }
        self.descendants_after(Duration::from_secs(2));
    }
}
