//! One substituter of nix.conf: a cache that can be asked over http, or why it cannot be one here.

use crate::config::neighbourhood;
use crate::init::names::without_secrets;
use crate::init::nix_conf::Word;
use url::{Host, Url};

/// A cache that can be asked.
#[derive(Clone, Debug)]
pub(super) struct Substituter {
    /// Without credentials and parameters, the path ending in a slash.
    pub(super) url: Url,
    /// The host, as a URL writes it.
    pub(super) host: String,
    /// Who probably runs it.
    pub(super) operator: String,
    /// `?priority=`, or what is known of the host.
    pub(super) priority: Option<u32>,
    /// `?trusted=1`: plain Nix asked for no signature.
    pub(super) trusted: bool,
    /// Whether user and password stood in the URL.
    pub(super) had_credentials: bool,
    /// The names of its other parameters.
    pub(super) dropped: Vec<String>,
}

/// What a substituter is for us.
#[derive(Debug)]
pub(super) enum Read {
    /// A cache.
    Cache(Substituter),
    /// Something else, and why it is left out.
    Not(&'static str),
    /// This very program.
    Ourselves,
}

/// Reads one.
pub(super) fn read(word: &Word) -> Read {
    let text = word.text.as_str();
    if text.len() > LONGEST {
        return Read::Not("it is longer than any URL that a cache has");
    }
    if !text.chars().all(|c| c.is_ascii_graphic()) {
        return Read::Not("it contains characters that no URL has");
    }
    let Ok(mut url) = Url::parse(text) else { return Read::Not(why_no_url(text)) };
    if !matches!(url.scheme(), "http" | "https") {
        return Read::Not(why_not_http(url.scheme()));
    }
    let Some(host) = url.host_str().map(str::to_owned) else { return Read::Not("it names no host") };
    if is_ourselves(&url) {
        return Read::Ourselves;
    }
    let (mut priority, mut trusted, mut dropped) = (None, false, Vec::new());
    for (name, value) in url.query_pairs() {
        match (&*name, value.parse()) {
            ("priority", Ok(number)) => priority = Some(number),
            ("trusted", _) => trusted = matches!(&*value, "1" | "true" | "yes"),
            _ => dropped.push(name.into_owned()),
        }
    }
    let had_credentials = !url.username().is_empty() || url.password().is_some();
    // These fail only for URLs without a host.
    if url.set_username("").and_then(|()| url.set_password(None)).is_err() {
        return Read::Not("its user and password cannot be taken out of the URL");
    }
    url.set_query(None);
    url.set_fragment(None);
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    let known = KNOWN_PRIORITIES.iter().find(|(known, _)| *known == host).map(|&(_, priority)| priority);
    let operator = neighbourhood(&url);
    priority = priority.or(known);
    Read::Cache(Substituter { url, host, operator, priority, trusted, had_credentials, dropped })
}

/// A line that says what is left out and why.
pub(super) fn left_out(word: &Word, why: &str) -> String {
    format!("substituter {} ({}): {why}", without_secrets(&word.text), word.place())
}

fn why_no_url(text: &str) -> &'static str {
    match text.split('?').next().unwrap_or_default() {
        "local" | "daemon" | "auto" => {
            "it is this machine's own store, which Countersign does not stand before"
        }
        path if path.starts_with('/') => "it is a directory; Countersign asks caches over http",
        _ => "it is no URL; write https://HOST",
    }
}

fn why_not_http(scheme: &str) -> &'static str {
    match scheme {
        "s3" => "Countersign asks caches over http; give the bucket's https address if it has one",
        "file" | "local" => "it is a directory; Countersign asks caches over http",
        "ssh" | "ssh-ng" => "it is another machine's store, without claims to compare; serve it over http",
        "unix" | "daemon" => "it is a daemon on this machine, which Countersign does not stand before",
        _ => "Countersign asks caches over http or https",
    }
}

/// Whether it is where Countersign listens, unless told otherwise.
fn is_ourselves(url: &Url) -> bool {
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    local && url.port_or_known_default() == Some(USUAL_PORT)
}

/// The port in `listen`'s default.
const USUAL_PORT: u16 = 8419;
/// Longer than the URL of any cache. A guess; with it the largest draft stays below 1 MiB.
const LONGEST: usize = 1024;
/// What a cache says of itself in /nix-cache-info, where everybody uses it.
const KNOWN_PRIORITIES: &[(&str, u32)] = &[("cache.nixos.org", 40)];

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Read {
        read(&Word { text: text.to_owned(), origin: None })
    }

    #[test]
    fn parameters_and_credentials_are_taken_off() {
        let Read::Cache(cache) = of("https://u:p@Cache.Acme.example:8443/x?priority=30&trusted=1&ttl=5")
        else {
            panic!("no cache")
        };
        assert_eq!(cache.url.as_str(), "https://cache.acme.example:8443/x/");
        assert_eq!((cache.host.as_str(), cache.operator.as_str()), ("cache.acme.example", "acme.example"));
        assert_eq!((cache.priority, cache.trusted, cache.had_credentials), (Some(30), true, true));
        assert_eq!(cache.dropped, ["ttl"]);
        let Read::Cache(cache) = of("https://h.example?priority=-1&trusted=false") else {
            panic!("no cache")
        };
        assert_eq!((cache.priority, cache.trusted, cache.dropped.len()), (None, false, 1));
        let Read::Cache(nixos) = of("https://cache.nixos.org") else { panic!("no cache") };
        assert_eq!(nixos.priority, Some(40));
    }

    #[test]
    fn other_stores_are_no_caches() {
        for (text, why) in [
            ("s3://bucket?region=x", "https address"),
            ("file:///srv/cache", "directory"),
            ("/srv/cache", "directory"),
            ("ssh-ng://builder", "another machine"),
            ("daemon", "own store"),
            ("auto?x=1", "own store"),
            ("unix:///run/x", "daemon"),
            ("cache.nixos.org", "no URL"),
            ("ftp://h", "http or https"),
            ("https://", "no URL"),
            ("https://h\u{1b}.example", "characters"),
            ("https://h/\u{202e}", "characters"),
        ] {
            let Read::Not(found) = of(text) else { panic!("{text} is taken") };
            assert!(found.contains(why), "{text}: {found}");
        }
        assert!(matches!(of(&format!("https://h/{}", "x".repeat(2000))), Read::Not(_)));
    }

    #[test]
    fn we_do_not_ask_ourselves() {
        for text in ["http://127.0.0.1:8419", "http://localhost:8419/", "http://[::1]:8419?priority=1"] {
            assert!(matches!(of(text), Read::Ourselves), "{text}");
        }
        for text in ["http://127.0.0.1:8418", "http://h.example:8419"] {
            assert!(matches!(of(text), Read::Cache(_)), "{text}");
        }
    }
}
