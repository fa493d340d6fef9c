//! Which JSON value fits which parameter type, and as what text an executor gets it.
//!
//! The server checks with a library of its own before it sends, so what that takes is taken here, or a run that its page
//! offers could never start. Only what no executor could make sense of is refused: fractions for an integer, integers too
//! large for JSON to carry exactly, digits of other scripts; and what turns into something else on its way through scripts:
//! blanks and line breaks around numbers, control characters within elements of lists, zones of addresses that are paths.
//! What the server refuses and is plainly of the type (a URL with a host name without dots) is taken.

use std::net::{IpAddr, Ipv6Addr};

use serde_json::{Number, Value};

use super::ParamType;

/// Characters, not bytes, as the server counts.
const TEXT_CHARS_MAX: usize = 256;

/// Above this, not every whole number has its own `f64`, so the server's digits would not be the executor's.
const EXACT_FLOAT_MAX: f64 = 9_007_199_254_740_992.0;

/// Of RFC 1035.
const LABEL_CHARS_MAX: usize = 63;
const DOMAIN_CHARS_MAX: usize = 253;

/// The environment's text for a value of this type; `None` if it does not fit.
pub(super) fn text(of: ParamType, value: &Value) -> Option<String> {
    match of {
        ParamType::Integer => integer(value),
        ParamType::String | ParamType::Password => text_if(value, |t| t.chars().count() <= TEXT_CHARS_MAX),
        ParamType::Boolean => boolean(value),
        ParamType::List => list_if(value, is_element),
        ParamType::Domains => list_if(value, |item| item.as_str().is_some_and(is_domain)),
        ParamType::Range => text_if(value, is_range).or_else(|| list_if(value, Value::is_u64)),
        ParamType::Ip => text_if(value, is_ip),
        ParamType::Float => float(value),
        ParamType::Url => text_if(value, is_url),
    }
}

/// A NUL in the value itself or in an item of a list.
pub(super) fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        _ => false,
    }
}

fn text_if(value: &Value, fits: impl Fn(&str) -> bool) -> Option<String> {
    value.as_str().filter(|text| fits(text)).map(str::to_owned)
}

/// A bare text is no list, here as on the server: guessing whether `a,b` is one item or two would scan the wrong targets.
fn list_if(value: &Value, fits: impl Fn(&Value) -> bool) -> Option<String> {
    value.as_array().filter(|items| items.iter().all(fits)).map(|_| value.to_string())
}

/// Text and numbers; booleans too, because the server lets them through. A text that is not one line would be several elements
/// to a script.
fn is_element(item: &Value) -> bool {
    item.as_str().map_or(item.is_number() || item.is_boolean(), |text| !text.contains(is_control))
}

/// Also the two separators with which Unicode ends a line.
pub(super) fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// The server lets `1.5` pass as an integer, too; an executor that counts on one would break on it.
fn integer(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => whole(number),
        Value::String(text) => {
            let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
            is_digits(digits).then(|| text.clone())
        }
        _ => None,
    }
}

fn whole(number: &Number) -> Option<String> {
    if number.is_i64() || number.is_u64() {
        return Some(number.to_string());
    }
    let float = number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() <= EXACT_FLOAT_MAX)?;
    Some(format!("{float:.0}"))
}

fn float(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => text.parse::<f64>().ok().filter(|f| f.is_finite()).map(|_| text.clone()),
        _ => None,
    }
}

/// Old pages send the words instead of the value; executors are promised `True` or `False`.
fn boolean(value: &Value) -> Option<String> {
    let truth = match value {
        Value::Bool(truth) => *truth,
        Value::Number(number) if number.as_f64() == Some(1.0) => true,
        Value::Number(number) if number.as_f64() == Some(0.0) => false,
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => true,
            "false" | "f" | "no" | "n" | "off" | "0" => false,
            _ => return None,
        },
        _ => return None,
    };
    Some(if truth { "True" } else { "False" }.to_owned())
}

pub(super) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_range(text: &str) -> bool {
    let bound = |digits: &str| is_digits(digits).then(|| digits.parse::<u64>().ok()).flatten();
    text.split_once('-').and_then(|(from, to)| Some(bound(from)? <= bound(to)?)).unwrap_or(false)
}

/// An address of either kind; a zone (`fe80::1%eth0`) is part of an IPv6 one, made of what names of interfaces are made of.
pub(super) fn is_ip(text: &str) -> bool {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match text.split_once('%') {
        Some((address, zone)) => address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty() && zone.chars().all(is_inside),
        None => text.parse::<IpAddr>().is_ok(),
    }
}

/// At least two labels, the last of which is no number (or it would be an address); letters of any script.
fn is_domain(text: &str) -> bool {
    let Some((_, top)) = text.rsplit_once('.') else {
        return false;
    };
    let named = top.starts_with("xn--") || top.ends_with(char::is_alphabetic);
    text.chars().count() <= DOMAIN_CHARS_MAX && named && top.chars().count() >= 2 && text.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    label.chars().count() <= LABEL_CHARS_MAX
        && label.chars().all(inside)
        && label.starts_with(char::is_alphanumeric)
        && label.ends_with(char::is_alphanumeric)
}

/// One of the four schemes of the server, a host, perhaps a port, and no blanks anywhere.
pub(super) fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let known = ["http", "https", "ftp", "ftps"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    known && is_place(place) && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Host, and after a colon the port.
fn is_place(place: &str) -> bool {
    let (host_fits, after) = match place.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((address, after)) => (address.parse::<Ipv6Addr>().is_ok(), after),
        None => {
            let (host, after) = place.split_at(place.find(':').unwrap_or(place.len()));
            (is_host(host), after)
        }
    };
    let port_fits = match after.strip_prefix(':') {
        Some(port) => is_digits(port) && port.parse::<u16>().is_ok(),
        None => after.is_empty(),
    };
    host_fits && port_fits
}

pub(super) fn is_host(text: &str) -> bool {
    text.strip_suffix('.').unwrap_or(text).split('.').all(is_label)
}
