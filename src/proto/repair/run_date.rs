//! Judges a vulnerability's `run_date`. The server takes epoch seconds, as number or text, and loses all vulnerabilities of
//! the host for anything else that it cannot make a date of.

use std::ops::Range;

use time::{Date, Month, PrimitiveDateTime, Time, UtcOffset};

use super::number::{float, is_plain};
use super::text::decode_str;

/// From the year 1 to the year 3000. What is above can only be milliseconds.
const SECONDS: Range<f64> = -62_135_596_800.0..32_503_680_000.0;

/// So many digits are always within it.
const SECONDS_DIGITS: usize = 10;

#[derive(Debug, PartialEq)]
pub(super) enum Judgement {
    /// The server takes it, or refuses it in the open.
    Fine,
    /// It should have been these epoch seconds.
    Seconds(String),
    Unreadable,
}

pub(super) fn judge(printed: &[u8]) -> Judgement {
    match printed.first() {
        _ if is_plain(printed, SECONDS_DIGITS) => Judgement::Fine,
        Some(b'"') => {
            let text = decode_str(printed);
            let trimmed = text.trim();
            match float(trimmed.as_bytes()) {
                _ if text.is_empty() => Judgement::Fine,
                Some(number) => judge_number(number),
                None => iso(trimmed).map_or(Judgement::Unreadable, |secs| Judgement::Seconds(secs.to_string())),
            }
        }
        Some(b'-' | b'0'..=b'9') => float(printed).map_or(Judgement::Unreadable, judge_number),
        _ => Judgement::Fine,
    }
}

fn judge_number(number: f64) -> Judgement {
    let from_millis = number / 1000.0;
    match number {
        _ if SECONDS.contains(&number) => Judgement::Fine,
        _ if number > 0.0 && SECONDS.contains(&from_millis) => Judgement::Seconds(from_millis.to_string()),
        _ => Judgement::Unreadable,
    }
}

/// Epoch seconds of a date like `2026-11-23`, `2026-11-23 18:10` or `2026-11-23T18:10:12.5+01:00`; without a zone it is UTC.
fn iso(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked("2026-11-23".len())?;
    let (clock, zone) = match rest.strip_prefix(['T', 't', ' ']) {
        Some(rest) => rest.split_at(rest.find(['Z', 'z', '+', '-', ' ']).unwrap_or(rest.len())),
        None if rest.is_empty() => ("00:00", ""),
        None => return None,
    };
    let moment = PrimitiveDateTime::new(read_date(date)?, read_clock(clock)?).assume_offset(read_zone(zone.trim())?);
    let seconds = moment.unix_timestamp();
    SECONDS.contains(&(seconds as f64)).then_some(seconds)
}

fn read_date(text: &str) -> Option<Date> {
    let (year, rest) = text.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let month = Month::try_from(two_digits(month)?).ok()?;
    let century = two_digits(year.get(..2)?)?;
    let year = i32::from(century) * 100 + i32::from(two_digits(year.get(2..)?)?);
    Date::from_calendar_date(year, month, two_digits(day)?).ok()
}

/// Hours and minutes, and perhaps seconds, of which fractions are dropped.
fn read_clock(text: &str) -> Option<Time> {
    let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, "0"));
    let mut parts = whole.split(':').map(two_digits);
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    let ends = parts.next().is_none() && fraction.bytes().all(|digit| digit.is_ascii_digit());
    if ends { Time::from_hms(hour, minute, second).ok() } else { None }
}

fn read_zone(text: &str) -> Option<UtcOffset> {
    let offset = match text {
        "" | "Z" | "z" | "UTC" | "GMT" => return Some(UtcOffset::UTC),
        _ => text.strip_prefix(['+', '-'])?,
    };
    let (hours, minutes) = offset.split_at_checked(2)?;
    let minutes = minutes.strip_prefix(':').unwrap_or(minutes);
    let minutes = if minutes.is_empty() { 0 } else { two_digits(minutes)? };
    let sign = if text.starts_with('-') { -1 } else { 1 };
    UtcOffset::from_hms(sign * i8::try_from(two_digits(hours)?).ok()?, sign * i8::try_from(minutes).ok()?, 0).ok()
}

fn two_digits(text: &str) -> Option<u8> {
    let are_digits = text.len() == 2 && text.bytes().all(|digit| digit.is_ascii_digit());
    if are_digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_become_epoch_seconds() {
        for (printed, seconds) in [
            (r#""1970-01-01""#, "0"),
            (r#""2026-11-23""#, "1795392000"),
            (r#""2026-11-23T18:10:12""#, "1795457412"),
            (r#""2026-11-23 18:10:12Z""#, "1795457412"),
            (r#""2026-11-23t18:10:12.999999z""#, "1795457412"),
            (r#""2026-11-23T18:10:12,5+01:00""#, "1795453812"),
            (r#""2026-11-23T18:10:12-0130""#, "1795462812"),
            (r#"" 2026-11-23 18:10:12 +01 ""#, "1795453812"),
            (r#""2026-11-23 18:10 UTC""#, "1795457400"),
            ("1700000000000", "1700000000"),
            (r#""1700000000123""#, "1700000000.123"),
            ("1.7e12", "1700000000"),
        ] {
            assert_eq!(judge(printed.as_bytes()), Judgement::Seconds(seconds.into()), "{printed}");
        }
    }

    #[test]
    fn what_the_server_takes_or_refuses_is_fine() {
        for printed in [
            "0",
            "1700000000",
            "1700000000.25",
            "-1",
            r#""1700000000""#,
            r#"" 1.7e9 ""#,
            r#""""#,
            "null",
            "true",
            "[]",
            "{}",
        ] {
            assert_eq!(judge(printed.as_bytes()), Judgement::Fine, "{printed}");
        }
    }

    #[test]
    fn anything_else_is_unreadable() {
        for printed in [
            "1e18",
            "1e400",
            "-1e12",
            "1700000000000000",
            r#""nan""#,
            r#""inf""#,
            r#""1e18""#,
            r#"" ""#,
            r#""today""#,
            r#""23.11.2026""#,
            r#""2026-13-01""#,
            r#""2026-02-30""#,
            r#""9999-01-01""#,
            r#""0000-00-00""#,
            r#""2026-11-23T""#,
            r#""2026-11-23X10:00""#,
            r#""2026-11-23T25:00:00""#,
            r#""2026-11-23T10:00:00:00""#,
            r#""2026-11-23T10:00:00.x""#,
            r#""2026-11-23T10:00:00+99:00""#,
            r#""2026-11-23T10:00:00 CET""#,
            r#""+026-11-23""#,
            r#""ééééé""#,
            r#""2026-11-2é""#,
            r#""2026-1-2T10""#,
            r#""20261123T101010Z""#,
        ] {
            assert_eq!(judge(printed.as_bytes()), Judgement::Unreadable, "{printed}");
        }
    }
}
