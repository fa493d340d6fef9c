//! A scanner's XML as a walk over elements: the caller visits the children of the element it stands in and leaves out
//! what it does not know. Holds one tag at a time, never a tree. Says where a report is cut off or is no XML at all;
//! what the elements mean is the converters' to say.

use std::io::{self, BufRead, BufReader, Read};

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Error, Reader, XmlVersion};

use super::ReportError;

/// How much of a foreign input an error quotes, in characters.
const QUOTE_CHARS_MAX: usize = 60;

/// A reader that stands somewhere in the tree of elements.
pub struct Xml<R: Read> {
    reader: Reader<BufReader<R>>,
    buffer: Vec<u8>,
    /// How many elements are open.
    depth: usize,
}

/// An opened element: its name and attributes, entities resolved, free of NUL (the server loses a host that has one).
#[derive(Debug)]
pub struct Element {
    pub name: String,
    attributes: Vec<(String, String)>,
}

enum Token {
    Open(Element),
    Close,
    End,
}

impl<R: Read> Xml<R> {
    /// Reads the start of the input: an error if there is none, or if it is not XML.
    pub fn new(input: R) -> Result<Xml<R>, ReportError> {
        let mut input = BufReader::new(input);
        refuse_unless_xml(&mut input)?;
        let mut reader = Reader::from_reader(input);
        reader.config_mut().expand_empty_elements = true;
        reader.config_mut().allow_dangling_amp = true;
        Ok(Xml { reader, buffer: Vec::new(), depth: 0 })
    }

    /// The next element outside all others, `None` at the end of the input.
    pub fn root(&mut self) -> Result<Option<Element>, ReportError> {
        debug_assert_eq!(self.depth, 0, "a root is looked for outside all elements");
        loop {
            match self.token()? {
                Token::Open(element) => return Ok(Some(element)),
                Token::Close => {}
                Token::End => return Ok(None),
            }
        }
    }

    /// Calls `visit` with every child of the element that was opened last, up to its end. What `visit` does not walk
    /// into is passed over.
    pub fn children<F>(&mut self, mut visit: F) -> Result<(), ReportError>
    where
        F: FnMut(&mut Xml<R>, &Element) -> Result<(), ReportError>,
    {
        let parent = self.depth;
        while self.depth >= parent {
            if let Token::Open(child) = self.token()?
                && self.depth == parent + 1
            {
                visit(self, &child)?;
            }
        }
        Ok(())
    }

    /// The next tag. The end of the input inside an element is an error: the scanner was stopped in the middle.
    fn token(&mut self) -> Result<Token, ReportError> {
        loop {
            self.buffer.clear();
            match self.reader.read_event_into(&mut self.buffer) {
                Ok(Event::Start(start)) => {
                    self.depth += 1;
                    return Ok(Token::Open(Element::new(&start)));
                }
                Ok(Event::End(_)) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(Token::Close);
                }
                Ok(Event::Eof) if self.depth > 0 => return Err(ReportError::Truncated),
                Ok(Event::Eof) => return Ok(Token::End),
                Ok(_) => {}
                Err(error) => return Err(self.explain(error)),
            }
        }
    }

    fn explain(&mut self, error: Error) -> ReportError {
        match error {
            Error::Io(error) => ReportError::Read(io::Error::new(error.kind(), error)),
            Error::Syntax(_) if self.reader.get_mut().fill_buf().is_ok_and(<[u8]>::is_empty) => ReportError::Truncated,
            other => ReportError::Malformed { offset: self.reader.error_position(), why: other.to_string() },
        }
    }
}

impl Element {
    fn new(start: &BytesStart<'_>) -> Element {
        let mut pairs = start.attributes();
        let attributes = pairs.with_checks(false).flatten().map(|attribute| {
            // A reference that XML does not allow (nmap passes on what a scanned host said) stays as it was written.
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).unwrap_or(attribute.value.clone());
            (attribute.key.as_ref().to_owned(), value.replace('\0', ""))
        });
        Element { name: start.name().as_ref().to_owned(), attributes: attributes.collect() }
    }

    /// An attribute's value; empty if it is not there, which no converter needs to tell apart.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

/// XML begins with `<`, after white space or a byte order mark. Looked at first, because the XML reader would take in
/// the whole of any other input while it searches for the first tag.
fn refuse_unless_xml(input: &mut impl BufRead) -> Result<(), ReportError> {
    loop {
        let seen = input.fill_buf().map_err(ReportError::Read)?;
        if seen.is_empty() {
            return Err(ReportError::Empty);
        }
        let blank = seen.iter().take_while(|byte| byte.is_ascii_whitespace() || b"\xef\xbb\xbf".contains(byte)).count();
        if seen.get(blank) == Some(&b'<') {
            input.consume(blank);
            return Ok(());
        }
        if blank < seen.len() {
            return Err(ReportError::NotXml { begins: quote(&seen[blank..]) });
        }
        input.consume(blank);
    }
}

/// The first line of foreign bytes, cut and made printable.
fn quote(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * QUOTE_CHARS_MAX)]).into_owned();
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(QUOTE_CHARS_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
