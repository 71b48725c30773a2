//! What stands in a field: ids, truths and times, in the forms in which databases and services write them.

use parlance_schema::limits::IMPORTED_ID_MAX;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;
/// The first day of the year 10000, in days since 1970.
const DAYS_END: i64 = 2_932_897;

/// Reads an id: an integer from 1 to 2^52. A larger one would leave too few for those that come after it.
///
/// # Errors
/// What is wrong, in words.
pub fn id(text: &str) -> Result<u64, &'static str> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let id = if digits { text.parse::<u64>().ok() } else { None };
    id.filter(|id| (1..=IMPORTED_ID_MAX).contains(id)).ok_or("not an integer from 1 to 4503599627370496")
}

/// Reads a truth, as PostgreSQL, MySQL, SQLite, Python and JSON write it.
///
/// # Errors
/// What is wrong, in words.
pub fn truth(text: &str) -> Result<bool, &'static str> {
    let is = |words: [&str; 6]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(["false", "f", "no", "n", "0", "off"]) {
        Ok(false)
    } else if is(["true", "t", "yes", "y", "1", "on"]) {
        Ok(true)
    } else {
        Err("neither true nor false")
    }
}

/// Reads a time as microseconds since the Unix epoch: RFC 3339, the same with a space for the `T` or without a zone (then
/// UTC), a date alone, or Unix time in seconds, milliseconds or microseconds, told apart by their size.
///
/// # Errors
/// What is wrong, in words.
pub fn micros(text: &str) -> Result<u64, &'static str> {
    let text = text.trim();
    let unix = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let found = if unix { unix_time(text) } else { calendar(text) };
    let found = found.ok_or("not a time in RFC 3339")?;
    match u64::try_from(found) {
        Ok(found) if found / DAY as u64 >= DAYS_END as u64 => Err("a time after the year 9999"),
        Ok(found) => Ok(found),
        Err(_) => Err("a time before 1970"),
    }
}

fn unix_time(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let number: i64 = whole.parse().ok()?;
    match whole.len() {
        1..=11 => number.checked_mul(1_000_000)?.checked_add(micros_of(fraction)?),
        12..=14 => number.checked_mul(1_000)?.checked_add(micros_of(fraction)? / 1_000),
        15..=17 => Some(number),
        _ => None,
    }
}

/// The first six digits after a decimal point, as millionths.
fn micros_of(fraction: &str) -> Option<i64> {
    let digits = fraction.bytes().all(|b| b.is_ascii_digit()) && fraction.len() <= 18;
    digits.then(|| fraction.bytes().chain(std::iter::repeat(b'0')).take(6).fold(0, |n, b| n * 10 + i64::from(b - b'0')))
}

/// A number of a fixed count of digits at the beginning, and the rest.
fn number(text: &str, digits: usize) -> Option<(i64, &str)> {
    let (head, rest) = text.split_at_checked(digits)?;
    if head.bytes().all(|b| b.is_ascii_digit()) { Some((head.parse().ok()?, rest)) } else { None }
}

fn calendar(text: &str) -> Option<i64> {
    let (year, rest) = number(text, 4)?;
    let (month, rest) = number(rest.strip_prefix('-')?, 2)?;
    let (day, rest) = number(rest.strip_prefix('-')?, 2)?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = *days.get(usize::try_from(month - 1).ok()?)?;
    if !(1..=length).contains(&day) {
        return None;
    }
    let date = days_since_1970(year, month, day) * DAY;
    if rest.is_empty() {
        return Some(date);
    }
    let (hour, rest) = number(rest.strip_prefix(['T', 't', ' '])?, 2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (second, rest) = match rest.strip_prefix(':') {
        Some(rest) => number(rest, 2)?,
        None => (0, rest),
    };
    // A leap second counts as the next one's beginning, as Unix time has it.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, rest) = match rest.strip_prefix(['.', ',']) {
        Some(rest) => rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count()),
        None => ("", rest),
    };
    let seconds = hour * 3_600 + minute * 60 + second;
    Some(date + seconds * 1_000_000 + micros_of(fraction)? - offset(rest.trim_start())? * 60_000_000)
}

/// Minutes that a zone is ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "" | "Z" | "z" | "UTC" | "GMT") {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, rest) = number(&zone[1..], 2)?;
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let (minutes, rest) = if rest.is_empty() { (0, "") } else { number(rest, 2)? };
    (rest.is_empty() && hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes))
}

/// Days from 1970-01-01 to a day of the Gregorian calendar (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        assert_eq!(id("1"), Ok(1));
        assert_eq!(id("4503599627370496"), Ok(IMPORTED_ID_MAX));
        assert_eq!(id("007"), Ok(7));
        for bad in [
            "",
            "0",
            "-1",
            "+1",
            " 1",
            "1.0",
            "1e3",
            "4503599627370497",
            "9007199254740991",
            "9007199254740992",
            "99999999999999999999999",
            "٣",
            "abc",
        ] {
            assert!(id(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn truths() {
        for (text, is) in [("true", true), ("T", true), ("1", true), ("False", false), ("f", false), ("0", false)] {
            assert_eq!(truth(text), Ok(is), "{text}");
        }
        assert!(truth("").is_err() && truth("2").is_err() && truth("wahr").is_err());
    }

    #[test]
    fn times() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01", 0),
            ("2024-02-29T12:34:56.789012Z", 1_709_210_096_789_012),
            ("2024-02-29 12:34:56.789012+00", 1_709_210_096_789_012),
            ("2024-02-29T12:34:56.789012999", 1_709_210_096_789_012),
            ("2024-02-29t14:34:56,5+02:00", 1_709_210_096_500_000),
            ("2024-02-29 07:04:56 -0530", 1_709_210_096_000_000),
            ("2024-02-29 12:34 UTC", 1_709_210_040_000_000),
            ("2000-03-01T00:00:00Z", 951_868_800_000_000),
            ("9999-12-31T23:59:60Z", 253_402_300_800_000_000),
            ("1709210096", 1_709_210_096_000_000),
            ("1709210096.5", 1_709_210_096_500_000),
            ("1709210096789", 1_709_210_096_789_000),
            ("1709210096789012", 1_709_210_096_789_012),
        ] {
            if expected == 253_402_300_800_000_000 {
                assert_eq!(micros(text), Err("a time after the year 9999"));
            } else {
                assert_eq!(micros(text), Ok(expected), "{text}");
            }
        }
        for bad in [
            "",
            "now",
            "2024-02-30T00:00:00Z",
            "2023-02-29",
            "2024-13-01",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:60:00Z",
            "2024-01-01T00:00:00X",
            "2024-01-01T00:00:00+1",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+00:01",
            "-5",
            "1.2.3",
            "..",
            "99999999999999999999",
            "2024-01-01T00:00:00.Z+",
            "２０２４-01-01",
            "2024-é1-01",
        ] {
            assert!(micros(bad).is_err(), "{bad:?}: {:?}", micros(bad));
        }
    }
}
