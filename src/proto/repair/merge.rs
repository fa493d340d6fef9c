//! Makes one vulnerability of those that the server takes for the same: it would lose all of the list. In linear time,
//! for a scanner may print thousands of them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::{iter, mem};

use super::identity::{FIELDS, Identity};
use super::rule::{Repairs, Rule};
use super::text::{decode_str, encode, is_said};
use super::tree::{Object, Value};

/// Lists of which the merged vulnerability has all elements.
const UNITED: [&str; 4] = ["refs", "cve", "cwe", "policyviolations"];
/// The evidence, often one line for each place where the same was found.
const DATA: &str = "data";

/// Merges each vulnerability into the first one that is the same.
pub(super) fn merge_duplicates(vulnerabilities: &mut Vec<Value<'_>>, repairs: &mut Repairs) {
    let firsts = first_of_each(vulnerabilities);
    let (mut kept, mut doubles) = (BTreeMap::new(), BTreeMap::<usize, Vec<Object<'_>>>::new());
    for ((place, value), first) in mem::take(vulnerabilities).into_iter().enumerate().zip(firsts) {
        match value {
            Value::Object(double) if place != first => {
                repairs.note(Rule::Duplicate);
                doubles.entry(first).or_default().push(double);
            }
            value => _ = kept.insert(place, value),
        }
    }
    for (first, mut others) in doubles {
        if let Some(first) = kept.get_mut(&first).and_then(Value::as_object) {
            merge(first, &mut others);
        }
    }
    vulnerabilities.extend(kept.into_values());
}

/// For each place in the list that of the first one that is the same.
fn first_of_each(vulnerabilities: &mut [Value<'_>]) -> Vec<usize> {
    let mut places = HashMap::new();
    let first = |(place, value): (usize, &mut Value<'_>)| match value.as_object().and_then(|object| texts(object)) {
        Some(texts) => *places.entry(texts).or_insert(place),
        None => place,
    };
    vulnerabilities.iter_mut().enumerate().map(first).collect()
}

fn texts(vulnerability: &Object<'_>) -> Option<[Vec<u8>; FIELDS.len()]> {
    let identity = Identity(FIELDS.map(|field| vulnerability.printed(field).unwrap_or_default()));
    identity.texts().map(|texts| texts.map(Cow::into_owned))
}

fn merge<'p>(first: &mut Object<'p>, others: &mut [Object<'p>]) {
    for name in UNITED {
        unite(first, others, name);
    }
    join_data(first, others);
    fill(first, others);
}

/// Gives the first one the elements of all, each once.
fn unite<'p>(first: &mut Object<'p>, others: &mut [Object<'p>], name: &'static str) {
    if first.find(name.as_bytes()).is_some_and(|value| !value.is_list() && !value.is_empty()) {
        return;
    }
    let mut united = first.list(name.as_bytes()).map(mem::take).unwrap_or_default();
    for other in others {
        united.append(other.list(name.as_bytes()).unwrap_or(&mut Vec::new()));
    }
    let mut seen = HashSet::new();
    united.retain(|element| {
        let mut written = Vec::new();
        element.write(&mut written);
        seen.insert(written)
    });
    match first.list(name.as_bytes()) {
        Some(list) => *list = united,
        None if united.is_empty() => {}
        None => first.set(name, Value::List(united)),
    }
}

/// Gives the first one the evidence of all, each once.
fn join_data(first: &mut Object<'_>, others: &[Object<'_>]) {
    let (mut seen, mut joined) = (HashSet::new(), String::new());
    for object in iter::once(&*first).chain(others) {
        let printed = object.printed(DATA.as_bytes()).filter(|printed| is_said(printed));
        let text = printed.map(decode_str).unwrap_or_default();
        if !text.is_empty() && !seen.contains(&text) {
            joined.push_str(if joined.is_empty() { "" } else { "\n\n" });
            joined.push_str(&text);
            seen.insert(text);
        }
    }
    if seen.len() > 1 {
        first.set(DATA, Value::from_bytes(encode(&joined)));
    }
}

/// Gives the first one what it lacks, or has empty, of what others have.
fn fill<'p>(first: &mut Object<'p>, others: &mut [Object<'p>]) {
    let mut places = first.places();
    for other in others {
        let last_places = other.places();
        for (place, member) in mem::take(&mut other.0).into_iter().enumerate() {
            if last_places.get(&member.name) != Some(&place) {
                continue;
            }
            match places.get(&member.name).and_then(|place| first.0.get_mut(*place)) {
                Some(own) if own.value.is_empty() && !member.value.is_empty() => own.value = member.value,
                Some(_) => {}
                None => {
                    places.insert(member.name.clone(), first.0.len());
                    first.0.push(member);
                }
            }
        }
    }
}
