//! JSON of others, read where it stands. A text is scanned once for being JSON at all; then its fields and entries are handed out
//! one by one, each as a piece of the same text, so that a message costs what is kept of it and not what it could be grown into.
//! Must not know what a message means. Used by the codecs of the command channel and where a RUN's arguments are checked.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// A piece of a text that is JSON, without blanks around it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Json<'m>(&'m str);

/// Where a text stops being JSON. The parser's own words are not repeated: they may show what stands there, a password included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotJson {
    line: usize,
    column: usize,
}

impl<'m> Json<'m> {
    pub const NULL: Json<'static> = Json("null");

    /// # Errors
    ///
    /// The place at which it is no JSON.
    pub fn parse(text: &'m str) -> Result<Json<'m>, NotJson> {
        let raw: &RawValue =
            serde_json::from_str(text).map_err(|error| NotJson { line: error.line(), column: error.column() })?;
        Ok(Json(raw.get()))
    }

    /// What it is, for a person; says nothing of its content.
    pub fn kind(self) -> &'static str {
        match self.0.as_bytes().first() {
            Some(b'n') => "null",
            Some(b't' | b'f') => "a boolean",
            Some(b'"') => "text",
            Some(b'[') => "a list",
            Some(b'{') => "an object",
            _ => "a number",
        }
    }

    pub fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// The text that it is; `None` also for one with half a character (a lone surrogate) in it.
    pub fn string(self) -> Option<Cow<'m, str>> {
        let inner = self.0.strip_prefix('"')?.strip_suffix('"')?;
        if inner.contains('\\') {
            serde_json::from_str(self.0).ok().map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(inner))
        }
    }

    /// The whole number that it is.
    pub fn number<N: FromStr>(self) -> Option<N> {
        self.0.parse().ok()
    }

    /// As a tree. Its size has to be known before: see [`Json::text_bytes_min`]. `None` for what a tree cannot hold: numbers out of
    /// range, half characters, and lists in lists without end.
    pub fn value(self) -> Option<Value> {
        serde_json::from_str(self.0).ok()
    }

    /// What it takes as compact text at least, in bytes: without blanks, and with each escape as one byte.
    pub fn text_bytes_min(self) -> usize {
        let (mut bytes, mut in_string) = (0, false);
        let mut rest = self.0.bytes();
        while let Some(byte) = rest.next() {
            match byte {
                b'"' => in_string = !in_string,
                b'\\' if rest.next() == Some(b'u') => drop(rest.nth(3)),
                b' ' | b'\t' | b'\n' | b'\r' if !in_string => continue,
                _ => {}
            }
            bytes += 1;
        }
        let quotes = if self.0.starts_with('"') { 2 } else { 0 };
        bytes - quotes
    }

    /// The fields of these names, of several with one name the last. `None` if it is not an object.
    pub fn fields<const N: usize>(self, names: [&str; N]) -> Option<[Option<Json<'m>>; N]> {
        let mut fields = [None; N];
        let is_object = self.each_entry(|name, value| {
            let name = name.string();
            if let Some(place) = names.iter().position(|wanted| name.as_deref() == Some(wanted)) {
                fields[place] = Some(value);
            }
            true
        });
        is_object.then_some(fields)
    }

    /// Hands out names and values for as long as `take` wants more. False, and nothing, if it is not an object.
    pub fn each_entry(self, take: impl FnMut(Json<'m>, Json<'m>) -> bool) -> bool {
        let is_object = self.0.starts_with('{');
        if is_object {
            self.walk(take);
        }
        is_object
    }

    /// Hands out the items for as long as `take` wants more. False, and nothing, if it is not a list.
    pub fn each_item(self, mut take: impl FnMut(Json<'m>) -> bool) -> bool {
        let is_list = self.0.starts_with('[');
        if is_list {
            self.walk(|_, item| take(item));
        }
        is_list
    }

    fn walk(self, take: impl FnMut(Json<'m>, Json<'m>) -> bool) {
        // It was scanned for being JSON, so that the only error is that of a walk which has seen enough.
        let _ = serde_json::Deserializer::from_str(self.0).deserialize_any(Walk(take));
    }
}

/// Names alone may be shown to anybody, and whoever has one knows that it is one.
impl fmt::Debug for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 | 1 => write!(f, "not JSON at column {}", self.column),
            line => write!(f, "not JSON at line {line}, column {}", self.column),
        }
    }
}

