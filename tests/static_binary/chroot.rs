//! A directory with the agent in it and nothing else, as the root of a process.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use crate::support::{AgentBuilder, AgentProcess, Standin, TempDir};

pub struct Chroot {
    root: TempDir,
}

/// A shell that is enough to tell that a command was run: `sh -c TEXT` prints the text.
const SHELL: &str = r#"fn main() { println!("{}", std::env::args().nth(2).unwrap()) }"#;

impl Chroot {
    pub fn new(binary: &Path) -> Chroot {
        let root = TempDir::new();
        fs::copy(binary, root.join("agent")).expect("room for a copy of the agent");
        Chroot { root }
    }

    pub fn write(&self, path: &str, content: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().expect("not the root itself")).expect("a directory of our own");
        fs::write(path, content).expect("a directory of our own");
    }

    /// Whether there is something at this path, as a process in here knows it.
    pub fn holds(&self, path: &Path) -> bool {
        self.root.path().join(path.strip_prefix("/").unwrap_or(path)).exists()
    }

    /// Puts a `/bin/sh` into it.
    pub fn add_shell(&self) {
        self.write("bin/sh.rs", SHELL);
        let mut rustc = Command::new("rustc");
        rustc
            .args(["-C", "target-feature=+crt-static", "-o"])
            .arg(self.root.join("bin/sh"))
            .arg(self.root.join("bin/sh.rs"));
        assert!(rustc.status().is_ok_and(|status| status.success()), "rustc failed");
    }

    /// What `/agent` with these arguments prints.
    pub fn output(&self, args: &[&str]) -> String {
        let command = format!("{} \"$@\"", self.command());
        let output =
            Command::new("/bin/sh").args(["-c", &command, "sh"]).args(args).output().expect("/bin/sh is there");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("the agent prints text")
    }

    /// An agent that is going to live in here. Its directory comes along, under the path that it has outside.
    pub fn agent(&self, server: &Standin) -> AgentBuilder {
        let builder = AgentProcess::builder(server);
        let (root, directory) = (self.root.path().display(), builder.dir().display().to_string());
        let script = format!(
            "mkdir -p {root}{directory}\ncp -r {directory}/. {root}{directory}\nexec {} \"$@\"",
            self.command()
        );
        let starter = self.root.script("start", &script);
        builder.binary(starter)
    }

    /// The words that run `/agent` in here. Only root may change the root; everybody else may be root in a user namespace
    /// of his own.
    fn command(&self) -> String {
        let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        let alone = if is_root { "" } else { "unshare --map-root-user " };
        format!("{alone}chroot {} /agent", self.root.path().display())
    }
}
