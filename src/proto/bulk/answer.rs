//! What the server's answer to a post says, in one line for a log or a status.
//! Must not judge the answer; the status code does that elsewhere.

use serde_json::Value;

use crate::proto::excerpt::excerpt;

/// Characters of an answer that are repeated.
const WORDS_CHARS_MAX: usize = 300;

/// The words of an answer: `hosts.0.severity: Invalid severity type.` from a schema error, `message` from other JSON,
/// the text of an HTML page; never more than 300 characters, never a control character.
pub fn answer_words(status: u16, body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body);
    let words = match serde_json::from_str::<Value>(&body) {
        Ok(answer) => json_words(&answer),
        Err(_) => page_words(&body),
    };
    let line = excerpt(&words, WORDS_CHARS_MAX);
    if line.is_empty() { format!("HTTP status {status} without a word") } else { line }
}

fn json_words(answer: &Value) -> String {
    match (answer.get("messages"), answer.get("message")) {
        (Some(messages), _) => complaints(messages.get("json").unwrap_or(messages)),
        (None, Some(message)) => complaints(message),
        (None, None) => complaints(answer),
    }
}

/// Every text of the tree behind the path that leads to it, `; ` between them.
fn complaints(tree: &Value) -> String {
    let mut found = Vec::new();
    collect(tree, &mut Vec::new(), &mut found);
    found.join("; ")
}

/// As deep as the answer, which serde_json limits to 128 levels.
fn collect<'a>(tree: &'a Value, path: &mut Vec<&'a str>, found: &mut Vec<String>) {
    match tree {
        Value::Object(fields) => {
            for (key, below) in fields {
                // `_schema` is the library's word for "the whole of it".
                let step = key != "_schema";
                if step {
                    path.push(key);
                }
                collect(below, path, found);
                if step {
                    path.pop();
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, path, found)),
        Value::Null => {}
        leaf => {
            let words = leaf.as_str().map_or_else(|| leaf.to_string(), str::to_owned);
            found.push(if path.is_empty() { words } else { format!("{}: {words}", path.join(".")) });
        }
    }
}

/// The text between the tags of a page, without what is there for browsers.
fn page_words(page: &str) -> String {
    let mut words = String::new();
    let mut rest = page;
    while let Some((before, from_tag)) = split_at_tag(rest) {
        words.push_str(before);
        words.push(' ');
        let end = from_tag.find('>').map_or(from_tag.len(), |at| at + 1);
        let tag = &from_tag[..end];
        rest = &from_tag[end..];
        for element in ["script", "style", "title"] {
            if opens(tag, element) {
                rest = after_end(rest, element);
            }
        }
    }
    words.push_str(rest);
    unescape(&words)
}

/// The text up to the next tag, and from it on; `<` before anything but a name, `/` or `!` is an ordinary character.
fn split_at_tag(text: &str) -> Option<(&str, &str)> {
    let starts_tag = |at: usize| text[at + 1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
    text.match_indices('<').find(|(at, _)| starts_tag(*at)).map(|(at, _)| text.split_at(at))
}

fn opens(tag: &str, element: &str) -> bool {
    let name = tag[1..].split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    name.eq_ignore_ascii_case(element)
}

/// What follows the element's end tag.
fn after_end<'a>(text: &'a str, element: &str) -> &'a str {
    let mut rest = text;
    while let Some((_, from)) = rest.split_once("</") {
        if from.get(..element.len()).is_some_and(|name| name.eq_ignore_ascii_case(element)) {
            return from.split_once('>').map_or("", |(_, after)| after);
        }
        rest = from;
    }
    ""
}

/// The entities that Python's and nginx's pages use; `&amp;` last, or `&amp;lt;` would become `<`.
fn unescape(text: &str) -> String {
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&#34;", "\""),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ];
    entities.iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character))
}
