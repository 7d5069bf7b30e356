//! What a health check looks at: `tcp:PORT`, `tcp:ADDRESS:PORT`, `http://ADDRESS[:PORT]/PATH`, `unix:PATH`.
//!
//! Addresses only, no names: a resolver is the last thing that a health check should wait for, and is not
//! there in an image made FROM scratch.

use std::ffi::CString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::sys::Address;

/// One target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// As the user wrote it.
    pub name: String,
    /// Where it may be: the first one that somebody listens on.
    pub(super) addresses: Vec<Address>,
    request: Option<String>,
}

impl Target {
    /// What to ask, where a connection is not enough.
    pub fn request(&self) -> Option<&str> {
        self.request.as_deref()
    }
}

const KINDS: &str = "give tcp:PORT, tcp:ADDRESS:PORT, http://ADDRESS[:PORT]/PATH or unix:PATH";

impl FromStr for Target {
    type Err = String;

    /// # Errors
    ///
    /// A sentence.
    fn from_str(text: &str) -> Result<Target, String> {
        let (addresses, request) = if let Some(path) = text.strip_prefix("unix:") {
            let path = CString::new(path).ok().filter(|path| !path.is_empty());
            let path = path.ok_or_else(|| format!("{text:?} names no socket; write it like unix:/run/app.sock"))?;
            (vec![Address::Unix(path)], None)
        } else if let Some(place) = text.strip_prefix("tcp:") {
            (tcp(text, place)?, None)
        } else if let Some(rest) = text.strip_prefix("http://") {
            let (address, request) = http(text, rest)?;
            (vec![address], Some(request))
        } else if text.starts_with("https://") {
            return Err(format!(
                "{text:?}: a check speaks no TLS; give an http:// address of this container, or tcp:PORT"
            ));
        } else {
            return Err(format!("{text:?} is no target; {KINDS}"));
        };
        Ok(Target { name: text.to_owned(), addresses, request })
    }
}

/// What stands before and behind it.
fn at_last_colon(text: &str) -> Option<(&str, &str)> {
    let at = text.bytes().rposition(|byte| byte == b':')?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// `PORT` on this machine, or `ADDRESS:PORT`.
fn tcp(text: &str, place: &str) -> Result<Vec<Address>, String> {
    if let Some((host, number)) = at_last_colon(place) {
        return Ok(vec![Address::Inet(SocketAddr::new(address(text, host)?, port(text, number)?))]);
    }
    let port = port(text, place)?;
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    Ok(loopback.map(|ip| Address::Inet(SocketAddr::new(ip, port))).into())
}

/// `ADDRESS[:PORT][/PATH]`, and the request for it.
fn http(text: &str, rest: &str) -> Result<(Address, String), String> {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (place, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    if let Some(wrong) = rest.chars().find(|character| !character.is_ascii_graphic() || *character == '#') {
        return Err(format!("{text:?} has a {wrong:?} in it; write it as it stands in a request, like %20"));
    }
    // The colon of the port stands behind the brackets of an IPv6 address.
    let (host, port) = match at_last_colon(place) {
        Some((host, number)) if !number.contains(']') => (host, port(text, number)?),
        _ => (place, 80),
    };
    let slash = if path.starts_with('/') { "" } else { "/" };
    let request = format!(
        "GET {slash}{path} HTTP/1.1\r\nHost: {place}\r\nUser-Agent: sexton/{}\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    Ok((Address::Inet(SocketAddr::new(address(text, host)?, port)), request))
}

fn port(text: &str, number: &str) -> Result<u16, String> {
    let port = Some(number).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    let port = port.and_then(|number| number.parse().ok()).filter(|port| *port != 0);
    port.ok_or_else(|| format!("{text:?}: {number:?} is no port; give 1 to 65535"))
}

fn address(text: &str, host: &str) -> Result<IpAddr, String> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let parsed = match bare {
        Some(host) => host.parse().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    };
    parsed.ok_or_else(|| {
        format!(
            "{text:?}: {host:?} is no address; a check looks up no names: give 127.0.0.1 or [::1], or another address"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Vec<String>, Option<String>) {
        let target: Target = text.parse().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(target.name, text);
        let addresses = target.addresses.iter().map(|address| match address {
            Address::Inet(address) => address.to_string(),
            Address::Unix(path) => path.to_str().unwrap().to_owned(),
        });
        (addresses.collect(), target.request)
    }

    #[test]
    fn a_target_is_a_place_and_what_to_ask_there() {
        for (text, addresses) in [
            ("tcp:5432", &["127.0.0.1:5432", "[::1]:5432"][..]),
            ("tcp:10.0.0.7:80", &["10.0.0.7:80"]),
            ("tcp:[::1]:80", &["[::1]:80"]),
            ("unix:/run/app.sock", &["/run/app.sock"]),
            ("http://127.0.0.1", &["127.0.0.1:80"]),
            ("http://127.0.0.1:8080/health?a=b:c/d", &["127.0.0.1:8080"]),
            ("http://[::1]/", &["[::1]:80"]),
            ("http://[::1]:8080/x", &["[::1]:8080"]),
        ] {
            assert_eq!(parsed(text).0, addresses, "{text}");
        }
        for (text, line, host) in [
            ("http://127.0.0.1", "GET / HTTP/1.1", "Host: 127.0.0.1"),
            ("http://127.0.0.1:8080?deep=1", "GET /?deep=1 HTTP/1.1", "Host: 127.0.0.1:8080"),
            ("http://[::1]:8080/ready/now", "GET /ready/now HTTP/1.1", "Host: [::1]:8080"),
        ] {
            let request = parsed(text).1.unwrap();
            assert_eq!(request.lines().take(2).collect::<Vec<_>>(), [line, host]);
            assert!(request.ends_with("\r\n\r\n"));
        }
        assert_eq!(parsed("tcp:80").1, None);
    }

    #[test]
    fn what_is_no_target_is_told_with_what_to_write() {
        for (text, sentence) in [
            ("localhost:80", "is no target; give tcp:PORT"),
            ("", "is no target"),
            ("tcp:", "\"\" is no port; give 1 to 65535"),
            ("tcp:0", "is no port"),
            ("tcp:65536", "is no port"),
            ("tcp:+80", "is no port"),
            ("tcp:localhost:80", "\"localhost\" is no address; a check looks up no names: give 127.0.0.1 or [::1]"),
            ("tcp:::1:80", "is no address"),
            ("http://localhost:8080/", "is no address"),
            ("http:///health", "is no address"),
            ("http://127.0.0.1:/x", "is no port"),
            ("http://127.0.0.1/a b", "has a ' ' in it"),
            ("http://127.0.0.1/a\r\nX: y", "has a '\\r' in it"),
            ("http://127.0.0.1/#x", "has a '#' in it"),
            ("http://user@127.0.0.1/", "is no address"),
            ("https://127.0.0.1/", "speaks no TLS"),
            ("unix:", "names no socket"),
        ] {
            let error = text.parse::<Target>().unwrap_err();
            assert!(error.contains(sentence), "{text:?}: {error}");
            assert!(!error.contains('\n'), "{error:?}");
        }
    }
}
