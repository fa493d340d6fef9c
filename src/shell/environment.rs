//! What of this program's own environment other programs get: all but the secrets that a person hands to the agent by it. The
//! one list of those; `launch`, `guard` and `anew` ask here.

use std::ffi::OsString;

use super::enrol::REGISTRATION_VARIABLE;

/// For the agent alone.
const SECRETS: [&str; 1] = [REGISTRATION_VARIABLE];

/// Names and values for a program that is to be started.
pub fn handed_down() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| SECRETS.iter().all(|secret| name != secret))
}
