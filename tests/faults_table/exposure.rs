//! What the agent warns of at its start: files that another user of this host can read or change, and a way to the server on
//! which whoever stands between can do so. It works all the same.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde_json::json;

use crate::rig::{agent, join, run, side_by_side, standin};
use crate::support::{AgentBuilder, Generation, Standin};

fn open(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
}

/// The agent joins, a run succeeds, and its warnings are one that holds each of these words, or none.
#[track_caller]
fn check_warned(server: &Standin, builder: AgentBuilder, words: &[&str]) {
    let agent = join(server, builder);
    assert_eq!(run(server).1.successful, Some(true));
    let log = agent.log();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("[WARN]")).collect();
    assert_eq!(warnings.len(), usize::from(!words.is_empty()), "{words:?} in {warnings:#?}");
    for word in words {
        assert!(warnings[0].contains(word), "{word:?} in {}", warnings[0]);
    }
}

/// The modes that an editor or a careless copy leaves; `before` runs in the agent's directory, when the configuration is there.
#[test]
fn a_configuration_that_others_can_read_or_change_is_warned_of() {
    let owned = "whoever changes it makes this agent run anything";
    side_by_side(
        [
            (0o600, vec![]),
            (0o400, vec![]),
            (0o644, vec!["can be read by others (mode 0644", "tokens and passwords may stand in it", "chmod 600 "]),
            (0o602, vec!["can be changed by others (mode 0602", owned, "chmod go-w "]),
        ],
        |(mode, words)| {
            let server = standin(Generation::SocketIo);
            let script = format!("chmod {mode:o} dispatcher.yaml && exec {} \"$@\"", env!("CARGO_BIN_EXE_agent"));
            let builder = agent(&server, "true").script("start", &script);
            let starter = builder.dir().join("start");
            check_warned(&server, builder.binary(starter), &words);
        },
    );
}

/// What is done to an executor's file, and the words that the warning has.
type Deed = fn(&Path) -> Vec<String>;

#[test]
fn an_executors_file_that_others_can_change_is_warned_of() {
    let deeds: [Deed; 5] = [
        |_| vec![],
        |file| {
            open(file, 0o777);
            let path = file.display();
            let (what, remedy) = (format!("{path} can be changed by others (mode 0777"), format!("chmod go-w {path}"));
            vec![what, remedy, "executor e: ".to_owned(), "whoever changes it runs programs as this agent".to_owned()]
        },
        // Who may rename a file may put another one in its place.
        |file| {
            let directory = file.parent().expect("bin");
            open(directory, 0o757);
            vec![format!("{} can be", file.display()), format!("others through {} (mode 0757", directory.display())]
        },
        |file| {
            open(file.parent().expect("bin"), 0o1777);
            vec![]
        },
        // By a link in a good directory to a file in a bad one.
        |file| {
            let bad = file.with_file_name("bad");
            fs::create_dir(&bad).expect("a directory of our own");
            open(&bad, 0o777);
            fs::rename(file, bad.join("scan")).expect("ours");
            symlink(bad.join("scan"), file).expect("a link");
            vec![format!("chmod go-w {}", bad.display())]
        },
    ];
    side_by_side(deeds, |deed| {
        let server = standin(Generation::SocketIo);
        let builder = agent(&server, "true");
        let directory = builder.dir().join("bin");
        fs::create_dir(&directory).expect("a directory of our own");
        open(&directory, 0o755);
        let file = directory.join("scan");
        fs::write(&file, "true\n").expect("a file of our own");
        open(&file, 0o644);
        let words = deed(&file);
        let command = format!("VERBOSE=1 sh -e '{}' 2>/dev/null", file.display());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        check_warned(&server, builder.option("agent.executors.e.cmd", command), &words);
    });
}

/// 0.0.0.0 is this host to connect(2), but not to somebody who reads the configuration.
#[test]
fn plain_http_that_leaves_the_host_is_warned_of() {
    for (host, words) in [
        ("127.0.0.1", vec![]),
        ("localhost", vec![]),
        ("0.0.0.0", vec!["plain HTTP to 0.0.0.0", "send RUNs", "set server.ssl to true"]),
    ] {
        let server = standin(Generation::SocketIo);
        let builder = agent(&server, "true").option("server.host", json!(host));
        check_warned(&server, builder, &words);
    }
}
