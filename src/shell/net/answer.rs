//! An HTTP answer, and what it means when it is not the one that was hoped for. Reads the body
//! from ureq; asks for nothing itself.

use std::io::Read;
use std::time::Duration;

use serde_json::Value;
use ureq::http::Response;

use crate::config::settings::AgentToken;

use super::fault::Fault;
use super::tcp::Place;
use super::words;

/// How much of an answer is kept.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// How much of an answer's text goes into a line of the log, in characters.
const QUOTE_CHARS_MAX: usize = 200;

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// At most the first 64 KiB. The agent's own token, should the server repeat it, is blotted out.
    pub body: Vec<u8>,
    /// From `Retry-After`, if it came as a number of seconds; a date there is not read.
    pub retry_after: Option<Duration>,
    /// Where a redirect points. None is followed.
    pub location: Option<String>,
}

impl Answer {
    /// The answer's status stands even if its body breaks off.
    pub(super) fn read(mut response: Response<ureq::Body>, token: Option<&AgentToken>) -> Answer {
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let retry_after = header("retry-after").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let location = header("location");
        let status = response.status().as_u16();
        let mut body = Vec::new();
        // Read to its end, the connection goes back to the pool; cut off, it is closed.
        let _ = response.body_mut().as_reader().take(ANSWER_BYTES_MAX).read_to_end(&mut body);
        if let Some(token) = token {
            blot_out(&mut body, token.reveal().as_bytes());
        }
        Answer { status, body, retry_after, location }
    }

    /// A text member of a JSON object in the body.
    pub(super) fn member(&self, name: &str) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        Some(body.get(name)?.as_str()?.to_owned())
    }

    /// The server's own words in one short line: the `message` or `messages` of a JSON body, else its text without markup.
    pub fn quote(&self) -> String {
        let text = match serde_json::from_slice::<Value>(&self.body) {
            Ok(body) => match body.get("message").or_else(|| body.get("messages")) {
                Some(Value::String(words)) => words.clone(),
                Some(other) => other.to_string(),
                None => body.to_string(),
            },
            Err(_) => without_markup(&String::from_utf8_lossy(&self.body)),
        };
        shorten(&text)
    }

    /// The answer in a few words: its status, and where it points or what it is.
    pub(super) fn sketch(&self) -> String {
        let status = self.status;
        match &self.location {
            Some(location) if (300..400).contains(&status) => {
                format!("{status}, a redirect to {}", shorten(location))
            }
            _ if self.body.trim_ascii_start().starts_with(b"<") => format!("{status}, a web page"),
            _ => match self.quote() {
                empty if empty.is_empty() => status.to_string(),
                quote => format!("{status}, \"{quote}\""),
            },
        }
    }

    /// The quote in brackets, ready to follow a sentence; nothing if there is none.
    pub(super) fn said(&self) -> String {
        match self.quote() {
            empty if empty.is_empty() => String::new(),
            quote => format!(" ({quote})"),
        }
    }

    /// What an answer outside the few that the request knows means, whatever was asked for: `what` names the request.
    pub(super) fn unexpected(&self, place: &Place, what: &str) -> Fault {
        let said = self.said();
        let status = self.status;
        let fault = match status {
            _ if words::complains_of_plain(status, &self.body) => words::speaks_tls(place),
            300..=399 => Fault::setup(format!(
                "{place} redirects the {what} to {}: set server.host, server.ssl, {} and server.base_route so that they \
                 lead there directly",
                shorten(self.location.as_deref().unwrap_or("another place")),
                place.port_key
            )),
            404 | 405 | 501 => Fault::setup(format!(
                "{place} answered the {what} with {status}: there is no Faraday server at this place; check server.host, \
                 {} and server.base_route",
                place.port_key
            )),
            408 | 425 | 429 | 500.. => Fault::transient(format!("{place} answered the {what} with {status}{said}")),
            _ => Fault::refused(format!("{place} refused the {what} with {status}{said}")),
        };
        fault.with_status(status)
    }
}

/// Error pages may repeat a request's headers. What the agent quotes goes to logs.
fn blot_out(body: &mut [u8], secret: &[u8]) {
    let found: Vec<usize> = memchr::memmem::find_iter(body, secret).collect();
    for start in found {
        body[start..start + secret.len()].fill(b'*');
    }
}

/// Drops everything between `<` and `>`, and the whole of a `head`, a `style` or a `script`.
fn without_markup(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        text.push_str(&rest[..start]);
        text.push(' ');
        let tag = &rest[start + 1..];
        let silent = ["head", "style", "script", "title"].into_iter().find(|name| is_tag(tag, name));
        let end = silent.and_then(|name| tag.to_ascii_lowercase().find(&format!("</{name}"))).unwrap_or(0);
        rest = match tag[end..].find('>') {
            // A closing tag found further on begins with `</`, so this `>` is its own.
            Some(close) => &tag[end + close + 1..],
            None => "",
        };
    }
    text.push_str(rest);
    text
}

fn is_tag(text: &str, name: &str) -> bool {
    let head = text.as_bytes().get(..name.len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(name.as_bytes()))
        && !text[name.len()..].starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// One line, of bounded length, without control characters.
fn shorten(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut shown: String = line.chars().filter(|c| !c.is_control()).take(QUOTE_CHARS_MAX).collect();
    if shown.len() < line.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, body: body.as_bytes().to_vec(), retry_after: None, location: None }
    }

    #[test]
    fn quotes_are_the_servers_words() {
        for (body, quote) in [
            (r#"{"message":"You don't have the permission"}"#, "You don't have the permission"),
            (r#"{"messages":{"json":{"name":["Missing data"]}}}"#, r#"{"json":{"name":["Missing data"]}}"#),
            (
                "<!doctype html>\n<html lang=en>\n<title>401</title>\n<h1>Unauthorized</h1>\n<p>Invalid Token</p>",
                "Unauthorized Invalid Token",
            ),
            ("<header>up</header><style>p { x: 1 > 2 }</style>text", "up text"),
            ("<script", ""),
            ("plain\r\n text", "plain text"),
            ("", ""),
        ] {
            assert_eq!(answer(400, body).quote(), quote);
        }
        assert_eq!(answer(400, &"é".repeat(300)).quote().chars().count(), QUOTE_CHARS_MAX + 1);
    }

    #[test]
    fn secrets_are_blotted_out_wherever_they_stand() {
        let mut body = b"a SECRET b SECRET".to_vec();
        blot_out(&mut body, b"SECRET");
        assert_eq!(body, b"a ****** b ******");
    }
}
