//! What one argument of an official executor may be, beyond its type: the types are the server's and let through texts that a
//! scanner would take for a file, an option or code. A closed vocabulary, in which `accepts.json` beside each manifest states
//! every argument. What it takes has one meaning to every tool; what the tool makes of it is the executor's.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::value::{is_control, is_digits, is_host, is_ip, is_url};

/// A statement; in JSON `"target"`, or `{"number": {"min": 1, "max": 9}}` where it needs more words.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Accept {
    Flag,
    /// Digits alone.
    Number {
        min: u64,
        max: u64,
    },
    /// Exactly one of these.
    OneOf(Vec<String>),
    /// The name of something in the tool: an id, a key, a template.
    Identifier,
    /// For tools that get it as data (a field of a request), never as a file, code or an address.
    Text,
    /// The same, where every first character counts.
    Secret,
    /// A file below a directory that the agent's owner chose. The executor has to look that no link leads out of it.
    File,
    Host,
    /// What is to be scanned, as nmap says it, or a URL.
    Target,
    /// Of http or https.
    Url,
    /// As nmap's `-p` takes them.
    Ports,
    /// What nmap's `--script` takes, but for files, directories and `+`.
    NmapScripts,
    /// Some of these in one text, with commas between them.
    Commas(Box<Accept>),
}

impl Accept {
    /// The first text of an argument that this does not take: `text` is what its type has made of `value`, and of a list
    /// every element has to fit. An empty text is an argument that was not given.
    pub(super) fn misfit<'a>(&self, value: &'a Value, text: &'a str) -> Option<Cow<'a, str>> {
        let Value::Array(elements) = value else {
            return Some(text).filter(|text| !self.takes(text)).map(Cow::Borrowed);
        };
        elements.iter().find_map(|element| match element {
            Value::String(text) => Some(text).filter(|text| !self.takes(text)).map(Cow::from),
            Value::Number(number) => Some(number.to_string()).filter(|text| !self.takes(text)).map(Cow::Owned),
            other => Some(Cow::Owned(other.to_string())),
        })
    }

    fn takes(&self, text: &str) -> bool {
        text.is_empty() || self.fits(text)
    }

    fn fits(&self, text: &str) -> bool {
        match self {
            Accept::Flag => matches!(text, "True" | "False"),
            Accept::Number { min, max } => {
                is_digits(text) && text.parse().is_ok_and(|number| (*min..=*max).contains(&number))
            }
            Accept::OneOf(words) => words.iter().any(|word| word == text),
            Accept::Identifier => is_name(text, "._:-"),
            Accept::Text => is_line(text) && !text.starts_with(['-', '@']),
            Accept::Secret => is_line(text),
            Accept::File => text.split('/').all(|step| is_name(step, "._ -")),
            Accept::Host => is_ip(text) || is_ascii_host(text),
            Accept::Target => is_target(text),
            Accept::Url => is_web_url(text),
            Accept::Ports => text.split(',').all(is_ports),
            Accept::NmapScripts => is_nmap_scripts(text),
            Accept::Commas(each) => text.split(',').all(|piece| each.fits(piece.trim_matches(' '))),
        }
    }
}

/// Begins with a letter or a digit, so it is no option, no hidden file and no step upwards.
fn is_name(text: &str, marks: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || marks.contains(c))
}

fn is_line(text: &str) -> bool {
    !text.contains(is_control)
}

/// Names in other scripts look like others and mean nothing to most tools; their `xn--` form is taken.
fn is_ascii_host(text: &str) -> bool {
    text.is_ascii() && is_host(text)
}

fn is_target(text: &str) -> bool {
    Accept::Host.fits(text) || is_network(text) || is_octet_range(text) || is_web_url(text)
}

/// `10.0.0.0/24`, `2001:db8::/64`, `host.example/28`.
fn is_network(text: &str) -> bool {
    let Some((place, bits)) = text.split_once('/') else { return false };
    let bits_max = if place.contains(':') { 128 } else { 32 };
    !place.contains('%') && Accept::Host.fits(place) && is_number(bits, bits_max)
}

/// `10.0.0-5.1,7,20-`: an IPv4 address with a list of spans in the place of any number.
fn is_octet_range(text: &str) -> bool {
    let octet = |octet: &str| octet.split(',').all(|part| part == "*" || is_span(part, 255));
    !text.starts_with('-') && text.split('.').count() == 4 && text.split('.').all(octet)
}

/// Of RFC 3986's characters alone, so without blanks, quotes and letters of other scripts.
fn is_web_url(text: &str) -> bool {
    let scheme = text.split("://").next().unwrap_or_default();
    let is_web = ["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c);
    is_web && is_url(text) && text.chars().all(is_plain)
}

/// One of `80`, `1-1024`, `-1024`, `1024-`, `-` and names out of nmap's table, with `*` and `?` in them; before it perhaps
/// the protocol.
fn is_ports(text: &str) -> bool {
    let ports = ["T:", "U:", "S:"].iter().find_map(|protocol| text.strip_prefix(protocol)).unwrap_or(text);
    let is_named = |c: char| c.is_ascii_alphanumeric() || "-._+*?".contains(c);
    let is_name = ports.starts_with(|c: char| c.is_ascii_alphabetic() || c == '*') && ports.chars().all(is_named);
    is_span(ports, 65_535) || is_name
}

/// Names and categories with `*` in them, and, or, not, parentheses and commas: nothing that can lead to another directory.
fn is_nmap_scripts(text: &str) -> bool {
    let between = [' ', ',', '(', ')'];
    let is_inside = |c: char| c.is_ascii_alphanumeric() || "_-*".contains(c);
    text.split(between).all(|name| !name.starts_with('-') && name.chars().all(is_inside))
}

/// `5`, `1-5`, and either end may be left out.
fn is_span(text: &str, max: u32) -> bool {
    let end = |end: &str| end.is_empty() || is_number(end, max);
    text.split_once('-').map_or_else(|| is_number(text, max), |(from, to)| end(from) && end(to))
}

fn is_number(text: &str, max: u32) -> bool {
    is_digits(text) && text.parse::<u32>().is_ok_and(|number| number <= max)
}

/// What a refusal says that an argument may be.
impl fmt::Display for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Accept::Flag => "true or false",
            Accept::Number { min, max } => return write!(f, "a whole number from {min} to {max}"),
            Accept::OneOf(words) => return write!(f, "one of: {}", words.join(", ")),
            Accept::Identifier => "a name of letters, digits and . _ : - that begins with a letter or a digit",
            Accept::Text => "one line of text that begins with neither - nor @",
            Accept::Secret => "one line of text",
            Accept::File => "the name of a file below the directory that the owner of this agent chose",
            Accept::Host => "a host name or an address",
            Accept::Target => {
                "a host name, an address, a network such as 10.0.0.0/24, a range such as 10.0.0-5.1-20 or an http(s) URL"
            }
            Accept::Url => "an http(s) URL",
            Accept::Ports => {
                "a port, a range such as 1-1024 or a service such as http*, with T:, U: or S: before it where wanted"
            }
            Accept::NmapScripts => {
                "names and categories of installed scripts, made of letters, digits, _ - and *, with commas, blanks, \
                 parentheses and the words and, or, not between them; no file"
            }
            Accept::Commas(each) => return write!(f, "one or more, with commas between them, each {each}"),
        })
    }
}

#[cfg(test)]
mod tests;
