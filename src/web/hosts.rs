//! Which names we answer to: a Host that is not ours gets 421, so that a web page cannot reach us under a
//! name of its own (DNS rebinding).

use std::net::IpAddr;
use std::sync::OnceLock;

/// The names and addresses that are ours.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    names: Vec<Box<str>>,
    addresses: Vec<IpAddr>,
    any_address: bool,
    /// The first that was found to be ours: every client that has the same URL names the same.
    usual: OnceLock<Box<str>>,
}

impl Hosts {
    /// `localhost`, the loopback addresses, the addresses listened on, and the configured names. Listening on
    /// an unspecified address makes every address ours; a name never follows from that.
    pub fn new(configured: &[String], listening: impl Iterator<Item = IpAddr>) -> Self {
        let addresses: Vec<IpAddr> = listening.collect();
        let any_address = addresses.iter().any(IpAddr::is_unspecified);
        let names = configured.iter().map(|n| n.to_ascii_lowercase().into()).collect();
        Self { names, addresses, any_address, usual: OnceLock::new() }
    }

    /// Whether the value of a Host header, or the authority of an absolute request, is ours.
    pub fn include(&self, authority: &str) -> bool {
        if self.usual.get().is_some_and(|usual| &**usual == authority) {
            return true;
        }
        let is_ours = self.find(authority);
        if is_ours {
            // Whichever is first.
            self.usual.get_or_init(|| authority.into());
        }
        is_ours
    }

    fn find(&self, authority: &str) -> bool {
        let Some(host) = host_of(authority) else { return false };
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return self.any_address || address.is_loopback() || self.addresses.contains(&address);
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        host.eq_ignore_ascii_case("localhost")
            || self.names.iter().any(|name| host.eq_ignore_ascii_case(name))
    }
}

/// The host of `host`, `host:port`, `[v6]` or `[v6]:port`.
fn host_of(authority: &str) -> Option<&str> {
    let end = match authority.rfind(']') {
        Some(bracket) => bracket.checked_add(1)?,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at_checked(end)?;
    let is_port = port.is_empty()
        || port.strip_prefix(':').is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    (is_port && !host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(listening: &[&str]) -> Hosts {
        Hosts::new(&["Cache.Example".to_owned()], listening.iter().map(|a| a.parse().unwrap()))
    }

    #[test]
    fn our_own_names_are_ours() {
        let hosts = hosts(&["127.0.0.1", "192.0.2.7"]);
        for ours in [
            "localhost",
            "LOCALHOST:8419",
            "localhost.:8419",
            "127.0.0.1",
            "127.0.0.1:8419",
            "127.9.9.9:1",
            "[::1]:8419",
            "[::1]",
            "192.0.2.7:80",
            "cache.example:8419",
        ] {
            assert!(hosts.include(ours), "{ours}");
        }
    }

    #[test]
    fn names_of_others_are_not() {
        let hosts = hosts(&["127.0.0.1"]);
        for other in [
            "",
            ":8419",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.example:8419",
            "192.0.2.7",
            "localhost:",
            "localhost:80a",
            "localhost:80:80",
            "[::2]",
            "user@localhost",
        ] {
            assert!(!hosts.include(other), "{other}");
        }
    }

    #[test]
    fn listening_everywhere_makes_every_address_ours_and_no_name() {
        let hosts = hosts(&["0.0.0.0"]);
        assert!(hosts.include("192.0.2.9:8419"));
        assert!(!hosts.include("evil.example"));
    }
}
