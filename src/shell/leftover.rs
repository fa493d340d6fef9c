//! Process groups that an agent left behind when it was killed together with its guard: how a group is known again, and how it
//! is ended. Numbers of processes are used again, so a group is killed only if its leader is the process that was started then,
//! or, where the leader is gone, if a member carries the mark of the run in its environment.

use std::fs;
use std::sync::LazyLock;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::engine::event::RunId;
use crate::engine::note::Group;

/// In the environment of everything that a run starts: the run's number.
pub const RUN_VARIABLE: &str = "FARADAY_AGENT_RUN";

/// The same for as long as the machine runs.
static BOOT: LazyLock<String> = LazyLock::new(|| {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
});

/// When a process was born, in words that no other process ever has: the machine's boot and the clock tick since then. Empty
/// without /proc; then nobody is ever taken for it.
pub fn birth(pid: i32) -> String {
    match stat(pid) {
        Some(stat) if !BOOT.is_empty() => format!("{}/{}", *BOOT, stat.born),
        _ => String::new(),
    }
}

/// Kills what is left of the group of a run of an earlier agent.
pub fn kill(run: RunId, group: &Group) {
    if group.birth.is_empty() || group.id <= 1 || !is_left(run, group) {
        return;
    }
    log::warn!("run {run}: an earlier agent left the process group {} behind; killing it", group.id);
    let _ = killpg(Pid::from_raw(group.id), Signal::SIGKILL);
}

fn is_left(run: RunId, group: &Group) -> bool {
    match stat(group.id) {
        // A dead leader that nobody has reaped keeps the number, and tells nothing of the others.
        Some(leader) if !leader.is_dead => birth(group.id) == group.birth,
        _ => has_marked_member(run, group.id),
    }
}

/// As long as a group has a member, its number is nobody else's.
fn has_marked_member(run: RunId, group: i32) -> bool {
    let Ok(entries) = fs::read_dir("/proc") else { return false };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut members = pids.filter(|&pid| stat(pid).is_some_and(|stat| stat.group == group));
    let mark = format!("{RUN_VARIABLE}={run}");
    members.any(|pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
    })
}

struct Stat {
    is_dead: bool,
    group: i32,
    born: u64,
}

/// From proc_pid_stat(5): the fields behind the name, which stands in brackets and may hold anything.
fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    // The third field comes first: state, parent, group; the start time is the 22nd.
    let is_dead = matches!(*fields.first()?, "Z" | "X");
    Some(Stat { is_dead, group: fields.get(2)?.parse().ok()?, born: fields.get(19)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A group whose leader waits for the end of its input, or is gone and has left somebody who does.
    fn group(run: u64, leader_stays: bool) -> (Child, Group) {
        // A shell gives what runs in the background no input but by name.
        let command = if leader_stays { "cat >/dev/null; exit" } else { "exec 3<&0; (cat <&3 >/dev/null) & exit" };
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", command]).env(RUN_VARIABLE, run.to_string()).stdin(Stdio::piped()).process_group(0);
        let mut child = shell.spawn().expect("a shell");
        let id = child.id() as i32;
        let born = birth(id);
        if !leader_stays {
            // Keeps our end of the pipe open.
            let input = child.stdin.take();
            child.wait().expect("ended");
            child.stdin = input;
        }
        (child, Group { id, birth: born })
    }

    fn is_alive(group: &Group) -> bool {
        killpg(Pid::from_raw(group.id), None).is_ok()
    }

    #[test]
    fn a_group_is_killed_by_its_leaders_birth() {
        let (mut child, group) = group(7, true);
        kill(RunId(7), &Group { birth: format!("{}0", group.birth), ..group.clone() });
        assert!(child.try_wait().expect("asked").is_none(), "another process of the same number");
        kill(RunId(7), &group);
        assert!(!child.wait().expect("ended").success());
    }

    #[test]
    fn a_group_of_which_nothing_but_a_zombie_is_left_is_none() {
        let (mut child, group) = group(10, true);
        assert!(is_left(RunId(10), &group));
        killpg(Pid::from_raw(group.id), Signal::SIGKILL).expect("it lives");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while is_left(RunId(10), &group) && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert!(is_alive(&group) && !is_left(RunId(10), &group));
        child.wait().expect("ended");
    }

    #[test]
    fn a_group_without_leader_is_killed_by_its_mark() {
        let (mut child, group) = group(8, false);
        kill(RunId(9), &group);
        assert!(is_alive(&group), "of another run");
        kill(RunId(8), &group);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while is_alive(&group) && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert!(!is_alive(&group));
        drop(child.stdin.take());
    }
}
