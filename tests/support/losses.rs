//! What a server answers 201 to and then loses or spoils, so that tests can hold an agent to clean bodies.
//! Section 5 of the recordings; one text for each, with the place in the body.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::schema::items;
use super::state::Generation;

/// Index limit of the server's database, for text that does not compress.
const INDEXED_BYTES_MAX: usize = 2_600;

/// What makes a vulnerability the same as another below the same parent.
const VULNERABILITY_KEY: [&str; 7] = ["type", "name", "desc", "method", "pname", "path", "website"];

/// The first unknown key at the top of a body, for which servers from 5.0 drop all of it.
pub fn unknown_top_level(body: &Value, generation: Generation) -> Option<&String> {
    const KNOWN: [&str; 4] = ["hosts", "command", "credentials", "execution_id"];
    let mut keys = body.as_object().into_iter().flat_map(Map::keys);
    keys.find(|key| generation == Generation::SocketIo && !KNOWN.contains(&key.as_str()))
}

/// Everything in a body that would be lost or do harm.
pub fn find(body: &Value, generation: Generation) -> Vec<String> {
    let mut losses = Losses::default();
    if let Some(key) = unknown_top_level(body, generation) {
        losses.add("body", format!("unknown top-level key {key:?}: all of it lost"));
    }
    for (i, host) in items(&body["hosts"]).iter().enumerate() {
        losses.look_at_host(&format!("hosts.{i}"), host);
    }
    losses.found
}

#[derive(Default)]
struct Losses {
    found: Vec<String>,
}

impl Losses {
    fn add(&mut self, place: &str, what: impl std::fmt::Display) {
        self.found.push(format!("{place}: {what}"));
    }

    fn look_at_host(&mut self, place: &str, host: &Value) {
        if has_nul(host) {
            self.add(place, "NUL in a text");
        }
        self.look_at_ids(place, host);
        self.look_at_length(place, "ip", &host["ip"], INDEXED_BYTES_MAX);
        for name in items(&host["hostnames"]) {
            self.look_at_length(place, "hostname", name, INDEXED_BYTES_MAX);
        }
        for (i, service) in items(&host["services"]).iter().enumerate() {
            let place = format!("{place}.services.{i}");
            self.look_at_ids(&place, service);
            self.look_at_length(&place, "protocol", &service["protocol"], INDEXED_BYTES_MAX);
            self.look_at_size(&place, "port", &service["port"]);
            self.look_at_vulnerabilities(&place, service);
        }
        self.look_at_vulnerabilities(place, host);
    }

    fn look_at_vulnerabilities(&mut self, place: &str, parent: &Value) {
        let all = items(&parent["vulnerabilities"]);
        let mut seen = HashSet::new();
        for (i, vulnerability) in all.iter().enumerate() {
            let place = format!("{place}.vulnerabilities.{i}");
            let key = VULNERABILITY_KEY.map(|key| vulnerability[key].as_str().unwrap_or_default());
            if !seen.insert(key) {
                self.add(&place, "the same vulnerability twice");
            }
            for key in ["easeofresolution", "custom_fields"] {
                if vulnerability.get(key).is_some() != all[0].get(key).is_some() {
                    self.add(&place, format!("{key} in some vulnerabilities only"));
                }
            }
            self.look_at_vulnerability(&place, vulnerability);
        }
    }

    fn look_at_vulnerability(&mut self, place: &str, vulnerability: &Value) {
        self.look_at_ids(place, vulnerability);
        for key in ["metadata", "issuetracker"].into_iter().filter(|key| vulnerability.get(key).is_some()) {
            self.add(place, format!("{key} must not be sent"));
        }
        self.look_at_size(place, "status_code", &vulnerability["status_code"]);
        for reference in items(&vulnerability["refs"]) {
            match reference.get("name") {
                None => self.add(place, "a ref without name"),
                Some(name) => self.look_at_length(place, "ref", name, INDEXED_BYTES_MAX),
            }
        }
        for key in ["cwe", "policyviolations"] {
            for text in items(&vulnerability[key]) {
                self.look_at_length(place, key, text, INDEXED_BYTES_MAX);
            }
        }
        if !is_epoch_seconds(&vulnerability["run_date"]) {
            self.add(place, "run_date is not epoch seconds");
        }
        if !matches!(vulnerability["owasp"].to_string().as_str(), "null" | "[]" | "{}" | "\"\"") {
            self.add(place, "owasp: the workspace can no longer be listed");
        }
    }

    fn look_at_ids(&mut self, place: &str, object: &Value) {
        // `id` of a vulnerability is ignored, `command_id` never is.
        let vulnerability = object.get("severity").is_some();
        let bad = |key: &&str| object.get(key).is_some() && !(vulnerability && *key == "id");
        for key in ["id", "command_id"].into_iter().filter(bad) {
            self.add(place, format!("{key} must not be sent"));
        }
    }

    fn look_at_length(&mut self, place: &str, what: &str, value: &Value, bytes_max: usize) {
        if value.as_str().is_some_and(|text| text.len() > bytes_max) {
            self.add(place, format!("{what} is too long"));
        }
    }

    fn look_at_size(&mut self, place: &str, what: &str, value: &Value) {
        if value.as_f64().is_some_and(|n| n >= 2_147_483_648.0) {
            self.add(place, format!("{what} is out of range"));
        }
    }
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(object) => object.values().any(has_nul),
        _ => false,
    }
}

/// Absent or empty is fine; so is a number of seconds, as number or text, before the year 3000.
fn is_epoch_seconds(value: &Value) -> bool {
    let seconds = match value {
        Value::Null => return true,
        Value::String(text) if text.is_empty() => return true,
        Value::String(text) => text.parse().ok(),
        _ => value.as_f64(),
    };
    seconds.is_some_and(|seconds: f64| seconds < 32_503_680_000.0)
}
