//! JSON numbers and the three words `true`, `false`, `null`, in pieces of any size.
//! Driven by the scanner; it keeps the place in the grammar, never the digits.

use super::FaultKind;
use super::scanner::Reached;

/// What of a number has been read (RFC 8259, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Minus,
    /// A leading zero: no digit may follow.
    Zero,
    Integer,
    Point,
    Fraction,
    E,
    ESign,
    Exponent,
}

impl Number {
    /// The state behind a number's first byte: `-` or a digit.
    pub(super) fn begin(first: u8) -> Number {
        match first {
            b'-' => Number::Minus,
            b'0' => Number::Zero,
            _ => Number::Integer,
        }
    }

    /// The state behind `byte`, or `None` where it cannot belong to the number.
    fn then(self, byte: u8) -> Option<Number> {
        use Number::*;
        Some(match (self, byte) {
            (Minus, b'0') => Zero,
            (Minus | Integer, b'0'..=b'9') => Integer,
            (Zero | Integer, b'.') => Point,
            (Point | Fraction, b'0'..=b'9') => Fraction,
            (Zero | Integer | Fraction, b'e' | b'E') => E,
            (E, b'+' | b'-') => ESign,
            (E | ESign | Exponent, b'0'..=b'9') => Exponent,
            _ => return None,
        })
    }

    fn may_end(self) -> bool {
        matches!(self, Number::Zero | Number::Integer | Number::Fraction | Number::Exponent)
    }

    /// Goes on at `pos`; ends before the first byte that is not part of the number. Whether that byte may follow
    /// (`01` has one that may not) the grammar around it says.
    #[inline]
    pub(super) fn scan(mut self, input: &[u8], mut pos: usize) -> Result<Reached<Number>, FaultKind> {
        while let Some(&byte) = input.get(pos) {
            match self.then(byte) {
                Some(next) => self = next,
                None if self.may_end() => return Ok(Reached::End(pos)),
                None => return Err(FaultKind::NotJson),
            }
            pos += 1;
        }
        Ok(Reached::Open(self))
    }
}

/// The word that begins with this byte.
pub(super) fn word(first: u8) -> &'static [u8] {
    match first {
        b't' => b"true",
        b'f' => b"false",
        _ => b"null",
    }
}

/// Goes on at `pos` with what is left of a word.
pub(super) fn scan_word(rest: &'static [u8], input: &[u8], pos: usize) -> Result<Reached<&'static [u8]>, FaultKind> {
    let here = &input[pos..];
    let len = here.len().min(rest.len());
    if here[..len] != rest[..len] {
        return Err(FaultKind::NotJson);
    }
    Ok(match &rest[len..] {
        [] => Reached::End(pos + len),
        rest => Reached::Open(rest),
    })
}
