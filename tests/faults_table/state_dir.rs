//! Another user of this host, and the state directory: what he may have put there while he could write to it leads the agent to
//! no other file, hangs it nowhere, and is named with what to do.
//!
//! | planted                                           | test |
//! |---------------------------------------------------|------|
//! | nothing yet: the directory is his, or open to him | `a_directory_of_others_is_refused_with_the_remedy` |
//! | links, fifos, hard links, files of his own        | `what_others_have_planted_is_named_or_replaced_and_leads_nowhere` |
//! | the same in place of a journal or of its copy     | `a_planted_journal_is_left_alone_and_keeps_no_run_from_it` |
//! | a link in place of a list of refused hosts        | `refused_hosts_go_through_no_link` |
//! | a link on the way                                 | `links_on_the_way_are_followed_where_root_or_the_agents_user_made_them`, `the_user_of_a_service_follows_roots_link_and_takes_no_file_of_roots` |

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::json;

use crate::rig::{agent, join, run, side_by_side, standin, wait_no_journals};
use crate::support::{AgentBuilder, AgentProcess, Generation, SOON, Standin, Status};

/// What stands in the file that others would like the agent to overwrite.
const TREASURE: &str = "not the agent's\n";
/// Nobody's; a file can be given to him by root alone.
const FOREIGNER: u32 = 65_534;

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Makes a directory for its user alone, and those above it.
fn make(path: &Path) {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).expect("a directory of our own");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
}

/// An agent whose state directory is there already, for its user alone, and a victim beside it.
fn prepared(server: &Standin, command: &str) -> (AgentBuilder, PathBuf, Victim) {
    let builder = agent(server, command);
    let state = builder.state_dir();
    let victim = Victim::new(builder.dir());
    (builder, state, victim)
}

/// A file outside of the state directory, and a directory that is empty.
struct Victim {
    file: PathBuf,
    directory: PathBuf,
}

impl Victim {
    fn new(beside: &Path) -> Victim {
        let victim = Victim { file: beside.join("victim"), directory: beside.join("elsewhere") };
        fs::write(&victim.file, TREASURE).expect("a file of our own");
        fs::set_permissions(&victim.file, Permissions::from_mode(0o644)).expect("ours");
        fs::create_dir(&victim.directory).expect("a directory of our own");
        victim
    }

    #[track_caller]
    fn check_unharmed(&self, what: &str) {
        assert_eq!(fs::read_to_string(&self.file).expect("still there"), TREASURE, "{what}");
        assert_eq!(mode(&self.file), 0o644, "{what}");
        assert_eq!(fs::read_dir(&self.directory).expect("still there").count(), 0, "{what}");
    }
}

/// What others may put in place of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Plant {
    Link,
    DanglingLink,
    Fifo,
    HardLink,
    Foreign,
}

const PLANTS: [Plant; 5] = [Plant::Link, Plant::DanglingLink, Plant::Fifo, Plant::HardLink, Plant::Foreign];

impl Plant {
    fn put(self, at: &Path, victim: &Victim) {
        match self {
            Plant::Link => symlink(&victim.file, at).expect("a link"),
            Plant::DanglingLink => symlink(victim.directory.join("made"), at).expect("a link"),
            Plant::Fifo => mkfifo(at, Mode::S_IRWXU).expect("a fifo"),
            Plant::HardLink => fs::hard_link(&victim.file, at).expect("a link"),
            Plant::Foreign => {
                fs::write(at, "his\n").expect("a file");
                chown(at, Some(FOREIGNER), None).expect("root may do that");
            }
        }
    }

    /// What it is called by the agent.
    fn words(self) -> &'static str {
        match self {
            Plant::Link | Plant::DanglingLink => "is a symbolic link, which is not followed",
            Plant::Fifo => "is no regular file",
            Plant::HardLink => "has another name elsewhere",
            Plant::Foreign => "belongs to user 65534",
        }
    }

    fn is_possible(self) -> bool {
        self != Plant::Foreign || is_root()
    }
}