const ENOUGH: &str = "enough was seen";

/// Goes through a list or an object; an item of a list has no name.
struct Walk<F>(F);

impl<'m, F: FnMut(Json<'m>, Json<'m>) -> bool> Visitor<'m> for Walk<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or an object")
    }

    fn visit_seq<A: SeqAccess<'m>>(mut self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<&RawValue>()? {
            if !(self.0)(Json::NULL, Json(item.get())) {
                return Err(A::Error::custom(ENOUGH));
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'m>>(mut self, mut entries: A) -> Result<(), A::Error> {
        while let Some((name, value)) = entries.next_entry::<&RawValue, &RawValue>()? {
            if !(self.0)(Json(name.get()), Json(value.get())) {
                return Err(A::Error::custom(ENOUGH));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json<'_> {
        Json::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn what_is_no_json_is_told_by_its_place_alone() {
        for (text, expected) in [
            ("", "not JSON at column 0"),
            ("{\"a\":1,}", "not JSON at column 8"),
            ("{}{}", "not JSON at column 3"),
            ("{\n\"p\": hunter2}", "not JSON at line 2, column 6"),
            ("\"hunter2", "not JSON at column 8"),
            ("[1,2", "not JSON at column 4"),
        ] {
            let error = Json::parse(text).expect_err(text);
            assert_eq!(error.to_string(), expected, "{text}");
        }
        assert!(Json::parse(&"[".repeat(1 << 20)).is_err());
    }

    #[test]
    fn pieces_of_a_text_are_what_they_are() {
        for (text, kind, string, integer) in [
            ("null", "null", None, None),
            (" true ", "a boolean", None, None),
            ("-7", "a number", None, Some(-7)),
            ("7.0", "a number", None, None),
            ("9223372036854775808", "a number", None, None),
            ("1e999", "a number", None, None),
            ("\"a b\"", "text", Some("a b"), None),
            (r#""a\"\u00fc\n""#, "text", Some("a\"ü\n"), None),
            (r#""\ud800""#, "text", None, None),
            ("\"7\"", "text", Some("7"), None),
            ("[1]", "a list", None, None),
            ("{}", "an object", None, None),
        ] {
            let json = json(text);
            assert_eq!(
                (json.kind(), json.string().as_deref(), json.number::<i64>()),
                (kind, string, integer),
                "{text}"
            );
        }
    }

    #[test]
    fn fields_and_items_are_handed_out_in_order() {
        let object = json(r#"{"a": 1, "\u0062": [2, {"a": 3}], "\ud800": 0, "a": 4, "long": "x"}"#);
        let fields = object.fields(["b", "a", "c"]).expect("an object");
        assert_eq!(fields.map(|field| field.map(|json| json.0)), [Some(r#"[2, {"a": 3}]"#), Some("4"), None]);
        let mut items = Vec::new();
        let mut take = |item: Json<'static>| {
            items.push(item.0);
            items.len() < 3
        };
        assert!(json("[ 1, \"x\" ]").each_item(&mut take));
        assert!(json("[ [] , 2, 3]").each_item(&mut take));
        assert_eq!(items, ["1", "\"x\"", "[]"], "and no more than was wanted");
        for other in ["7", "\"{}\"", "null", "[{}]"] {
            assert!(json(other).fields(["a"]).is_none(), "{other}");
        }
        assert!(!json("{\"a\":1}").each_item(|_| panic!("no list")));
    }

    /// The bound is what keeps a tree small, so it must not be above what is really taken.
    #[test]
    fn the_least_size_of_a_text_is_known_before_it_is_built() {
        for (text, expected) in [
            ("\"\"", 0),
            ("\"abc\"", 3),
            (r#""a\"\u00fc\ud83e\udd80""#, 5),
            ("[ 1,\t\"a b\" ]", 9),
            ("[[], {}]", 7),
            ("{\"a\" : \"b c\"}", 11),
            ("null", 4),
        ] {
            let bytes = json(text).text_bytes_min();
            assert_eq!(bytes, expected, "{text}");
            let value = json(text).value().expect("JSON");
            let taken = value.as_str().map_or(value.to_string().len(), str::len);
            assert!(bytes <= taken, "{text}: {taken}");
        }
    }
}
