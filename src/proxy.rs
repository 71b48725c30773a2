//! Who is behind a proxy: `X-Forwarded-*` and the PROXY protocol, believed of named proxies only.
//!
//! The PROXY protocol is HAProxy's (proxy-protocol.txt, versions 1 and 2): a header in front of everything else, TLS too.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncReadExt};
use warp::http::{HeaderMap, HeaderName};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of the longest header of version 1, its end included.
const V1_BYTES_MAX: usize = 107;
/// Bytes of the addresses and extensions of version 2 that are read.
const V2_BYTES_MAX: usize = 4_096;

/// The proxies that are believed.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Vec<IpNet>);

/// What a believed proxy says of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// The client's address.
    pub address: Option<IpAddr>,
    /// Whether the client came over TLS.
    pub https: Option<bool>,
    /// The host that the client named.
    pub host: Option<String>,
}

impl Proxies {
    /// Reads addresses and networks such as `10.0.0.0/8`.
    ///
    /// # Errors
    /// The first that is neither.
    pub fn parse(texts: &[String]) -> Result<Self, String> {
        let parse = |text: &String| {
            let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            net.map_err(|_| text.clone())
        };
        texts.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether an address is a named proxy's.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }

    /// What the headers of a request say that came from the named proxy `peer`. The client is the last address that
    /// is no named proxy's: what stands before it, the client itself may have written.
    #[must_use]
    pub fn forwarded(&self, headers: &HeaderMap) -> Forwarded {
        let mut address = None;
        for text in values(headers, &FORWARDED_FOR).into_iter().rev() {
            let Some(named) = address_of(text) else { break };
            address = Some(named);
            if !self.contains(named) {
                break;
            }
        }
        let https = values(headers, &FORWARDED_PROTO).pop().map(|proto| proto.eq_ignore_ascii_case("https"));
        let host = values(headers, &FORWARDED_HOST).pop().map(str::to_owned);
        Forwarded { address, https, host }
    }
}

/// The parts of all lines of a header, in order; proxies add theirs at the end.
fn values<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Vec<&'h str> {
    let lines = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// An address, with or without a port.
fn address_of(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// Reads a PROXY header and nothing after it; `None` where the proxy speaks for itself.
///
/// # Errors
/// When there is none, or one that can't be read.
pub async fn header<R: AsyncRead + Unpin>(io: &mut R) -> io::Result<Option<SocketAddr>> {
    let mut begin = [0; SIGNATURE.len()];
    io.read_exact(&mut begin).await?;
    if begin == *SIGNATURE {
        return version_2(io).await;
    }
    let mut line = begin.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() >= V1_BYTES_MAX || !line.starts_with(b"PROXY ") {
            return Err(bad("no PROXY header"));
        }
        // The header's length is known at its end only, and what follows is the client's.
        line.push(io.read_u8().await?);
    }
    let text = std::str::from_utf8(&line).map_err(|_| bad("the PROXY header is not text"))?;
    version_1(text.trim_end_matches("\r\n"))
}

fn version_1(line: &str) -> io::Result<Option<SocketAddr>> {
    let words: Vec<_> = line.split(' ').collect();
    match words[..] {
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        ["PROXY", family @ ("TCP4" | "TCP6"), source, _, port, _] => {
            let source: IpAddr = source.parse().map_err(|_| bad("the PROXY header has no source"))?;
            let port = port.parse().map_err(|_| bad("the PROXY header has no port"))?;
            if source.is_ipv4() == (family == "TCP4") {
                Ok(Some(SocketAddr::new(source, port)))
            } else {
                Err(bad("the PROXY header's family is another"))
            }
        }
        _ => Err(bad("the PROXY header is of another form")),
    }
}

async fn version_2<R: AsyncRead + Unpin>(io: &mut R) -> io::Result<Option<SocketAddr>> {
    let (command, family) = (io.read_u8().await?, io.read_u8().await?);
    let length = usize::from(io.read_u16().await?);
    if length > V2_BYTES_MAX {
        return Err(bad("the PROXY header is too long"));
    }
    let mut rest = vec![0; length];
    io.read_exact(&mut rest).await?;
    match (command, family >> 4) {
        (0x20, _) | (0x21, 0 | 3) => Ok(None),
        (0x21, 1) => {
            let Some(&[a, b, c, d, _, _, _, _, p, q, ..]) = rest.first_chunk::<12>() else {
                return Err(bad("the PROXY header is cut"));
            };
            let port = u16::from_be_bytes([p, q]);
            Ok(Some(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), port)))
        }
        (0x21, 2) => {
            let (Some(source), Some(&port)) =
                (rest.first_chunk::<16>(), rest.get(32..).and_then(|r| r.first_chunk::<2>()))
            else {
                return Err(bad("the PROXY header is cut"));
            };
            let source = IpAddr::from(Ipv6Addr::from(*source)).to_canonical();
            Ok(Some(SocketAddr::new(source, u16::from_be_bytes(port))))
        }
        _ => Err(bad("the PROXY header is of another kind")),
    }
}