/// The agent gives up with exit code 1 and these words in its last line.
#[track_caller]
fn check_refused(agent: &AgentProcess, words: &[&str]) {
    assert_eq!(agent.wait_exit(SOON).code(), Some(1), "{}", agent.log());
    let log = agent.log();
    let last = log.lines().last().unwrap_or_default();
    for word in words {
        assert!(last.contains("[ERROR]") && last.contains(word), "{word:?} in {log}");
    }
}

#[test]
fn a_directory_of_others_is_refused_with_the_remedy() {
    let open = [0o777, 0o1777, 0o770, 0o2775, 0o702].map(Some);
    side_by_side(open.into_iter().chain(is_root().then_some(None)), |mode| {
        let server = standin(Generation::SocketIo);
        let (builder, state, victim) = prepared(&server, "true");
        for name in ["lock", "reserve", "token.new"] {
            symlink(&victim.file, state.join(name)).expect("a link");
        }
        match mode {
            Some(mode) => fs::set_permissions(&state, Permissions::from_mode(mode)).expect("ours"),
            None => chown(&state, Some(FOREIGNER), None).expect("root may do that"),
        }
        let agent = builder.registering(&server.registration_token()).start();
        let place = state.display().to_string();
        match mode {
            Some(_) => check_refused(&agent, &["can be written by others", &format!("chmod go-w {place}")]),
            None => check_refused(&agent, &["belongs to user 65534", &format!("chown 0 {place}")]),
        }
        victim.check_unharmed(&format!("{mode:?}"));
        assert_eq!(fs::read_dir(&state).expect("still there").count(), 3, "nothing was made");
        assert_eq!(server.requests(), []);
    });
}

/// As soon as a person has done what the agent asked for, it works, unless he has to look after the files, too.
#[test]
fn what_others_have_planted_is_named_or_replaced_and_leads_nowhere() {
    let named = ["lock", "token"].map(|name| (name, true));
    let replaced = ["token.new", "reserve"].map(|name| (name, false));
    let cases = named.into_iter().chain(replaced);
    let cases = cases.flat_map(|case| PLANTS.map(|plant| (case, plant))).filter(|(_, plant)| plant.is_possible());
    side_by_side(cases, |((name, is_named), plant)| {
        let server = standin(Generation::SocketIo);
        let (builder, state, victim) = prepared(&server, "true");
        let place = state.join(name);
        plant.put(&place, &victim);
        let agent = builder.registering(&server.registration_token()).start();
        if is_named {
            check_refused(&agent, &[plant.words(), &place.display().to_string()]);
            assert_eq!(server.requests(), [], "{name}: {plant:?}");
        } else {
            server.wait_joined(SOON);
            run(&server);
            let made = if name == "token.new" { state.join("token") } else { place };
            let metadata = fs::symlink_metadata(&made).expect("it was made");
            let is_own = metadata.is_file() && metadata.nlink() == 1 && metadata.mode() & 0o7777 == 0o600;
            assert!(is_own, "{name}: {plant:?}: {metadata:?}");
        }
        victim.check_unharmed(&format!("{name}: {plant:?}"));
    });
}

#[test]
fn a_directory_inside_is_its_users_alone_and_no_link() {
    let open = |path: &Path, _: &Victim| {
        fs::create_dir(path).expect("a directory");
        fs::set_permissions(path, Permissions::from_mode(0o777)).expect("ours");
    };
    let link = |path: &Path, victim: &Victim| symlink(&victim.directory, path).expect("a link");
    let foreign = |path: &Path, _: &Victim| {
        fs::create_dir(path).expect("a directory");
        chown(path, Some(FOREIGNER), None).expect("root may do that");
    };
    type Put = fn(&Path, &Victim);
    let all: [(Put, &str); 3] =
        [(link, "is no directory"), (open, "can be written by others"), (foreign, "belongs to user 65534")];
    side_by_side(all.into_iter().take(if is_root() { 3 } else { 2 }), |(put, words)| {
        let server = standin(Generation::SocketIo);
        let (builder, state, victim) = prepared(&server, "true");
        put(&state.join("runs"), &victim);
        let refused = builder.start();
        check_refused(&refused, &[words, &state.join("runs").display().to_string()]);
        victim.check_unharmed(words);

        let (builder, state, victim) = prepared(&server, REFUSED_HOST);
        put(&state.join("refused"), &victim);
        let agent = join(&server, builder);
        server.run("e", json!({}), &["ws1"]);
        let line = agent.wait_log(words, SOON);
        assert!(line.contains(&state.join("refused").display().to_string()), "{line}");
        victim.check_unharmed(words);
    });
}

