//! Addresses in the configuration: what is listened on, where caches and destinations are.
//!
//! Pure: text in, value or complaint out. Nothing is looked up; whether an address is this machine's own is
//! decided by how it is written (`localhost` or a loopback address), never by what a name resolves to.

use crate::config::fault::Complaint;
use crate::config::item::quoted;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use url::{Host, Url};

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Listen {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// A Unix socket at this absolute path.
    Unix(PathBuf),
}

impl Listen {
    pub(super) fn parse(text: &str) -> Result<Self, Complaint> {
        let hint = "\"IP:PORT\", \"[IPv6]:PORT\" or \"unix:/PATH\"";
        if let Some(path) = text.strip_prefix("unix:") {
            let plain = path.starts_with('/') && !path.ends_with('/') && !path.contains('\0');
            let wrong =
                || Complaint::new(format!("{} names no absolute path", quoted(text)), "\"unix:/PATH\"");
            return if plain { Ok(Self::Unix(path.into())) } else { Err(wrong()) };
        }
        text.parse().map(Self::Tcp).map_err(|_| {
            let found = format!("{} is no address to listen on", quoted(text));
            match text.rsplit_once(':') {
                Some(("localhost", port)) => {
                    Complaint::new(found, format!("\"127.0.0.1:{port}\" or \"[::1]:{port}\""))
                }
                _ => Complaint::new(found, hint),
            }
        })
    }

    /// Whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for Listen {
    /// As the configuration writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A host that a cache may send us to for bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// The host as a URL writes it: lower case, IPv6 addresses in brackets.
    pub host: Box<str>,
    /// The port; `None` is the scheme's own.
    pub port: Option<u16>,
}

