//! The types of values in a bulk_create body and the error that each makes of a wrong one,
//! in the words of the server's schema library. A name that ends in 0 takes null as well.

use serde_json::{Map, Value, json};

use super::schema;

/// A key of an object.
pub struct Field {
    name: &'static str,
    required: bool,
    kind: Kind,
}

pub const fn must(name: &'static str, kind: Kind) -> Field {
    Field { name, required: true, kind }
}

pub const fn may(name: &'static str, kind: Kind) -> Field {
    Field { name, required: false, kind }
}

#[derive(Clone, Copy)]
pub enum Parent {
    Host,
    Service,
}

pub enum Kind {
    Text,
    /// At most so many characters.
    Text0(usize),
    /// At least one character.
    Filled,
    Filled0,
    /// Something but blanks, or this error.
    NotBlank(&'static str),
    Bool,
    Int,
    Int0,
    /// An integer from 0.
    Natural,
    Importance,
    Microseconds,
    DateTime,
    DateTime0,
    TextOrNumber,
    NotNull,
    /// One of these texts, or this error.
    OneOf(&'static [&'static str], &'static str),
    OneOf0(&'static [&'static str], &'static str),
    List(&'static Kind),
    /// Other keys are dropped.
    Object(&'static [Field]),
    /// Other keys are refused.
    Strict(&'static [Field]),
    Vulnerabilities(Parent),
}

use Kind::*;

type Errors = Result<(), Value>;

impl Kind {
    /// `Err` holds the errors in the shape of the server's answer: a list of texts, or an object by key or index.
    pub fn check(&self, value: &Value) -> Errors {
        match (self, value) {
            (Text0(_) | Filled0 | Int0 | DateTime0 | OneOf0(..), Value::Null) => Ok(()),
            (Microseconds, Value::Null) => Ok(()),
            (_, Value::Null) => Err(json!(["Field may not be null."])),
            (List(kind), _) => check_list(kind, value),
            (Object(fields), _) => check_object(&[fields], value, false),
            (Strict(fields), _) => check_object(&[fields], value, true),
            (Vulnerabilities(parent), _) => check_vulnerabilities(*parent, value),
            (NotNull, _) => Ok(()),
            _ => self.check_scalar(value).map_err(|text| json!([text])),
        }
    }

    fn check_scalar(&self, value: &Value) -> Result<(), &'static str> {
        match self {
            Bool => demand(is_bool(value), "Not a valid boolean."),
            Int | Int0 => demand(integer(value).is_some(), "Not a valid integer."),
            Natural => match integer(value) {
                None => Err("Not a valid integer."),
                Some(n) => demand(n >= 0.0, "Must be greater than or equal to 0."),
            },
            Importance => demand(integer(value).is_some_and(|n| (0.0..=3.0).contains(&n)), "Invalid value."),
            Microseconds => demand(number(value).is_some_and(|n| n.abs() < 8.64e19), "Not a valid period of time."),
            TextOrNumber => demand(value.is_string() || value.is_number(), "Not a valid number."),
            OneOf(texts, error) | OneOf0(texts, error) => {
                demand(value.as_str().is_some_and(|text| texts.contains(&text)), error)
            }
            _ => self.check_text(value.as_str().ok_or("Not a valid string.")?),
        }
    }

    fn check_text(&self, text: &str) -> Result<(), &'static str> {
        match self {
            Text0(most) => demand(text.chars().count() <= *most, "Longer than maximum length 250."),
            Filled | Filled0 => demand(!text.is_empty(), "Shorter than minimum length 1."),
            NotBlank(error) => demand(!text.trim().is_empty(), error),
            DateTime | DateTime0 => demand(is_date_time(text), "Not a valid datetime."),
            _ => Ok(()),
        }
    }
}

fn demand(holds: bool, error: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(error) }
}

fn check_list(kind: &Kind, value: &Value) -> Errors {
    let Some(items) = value.as_array() else {
        return Err(json!(["Not a valid list."]));
    };
    let wrong = items.iter().enumerate().filter_map(|(i, item)| Some((i.to_string(), kind.check(item).err()?)));
    refuse_if_any(wrong.collect())
}

fn check_object(tables: &[&[Field]], value: &Value, strict: bool) -> Errors {
    let Some(object) = value.as_object() else {
        return Err(json!({"_schema": ["Invalid input type."]}));
    };
    let mut wrong = Map::new();
    let fields = || tables.iter().copied().flatten();
    for field in fields() {
        let error = match object.get(field.name) {
            Some(value) => field.kind.check(value).err(),
            None => field.required.then(|| json!(["Missing data for required field."])),
        };
        wrong.extend(error.map(|error| (field.name.to_owned(), error)));
    }
    let unknown = object.keys().filter(|key| strict && fields().all(|field| field.name != **key));
    wrong.extend(unknown.map(|key| (key.clone(), json!(["Unknown field."]))));
    refuse_if_any(wrong)
}

/// Errors below a host are given by index; below a service the server leaves the index out.
fn check_vulnerabilities(parent: Parent, value: &Value) -> Errors {
    let Some(items) = value.as_array() else {
        return Err(json!(["Not a valid list."]));
    };
    let mut wrong = Map::new();
    for (i, item) in items.iter().enumerate() {
        let Err(error) = check_vulnerability(parent, item) else {
            continue;
        };
        match (parent, error) {
            (Parent::Service, Value::Object(errors)) => wrong.extend(errors),
            (_, error) => wrong.extend([(i.to_string(), error)]),
        }
    }
    refuse_if_any(wrong)
}

fn check_vulnerability(parent: Parent, value: &Value) -> Errors {
    let vulnerability = schema::VULNERABILITY;
    match (value.get("type").and_then(Value::as_str), parent) {
        (Some("Vulnerability"), _) => check_object(&[vulnerability], value, false),
        (Some("VulnerabilityWeb"), Parent::Service) => check_object(&[vulnerability, schema::WEB], value, false),
        (Some("VulnerabilityWeb"), Parent::Host) => {
            Err(json!({"_schema": ["Type \"Vulnerability Web\" cannot have \"Host\" type as a parent"]}))
        }
        (Some(_), _) => Err(json!({"type": ["Invalid vulnerability type."]})),
        (None, _) if !value.is_object() => Err(json!({"_schema": ["Invalid input type."]})),
        (None, _) => Err(json!({"type": ["Missing data for required field."]})),
    }
}

fn refuse_if_any(wrong: Map<String, Value>) -> Errors {
    if wrong.is_empty() { Ok(()) } else { Err(Value::Object(wrong)) }
}

fn is_bool(value: &Value) -> bool {
    const WORDS: [&str; 12] = ["true", "false", "t", "f", "yes", "no", "y", "n", "on", "off", "1", "0"];
    match value {
        Value::Bool(_) => true,
        Value::Number(n) => n.as_f64().is_some_and(|n| n == 0.0 || n == 1.0),
        Value::String(text) => WORDS.contains(&text.to_lowercase().as_str()),
        _ => false,
    }
}

/// A number, or text that is one; fractions are cut by the server.
fn integer(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::String(text) => text.trim().parse::<i64>().ok().map(|n| n as f64),
        _ => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// `YYYY-MM-DDTHH:MM:SS[.ffffff][Z|+hh:mm]`, a blank instead of T too.
fn is_date_time(text: &str) -> bool {
    const SHAPE: &[u8] = b"dddd-dd-ddTdd:dd:dd";
    let Some((start, rest)) = text.as_bytes().split_at_checked(SHAPE.len()) else {
        return false;
    };
    let fits = |(byte, shape): (&u8, &u8)| match shape {
        b'd' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b' '),
        _ => byte == shape,
    };
    let rest = match rest.strip_prefix(b".") {
        Some(fraction) => fraction.trim_ascii_start().iter().skip_while(|b| b.is_ascii_digit()).copied().collect(),
        None => rest.to_vec(),
    };
    let zone = matches!(rest.as_slice(), b"" | b"Z")
        || matches!(rest.as_slice(), [b'+' | b'-', h1, h2, b':', m1, m2] if [h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()));
    start.iter().zip(SHAPE).all(fits) && zone
}
