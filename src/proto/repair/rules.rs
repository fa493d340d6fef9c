//! The rules, each for itself, and their order: a vulnerability has to be in order before it is known whose double it is.

use crate::proto::excerpt::{cut, excerpt};

use super::INDEXED_BYTES_MAX;
use super::merge::merge_duplicates;
use super::number::{is_beyond_int32, is_port_out_of_range};
use super::rule::{Repairs, Rule};
use super::run_date::{Judgement, judge};
use super::text::{decode, decode_str, encode, is_said};
use super::tree::{Object, Value};

/// As printed.
pub(super) const REFERENCE_TYPES: [&[u8]; 3] = [br#""other""#, br#""exploit""#, br#""patch""#];
pub(super) const CREDENTIAL_FIELDS: [&[u8]; 3] = [b"username", b"password", b"endpoint"];

/// So much of a port is quoted.
const PORT_CHARS_MAX: usize = 40;

/// The host as it should have been; `None` if it is.
pub(super) fn mend(piece: &[u8], repairs: &mut Repairs) -> Option<Vec<u8>> {
    let mut piece = Value::Printed(piece.trim_ascii().into());
    let mut made = Repairs::default();
    mend_host(piece.as_object()?, &mut made);
    if made.is_empty() {
        return None;
    }
    repairs.add(&made);
    let mut mended = Vec::new();
    piece.write(&mut mended);
    Some(mended)
}

fn mend_host(host: &mut Object<'_>, repairs: &mut Repairs) {
    drop_ids(host, repairs);
    cut_text(host.find_mut(b"ip"), INDEXED_BYTES_MAX, repairs);
    cut_texts(host, b"hostnames", INDEXED_BYTES_MAX, repairs);
    for service in host.objects(b"services") {
        drop_ids(service, repairs);
        cut_text(service.find_mut(b"protocol"), INDEXED_BYTES_MAX, repairs);
        bound_port(service, repairs);
        mend_vulnerabilities(service, repairs);
    }
    mend_vulnerabilities(host, repairs);
}

fn mend_vulnerabilities(parent: &mut Object<'_>, repairs: &mut Repairs) {
    for vulnerability in parent.objects(b"vulnerabilities") {
        drop_ids(vulnerability, repairs);
        drop_shown(vulnerability, repairs);
        drop_owasp(vulnerability, repairs);
        drop_nameless_references(vulnerability, repairs);
        for reference in vulnerability.objects(b"refs") {
            give_type(reference, repairs);
            cut_text(reference.find_mut(b"name"), INDEXED_BYTES_MAX, repairs);
        }
        for credential in vulnerability.objects(b"credentials") {
            cut_credential(credential, repairs);
        }
        cut_texts(vulnerability, b"cwe", INDEXED_BYTES_MAX, repairs);
        cut_texts(vulnerability, b"policyviolations", INDEXED_BYTES_MAX, repairs);
        drop_wide_status_code(vulnerability, repairs);
        correct_run_date(vulnerability, repairs);
        take_description(vulnerability, repairs);
    }
    if let Some(vulnerabilities) = parent.list(b"vulnerabilities") {
        merge_duplicates(vulnerabilities, repairs);
        even_out(vulnerabilities, "easeofresolution", "null", Rule::EaseOfResolution, repairs);
        even_out(vulnerabilities, "custom_fields", "{}", Rule::CustomFields, repairs);
    }
}

/// They are numbers of the server's own: `id` would become the primary key, `command_id` belongs to the body.
fn drop_ids(object: &mut Object<'_>, repairs: &mut Repairs) {
    for name in [&b"id"[..], b"command_id"] {
        if object.remove(name) {
            repairs.note(Rule::Id);
        }
    }
}

/// The server shows them with every vulnerability, and loses one that has them.
fn drop_shown(vulnerability: &mut Object<'_>, repairs: &mut Repairs) {
    for name in [&b"metadata"[..], b"issuetracker"] {
        if vulnerability.remove(name) {
            repairs.note(Rule::Shown);
        }
    }
}

/// Once it is stored, the vulnerabilities of the workspace cannot be listed any more. A text or an object does it too, and
/// with a number in it nothing is stored.
fn drop_owasp(vulnerability: &mut Object<'_>, repairs: &mut Repairs) {
    if vulnerability.find(b"owasp").is_some_and(|owasp| !owasp.is_empty()) {
        vulnerability.remove(b"owasp");
        repairs.note(Rule::Owasp);
    }
}

/// References that are texts, or that have null for a name, the server refuses.
fn drop_nameless_references(vulnerability: &mut Object<'_>, repairs: &mut Repairs) {
    let Some(references) = vulnerability.list(b"refs") else {
        return;
    };
    references.retain_mut(|reference| {
        let is_nameless = reference.as_object().is_some_and(|object| object.find(b"name").is_none());
        if is_nameless {
            repairs.note(Rule::NamelessReference);
        }
        !is_nameless
    });
}

/// Servers before 5.0 lose the host, and all hosts behind it in the body.
fn give_type(reference: &mut Object<'_>, repairs: &mut Repairs) {
    let is_strange = |kind: &Value<'_>| {
        kind.printed().is_some_and(|printed| printed.starts_with(b"\"") && !REFERENCE_TYPES.contains(&printed))
    };
    if reference.find(b"type").is_none_or(is_strange) {
        reference.set("type", Value::from_bytes(br#""other""#.to_vec()));
        repairs.note(Rule::ReferenceType);
    }
}

fn drop_wide_status_code(vulnerability: &mut Object<'_>, repairs: &mut Repairs) {
    if vulnerability.printed(b"status_code").is_some_and(is_beyond_int32) {
        vulnerability.remove(b"status_code");
        repairs.note(Rule::StatusCode);
    }
}

fn correct_run_date(vulnerability: &mut Object<'_>, repairs: &mut Repairs) {
    match vulnerability.printed(b"run_date").map_or(Judgement::Fine, judge) {
        Judgement::Fine => {}
        Judgement::Seconds(seconds) => {
            vulnerability.set("run_date", Value::from_bytes(seconds.into_bytes()));
            repairs.note(Rule::RunDate);
        }
        Judgement::Unreadable => {
            vulnerability.remove(b"run_date");
            repairs.note(Rule::UnreadableRunDate);
        }
    }
}

/// The server does not know `description` here, and would store an empty text.
fn take_description(vulnerability: &mut Object<'_>, repairs: &mut Repairs) {
    let has_desc = vulnerability.find(b"desc").is_some_and(|desc| desc.printed() != Some(br#""""#));
    let description = vulnerability.printed(b"description").filter(|printed| is_said(printed)).map(<[u8]>::to_vec);
    if let Some(description) = description.filter(|_| !has_desc) {
        vulnerability.remove(b"description");
        vulnerability.set("desc", Value::from_bytes(description));
        repairs.note(Rule::Description);
    }
}

/// The service stays, so that its vulnerabilities are delivered, and tells what its port was.
fn bound_port(service: &mut Object<'_>, repairs: &mut Repairs) {
    let Some(port) = service.printed(b"port").filter(|port| is_port_out_of_range(port)) else {
        return;
    };
    let note = format!("port out of range: {}", excerpt(&String::from_utf8_lossy(port), PORT_CHARS_MAX));
    service.set("port", Value::from_bytes(b"0".to_vec()));
    repairs.note(Rule::Port);
    match service.printed(b"description") {
        Some(printed) if is_said(printed) => {
            let description = format!("{}\n{note}", decode_str(printed));
            service.set("description", Value::from_bytes(encode(&description)));
        }
        None | Some(b"null" | br#""""#) => service.set("description", Value::from_bytes(encode(&note))),
        // The server refuses it.
        Some(_) => {}
    }
}

/// The keys of the first vulnerability stand for all when the server stores a list. `nothing` is as good as no value.
fn even_out(vulnerabilities: &mut [Value<'_>], name: &'static str, nothing: &str, rule: Rule, repairs: &mut Repairs) {
    let has = |object: &&mut Object<'_>| object.find(name.as_bytes()).is_some();
    if !vulnerabilities.iter_mut().filter_map(Value::as_object).any(|object| has(&object)) {
        return;
    }
    for object in vulnerabilities.iter_mut().filter_map(Value::as_object).filter(|object| !has(object)) {
        object.set(name, Value::from_bytes(nothing.into()));
        repairs.note(rule);
    }
}

/// What makes a credential the same as another one has one index for all of it.
fn cut_credential(credential: &mut Object<'_>, repairs: &mut Repairs) {
    let length =
        |name: &&[u8]| credential.printed(name).filter(|printed| is_said(printed)).map_or(0, |p| decode(p).len());
    if CREDENTIAL_FIELDS.iter().map(length).sum::<usize>() > INDEXED_BYTES_MAX {
        for name in CREDENTIAL_FIELDS {
            cut_text(credential.find_mut(name), INDEXED_BYTES_MAX / CREDENTIAL_FIELDS.len(), repairs);
        }
    }
}

fn cut_texts(object: &mut Object<'_>, name: &[u8], bytes_max: usize, repairs: &mut Repairs) {
    for text in object.list(name).into_iter().flatten() {
        cut_text(Some(text), bytes_max, repairs);
    }
}

fn cut_text(value: Option<&mut Value<'_>>, bytes_max: usize, repairs: &mut Repairs) {
    let Some(value) = value else {
        return;
    };
    let long = value.printed().filter(|printed| is_said(printed) && printed.len() > bytes_max);
    let text = long.map(decode_str).unwrap_or_default();
    if text.len() > bytes_max {
        *value = Value::from_bytes(encode(cut(&text, bytes_max)));
        repairs.note(Rule::LongText);
    }
}
