//! Replays the fuzzer's seeds and every input that ever broke a promise: `fuzz/corpus` and `fuzz/artifacts`. What is fuzzed, and
//! what it promises, stands in `fuzz/targets`; `fuzz/run` looks for more.

#[path = "../fuzz/targets/mod.rs"]
mod targets;

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz");

fn inputs(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    paths.sort();
    paths
}

/// One test and not one for each target: memory is counted for the whole process.
#[test]
fn no_seed_and_no_artefact_breaks_a_promise() {
    for name in targets::names() {
        let target = targets::find(name).expect("a target");
        let seeds = inputs(&Path::new(ROOT).join("corpus").join(name));
        assert!(!seeds.is_empty(), "{name} has no seeds");
        let artefacts = inputs(&Path::new(ROOT).join("artifacts").join(name));
        println!("{name}: {} seeds, {} artefacts", seeds.len(), artefacts.len());
        for path in seeds.iter().chain(&artefacts) {
            let input = fs::read(path).expect("readable");
            // Names the culprit where a panic ends the test.
            println!("{}", path.display());
            (target.run)(&input);
        }
    }
}
