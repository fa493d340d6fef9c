//! Where the agent keeps what must survive it: finds the directory, makes it if need be, and takes no other's for its own. The
//! way there is gone step by step, so that nobody but root and the agent's own user leads it elsewhere by a link. What is kept
//! there is the business of `token_store`, `lock`, `journals` and `refused`.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, readlinkat};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat};
use nix::unistd::Uid;

use crate::bounds::LINKS_MAX;
use crate::config::settings::Agent;

use super::directory::{DIRECTORY_MODE, Directory};

/// Not even the right to list what is in it is needed for a step through a directory.
const STEP: OFlag = OFlag::O_PATH.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// The directory where the agent keeps what must survive it. Every `Err` is one line that names the path.
#[derive(Clone, Debug)]
pub struct StateDir {
    directory: Directory,
}

impl StateDir {
    /// The directory of this agent, created (mode 0700) if need be: `agent.state_dir`, else `$STATE_DIRECTORY` (systemd's), else
    /// `${XDG_STATE_HOME:-~/.local/state}/faraday-agent/<agent_name>`. An error if others own it or may write to it.
    pub fn open(agent: &Agent) -> Result<StateDir, String> {
        let path = locate(agent, |name| std::env::var_os(name), std::env::home_dir())?;
        let descriptor =
            walk(&path).map_err(|error| format!("cannot create the state directory {}: {error}", path.display()))?;
        let directory = Directory::own(&descriptor, &path).map_err(|error| {
            format!("the state directory is not the agent's alone: {error}; or name another in agent.state_dir")
        })?;
        Ok(StateDir { directory })
    }

    /// Where it is, for people.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// What is in it.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }
}

fn locate(
    agent: &Agent,
    variable: impl Fn(&str) -> Option<OsString>,
    home: Option<PathBuf>,
) -> Result<PathBuf, String> {
    if let Some(path) = &agent.state_dir {
        return Ok(path.clone());
    }
    if let Some(path) = variable("STATE_DIRECTORY").as_deref().and_then(first_path) {
        return Ok(path);
    }
    // A relative XDG_STATE_HOME is to be ignored (XDG Base Directory Specification).
    let state_home = variable("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = home.filter(|path| path.is_absolute()).map(|home| home.join(".local/state"));
    let base = state_home.or(home).ok_or("no place for the state directory: set agent.state_dir, or HOME")?;
    Ok(base.join("faraday-agent").join(agent.directory_name()))
}

/// systemd puts several directories into one variable, with colons between (systemd.exec(5)).
fn first_path(list: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(list).find(|path| !path.as_os_str().is_empty())
}

/// Goes to a directory step by step, makes what is missing, and follows links of root and of this user alone.
fn walk(path: &Path) -> io::Result<OwnedFd> {
    let mut here = open(".", STEP | OFlag::O_DIRECTORY, Mode::empty())?;
    let (mut ahead, mut links) = (Vec::new(), 0);
    put_steps(&mut ahead, path);
    while let Some(step) = ahead.pop() {
        match openat(&here, step.as_os_str(), STEP | OFlag::O_DIRECTORY, Mode::empty()) {
            Ok(next) => here = next,
            Err(Errno::ENOENT) => {
                mkdirat(&here, step.as_os_str(), DIRECTORY_MODE)?;
                ahead.push(step);
            }
            Err(Errno::ENOTDIR) => {
                links += 1;
                if links > LINKS_MAX {
                    return Err(Errno::ELOOP.into());
                }
                put_steps(&mut ahead, Path::new(&follow(&here, &step)?));
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(here)
}

/// The next one is the last. A step to `/` leads there from anywhere.
fn put_steps(ahead: &mut Vec<OsString>, path: &Path) {
    ahead.extend(path.components().rev().map(|step| step.as_os_str().to_owned()));
}

/// Where a link leads.
fn follow(here: impl AsFd, name: &OsStr) -> io::Result<OsString> {
    let link = openat(here, name, STEP, Mode::empty())?;
    let stat = fstat(&link)?;
    if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFLNK {
        return Err(Errno::ENOTDIR.into());
    }
    let whose = Uid::from_raw(stat.st_uid);
    if !whose.is_root() && whose != Uid::effective() {
        let name = name.display();
        return Err(io::Error::other(format!(
            "the link {name} on the way belongs to user {whose}, who could lead the agent elsewhere; name a way without it in \
             agent.state_dir"
        )));
    }
    Ok(readlinkat(&link, "")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(name: &str, state_dir: Option<&Path>) -> Agent {
        Agent { name: name.to_owned(), state_dir: state_dir.map(Path::to_owned), ..Agent::default() }
    }

    #[test]
    fn the_directory_is_the_configured_one_or_systemds_or_the_users() {
        let none: &[(&str, &str)] = &[];
        let systemd: &[_] = &[("STATE_DIRECTORY", "/var/lib/a:/var/lib/b"), ("XDG_STATE_HOME", "/xdg")];
        let xdg: &[_] = &[("STATE_DIRECTORY", ""), ("XDG_STATE_HOME", "/xdg")];
        let relative: &[_] = &[("XDG_STATE_HOME", "xdg")];
        for (name, configured, variables, home, expected) in [
            ("a", Some("/conf"), systemd, Some("/home/u"), Some("/conf")),
            ("a", None, systemd, Some("/home/u"), Some("/var/lib/a")),
            ("a", None, xdg, Some("/home/u"), Some("/xdg/faraday-agent/a")),
            ("a", None, xdg, None, Some("/xdg/faraday-agent/a")),
            ("a", None, relative, Some("/home/u"), Some("/home/u/.local/state/faraday-agent/a")),
            ("a b/c", None, none, Some("/home/u"), Some("/home/u/.local/state/faraday-agent/a b%2Fc")),
            ("..", None, none, Some("/home/u"), Some("/home/u/.local/state/faraday-agent/%2E.")),
            ("a", None, none, None, None),
            ("a", None, none, Some(""), None),
        ] {
            let variable = |wanted: &str| {
                variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| OsString::from(value))
            };
            let found = locate(&agent(name, configured.map(Path::new)), variable, home.map(PathBuf::from));
            assert_eq!(found.ok(), expected.map(PathBuf::from), "{name} {configured:?} {variables:?} {home:?}");
        }
    }
}
