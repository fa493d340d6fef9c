//! Passes over JSON that is known to be valid, and therefore checks nothing: commas and colons are as good as blanks. Keeps
//! nothing but its place, whatever the depth. Of bytes that are no JSON it makes nothing sensible, but comes to an end.

use memchr::memchr2;

/// So much of a string is looked at in words, which is quicker for short ones.
const SHORT_BYTES: usize = 32;

pub(super) struct Walker<'p> {
    bytes: &'p [u8],
    pos: usize,
}

/// A string or key.
#[derive(Clone, Copy)]
pub(super) struct Text<'p> {
    /// With its quotes.
    pub printed: &'p [u8],
    pub has_escapes: bool,
}

impl<'p> Text<'p> {
    /// What is between the quotes, as printed.
    #[inline]
    pub fn inside(&self) -> &'p [u8] {
        self.printed.get(1..self.printed.len() - 1).unwrap_or_default()
    }
}

impl<'p> Walker<'p> {
    pub fn new(bytes: &'p [u8]) -> Walker<'p> {
        Walker { bytes, pos: 0 }
    }

    /// The first byte of the next token; 0 at the end.
    #[inline]
    fn peek(&mut self) -> u8 {
        loop {
            match self.bytes.get(self.pos) {
                Some(b' ' | b'\n' | b'\r' | b'\t' | b',' | b':') => self.pos += 1,
                Some(&byte) => return byte,
                None => return 0,
            }
        }
    }

    pub fn is_at_object(&mut self) -> bool {
        self.peek() == b'{'
    }

    /// Passes over an object; `member` has to pass over the value of the key that it is given. A value of another kind is
    /// passed over.
    #[inline]
    pub fn object<E>(&mut self, mut member: impl FnMut(&mut Walker<'p>, Text<'p>) -> Result<(), E>) -> Result<(), E> {
        if self.peek() != b'{' {
            self.value();
            return Ok(());
        }
        self.pos += 1;
        while self.peek() == b'"' {
            let key = self.text();
            member(self, key)?;
        }
        self.pos += 1;
        Ok(())
    }

    /// Passes over a list; `element` has to pass over one of its values. A value of another kind is passed over.
    #[inline]
    pub fn list<E>(&mut self, mut element: impl FnMut(&mut Walker<'p>) -> Result<(), E>) -> Result<(), E> {
        if self.peek() != b'[' {
            self.value();
            return Ok(());
        }
        self.pos += 1;
        while !matches!(self.peek(), b']' | 0) {
            element(self)?;
        }
        self.pos += 1;
        Ok(())
    }

    /// Passes over a value, and gives it as it was printed.
    #[inline]
    pub fn value(&mut self) -> &'p [u8] {
        match self.peek() {
            b'"' => self.text().printed,
            b'{' | b'[' => self.nested(),
            _ => self.scalar(),
        }
    }

    #[inline]
    fn text(&mut self) -> Text<'p> {
        let (start, mut has_escapes) = (self.pos, false);
        self.pos = stop(self.bytes, start + 1);
        while self.bytes.get(self.pos) == Some(&b'\\') {
            has_escapes = true;
            self.pos = stop(self.bytes, self.pos + 2);
        }
        self.pos += 1;
        Text { printed: self.since(start), has_escapes }
    }

    fn nested(&mut self) -> &'p [u8] {
        let (start, mut depth) = (self.pos, 0);
        while let Some(byte) = self.bytes.get(self.pos) {
            match byte {
                b'"' => {
                    self.text();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.pos += 1;
            if depth == 0 {
                break;
            }
        }
        self.since(start)
    }

    #[inline]
    fn scalar(&mut self) -> &'p [u8] {
        let start = self.pos;
        self.pos += 1;
        while let Some(byte) = self.bytes.get(self.pos)
            && !matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t')
        {
            self.pos += 1;
        }
        self.since(start)
    }

    #[inline]
    fn since(&self, start: usize) -> &'p [u8] {
        let end = self.pos.min(self.bytes.len());
        self.bytes.get(start..end).unwrap_or_default()
    }
}

/// Where the first quote or backslash from `pos` on is; without one, the end.
#[inline]
fn stop(bytes: &[u8], mut pos: usize) -> usize {
    let short_end = pos + SHORT_BYTES;
    while pos < short_end {
        let Some(word) = bytes.get(pos..).and_then(|rest| rest.first_chunk()) else {
            break;
        };
        let word = u64::from_le_bytes(*word);
        let marks = (zeros(word ^ each(b'"')) | zeros(word ^ each(b'\\'))) & each(0x80);
        if marks != 0 {
            return pos + marks.trailing_zeros() as usize / 8;
        }
        pos += 8;
    }
    let rest = bytes.get(pos..).unwrap_or_default();
    pos + memchr2(b'"', b'\\', rest).unwrap_or(rest.len())
}

/// Sets the high bit of the lowest byte that is zero, and perhaps of some above it.
#[inline]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(each(1)) & !word
}

/// A word of eight times this byte.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_given_as_printed() {
        for value in [
            "1",
            "-1.10e5",
            "null",
            r#""""#,
            r#""a\"b""#,
            r#""\\""#,
            "[]",
            "{ }",
            r#"[ "]" , {"}":[1]} ]"#,
            r#"{"a":{"b":["\"]}"]}}"#,
            r#""long enough for more than one word of eight bytes, even with a \" in it and é""#,
        ] {
            for around in [("", ""), ("", ","), (" \n", " ]"), (":", "}")] {
                let text = [around.0, value, around.1].concat();
                let printed = Walker::new(text.as_bytes()).value();
                assert_eq!(String::from_utf8_lossy(printed), value, "{text}");
            }
        }
    }

    #[test]
    fn a_stop_is_found_wherever_it_is() {
        for stopper in [b'"', b'\\'] {
            for at in 0..100 {
                let mut bytes = vec![0xa2; 120];
                bytes[at] = stopper;
                assert_eq!(stop(&bytes, 0), at);
                assert_eq!(stop(&bytes[..=at], 0), at);
                assert_eq!(stop(&bytes[..at], 0), at, "without one");
            }
        }
        assert_eq!(stop(b"", 3), 3);
    }

    #[test]
    fn it_comes_to_an_end_whatever_it_is_given() {
        let text = br#"{"a":[1,{"b":"\"","c":[[]]}],"d":null}"#;
        for end in 0..text.len() {
            for start in 0..=end {
                let mut walker = Walker::new(&text[start..end]);
                let mut other = Walker::new(&text[start..end]);
                walker.value();
                let walked: Result<(), ()> = other.object(|walker, key| {
                    key.inside();
                    walker.list(|walker| {
                        walker.value();
                        Ok(())
                    })
                });
                assert_eq!(walked, Ok(()));
            }
        }
    }
}