/// A host that the server refuses, because it has no description.
const REFUSED_HOST: &str = r#"echo '{"hosts":[{"ip":"10.0.0.2"}]}'"#;

#[test]
fn a_planted_journal_is_left_alone_and_keeps_no_run_from_it() {
    side_by_side(PLANTS.into_iter().filter(|plant| plant.is_possible()), |plant| {
        let server = standin(Generation::SocketIo);
        let (builder, state, victim) = prepared(&server, "true");
        let runs = state.join("runs");
        make(&runs);
        plant.put(&runs.join("5-0.journal"), &victim);
        // Half a record of a run: cut off, or kept where a copy of it would go through the link beside it.
        fs::write(runs.join("6-0.journal"), "no journal at all, but long enough for a head\n").expect("a file");
        plant.put(&runs.join("6-0.damaged"), &victim);
        let agent = join(&server, builder);
        let line = agent.wait_log("run 5: its journal is left for the next start", SOON);
        assert!(line.contains(plant.words()) && line.contains(&runs.display().to_string()), "{line}");
        assert_eq!(run(&server).1.successful, Some(true));
        victim.check_unharmed(&format!("{plant:?}"));
    });
}

fn refused_run(server: &Standin) -> Status {
    server.wait_over(server.run("e", json!({}), &["ws1"])[0], SOON)
}

#[test]
fn refused_hosts_go_through_no_link() {
    side_by_side(PLANTS.into_iter().filter(|plant| plant.is_possible()), |plant| {
        let server = standin(Generation::SocketIo);
        let (builder, state, victim) = prepared(&server, REFUSED_HOST);
        let agent = join(&server, builder);
        assert!(refused_run(&server).message.contains("refused 1 of 1"));
        let refused = state.join("refused");
        let first = fs::read_dir(&refused).expect("made").flatten().next().expect("a file").path();
        let number: u64 = first.file_stem().and_then(|stem| stem.to_str()?.parse().ok()).expect("a number");
        let next = refused.join(format!("{}.jsonl", number + 1));
        plant.put(&next, &victim);
        let id = server.run("e", json!({}), &["ws1"])[0];
        let line = agent.wait_log(plant.words(), SOON);
        assert!(line.contains(&next.display().to_string()), "{line}");
        victim.check_unharmed(&format!("{plant:?}"));
        // A person does what the line says.
        fs::remove_file(&next).expect("ours");
        assert!(server.wait_over(id, SOON).message.contains("refused 1 of 1"));
        assert_eq!(mode(&next), 0o600);
        victim.check_unharmed(&format!("{plant:?}"));
    });
}

/// systemd's own: `/var/lib/NAME` is a link to `private/NAME` where the user is made for the service (DynamicUser=).
#[test]
fn links_on_the_way_are_followed_where_root_or_the_agents_user_made_them() {
    for (target, name) in [("private/real", "relative"), ("", "absolute")] {
        let server = standin(Generation::SocketIo);
        let builder = agent(&server, "true");
        let real = builder.dir().join("private/real");
        make(&real);
        let target = if target.is_empty() { real.clone() } else { target.into() };
        let link = builder.dir().join(name);
        symlink(target, &link).expect("a link");
        let agent = join(&server, builder.option("agent.state_dir", json!(link)));
        run(&server);
        assert!(real.join("runs").is_dir());
        agent.terminate();
        agent.wait_exit(SOON);
        // What is missing behind it is made.
        let builder = crate::rig::agent(&server, "true").option("agent.state_dir", json!(link.join("more/state")));
        let _agent = builder.start();
        server.wait_joined_nth(2, SOON);
        assert_eq!(mode(&real.join("more/state")), 0o700);

        if is_root() {
            lchown(&link, Some(FOREIGNER), None).expect("root may do that");
            let builder = crate::rig::agent(&server, "true");
            let agent = builder.option("agent.state_dir", json!(link.join("other"))).start();
            check_refused(&agent, &["belongs to user 65534", name, "agent.state_dir"]);
            assert!(!real.join("other").exists());
        }
    }
}

