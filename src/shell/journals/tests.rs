//! Files of journals: written, read back, cut, removed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::*;
use crate::config::settings::Agent;
use crate::engine::note::{self, Head};
use crate::frame::record::{self, Kind};
use crate::shell::state_dir::StateDir;

const RUN: RunId = RunId(7);

/// A state directory that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("faraday-agent-journals-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Scratch(path)
    }

    fn journals(&self) -> Journals {
        let agent = Agent { state_dir: Some(self.0.clone()), ..Agent::default() };
        Journals::new(StateDir::open(&agent).expect("a directory").directory()).expect("a directory")
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.0.join("runs").join(name(RUN, segment))
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.join("runs")).expect("there");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("readable").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn head() -> Vec<u8> {
    let head =
        Head { execution_ids: vec![1], workspaces: vec!["ws1".into()], executor: "ok".into(), ..Head::default() };
    let mut bytes = Vec::new();
    note::write(Kind::Run, &head, &mut bytes);
    bytes
}

fn host() -> Vec<u8> {
    let mut bytes = Vec::new();
    record::encode(Kind::Host, br#"{"ip":"10.0.0.1"}"#, &mut bytes);
    bytes
}

#[test]
fn appends_trims_syncs_and_forgets() {
    let scratch = Scratch::new("appends");
    let mut journals = scratch.journals();
    journals.append(RUN, 0, b"one").expect("written");
    journals.append(RUN, 0, b"two").expect("written");
    assert_eq!(fs::read(scratch.path(0)).expect("there"), b"onetwo");
    journals.append(RUN, 6, b"three").expect("written");
    assert_eq!(scratch.names(), ["7-0.journal", "7-6.journal"]);
    assert_eq!(journals.newest().expect("read"), Some(RUN));
    journals.trim(RUN, 6);
    assert_eq!(scratch.names(), ["7-0.journal", "7-6.journal"], "what is behind it is not on disk yet");
    journals.sync(&[RUN, RunId(8)])().expect("synced");
    journals.on_synced(true);
    assert_eq!(scratch.names(), ["7-6.journal"]);
    journals.forget(RUN, false);
    assert_eq!(scratch.names(), Vec::<String>::new());
}

#[test]
fn a_damaged_journal_is_put_out_of_the_way_and_its_number_is_not_used_again() {
    let scratch = Scratch::new("damaged");
    let mut journals = scratch.journals();
    journals.append(RUN, 0, b"one").expect("written");
    journals.forget(RUN, true);
    assert_eq!(scratch.names(), ["7-0.damaged"]);
    assert_eq!(journals.newest().expect("read"), Some(RUN));
    assert_eq!(journals.resume().expect("read").len(), 0);
}

#[test]
fn a_journal_is_resumed_through_all_of_its_files_and_goes_on_behind_its_last_record() {
    let scratch = Scratch::new("resumed");
    let first = [head(), host()].concat();
    let start = first.len() as u64;
    let mut journals = scratch.journals();
    journals.append(RUN, 0, &first).expect("written");
    journals.append(RUN, start, &[head(), host(), host()[..10].to_vec()].concat()).expect("written");

    let mut journals = scratch.journals();
    let resumed = journals.resume().expect("read");
    assert_eq!((resumed.len(), resumed[0].id, resumed[0].hosts), (1, RUN, 2));
    assert_eq!(resumed[0].end, start + first.len() as u64);
    journals.append(RUN, start, &host()).expect("written");
    let resumed = scratch.journals().resume().expect("read");
    assert_eq!(resumed[0].hosts, 3, "what was torn is gone");
}

#[test]
fn damage_before_the_end_costs_what_is_behind_it_and_a_copy_is_kept() {
    let scratch = Scratch::new("bit");
    let mut journals = scratch.journals();
    let mut bytes = [head(), host(), host()].concat();
    let middle = head().len() + host().len() - 1;
    bytes[middle] ^= 1;
    journals.append(RUN, 0, &bytes).expect("written");
    let resumed = scratch.journals().resume().expect("read");
    assert_eq!((resumed[0].hosts, resumed[0].end), (0, head().len() as u64));
    assert!(resumed[0].is_damaged);
    assert_eq!(scratch.names(), ["7-0.damaged", "7-0.journal"]);
    assert_eq!(fs::read(scratch.0.join("runs/7-0.damaged")).expect("kept"), bytes);
}

#[test]
fn what_a_power_cut_leaves_is_cut_off() {
    for tail in [vec![0; 100_000], host()[..5].to_vec()] {
        let scratch = Scratch::new(&format!("power-{}", tail.len()));
        let mut journals = scratch.journals();
        journals.append(RUN, 0, &[head(), host(), tail].concat()).expect("written");
        assert_eq!(scratch.journals().resume().expect("read")[0].hosts, 1);
        assert_eq!(scratch.names(), ["7-0.journal"]);
        let bytes = fs::metadata(scratch.path(0)).expect("there").len();
        assert_eq!(bytes, (head().len() + host().len()) as u64);
    }
}

#[test]
fn a_journal_without_a_head_goes_and_other_files_stay() {
    let scratch = Scratch::new("headless");
    let mut journals = scratch.journals();
    journals.append(RUN, 0, &head()[..20]).expect("written");
    fs::write(scratch.0.join("runs/notes.txt"), "mine").expect("written");
    assert!(scratch.journals().resume().expect("read").is_empty());
    assert_eq!(scratch.names(), ["notes.txt"]);
}

/// Set for a test that has its disk: where that is.
const DISK: &str = "JOURNALS_TEST_DISK";

/// Runs the test of that name on a disk of its own, which goes with it: a tmpfs in a mount namespace, where it is started
/// again. Where namespaces are not permitted it says so and tests nothing.
fn on_a_small_disk(name: &str, test: impl FnOnce(Scratch)) {
    if let Some(path) = std::env::var_os(DISK) {
        return test(Scratch(path.into()));
    }
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-ec", script, "sh"]);
        command
    };
    if !unshare("true").status().is_ok_and(|status| status.success()) {
        eprintln!("NOT TESTED: {name}: unshare(1) may not make a mount namespace here");
        return;
    }
    let disk = Scratch::new(name);
    fs::create_dir(&disk.0).expect("writable");
    let mut inside = unshare("mount -t tmpfs -o size=256k,mode=700 tmpfs \"$JOURNALS_TEST_DISK\"; exec \"$@\"");
    inside.arg(std::env::current_exe().expect("this program has a file")).env(DISK, &disk.0);
    let output = inside.args([&format!("shell::journals::tests::{name}"), "--exact", "--nocapture"]).output();
    let said = String::from_utf8_lossy(&output.expect("it could be started just now").stdout).into_owned();
    assert!(said.contains("1 passed"), "{said}");
}

