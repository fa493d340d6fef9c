//! The state directory, and in it the agent token that registration brought. Small blocking file operations at start;
//! which token to use is `enrol`'s to decide.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::config::settings::{Agent, AgentToken};

const TOKEN_FILE: &str = "token";
/// Written first, then renamed: a token file is always whole.
const DRAFT_FILE: &str = "token.new";

/// The directory where the agent keeps what must survive it, mode 0700. Every `Err` is one line that names the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// The directory of this agent, created if need be: `agent.state_dir`, else `$STATE_DIRECTORY` (systemd's), else
    /// `${XDG_STATE_HOME:-~/.local/state}/faraday-agent/<agent_name>`.
    pub fn open(agent: &Agent) -> Result<StateDir, String> {
        let path = locate(agent, |name| std::env::var_os(name), std::env::home_dir())?;
        let created = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        created.map_err(|error| format!("cannot create the state directory {}: {error}", path.display()))?;
        Ok(StateDir { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The stored token; `None` before the first registration.
    pub fn token(&self) -> Result<Option<AgentToken>, String> {
        let path = self.path.join(TOKEN_FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(format!("cannot read the agent token in {}: {error}", path.display()));
            }
        };
        AgentToken::parse(text.trim()).map(Some).ok_or_else(|| {
            format!(
                "{} does not hold an agent token (64 letters and digits): put the right one back, or delete the file and \
                 register anew with --token",
                path.display()
            )
        })
    }

    /// Keeps a token in place of the one before: file mode 0600, on disk before this returns, never half a token.
    pub fn store_token(&self, token: &AgentToken) -> Result<(), String> {
        let result = self.write_draft(&format!("{}\n", token.reveal())).and_then(|()| {
            fs::rename(self.path.join(DRAFT_FILE), self.path.join(TOKEN_FILE))?;
            // The new name is safe from a power cut only when the directory is on disk too.
            File::open(&self.path)?.sync_all()
        });
        result.map_err(|error| format!("cannot keep the agent token in {}: {error}", self.path.display()))
    }

    /// Writes as much as a token takes and removes it again: to be asked before registering, so that no agent is made
    /// known to the server whose token then gets lost.
    pub fn prove_writable(&self) -> Result<(), String> {
        let blank = "-".repeat(65);
        let result = self.write_draft(&blank).and_then(|()| fs::remove_file(self.path.join(DRAFT_FILE)));
        result.map_err(|error| {
            format!(
                "cannot write to the state directory {}: {error}; make it writable for this user, or name another in \
                 agent.state_dir",
                self.path.display()
            )
        })
    }

    fn write_draft(&self, text: &str) -> io::Result<()> {
        let path = self.path.join(DRAFT_FILE);
        // A draft that a crash left behind may have another mode.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn agent(name: &str, state_dir: Option<&Path>) -> Agent {
        Agent { name: name.to_owned(), state_dir: state_dir.map(Path::to_owned), ..Agent::default() }
    }

    /// A directory that goes away with the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let path = std::env::temp_dir().join(format!("faraday-agent-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn token(filler: char) -> AgentToken {
        AgentToken::parse(&filler.to_string().repeat(64)).unwrap()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
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

    #[test]
    fn a_stored_token_comes_back_and_is_nobody_elses_to_read() {
        let scratch = Scratch::new("store");
        let path = scratch.0.join("deep/er");
        let state = StateDir::open(&agent("a", Some(&path))).unwrap();
        assert_eq!(mode(&path), 0o700);
        assert_eq!(state.token(), Ok(None));
        fs::write(path.join(DRAFT_FILE), "half").unwrap();
        state.prove_writable().unwrap();
        for filler in ['a', 'b'] {
            state.store_token(&token(filler)).unwrap();
            assert_eq!(state.token(), Ok(Some(token(filler))));
            assert_eq!(mode(&path.join(TOKEN_FILE)), 0o600);
        }
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_holds_no_token_is_named_and_not_quoted() {
        let scratch = Scratch::new("wrong");
        let state = StateDir::open(&agent("a", Some(&scratch.0))).unwrap();
        for wrong in ["", "hunter2", &"a".repeat(63)] {
            fs::write(scratch.0.join(TOKEN_FILE), wrong).unwrap();
            let problem = state.token().unwrap_err();
            assert!(problem.contains(&*scratch.0.to_string_lossy()) && problem.contains("--token"), "{problem}");
            assert!(wrong.is_empty() || !problem.contains(wrong), "{problem}");
        }
        fs::write(scratch.0.join(TOKEN_FILE), [0xff, 0xfe]).unwrap();
        assert!(state.token().is_err());
    }

    #[test]
    fn a_directory_that_takes_nothing_is_noticed_before_it_matters() {
        let scratch = Scratch::new("blocked");
        let state = StateDir::open(&agent("a", Some(&scratch.0))).unwrap();
        // Holds for root too, unlike a mode: a directory stands where the draft would be written.
        fs::create_dir(scratch.0.join(DRAFT_FILE)).unwrap();
        let problem = state.prove_writable().unwrap_err();
        assert!(problem.contains(&*scratch.0.to_string_lossy()) && problem.contains("agent.state_dir"), "{problem}");
        let file = scratch.0.join("file");
        fs::write(&file, "").unwrap();
        assert!(StateDir::open(&agent("a", Some(&file.join("below")))).is_err());
    }
}
