//! `dispatcher.yaml`: whatever a file holds, there are settings or a finding about it.

use faraday_agent::config;

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(findings) = config::parse(text) {
        assert!(!findings.problems.is_empty(), "refused without a word");
        for finding in findings.problems {
            let words = finding.to_string();
            assert!(!words.contains(['\n', '\u{1b}']), "not one harmless line: {words:?}");
        }
    }
}