/// A journal on a disk on which nothing is left but what is kept.
fn fill(disk: &Scratch) -> (Journals, u64) {
    let mut journals = disk.journals();
    journals.append(RUN, 0, &head()).expect("written");
    fs::write(disk.0.join("filling"), vec![0; 1 << 20]).expect_err("no disk is that large");
    (journals, head().len() as u64)
}

#[test]
fn a_next_file_is_begun_with_the_room_that_is_kept_for_it() {
    on_a_small_disk("a_next_file_is_begun_with_the_room_that_is_kept_for_it", |disk| {
        let (mut journals, next) = fill(&disk);
        journals.append(RUN, next, &head()).expect("written");
        assert!(!disk.0.join("reserve").exists(), "it has yielded");
        journals.trim(RUN, next);
        journals.sync(&[])().expect("synced");
        journals.on_synced(true);
        assert!(disk.0.join("reserve").exists(), "there is room again");
        assert_eq!(disk.names(), [format!("7-{next}.journal")]);
    });
}

#[test]
fn a_next_file_that_cannot_be_begun_leaves_the_one_before_as_it_was() {
    on_a_small_disk("a_next_file_that_cannot_be_begun_leaves_the_one_before_as_it_was", |disk| {
        let full = io::ErrorKind::StorageFull;
        let (mut journals, next) = fill(&disk);
        journals.reserve.yields_to(&full.into());
        fs::write(disk.0.join("filling too"), vec![0; 1 << 20]).expect_err("all is taken");
        let error = journals.append(RUN, next, &head()).expect_err("full");
        assert_eq!(error.kind(), full);
        assert_eq!(disk.names(), ["7-0.journal"]);
        journals.append(RUN, 0, &host()).expect("there is room behind it in its block");
        let resumed = disk.journals().resume().expect("read");
        assert_eq!((resumed[0].hosts, resumed[0].end), (1, next + host().len() as u64));
        journals.trim(RUN, 1);
        assert_eq!(journals.segments[&RUN], Vec::<u64>::new(), "each file once");
    });
}

