//! In the state directory, the agent token that registration brought. Small blocking file operations at start; which token to
//! use is `enrol`'s to decide.

use std::io::{self, ErrorKind, Write};

use nix::fcntl::OFlag;

use crate::config::settings::AgentToken;

use super::state_dir::StateDir;

const TOKEN_FILE: &str = "token";
/// Written first, then renamed: a token file is always whole.
const DRAFT_FILE: &str = "token.new";

impl StateDir {
    /// The stored token; `None` before the first registration.
    pub fn token(&self) -> Result<Option<AgentToken>, String> {
        let path = self.directory().path_of(TOKEN_FILE);
        let text = match self.directory().open(TOKEN_FILE, OFlag::O_RDONLY).and_then(io::read_to_string) {
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
            self.directory().rename(DRAFT_FILE, TOKEN_FILE)?;
            // The new name is safe from a power cut only when the directory is on disk too.
            self.directory().sync()
        });
        result.map_err(|error| format!("cannot keep the agent token in {}: {error}", self.path().display()))
    }

    /// Writes as much as a token takes and removes it again: to be asked before registering, so that no agent is made
    /// known to the server whose token then gets lost.
    pub fn prove_writable(&self) -> Result<(), String> {
        let blank = "-".repeat(65);
        let result = self.write_draft(&blank).and_then(|()| self.directory().remove(DRAFT_FILE));
        result.map_err(|error| {
            format!(
                "cannot write to the state directory {}: {error}; make it writable for this user, or name another in \
                 agent.state_dir",
                self.path().display()
            )
        })
    }

    fn write_draft(&self, text: &str) -> io::Result<()> {
        let mut file = self.directory().create(DRAFT_FILE)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::config::settings::Agent;

    fn open(path: &Path) -> Result<StateDir, String> {
        StateDir::open(&Agent { state_dir: Some(path.to_owned()), ..Agent::default() })
    }

    /// A directory that goes away with the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let path = std::env::temp_dir().join(format!("faraday-agent-{}-{name}", std::process::id()));
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).unwrap();
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
    fn a_stored_token_comes_back_and_is_nobody_elses_to_read() {
        let scratch = Scratch::new("store");
        let path = scratch.0.join("deep/er");
        let state = open(&path).unwrap();
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
        let state = open(&scratch.0).unwrap();
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
        let state = open(&scratch.0).unwrap();
        // Holds for root too, unlike a mode: a directory stands where the draft would be written.
        fs::create_dir(scratch.0.join(DRAFT_FILE)).unwrap();
        let problem = state.prove_writable().unwrap_err();
        assert!(problem.contains(&*scratch.0.to_string_lossy()) && problem.contains("agent.state_dir"), "{problem}");
        let file = scratch.0.join("file");
        fs::write(&file, "").unwrap();
        assert!(open(&file.join("below")).is_err());
    }
}
