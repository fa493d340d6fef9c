//! YAML (and JSON, being YAML) text as a tree of texts, lists and mappings.
//!
//! Every scalar stays the text that was written: what `yes`, `0755` or `1.10` mean depends on the key they stand at, and
//! that is for the reader of the key to say. Knows nothing of sections and keys. Driven by `config::check`.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

/// Aliases may repeat what they name, so a short file can describe a huge tree ("a billion laughs"); this ends it.
const NODES_MAX: usize = 100_000;

/// One value of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    /// `null`, `~`, or nothing after the colon.
    Null,
    /// Any other scalar, as written (without its quotes).
    Text(String),
    List(Vec<Tree>),
    /// In the order of the file; a key may stand twice, as PyYAML allows.
    Map(Vec<(String, Tree)>),
}

impl Tree {
    /// Reads the one document in `text`; an empty file is `Null`. The error says where and what, in one line, and never
    /// quotes the file: the line may hold a password.
    pub fn parse(text: &str) -> Result<Tree, String> {
        let mut builder = Builder { events: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 };
        builder.document()
    }

    /// What this is, for a complaint that must not show the value.
    pub fn kind(&self) -> &'static str {
        match self {
            Tree::Null => "nothing",
            Tree::Text(_) => "a text",
            Tree::List(_) => "a list",
            Tree::Map(_) => "a mapping",
        }
    }

    fn nodes(&self) -> usize {
        match self {
            Tree::Null | Tree::Text(_) => 1,
            Tree::List(items) => 1 + items.iter().map(Tree::nodes).sum::<usize>(),
            Tree::Map(entries) => 1 + entries.iter().map(|(_, v)| 1 + v.nodes()).sum::<usize>(),
        }
    }
}

type ParserEvent<'t> = (Event<'t>, Span);

/// Turns parser events into a tree. Its recursion is bounded by the parser's nesting limits (255 each).
struct Builder<'t, P: Iterator<Item = Result<ParserEvent<'t>, ScanError>>> {
    events: P,
    /// What `&name` stands for, by the parser's number for it.
    anchors: HashMap<usize, Tree>,
    nodes: usize,
}

impl<'t, P: Iterator<Item = Result<ParserEvent<'t>, ScanError>>> Builder<'t, P> {
    fn document(&mut self) -> Result<Tree, String> {
        let mut tree = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(tree.unwrap_or(Tree::Null)),
                Event::DocumentStart(..) if tree.is_some() => {
                    return Err(at(&span, "a second document starts; only one is expected"));
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => tree = Some(self.node(event, &span)?),
            }
        }
    }

    fn next(&mut self) -> Result<ParserEvent<'t>, String> {
        match self.events.next() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(format!(
                "line {}, column {}: not YAML: {}",
                error.marker().line(),
                error.marker().col() + 1,
                error.info()
            )),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'t>, span: &Span) -> Result<Tree, String> {
        self.count(1, span)?;
        let (tree, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => (scalar(&text, style, tag.as_deref()), anchor),
            Event::SequenceStart(_, anchor, _) => (self.list()?, anchor),
            Event::MappingStart(_, anchor, _) => (self.map()?, anchor),
            Event::Alias(anchor) => (self.aliased(anchor, span)?, 0),
            _ => return Err(at(span, "a value is expected")),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, tree.clone());
        }
        Ok(tree)
    }

    fn list(&mut self) -> Result<Tree, String> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Tree::List(items)),
                (event, span) => items.push(self.node(event, &span)?),
            }
        }
    }

    fn map(&mut self) -> Result<Tree, String> {
        let mut entries = Vec::new();
        let mut merged = Vec::new();
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, _) => break,
                (Event::Scalar(text, ..), _) => text.into_owned(),
                (event, span) => match self.node(event, &span)? {
                    Tree::Text(text) => text,
                    other => return Err(at(&span, &format!("{} cannot be a key", other.kind()))),
                },
            };
            let (event, span) = self.next()?;
            let value = self.node(event, &span)?;
            match key.as_str() {
                "<<" => merged.push((value, span)),
                _ => entries.push((key, value)),
            }
        }
        for (value, span) in merged {
            merge(&mut entries, value, &span)?;
        }
        Ok(Tree::Map(entries))
    }

    fn aliased(&mut self, anchor: usize, span: &Span) -> Result<Tree, String> {
        // The parser refuses unknown names, so what is missing here is still being built.
        let Some(tree) = self.anchors.get(&anchor).cloned() else {
            return Err(at(span, "an alias stands within what it names"));
        };
        self.count(tree.nodes(), span)?;
        Ok(tree)
    }

    fn count(&mut self, nodes: usize, span: &Span) -> Result<(), String> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            return Err(at(span, &format!("more than {NODES_MAX} values")));
        }
        Ok(())
    }
}

/// `!!str` keeps even `null` a text, as quotes do, and `!!null` (which PyYAML puts before quotes) is one whatever the style.
/// Other tags say nothing that the key does not say better.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Tree {
    let may_be_null = match tag.and_then(Tag::core_suffix) {
        Some("null") => true,
        Some("str") => false,
        _ => style == ScalarStyle::Plain,
    };
    match text {
        "" | "~" | "null" | "Null" | "NULL" if may_be_null => Tree::Null,
        text => Tree::Text(text.to_owned()),
    }
}