/// The user of a service, to whom root has given the directory, and the link to it. Only root can be him.
#[test]
fn the_user_of_a_service_follows_roots_link_and_takes_no_file_of_roots() {
    if !is_root() {
        return;
    }
    let user = 65_000 + std::process::id() % 500;
    let as_user = |builder: AgentBuilder| {
        let script = format!("exec setpriv --reuid={user} --clear-groups {} \"$@\"", env!("CARGO_BIN_EXE_agent"));
        let builder = builder.script("start", &format!("chown {user} dispatcher.yaml && {script}"));
        let (starter, state) = (builder.dir().join("start"), builder.dir().join("private"));
        make(&state);
        chown(&state, Some(user), None).expect("root may do that");
        symlink("private", builder.dir().join("link")).expect("a link");
        let link = builder.dir().join("link");
        (builder.binary(starter).option("agent.state_dir", json!(link)), state)
    };
    let server = standin(Generation::SocketIo);
    let (builder, state) = as_user(agent(&server, "true"));
    let _agent = join(&server, builder);
    run(&server);
    assert_eq!(fs::metadata(state.join("lock")).expect("made").uid(), user);

    for (name, is_directory) in [("token", false), ("lock", false), ("runs", true)] {
        let (builder, state) = as_user(agent(&server, "true"));
        let place = state.join(name);
        match is_directory {
            true => make(&place),
            false => {
                fs::write(&place, "").expect("a file");
                fs::set_permissions(&place, Permissions::from_mode(0o600)).expect("ours");
            }
        }
        let path = builder.dir().join("link").join(name).display().to_string();
        let words =
            [format!("{path} belongs to user 0, and this agent runs as user {user}"), format!("chown {user} {path}")];
        check_refused(&builder.start(), &words.each_ref().map(String::as_str));
    }
}

#[test]
fn links_in_a_circle_end_the_start() {
    let server = standin(Generation::SocketIo);
    let builder = agent(&server, "true");
    let circle = builder.dir().join("circle");
    symlink("circle", &circle).expect("a link");
    let agent = builder.option("agent.state_dir", json!(circle)).start();
    check_refused(&agent, &["Too many levels of symbolic links"]);
}

/// With a path that leaves no room for a file's name behind it.
#[test]
fn a_long_path_costs_no_journal() {
    let server = standin(Generation::SocketIo);
    let builder = agent(&server, REFUSED_HOST);
    let mut state = builder.dir().join("long");
    while let left @ 2.. = 4090 - state.as_os_str().len() {
        state.push("x".repeat(left.min(200) - 1));
    }
    let agent = join(&server, builder.option("agent.state_dir", json!(state)));
    assert!(refused_run(&server).message.contains("refused 1 of 1"));
    assert!(!agent.log().contains("[ERROR]"), "{}", agent.log());
}

/// Whoever made them, and with which mode: they are the agent's user's alone from now on.
#[test]
fn files_that_others_could_read_are_closed() {
    let server = standin(Generation::SocketIo);
    let (builder, state, _) = prepared(&server, "true");
    for (name, text) in [("reserve", "...."), ("lock", "1\n"), ("token", &format!("{}\n", "a".repeat(64)))] {
        fs::write(state.join(name), text).expect("a file of our own");
        fs::set_permissions(state.join(name), Permissions::from_mode(0o644)).expect("ours");
    }
    let before = File::open(state.join("reserve")).expect("ours");
    let agent = join(&server, builder);
    for name in ["reserve", "lock", "token"] {
        assert_eq!(mode(&state.join(name)), 0o600, "{name}");
    }
    run(&server);
    wait_no_journals(&agent);
    assert_eq!(before.metadata().expect("open").len(), 4, "who has it open sees nothing new");
}