impl HostPort {
    pub(super) fn parse(text: &str) -> Result<Self, Complaint> {
        let wrong = || {
            Complaint::new(
                format!("{} is no host", quoted(text)),
                "\"HOST\" or \"HOST:PORT\", without scheme and path",
            )
        };
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().map_err(|_| wrong())?)),
            _ => (text, None),
        };
        Ok(Self { host: host_name(host).ok_or_else(wrong)?, port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

/// A name to be reached by, as a URL would write it.
pub(super) fn parse_host(text: &str) -> Result<Box<str>, Complaint> {
    let wrong =
        || Complaint::new(format!("{} is no host name", quoted(text)), "a name or address without port");
    host_name(text).ok_or_else(wrong)
}

fn host_name(text: &str) -> Option<Box<str>> {
    // The URL standard lets nearly everything into a host; names that anybody has are made of these.
    let usual = |c: char| c.is_alphanumeric() || ".-_[]:".contains(c);
    if text.is_empty() || !text.chars().all(usual) {
        return None;
    }
    Host::parse(text).ok().map(|host| host.to_string().into())
}

/// Reads the URL of a cache: http(s), and nothing in it but host, port and path. The path ends in a slash
/// afterwards, so that names can be joined to it.
pub(super) fn parse_cache_url(text: &str) -> Result<Url, Complaint> {
    let hint = "\"https://HOST\" or \"https://HOST/PATH\"";
    let mut url = parse_url(text, hint)?;
    if !matches!(url.scheme(), "http" | "https") {
        let hint = match url.scheme() {
            "s3" => {
                "a bucket is read at its own address: \"https://BUCKET.s3.REGION.amazonaws.com\", or \
                     \"https://ENDPOINT/BUCKET\""
            }
            _ => hint,
        };
        return Err(Complaint::new(
            format!("{} is no cache that can be asked over http", quoted(text)),
            hint,
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        let hint = "only host, port and path: priority, keys and the like are keys of their own here";
        return Err(Complaint::new("the URL has parameters", hint));
    }
    end_in_slash(&mut url);
    Ok(url)
}

/// Reads a URL and refuses one with a user or a password in it.
pub(super) fn parse_url(text: &str, hint: &str) -> Result<Url, Complaint> {
    let url =
        Url::parse(text).map_err(|e| Complaint::new(format!("{} is no URL: {e}", quoted(text)), hint))?;
    if !url.username().is_empty() || url.password().is_some() {
        let hint = "credentials belong in a file of their own, named by `credentials-file`";
        return Err(Complaint::new("the URL contains credentials", hint));
    }
    Ok(url)
}

/// Adds the slash that makes the last part of the path a directory.
pub(super) fn end_in_slash(url: &mut Url) {
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
}

/// Whether what is said to this URL can be read or changed on the way: http to another machine.
pub(super) fn is_open_http(url: &Url) -> bool {
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "http" && !local
}

/// What hosts that probably belong together have in common: the last two labels of a name, the whole of an
/// address. A guess where countries sell names below a second label; only a warning and the operators that
/// `init` drafts rest on it.
pub fn neighbourhood(url: &Url) -> String {
    match url.host() {
        Some(Host::Domain(name)) => {
            let labels: Vec<&str> = name.trim_end_matches('.').rsplit('.').take(2).collect();
            labels.into_iter().rev().collect::<Vec<_>>().join(".")
        }
        Some(host) => host.to_string(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_addresses() {
        assert_eq!(Listen::parse("127.0.0.1:8419"), Ok(Listen::Tcp("127.0.0.1:8419".parse().unwrap())));
        assert_eq!(Listen::parse("[::1]:0").unwrap().to_string(), "[::1]:0");
        assert_eq!(Listen::parse("unix:/run/x.sock"), Ok(Listen::Unix("/run/x.sock".into())));
        for bad in
            ["", "127.0.0.1", ":80", "::1:80", "localhost:80", "unix:run", "unix:", "unix:/run/", "http://x"]
        {
            assert!(Listen::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Listen::parse("localhost:80").unwrap_err().would_do, "\"127.0.0.1:80\" or \"[::1]:80\"");
        assert!(Listen::parse("127.8.0.1:1").unwrap().is_local());
        assert!(!Listen::parse("0.0.0.0:1").unwrap().is_local());
    }

    #[test]
    fn hosts_with_and_without_port() {
        for (text, host, port) in [
            ("Nars.Example.ORG", "nars.example.org", None),
            ("h:8080", "h", Some(8080)),
            ("[::1]", "[::1]", None),
            ("[::1]:443", "[::1]", Some(443)),
            ("192.0.2.1:1", "192.0.2.1", Some(1)),
        ] {
            assert_eq!(HostPort::parse(text), Ok(HostPort { host: host.into(), port }), "{text}");
        }
        for bad in ["", ":80", "h:", "h:65536", "https://h", "h/x", "a b", "*.example.org", "u@h", "::1"] {
            assert!(HostPort::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(&*parse_host("MyHost.local").unwrap(), "myhost.local");
        assert!(parse_host("h:1").is_err());
    }

    #[test]
    fn cache_urls_end_in_a_slash() {
        let read = |text| parse_cache_url(text).map(|url| url.to_string());
        assert_eq!(read("https://cache.nixos.org"), Ok("https://cache.nixos.org/".to_owned()));
        assert_eq!(read("https://h/a"), Ok("https://h/a/".to_owned()));
        assert_eq!(read("http://h:81/a/"), Ok("http://h:81/a/".to_owned()));
        for (text, found) in [
            ("cache.nixos.org", "\"cache.nixos.org\" is no URL: relative URL without a base"),
            ("file:///x", "\"file:///x\" is no cache that can be asked over http"),
            ("https://h?priority=40", "the URL has parameters"),
            ("https://h/#x", "the URL has parameters"),
            ("https://u@h/", "the URL contains credentials"),
            ("https://:p@h/", "the URL contains credentials"),
        ] {
            assert_eq!(read(text).map_err(|c| c.found), Err(found.to_owned()), "{text}");
        }
        let hint = read("s3://acme-cache").map_err(|c| c.would_do);
        assert!(hint.unwrap_err().contains("https://ENDPOINT/BUCKET"));
    }

    #[test]
    fn only_localhost_and_loopback_addresses_are_this_machine() {
        for (text, open) in [
            ("http://localhost", false),
            ("http://127.0.0.1:80", false),
            ("http://127.1", false),
            ("http://[::1]", false),
            ("https://h", false),
            ("http://h", true),
            ("http://localhost.example.org", true),
            ("http://127.0.0.1.example.org", true),
            ("http://10.0.0.1", true),
            ("http://[::ffff:127.0.0.1]", true),
        ] {
            assert_eq!(is_open_http(&Url::parse(text).unwrap()), open, "{text}");
        }
    }

    #[test]
    fn neighbours_share_the_last_two_labels() {
        let of = |text| neighbourhood(&Url::parse(text).unwrap());
        assert_eq!(of("https://cache.nixos.org"), "nixos.org");
        assert_eq!(of("https://nixos.org."), "nixos.org");
        assert_eq!(of("http://localhost:1"), "localhost");
        assert_eq!(of("http://192.0.2.1"), "192.0.2.1");
    }
}
