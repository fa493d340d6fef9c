//! The way of the six digits from a person to the agent: out of the arguments and the environment at once, where others could
//! see them, and in from a file or stdin. What they are good for is the business of `shell::enrol`.

use std::fs::File;
use std::io::{self, BufRead, BufReader};

use log::warn;

use crate::bounds::REGISTRATION_BYTES_MAX;
use crate::shell::enrol::RegistrationToken;
use crate::shell::{anew, exposure};

use super::arguments::{self, Registration, Run};

/// Starts the agent anew with its digits on stdin, if they are to be seen. Where that cannot be done it says why, and nothing
/// has changed.
pub fn hide(asked: &Run) -> io::Result<()> {
    match &asked.registration {
        Some(Registration::Shown(token)) => {
            anew::execute(asked.words_with_token_on_stdin(), token.reveal()).map(|_| ())
        }
        _ => Ok(()),
    }
}

/// The digits, wherever they are. The error is one line for the user, and does not repeat what it has found.
pub fn read(registration: Registration) -> Result<RegistrationToken, String> {
    match registration {
        Registration::Shown(token) => Ok(token),
        Registration::Stdin => first_line("--token-file -", io::stdin().lock()),
        Registration::File(path) => {
            let source = format!("--token-file {}", path.display());
            let file = File::open(&path).map_err(|error| format!("{source}: {error}"))?;
            if let Some(words) = exposure::of_reading(&path) {
                warn!("--token-file: {words}");
            }
            first_line(&source, BufReader::new(file))
        }
    }
}

fn first_line(source: &str, from: impl BufRead) -> Result<RegistrationToken, String> {
    let mut line = String::new();
    from.take(REGISTRATION_BYTES_MAX).read_line(&mut line).map_err(|error| format!("{source}: {error}"))?;
    arguments::registration_token(source, line.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_counts_and_is_not_repeated() {
        let digits = RegistrationToken::parse("012345").expect("six digits");
        for text in ["012345", "012345\n", " 012345\r\n", "012345\nwhat else there is\n"] {
            assert_eq!(first_line("x", text.as_bytes()), Ok(digits.clone()), "{text:?}");
        }
        let endless = "1".repeat(1 << 20);
        for text in ["", "\n", "\n012345\n", "1234567", "hunter2", &endless] {
            let problem = first_line("--token-file a", text.as_bytes()).expect_err(text);
            assert_eq!(problem, "--token-file a: expected the six digits that the server shows for new agents");
        }
        assert!(
            first_line("--token-file a", &b"\xff\n"[..]).is_err_and(|problem| problem.starts_with("--token-file a: "))
        );
    }
}
