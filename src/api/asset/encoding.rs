//! Which content encoding a request prefers, by its `Accept-Encoding` (RFC 9110, 12.5.3).

use warp::http::HeaderMap;
use warp::http::header::ACCEPT_ENCODING;

/// A form in which content can be sent. The order is that of our own preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
}

impl Encoding {
    /// The name in `Content-Encoding`; none where content goes as it is.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Brotli => Some("br"),
        }
    }
}

/// Picks the encoding with the highest weight, and of several the smaller one. What the header doesn't name is not wanted, except
/// for content as it is, which is sent where nothing else is wanted, even by a header that excludes everything.
#[must_use]
pub fn preferred(headers: &HeaderMap) -> Encoding {
    let mut weights = Weights::default();
    for value in headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()) {
        for (name, weight) in value.split(',').filter_map(item) {
            weights.note(name, weight);
        }
    }
    let candidates = [
        (weights.of(weights.brotli), Encoding::Brotli),
        (weights.of(weights.gzip), Encoding::Gzip),
        (weights.identity.unwrap_or(0), Encoding::Identity),
    ];
    let best = candidates.into_iter().filter(|(weight, _)| *weight > 0).max();
    best.map_or(Encoding::Identity, |(_, encoding)| encoding)
}

/// Weights in thousandths.
#[derive(Default)]
struct Weights {
    brotli: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    /// Of all that isn't named.
    others: Option<u16>,
}

impl Weights {
    fn note(&mut self, name: &str, weight: u16) {
        let named = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        if named("br") {
            self.brotli = Some(weight);
        } else if named("gzip") || named("x-gzip") {
            self.gzip = Some(weight);
        } else if named("identity") {
            self.identity = Some(weight);
        } else if name == "*" {
            self.others = Some(weight);
        }
    }

    fn of(&self, named: Option<u16>) -> u16 {
        named.or(self.others).unwrap_or(0)
    }
}

/// A coding and its weight; nothing where the weight is none, as nobody can know what was meant.
fn item(text: &str) -> Option<(&str, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?;
    let weight = match parts.next() {
        None => 1_000,
        Some(parameter) => {
            let (key, value) = parameter.split_once('=')?;
            key.trim().eq_ignore_ascii_case("q").then(|| thousandths(value.trim()))??
        }
    };
    Some((name, weight))
}

/// `0`, `0.5`, `1.000`: at most three digits after the point, and at most 1.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let part: u16 = if fraction.is_empty() { 0 } else { format!("{fraction:0<3}").parse().ok()? };
    match whole {
        "0" if digits => Some(part),
        "1" if digits && part == 0 => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, expected: Encoding) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, header.parse().unwrap());
        assert_eq!(preferred(&headers), expected, "{header:?}");
    }

    #[test]
    fn the_highest_weight_wins_and_of_equals_the_smaller_form() {
        assert_eq!(preferred(&HeaderMap::new()), Encoding::Identity);
        check("", Encoding::Identity);
        check("gzip, deflate, br, zstd", Encoding::Brotli);
        check("gzip, deflate", Encoding::Gzip);
        check("GZIP", Encoding::Gzip);
        check("x-gzip", Encoding::Gzip);
        check("gzip;q=0.8, br;q=0.2", Encoding::Gzip);
        check("gzip ; q=0.801 , br; q=0.8", Encoding::Gzip);
        check("*", Encoding::Brotli);
        check("br;q=0, *", Encoding::Gzip);
        check("identity, gzip;q=0.5", Encoding::Identity);
        check("deflate, zstd", Encoding::Identity);
    }

    #[test]
    fn a_weight_of_zero_excludes() {
        check("br;q=0", Encoding::Identity);
        check("gzip;q=0, br;q=0.0", Encoding::Identity);
        check("gzip;q=0.001", Encoding::Gzip);
        check("*;q=0", Encoding::Identity);
        check("*;q=0, gzip", Encoding::Gzip);
        check("identity;q=0", Encoding::Identity);
        check("identity;q=0, gzip;q=0.1", Encoding::Gzip);
    }

    #[test]
    fn a_weight_that_is_none_counts_for_nothing() {
        for bad in ["br;q=2", "br;q=-1", "br;q=1.5", "br;q=0.1234", "br;q=", "br;q=x", "br;level=9", "br;q=1.", ";q=1"]
        {
            let expected = if bad == "br;q=1." { Encoding::Brotli } else { Encoding::Identity };
            check(bad, expected);
        }
        check("br;q=nan, gzip", Encoding::Gzip);
    }
}
