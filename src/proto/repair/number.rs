//! Numbers as the server's schema reads them: an integer may be printed as a float, which it cuts, or as a text of digits.
//! What it refuses in the open is no number here.

use super::text::decode;

/// The integer that the server makes of a value, exact as far as a range needs it; `None` if it refuses it.
pub(super) fn integer(printed: &[u8]) -> Option<f64> {
    match printed.first()? {
        b'"' => digits(decode(printed).trim_ascii()),
        b'-' | b'0'..=b'9' => digits(printed).or_else(|| float(printed).filter(|n| n.is_finite()).map(f64::trunc)),
        _ => None,
    }
}

/// Digits with a sign or without; any number of them.
fn digits(text: &[u8]) -> Option<f64> {
    let unsigned = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let all = !unsigned.is_empty() && unsigned.iter().all(u8::is_ascii_digit);
    if all { float(text) } else { None }
}

/// Any spelling of a floating point number.
pub(super) fn float(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Whether a number is printed as nothing but a few digits, and thus needs no closer look.
pub(super) fn is_plain(printed: &[u8], digits_max: usize) -> bool {
    printed.len() <= digits_max && printed.iter().all(u8::is_ascii_digit)
}

/// Whether a value is a port that no service can have. A negative one the server refuses.
pub(super) fn is_port_out_of_range(printed: &[u8]) -> bool {
    let is_usual = is_plain(printed, 5) && (printed.len() < 5 || printed <= &b"65535"[..]);
    !is_usual && integer(printed).is_some_and(|port| port > f64::from(u16::MAX))
}

/// Whether a value is a number that the database has no room for.
pub(super) fn is_beyond_int32(printed: &[u8]) -> bool {
    let int32 = f64::from(i32::MIN)..=f64::from(i32::MAX);
    !is_plain(printed, 9) && integer(printed).is_some_and(|number| !int32.contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_the_server_does() {
        let huge = "9".repeat(400);
        for (printed, expected) in [
            ("80", Some(80.0)),
            ("-1", Some(-1.0)),
            ("80.9", Some(80.0)),
            ("1e5", Some(100_000.0)),
            (r#""80""#, Some(80.0)),
            (r#"" +80 ""#, Some(80.0)),
            (r#""\u0038""#, Some(8.0)),
            (r#""80.0""#, None),
            (r#""""#, None),
            (r#""inf""#, None),
            ("1e400", None),
            ("null", None),
            ("true", None),
            ("[80]", None),
            (&huge, Some(f64::INFINITY)),
        ] {
            assert_eq!(integer(printed.as_bytes()), expected, "{printed}");
        }
    }

    #[test]
    fn ranges_end_where_they_should() {
        for (printed, expected) in [
            ("0", false),
            ("65535", false),
            ("65535.9", false),
            ("65536", true),
            ("9e9", true),
            (r#""70000""#, true),
            ("-70000", false),
            ("null", false),
        ] {
            assert_eq!(is_port_out_of_range(printed.as_bytes()), expected, "{printed}");
        }
        for (printed, expected) in [
            ("2147483647", false),
            ("2147483648", true),
            ("-2147483648", false),
            ("-2147483649", true),
            (r#""2147483648""#, true),
            ("null", false),
        ] {
            assert_eq!(is_beyond_int32(printed.as_bytes()), expected, "{printed}");
        }
    }
}
