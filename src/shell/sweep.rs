//! Ends processes that are no children of this one, since their agent is gone: those that are told, those that carry its mark,
//! and all that descends from them. Who asks for it has made sure that the agent lives no more.
//!
//! They are stopped first, until a look finds nobody new, and killed then: what is stopped starts nobody, and a parent that
//! still lives, though stopped, is how its children are known.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::bounds::SWEEP_TIME_MAX;

use super::processes::{INSTANCE_VARIABLE, Process};

/// While a program is executed the kernel shows no environment, so that one look may miss a mark.
const LOOKS_MIN: usize = 2;

/// Processes by their numbers, with their births. One that leads a group or a session stands for that too.
pub type Told = BTreeMap<i32, u64>;

/// Kills what was told or carries the mark of this `instance` (none if it is empty). Gives their number.
pub fn end(told: &Told, instance: &str) -> usize {
    let (begun, mut stopped) = (Instant::now(), HashMap::new());
    let is_marked = |process: &Process| !instance.is_empty() && process.carries(INSTANCE_VARIABLE, instance);
    for look in 1.. {
        let mut fresh = doomed(&Process::all(), told, is_marked);
        fresh.retain(|process| !stopped.contains_key(&process.id));
        fresh.iter().for_each(|process| process.signal(Signal::SIGSTOP));
        let is_last = (fresh.is_empty() && look >= LOOKS_MIN) || begun.elapsed() >= SWEEP_TIME_MAX;
        stopped.extend(fresh.into_iter().map(|process| (process.id, process)));
        if is_last {
            break;
        }
    }
    stopped.values().for_each(|process| process.signal(Signal::SIGKILL));
    if Process::find(own()).is_none() {
        // Without /proc there are only the groups, which had members a moment ago.
        for group in told.keys() {
            let _ = killpg(Pid::from_raw(*group), Signal::SIGKILL);
        }
    }
    stopped.len()
}

fn own() -> i32 {
    std::process::id().cast_signed()
}

/// Those of `all` that live and are told, marked, or descend from one that is. Never this process.
fn doomed(all: &[Process], told: &Told, is_marked: impl Fn(&Process) -> bool) -> Vec<Process> {
    let births: HashMap<i32, u64> = all.iter().map(|process| (process.id, process.born)).collect();
    let is_told = |process: &Process| {
        let born = told.get(&process.group);
        // As long as a group has members nobody else gets its number, so without a leader it is still the one that was told.
        let group = born.is_some_and(|born| births.get(&process.group).is_none_or(|leader| leader == born));
        group || told.get(&process.id) == Some(&process.born)
    };
    let mut children: HashMap<i32, Vec<&Process>> = HashMap::new();
    all.iter().for_each(|process| children.entry(process.parent).or_default().push(process));
    let may_end = |process: &&Process| process.id > 1 && process.id != own() && !process.is_dead;
    let mut next: Vec<&Process> =
        all.iter().filter(may_end).filter(|process| is_told(process) || is_marked(process)).collect();
    let mut seen: HashSet<i32> = HashSet::new();
    let mut doomed = Vec::new();
    while let Some(process) = next.pop() {
        if seen.insert(process.id) {
            doomed.push(*process);
            next.extend(children.get(&process.id).into_iter().flatten().filter(|child| may_end(child)));
        }
    }
    doomed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(id: i32, parent: i32, group: i32) -> Process {
        Process { id, parent, group, born: id as u64, is_dead: false }
    }

    #[test]
    fn the_told_the_marked_and_their_descendants_are_doomed() {
        let zombie = Process { is_dead: true, ..process(70, 1, 70) };
        let all = [
            process(1, 0, 1),
            process(own(), 1, 1),
            // Told, with a member of its group whose parent is gone, and a grandchild in a group of its own.
            process(20, 1, 20),
            process(21, 1, 20),
            process(22, 21, 22),
            // Marked, with a child.
            process(30, 1, 30),
            process(31, 30, 31),
            // A number that was told, but of another process, and its group.
            process(40, 1, 40),
            process(41, 1, 40),
            // A group that was told, without its leader.
            process(51, 1, 50),
            // Others.
            process(60, 1, 60),
            process(61, 60, 60),
            // Dead already, with a member of its group.
            zombie,
            process(71, 1, 70),
        ];
        let told = Told::from([(20, 20), (40, 39), (50, 50), (70, 70), (99, 99)]);
        let mut found: Vec<i32> =
            doomed(&all, &told, |process| process.id == 30).iter().map(|process| process.id).collect();
        found.sort_unstable();
        assert_eq!(found, [20, 21, 22, 30, 31, 51, 71]);
    }

    #[test]
    fn neither_this_process_nor_the_first_is_ever_doomed() {
        let all = [process(1, 0, 1), process(own(), 1, 1), process(80, own(), 80)];
        assert_eq!(doomed(&all, &Told::from([(1, 1), (own(), own() as u64)]), |process| process.id < 80), []);
    }
}