fn bad(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(texts: &[&str]) -> Proxies {
        Proxies::parse(&texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn networks_and_addresses_are_named() {
        let named = proxies(&["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]);
        for (address, is) in [
            ("10.200.1.1", true),
            ("::ffff:10.1.1.1", true),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("2001:db8:5::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(named.contains(address.parse().unwrap()), is, "{address}");
        }
        assert_eq!(Proxies::parse(&["10.0.0.0/33".into()]).unwrap_err(), "10.0.0.0/33");
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_proxy_s() {
        let named = proxies(&["10.0.0.0/8"]);
        for (lines, client) in [
            (&[][..], None),
            (&["203.0.113.9"], Some("203.0.113.9")),
            (&["1.1.1.1, 203.0.113.9"], Some("203.0.113.9")),
            (&["1.1.1.1, 203.0.113.9, 10.0.0.2"], Some("203.0.113.9")),
            (&["1.1.1.1", "203.0.113.9,10.0.0.2"], Some("203.0.113.9")),
            (&["10.0.0.3, 10.0.0.2"], Some("10.0.0.3")),
            (&["203.0.113.9:4711"], Some("203.0.113.9")),
            (&["[2001:db8::1]:4711"], Some("2001:db8::1")),
            (&["[2001:db8::1]"], Some("2001:db8::1")),
            (&["203.0.113.9, unknown"], None),
            (&["unknown, 10.0.0.2"], Some("10.0.0.2")),
        ] {
            let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
            let expected = client.map(|text: &str| text.parse().unwrap());
            assert_eq!(named.forwarded(&headers(&lines)).address, expected, "{lines:?}");
        }
    }

    #[test]
    fn scheme_and_host_are_the_nearest_proxy_s() {
        let lines = [("x-forwarded-proto", "http, HTTPS"), ("x-forwarded-host", "chat.example.org")];
        let forwarded = proxies(&[]).forwarded(&headers(&lines));
        assert_eq!((forwarded.https, forwarded.host.as_deref()), (Some(true), Some("chat.example.org")));
    }

    async fn read(bytes: &[u8]) -> (Result<Option<String>, String>, usize) {
        let mut rest = bytes;
        let read = header(&mut rest).await;
        (read.map(|a| a.map(|a| a.to_string())).map_err(|e| e.to_string()), rest.len())
    }

    fn version_2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        [&SIGNATURE[..], &[command, family], &(body.len() as u16).to_be_bytes(), body].concat()
    }

    #[tokio::test]
    async fn proxy_headers_are_read_and_nothing_after_them() {
        let v4 = [203, 0, 113, 9, 10, 0, 0, 1, 0x12, 0x67, 0, 80];
        let v6 = [&Ipv6Addr::LOCALHOST.octets()[..], &[0; 16], &[0x12, 0x67, 0, 80]].concat();
        let with_extension = [&v4[..], &[4, 0, 1, 9]].concat();
        for (bytes, address) in [
            (b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 80\r\n".to_vec(), Some("203.0.113.9:4711")),
            (b"PROXY TCP6 ::1 2001:db8::1 4711 80\r\n".to_vec(), Some("[::1]:4711")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff:f...f:ffff 1 2\r\n".to_vec(), None),
            (version_2(0x21, 0x11, &v4), Some("203.0.113.9:4711")),
            (version_2(0x21, 0x11, &with_extension), Some("203.0.113.9:4711")),
            (version_2(0x21, 0x21, &v6), Some("[::1]:4711")),
            (version_2(0x20, 0x00, &[]), None),
            (version_2(0x20, 0x11, &v4), None),
            (version_2(0x21, 0x00, &[1, 2, 3]), None),
        ] {
            let shown = String::from_utf8_lossy(&bytes).into_owned();
            let followed = [&bytes[..], b"GET / HTTP/1.1"].concat();
            assert_eq!(read(&followed).await, (Ok(address.map(str::to_owned)), 14), "{shown:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_proxy_header_is_refused() {
        let long = format!("PROXY TCP4 {}\r\n", "1".repeat(200));
        for bytes in [
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"PROXY TCP4 203.0.113.9\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP4 203.0.113.9 10.0.0.1 99999 80\r\n",
            b"PROXY TCP4 203.0.113",
            long.as_bytes(),
            &version_2(0x31, 0x11, &[0; 12]),
            &version_2(0x21, 0x11, &[0; 11]),
            &version_2(0x21, 0x21, &[0; 33]),
            &version_2(0x21, 0x11, &[0; 5_000]),
        ] {
            assert!(read(bytes).await.0.is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
