//! Processes that an executor leaves behind, in every shape in which they are hard to find; each is known by its id and its
//! birth, since ids are used again.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

/// A script for `AgentBuilder::script` under the name `stray`: `./stray NAME` writes its id into the file NAME and stays,
/// whatever signal asks it to end.
pub const STRAY: &str = "trap '' HUP INT TERM; echo $$ > $1.part; mv $1.part $1; exec sleep 600";

/// The strays that `START_MARKED` starts: they carry the mark of their run.
pub const MARKED: [&str; 5] = ["session", "orphan", "grouped", "nested", "parent"];

/// A child in a session of its own, another whose parent ends at once, one that stays in its group, and a family of two in
/// sessions of their own. None of them holds a pipe of the executor's.
pub const START_MARKED: &str = "\
    setsid ./stray session </dev/null >/dev/null 2>&1 & \
    (setsid ./stray orphan </dev/null >/dev/null 2>&1 &); \
    (./stray grouped </dev/null >/dev/null 2>&1 &); \
    setsid sh -c './stray nested & setsid ./stray parent & wait' </dev/null >/dev/null 2>&1 & ";

/// The strays that `START_UNMARKED` starts: they have taken the mark of their run off.
pub const UNMARKED: [&str; 3] = ["bare", "bare-orphan", "bare-nested"];

/// As above; the last one's parent is neither waited for by the executor nor ends by itself.
pub const START_UNMARKED: &str = "\
    env -i setsid ./stray bare </dev/null >/dev/null 2>&1 & \
    (env -i setsid ./stray bare-orphan </dev/null >/dev/null 2>&1 &); \
    (env -i setsid sh -c 'setsid ./stray bare-nested & wait' </dev/null >/dev/null 2>&1 &); ";

/// A process, alive or not.
#[derive(Debug)]
pub struct Stray {
    /// Of a `./stray NAME`, which is ended when this is dropped; empty for others, which are not.
    name: String,
    pub id: u32,
    birth: u64,
}

impl Stray {
    /// A process that has just been seen.
    #[track_caller]
    pub fn of(id: u32) -> Stray {
        let birth = stat(id).unwrap_or_else(|| panic!("process {id} is gone already")).birth;
        Stray { name: String::new(), id, birth }
    }

    /// Waits until each `./stray NAME` stays.
    #[track_caller]
    pub fn wait_all(dir: &Path, names: &[&str], within: Duration) -> Vec<Stray> {
        names.iter().map(|name| Stray::wait(dir, name, within)).collect()
    }

    #[track_caller]
    fn wait(dir: &Path, name: &str, within: Duration) -> Stray {
        let deadline = Instant::now() + within;
        loop {
            if let Ok(text) = fs::read_to_string(dir.join(name)) {
                let mut stray = Stray::of(text.trim().parse().expect("a process id"));
                name.clone_into(&mut stray.name);
                return stray;
            }
            assert!(Instant::now() < deadline, "waited {within:?} in vain for the stray {name:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Of the line from this process up to `process`, its child; 0 if there is no such line.
    pub fn ancestor_below(&self, process: u32) -> u32 {
        let mut line = std::iter::successors(Some(self.id), |id| stat(*id).map(|stat| stat.parent));
        line.find(|id| stat(*id).is_some_and(|stat| stat.parent == process)).unwrap_or(0)
    }

    pub fn is_alive(&self) -> bool {
        self.stat().is_some_and(|stat| !stat.is_dead)
    }

    /// The process that waits for its end now; 0 when it is gone.
    pub fn parent(&self) -> u32 {
        self.stat().map_or(0, |stat| stat.parent)
    }

    /// Waits for the end of all. They are nobody's children here, so looking again is all there is.
    #[track_caller]
    pub fn wait_ends(strays: &[Stray], within: Duration) {
        let deadline = Instant::now() + within;
        while let Some(stray) = strays.iter().find(|stray| stray.is_alive()) {
            assert!(Instant::now() < deadline, "after {within:?} still there: {stray:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn signal(&self, signal: Signal) {
        if self.stat().is_some() {
            let _ = signal::kill(Pid::from_raw(self.id.cast_signed()), signal);
        }
    }

    fn stat(&self) -> Option<Stat> {
        stat(self.id).filter(|stat| stat.birth == self.birth)
    }
}

impl Drop for Stray {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            self.signal(Signal::SIGKILL);
        }
    }
}

/// A process of another agent's run, which happens to have the same number as one here.
pub struct Bystander(Child);

impl Bystander {
    pub fn start(run: &str) -> Bystander {
        let mut command = Command::new("sleep");
        command.arg("600").env("FARADAY_AGENT_RUN", run).env("FARADAY_AGENT_INSTANCE", "0-1");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Bystander(command.spawn().expect("sleep is on every machine"))
    }

    pub fn is_alive(&mut self) -> bool {
        self.0.try_wait().expect("a child of ours").is_none()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        // It may have been killed, which a test has complained of then.
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// The children of a process, zombies among them.
pub fn children(of: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| stat(*id).is_some_and(|stat| stat.parent == of)).collect()
}

/// The second processes of an agent: one, but for moments.
pub fn guards_of(agent: u32) -> Vec<Stray> {
    let is_guard = |id: &u32| {
        let words = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).nth(1) == Some(b"guard")
    };
    children(agent).into_iter().filter(is_guard).map(Stray::of).collect()
}

#[track_caller]
pub fn guard_of(agent: u32) -> Stray {
    let mut guards = guards_of(agent);
    assert_eq!(guards.len(), 1, "the guards of agent {agent}: {guards:?}");
    guards.remove(0)
}

struct Stat {
    parent: u32,
    is_dead: bool,
    birth: u64,
}

/// From proc_pid_stat(5), counted behind the name, which may hold anything.
fn stat(id: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let is_dead = matches!(fields[0], "Z" | "X");
    Some(Stat { parent: fields[1].parse().ok()?, is_dead, birth: fields[19].parse().ok()? })
}