#[test]
fn a_next_file_that_has_no_head_yet_is_none() {
    for torn in [&[][..], &head()[..20]] {
        let scratch = Scratch::new(&format!("begun-{}", torn.len()));
        let mut journals = scratch.journals();
        let first = [head(), host()].concat();
        journals.append(RUN, 0, &first).expect("written");
        fs::write(scratch.path(first.len() as u64), torn).expect("written");
        let resumed = scratch.journals().resume().expect("read");
        assert_eq!((resumed[0].segments.len(), resumed[0].end), (1, first.len() as u64));
        assert_eq!(scratch.names(), ["7-0.journal"]);
    }
}

#[test]
fn a_journal_that_cannot_be_resumed_now_keeps_no_other_from_it() {
    let scratch = Scratch::new("unreadable");
    let mut journals = scratch.journals();
    journals.append(RUN, 0, &head()).expect("written");
    // A directory cannot be read as a file, whoever asks.
    fs::create_dir(scratch.0.join("runs/6-0.journal")).expect("made");
    let resumed = scratch.journals().resume().expect("read");
    assert_eq!(resumed.iter().map(|resumed| resumed.id).collect::<Vec<_>>(), [RUN]);
    assert!(scratch.names().contains(&"6-0.journal".to_owned()), "left for the next start");
}

#[test]
fn a_sync_that_came_to_nothing_is_done_by_the_next_one() {
    let scratch = Scratch::new("failed-sync");
    let mut journals = scratch.journals();
    journals.append(RUN, 0, b"one").expect("written");
    journals.append(RUN, 3, b"two").expect("written");
    journals.append(RUN, 6, b"three").expect("written");
    journals.trim(RUN, 3);
    drop(journals.sync(&[RUN]));
    journals.on_synced(false);
    assert_eq!(scratch.names().len(), 3);
    let sync = journals.sync(&[]);
    assert!(format!("{:?}", journals.syncing).contains("segment: 3"), "left behind, and still needed");
    sync().expect("synced");
    assert_eq!(scratch.names(), ["7-3.journal", "7-6.journal"]);
}

/// A first file that lost hosts at its end, and a second one that says that all was well.
#[test]
fn a_gap_between_files_is_no_success() {
    for is_torn in [false, true] {
        let scratch = Scratch::new(&format!("gap-{is_torn}"));
        let mut journals = scratch.journals();
        let whole = [head(), host(), host()].concat();
        let kept = whole.len() - if is_torn { 5 } else { host().len() };
        journals.append(RUN, 0, &whole[..kept]).expect("written");
        let mut second = head();
        let ended = note::Ended { well: true, ran: true, ..note::Ended::default() };
        note::write(Kind::Ended, &ended, &mut second);
        journals.append(RUN, whole.len() as u64, &second).expect("written");
        let resumed = scratch.journals().resume().expect("read").pop().expect("a run");
        assert_eq!((resumed.hosts, resumed.is_damaged), (1, true));
        assert_eq!(scratch.names().contains(&"7-0.damaged".to_owned()), is_torn, "{:?}", scratch.names());
    }
}
