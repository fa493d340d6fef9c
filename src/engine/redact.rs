//! Keeps the values of `password` arguments and varenvs out of what an executor's own words are quoted in: logs and statuses.
//! A value of several lines is hidden line by line, because that is how it would be quoted.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

use super::executor::Executor;

/// A shorter value is no secret, and hiding it would tear every text apart.
const SECRET_BYTES_MIN: usize = 4;
const HIDDEN: &str = "[redacted]";

/// The secrets of one run.
#[derive(Default)]
pub struct Redactor(Vec<String>);

impl Redactor {
    pub fn new(executor: &Executor, args: &Map<String, Value>) -> Redactor {
        let is_password = |name: &str| executor.params.iter().any(|param| param.name == name && param.is_secret());
        let mut secrets = Vec::new();
        for (_, value) in args.iter().filter(|(name, _)| is_password(name)) {
            add_value(value, &mut secrets);
        }
        for (_, value) in &executor.varenvs {
            add_text(value.reveal(), &mut secrets);
        }
        // A secret that contains another one has to go first.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Redactor(secrets)
    }

    pub fn apply<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                text = Cow::Owned(text.replace(secret.as_str(), HIDDEN));
            }
        }
        text
    }

    /// As `apply`, for a text that was cut out of a longer one: a part of a secret where it was cut goes too.
    pub fn apply_to_part<'t>(&self, text: &'t str, cut_before: bool, cut_behind: bool) -> Cow<'t, str> {
        let mut text = self.apply(text);
        if let Some(end) = self.0.iter().filter(|_| cut_before).find_map(|secret| tail_at_start(&text, secret)) {
            text = Cow::Owned(format!("{HIDDEN}{}", &text[end..]));
        }
        if let Some(start) = self.0.iter().filter(|_| cut_behind).find_map(|secret| head_at_end(&text, secret)) {
            text = Cow::Owned(format!("{}{HIDDEN}", &text[..start]));
        }
        text
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} secrets)", self.0.len())
    }
}

fn add_value(value: &Value, secrets: &mut Vec<String>) {
    match value {
        Value::String(text) => add_text(text, secrets),
        Value::Number(number) => add_text(&number.to_string(), secrets),
        Value::Array(items) => items.iter().for_each(|item| add_value(item, secrets)),
        _ => {}
    }
}

/// Each line, as it is and as it stands in JSON.
fn add_text(text: &str, secrets: &mut Vec<String>) {
    for line in text.lines().map(str::trim).filter(|line| line.len() >= SECRET_BYTES_MIN) {
        let json = Value::from(line).to_string();
        let escaped = &json[1..json.len() - 1];
        if escaped != line {
            secrets.push(escaped.to_owned());
        }
        secrets.push(line.to_owned());
    }
}

/// Where in `text` the end of a secret ends whose beginning was cut off.
fn tail_at_start(text: &str, secret: &str) -> Option<usize> {
    let mut tails = (1..secret.len()).filter_map(|start| secret.get(start..));
    tails.find(|tail| tail.len() >= SECRET_BYTES_MIN && text.starts_with(tail)).map(str::len)
}

/// Where in `text` a secret begins whose end was cut off.
fn head_at_end(text: &str, secret: &str) -> Option<usize> {
    let mut heads = (1..secret.len()).rev().filter_map(|end| secret.get(..end));
    heads.find(|head| head.len() >= SECRET_BYTES_MIN && text.ends_with(head)).map(|head| text.len() - head.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(values: &[Value]) -> Redactor {
        let mut secrets = Vec::new();
        values.iter().for_each(|value| add_value(value, &mut secrets));
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Redactor(secrets)
    }

    #[test]
    fn secrets_go_in_every_spelling() {
        let values = [Value::from("pa\"ss"), "key one\n key two \nx".into(), vec!["in a list"].into(), 123_456.into()];
        let redactor = redactor(&values);
        for (text, expected) in [
            ("with pa\"ss in it", "with [redacted] in it"),
            (r#"{"p":"pa\"ss"}"#, r#"{"p":"[redacted]"}"#),
            ("key one, key two, x", "[redacted], [redacted], x"),
            ("[\"in a list\",123456]", "[\"[redacted]\",[redacted]]"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(redactor.apply(text), expected, "{text}");
        }
    }

    #[test]
    fn a_secret_does_not_show_where_a_text_was_cut() {
        let redactor = redactor(&["correct-hörse".into()]);
        for (text, cut_before, cut_behind, expected) in [
            ("a correct-h", false, true, "a [redacted]"),
            ("a correct-h", false, false, "a correct-h"),
            ("a cor", false, true, "a cor"),
            ("hörse b", true, false, "[redacted] b"),
            ("hörse b", false, true, "hörse b"),
            ("rrect-hörse corr", true, true, "[redacted] [redacted]"),
            ("correct-hörse", true, true, "[redacted]"),
        ] {
            assert_eq!(redactor.apply_to_part(text, cut_before, cut_behind), expected, "{text}");
        }
    }
}