/// `<<: *name` (YAML 1.1, which PyYAML reads): adds the keys that the mapping does not have itself.
fn merge(entries: &mut Vec<(String, Tree)>, value: Tree, span: &Span) -> Result<(), String> {
    match value {
        Tree::Map(added) => {
            for (key, value) in added {
                if !entries.iter().any(|(known, _)| *known == key) {
                    entries.push((key, value));
                }
            }
            Ok(())
        }
        Tree::List(maps) => maps.into_iter().try_for_each(|map| merge(entries, map, span)),
        other => Err(at(span, &format!("{} cannot be merged into a mapping", other.kind()))),
    }
}

fn at(span: &Span, what: &str) -> String {
    format!("line {}, column {}: {what}", span.start.line(), span.start.col() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Tree {
        Tree::Text(text.to_owned())
    }

    fn map<const N: usize>(entries: [(&str, Tree); N]) -> Tree {
        Tree::Map(entries.map(|(key, value)| (key.to_owned(), value)).into())
    }

    #[test]
    fn scalars_stay_as_they_were_written() {
        let table = [
            ("1.10", text("1.10")),
            ("0755", text("0755")),
            ("yes", text("yes")),
            ("99999999999999999999", text("99999999999999999999")),
            ("2024-01-02", text("2024-01-02")),
            ("'False'", text("False")),
            (r#""\u00e9\/\ud83d\ude00""#, text("é/😀")),
            ("~", Tree::Null),
            ("null", Tree::Null),
            ("'null'", text("null")),
            ("''", text("")),
            ("!!str null", text("null")),
            ("!!null 'null'", Tree::Null),
            ("!!int '5'", text("5")),
            ("!vault abc", text("abc")),
            ("", Tree::Null),
            ("# only a comment", Tree::Null),
            ("\u{feff}a", text("a")),
        ];
        for (yaml, expected) in table {
            assert_eq!(Tree::parse(yaml), Ok(expected), "{yaml:?}");
        }
    }

    #[test]
    fn mappings_and_lists_in_block_flow_and_json_form() {
        let expected =
            map([("a", Tree::List(vec![text("1"), Tree::Null])), ("b", map([("c", text("x"))])), ("1", text("one"))]);
        let table = [
            "a:\n- 1\n- null\nb:\n  c: x\n1: one\n",
            "a:\r\n  - 1\r\n  -\r\nb: {c: x}\r\n1: one",
            "{\n\t\"a\": [1, null],\n\t\"b\": {\"c\": \"x\"},\n\t\"1\": \"one\"\n}\n",
            "---\na: [1, ]\n...\n",
        ];
        for yaml in &table[..3] {
            assert_eq!(Tree::parse(yaml), Ok(expected.clone()), "{yaml:?}");
        }
        assert_eq!(Tree::parse(table[3]), Ok(map([("a", Tree::List(vec![text("1")]))])));
    }

    #[test]
    fn aliases_and_merges_repeat_what_they_name() {
        assert_eq!(
            Tree::parse("a: &x {k: 1, m: 2}\nb: *x\nc:\n  <<: *x\n  m: 3\nd: {<<: [{k: 5}, *x]}\n"),
            Ok(map([
                ("a", map([("k", text("1")), ("m", text("2"))])),
                ("b", map([("k", text("1")), ("m", text("2"))])),
                ("c", map([("m", text("3")), ("k", text("1"))])),
                ("d", map([("k", text("5")), ("m", text("2"))])),
            ]))
        );
    }

    #[test]
    fn keys_that_stand_twice_are_both_kept() {
        assert_eq!(Tree::parse("a: 1\na: 2"), Ok(map([("a", text("1")), ("a", text("2"))])));
    }

    #[test]
    fn errors_say_where_and_never_quote_the_file() {
        let table = [
            ("a:\n\tb: hunter2\n", "line 2, column 2: not YAML: tab"),
            ("a: \"hunter2\nb: 2\n", "line 1, column 4: not YAML: "),
            ("a: hunter2: x\n", "line 1, column 11: not YAML: mapping values"),
            ("a: 1\n b: hunter2\n", "line 2, column 3: not YAML: "),
            ("a: *hunter2\n", "line 1, column 4: not YAML: "),
            ("[server]\nhost = hunter2\n", "line 2, column 1: not YAML: "),
            ("a: 1\n---\nb: hunter2\n", "line 2, column 1: a second document"),
            ("? [hunter2]\n: 1\n", "line 1, column 3: a list cannot be a key"),
            ("a: &a [hunter2, *a]\n", "line 1, column 17: an alias stands within what it names"),
            ("a:\n  <<: hunter2\n", "line 2, column 7: a text cannot be merged into a mapping"),
        ];
        for (yaml, expected) in table {
            let error = Tree::parse(yaml).expect_err(yaml);
            assert!(error.starts_with(expected), "{yaml:?}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn bombs_end_early() {
        let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..12 {
            let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
            laughs += &format!("a{n}: &a{n} [{aliases}]\n");
        }
        assert!(Tree::parse(&laughs).expect_err("a bomb").ends_with("more than 100000 values"));
        assert!(Tree::parse(&"[".repeat(100_000)).is_err());
        assert!(Tree::parse(&"- ".repeat(100_000)).is_err());
    }
}
