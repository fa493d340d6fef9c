//! What the agent warns of at its start: files that others than its user and root can read or change, and a way to the server on
//! which everybody can. Looks and tells; changes nothing, and keeps the agent from nothing.

use std::fs::{self, Metadata};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};

use crate::config::settings::{Program, Server, Settings};

/// Bits of a mode, as others have them; the group's stand three to the left.
const READ: u32 = 0o4;
const WRITE: u32 = 0o2;
/// In such a directory, as /tmp is, nobody removes or renames what is somebody else's.
const STICKY: u32 = 0o1000;
/// What may stand around a file's name in a command for a shell.
const NO_NAME: &str = "\"'`;|&()<>=$";

/// All that is to be said of this configuration and of the file that it was read from.
pub fn warnings(config: &Path, settings: &Settings) -> Vec<String> {
    let read = of_reading(config).map(|words| format!("{words}; tokens and passwords may stand in it"));
    let change = of_change(config).map(|words| format!("{words}; whoever changes it makes this agent run anything"));
    let executors = settings.agent.executors.iter().flat_map(|executor| {
        let Program::Command(command) = &executor.program else { return Vec::new() };
        let found = files(command).into_iter().filter_map(|file| of_change(&file));
        let warning =
            |words| format!("executor {}: {words}; whoever changes it runs programs as this agent", executor.name);
        found.map(warning).collect()
    });
    read.into_iter().chain(change).chain(executors).chain(of_way(&settings.server)).collect()
}

/// Who can read a file, if others can.
pub fn of_reading(path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok().filter(Metadata::is_file)?;
    let (own, owner) = (Own::of_process(), Owner::of(&metadata));
    own.lets_others(owner, READ).then(|| {
        let (mode, path) = (owner.mode, path.display());
        let chown = if owner.user == own.user { String::new() } else { format!("chown {} {path} && ", own.user) };
        format!("{path} can be read by others (mode {mode:04o}, user {}): {chown}chmod 600 {path}", owner.user)
    })
}

/// Who can put something else in a file's place, if others can: by writing to it, or by renaming it in a directory above it, on
/// the way that is written and on the one on which links lead.
fn of_change(path: &Path) -> Option<String> {
    let written = std::path::absolute(path).ok()?;
    let real = fs::canonicalize(path).ok()?;
    let own = Own::of_process();
    let place = written.ancestors().chain(real.ancestors()).find_map(|place| {
        let owner = Owner::of(&fs::metadata(place).ok()?);
        let is_free = owner.mode & STICKY == 0 || own.is_foreign(owner);
        (is_free && own.lets_others(owner, WRITE)).then_some((place, owner))
    });
    place.map(|(place, owner)| {
        let through = if place == written { String::new() } else { format!(" through {}", place.display()) };
        let (path, place) = (path.display(), place.display());
        let chown = if own.is_foreign(owner) { format!("chown {} {place} && ", own.user) } else { String::new() };
        format!(
            "{path} can be changed by others{through} (mode {:04o}, user {}): {chown}chmod go-w {place}",
            owner.mode, owner.user
        )
    })
}

/// What a command names by a path, as far as that can be seen without a shell.
fn files(command: &str) -> Vec<PathBuf> {
    let words = command.split(|c: char| c.is_whitespace() || NO_NAME.contains(c));
    let mut files: Vec<PathBuf> =
        words.filter(|word| word.contains('/')).map(PathBuf::from).filter(|path| path.is_file()).collect();
    files.sort();
    files.dedup();
    files
}

fn of_way(server: &Server) -> Option<String> {
    let is_exposed = !server.tls && !is_loopback(&server.host);
    is_exposed.then(|| {
        format!(
            "plain HTTP to {}: whoever stands between can read findings and the agent's token, and send RUNs; set server.ssl \
             to true, and let the server or a proxy before it speak TLS",
            server.host
        )
    })
}

fn is_loopback(host: &str) -> bool {
    let name = host.trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
}

/// Whom this program runs as.
#[derive(Clone, Copy, Debug)]
struct Own {
    user: u32,
    group: u32,
}

/// Whose a file is, and what others may do.
#[derive(Clone, Copy, Debug)]
struct Owner {
    user: u32,
    group: u32,
    mode: u32,
}

impl Owner {
    fn of(metadata: &Metadata) -> Owner {
        Owner { user: metadata.uid(), group: metadata.gid(), mode: metadata.mode() & 0o7777 }
    }
}

impl Own {
    fn of_process() -> Own {
        Own { user: Uid::effective().as_raw(), group: Gid::effective().as_raw() }
    }

    /// Its owner may do everything with it.
    fn is_foreign(self, owner: Owner) -> bool {
        owner.user != 0 && owner.user != self.user
    }

    fn lets_others(self, owner: Owner, bit: u32) -> bool {
        // Root's group is root; by the service's own group root lets it have a file that is not its; and a group that has its
        // user's number is his alone, as distributions make it.
        let is_given = owner.user != self.user || self.group == self.user;
        let is_own_group = owner.group == 0 || (owner.group == self.group && is_given);
        let bits = if is_own_group { bit } else { bit | bit << 3 };
        self.is_foreign(owner) || owner.mode & bits != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_whoever_is_neither_root_nor_the_agents_user() {
        let service = Own { user: 900, group: 901 };
        let person = Own { user: 1000, group: 1000 };
        let root = Own { user: 0, group: 0 };
        for (own, user, group, mode, reads, writes) in [
            (service, 900, 901, 0o600, false, false),
            (service, 900, 901, 0o640, true, false),
            (service, 900, 901, 0o604, true, false),
            (service, 900, 901, 0o620, false, true),
            (service, 900, 901, 0o602, false, true),
            (service, 900, 0, 0o660, false, false),
            // As packages install it: root's, and the service's group may read it.
            (service, 0, 901, 0o640, false, false),
            (service, 0, 0, 0o644, true, false),
            (service, 0, 50, 0o640, true, false),
            (service, 0, 50, 0o620, false, true),
            (service, 1000, 901, 0o600, true, true),
            (person, 1000, 1000, 0o664, true, false),
            (person, 1000, 1000, 0o660, false, false),
            (person, 1000, 100, 0o660, true, true),
            (root, 0, 0, 0o660, false, false),
            (root, 0, 0, 0o666, true, true),
            (root, 0, 50, 0o640, true, false),
            (root, 900, 0, 0o600, true, true),
        ] {
            let owner = Owner { user, group, mode };
            assert_eq!(
                (own.lets_others(owner, READ), own.lets_others(owner, WRITE)),
                (reads, writes),
                "{own:?} {owner:?}"
            );
        }
    }

    #[test]
    fn files_of_a_command_are_found_without_a_shell() {
        let own = std::env::current_exe().expect("this program has a file");
        let own_text = own.display();
        for command in [
            own_text.to_string(),
            format!("sh {own_text} /no/such/file /dev/null /tmp"),
            format!("PYTHONPATH=/x exec '{own_text}'; {own_text}|tee"),
            format!("cd /tmp&&(\"{own_text}\" >/dev/null)"),
        ] {
            assert_eq!(files(&command), [own.as_path()], "{command}");
        }
        assert_eq!(files("nmap -oX - $TARGET"), [] as [PathBuf; 0]);
    }

    #[test]
    fn loopback_is_told_from_everything_else() {
        for (host, expected) in [
            ("localhost", true),
            ("LocalHost.", true),
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("128.0.0.1", false),
            ("0.0.0.0", false),
            ("faraday.example", false),
            ("localhost.example", false),
            ("127.0.0.1.example", false),
        ] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }
}
