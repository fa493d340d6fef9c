//! What `dispatcher.yaml` may say, and every complaint about it.
//!
//! `tree` turns YAML into texts, lists and mappings; `section` walks a mapping key by key and collects what is wrong; `kind`
//! knows what a text may mean; `server` and `agent` know the keys. A new key is one line in one of those two. Does no I/O but
//! reading that one file, and looking whether the file that `ssl_cert` names can be read. Driven by `cli`.

mod agent;
mod host;
mod kind;
mod nearest;
mod section;
mod server;
pub mod settings;
#[cfg(test)]
mod tests;
mod tree;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use kind::TOKEN;
use section::Section;
pub use section::{Finding, Findings};
use server::Probe;
use settings::{AgentToken, Settings};
use tree::Tree;

/// Far more than any configuration, and little enough when `--config` names something else by mistake.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Reads and checks the configuration at `path`. With it come warnings; without it, all problems at once.
pub fn read(path: &Path) -> Result<(Settings, Vec<Finding>), Findings> {
    if path.extension().is_some_and(|extension| extension == "ini") {
        return Err(whole_file("the .ini files of the Python agent 1.x are not read; write a dispatcher.yaml"));
    }
    let text = contents(path).map_err(|error| whole_file(&error.to_string()))?;
    check(&text, &readable)
}

/// The same for text that is at hand; looks at no file.
pub fn parse(text: &str) -> Result<(Settings, Vec<Finding>), Findings> {
    check(text, &|_| Ok(()))
}

fn check(text: &str, readable: Probe) -> Result<(Settings, Vec<Finding>), Findings> {
    let tree = Tree::parse(text).map_err(|error| whole_file(&error))?;
    let mut findings = Findings::default();
    let settings = settings(&tree, &mut findings, readable);
    match settings {
        Some(settings) if findings.problems.is_empty() => Ok((settings, findings.warnings)),
        _ => {
            debug_assert!(!findings.problems.is_empty(), "no settings and nothing said about it");
            Err(findings)
        }
    }
}

fn settings(tree: &Tree, findings: &mut Findings, readable: Probe) -> Option<Settings> {
    let mut root = Section::root(tree, findings)?;
    let server = server::read(&mut root, readable);
    let token = token(&mut root);
    let agent = agent::read(&mut root);
    root.close();
    Some(Settings { server: server?, token, agent: agent? })
}

fn token(root: &mut Section) -> Option<AgentToken> {
    let mut section = root.section("tokens")?;
    // Versions before 2.0 kept the registration token here; now it comes with `--token`.
    section.ignore(&["registration"]);
    let token = section.optional("agent", &TOKEN).flatten();
    section.close();
    token
}

fn contents(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("larger than {FILE_BYTES_MAX} bytes; is this the right file?")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        io::Error::other(format!("byte {at} is not UTF-8; save the file as UTF-8"))
    })
}

fn readable(path: &Path) -> Result<(), String> {
    let complaint = |why: String| format!("{} cannot be read: {why}", path.display());
    let file = File::open(path).map_err(|error| complaint(error.to_string()))?;
    match file.metadata() {
        Ok(metadata) if metadata.is_dir() => Err(complaint("it is a directory; expected a PEM file".into())),
        _ => Ok(()),
    }
}

fn whole_file(problem: &str) -> Findings {
    let problem = Finding { path: String::new(), text: problem.to_owned() };
    Findings { problems: vec![problem], warnings: Vec::new() }
}
