//! What a bulk_create body may contain, as a table, and the server's words about what it may not.
//! `kinds.rs` reads the table.

use serde_json::{Value, json};

use super::http::Answer;
use super::kinds::{Field, Kind, Kind::*, Parent, may, must};

pub static BODY: &[Field] = &[
    must("hosts", List(&Object(HOST))),
    must("command", Object(COMMAND)),
    may("credentials", List(&Object(CREDENTIAL))),
    may("execution_id", Int),
];

static COMMAND: &[Field] = &[
    must("tool", Filled),
    must("command", Filled),
    must("start_date", DateTime),
    may("duration", Microseconds),
    may("user", Text0(250)),
    may("hostname", Text0(250)),
    may("ip", Text0(250)),
    may("params", Text0(usize::MAX)),
    may("import_source", OneOf0(&["report", "shell", "agent", "cloud_agent", "system"], ONE_OF)),
];

static HOST: &[Field] = &[
    must("ip", Text),
    must("description", Text),
    may("os", Text),
    may("mac", Text0(usize::MAX)),
    may("default_gateway", Text0(usize::MAX)),
    may("hostnames", List(&Text)),
    may("owned", Bool),
    may("importance", Importance),
    may("services", List(&Object(SERVICE))),
    may("vulnerabilities", Vulnerabilities(Parent::Host)),
];

static SERVICE: &[Field] = &[
    must("port", Natural),
    must("protocol", Filled0),
    may("name", Text0(usize::MAX)),
    may("version", Text0(usize::MAX)),
    may("description", Text0(usize::MAX)),
    may("status", OneOf(&["open", "closed", "filtered"], ONE_OF)),
    may("owned", Bool),
    may("vulnerabilities", Vulnerabilities(Parent::Service)),
];

pub static VULNERABILITY: &[Field] = &[
    must("name", Filled0),
    must("severity", OneOf(SEVERITIES, "Invalid severity type.")),
    may("desc", Text),
    may("data", Text0(usize::MAX)),
    may("resolution", Text0(usize::MAX)),
    may("status", OneOf(&["open", "opened", "closed", "re-opened", "risk-accepted"], "Invalid status type.")),
    may("confirmed", Bool),
    may("external_id", Text0(usize::MAX)),
    may("easeofresolution", OneOf0(&["trivial", "simple", "moderate", "difficult", "infeasible"], ONE_OF)),
    may("refs", List(&Object(REF))),
    may("cve", List(&Text)),
    may("cwe", List(&Text)),
    may("policyviolations", List(&Text)),
    may("cvss2", Object(VECTOR)),
    may("cvss3", Object(VECTOR)),
    may("cvss4", Object(VECTOR)),
    may("impact", Strict(IMPACT)),
    may("custom_fields", NotNull),
    may("run_date", TextOrNumber),
    may("tool", Text),
    may("credentials", List(&Object(CREDENTIAL))),
];

/// The further keys of a VulnerabilityWeb.
pub static WEB: &[Field] = &[
    may("method", Text),
    may("path", Text),
    may("website", Text),
    may("pname", Text),
    may("params", Text),
    may("query", Text),
    may("request", Text),
    may("response", Text),
    may("status_code", Int0),
];

static REF: &[Field] = &[may("name", Text), may("type", OneOf(&["exploit", "patch", "other"], ONE_OF))];
static VECTOR: &[Field] = &[may("vector_string", Text0(usize::MAX))];
static IMPACT: &[Field] =
    &[may("accountability", Bool), may("availability", Bool), may("confidentiality", Bool), may("integrity", Bool)];
static CREDENTIAL: &[Field] = &[
    must("username", NotBlank("Username cannot be empty")),
    must("password", NotBlank("Password cannot be empty")),
    may("endpoint", Text),
    may("leak_date", DateTime0),
    may("owned", Bool),
];

const SEVERITIES: &[&str] = &["critical", "high", "medium", "med", "low", "info", "informational", "unclassified"];
const ONE_OF: &str = "Must be one of the allowed values.";

/// Says what the server says about a body that it does not take.
pub fn check(body: &Value) -> Result<(), Answer> {
    let kind = Kind::Object(BODY);
    kind.check(body).map_err(|errors| Answer::json(400, &json!({"messages": {"json": errors}})))?;
    match crashes(body) {
        true => Err(Answer::json(500, &json!({"message": "Internal Server Error", "success": false}))),
        false => Ok(()),
    }
}

/// A list or text as `custom_fields` gets past the checks and breaks what comes after them.
fn crashes(body: &Value) -> bool {
    let hosts = items(&body["hosts"]);
    let bad = |vulnerability: &Value| !matches!(vulnerability["custom_fields"], Value::Null | Value::Object(_));
    let mut parents = hosts.iter().flat_map(|host| items(&host["services"]).iter().chain([host]));
    parents.any(|parent| items(&parent["vulnerabilities"]).iter().any(bad))
}

/// The elements of a list; none where there is no list.
pub fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
