//! Keeps the values of `password` arguments and varenvs out of what an executor's own words are quoted in: logs and statuses.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

use super::executor::Executor;

/// A shorter value is no secret, and hiding it would tear every text apart.
const SECRET_BYTES_MIN: usize = 4;

/// The secrets of one run.
pub struct Redactor(Vec<String>);

impl Redactor {
    pub fn new(executor: &Executor, args: &Map<String, Value>) -> Redactor {
        let is_password = |name: &str| executor.params.iter().any(|param| param.name == name && param.is_secret());
        let passwords = args.iter().filter(|(name, _)| is_password(name)).filter_map(|(_, value)| value.as_str());
        let varenvs = executor.varenvs.iter().map(|(_, value)| value.reveal());
        let long_enough = |text: &&str| text.len() >= SECRET_BYTES_MIN;
        let mut secrets: Vec<String> = passwords.chain(varenvs).filter(long_enough).map(str::to_owned).collect();
        // A secret that contains another one has to go first.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Redactor(secrets)
    }

    pub fn apply<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                text = Cow::Owned(text.replace(secret.as_str(), "[redacted]"));
            }
        }
        text
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} secrets)", self.0.len())
    }
}
