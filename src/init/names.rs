//! Readable names for caches and signers, and a readable form for text from outside.
//!
//! Names are made of `a-z0-9-_` whatever the host or key is called, so that they need no quotes in TOML and fit
//! wherever the configuration takes a name.

use std::collections::BTreeSet;
use url::Host;

/// The name by which people would call what is behind a host: cache.nixos.org is "nixos".
pub(super) fn short(host: &str) -> String {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    match Host::parse(&host) {
        Ok(Host::Ipv4(address)) if !address.is_loopback() => return tidy(&format!("cache-{address}")),
        Ok(Host::Ipv6(address)) if !address.is_loopback() => return tidy(&format!("cache-{address}")),
        Ok(Host::Ipv4(_) | Host::Ipv6(_)) => return LOCAL.to_owned(),
        Ok(Host::Domain(name)) if name == "localhost" => return LOCAL.to_owned(),
        // A key's stem need not be a host.
        Ok(Host::Domain(_)) | Err(_) => {}
    }
    let labels: Vec<&str> = host.split('.').filter(|label| !label.is_empty()).collect();
    let hosted = HOSTERS.iter().any(|hoster| host.ends_with(hoster));
    let naming = match labels.split_last() {
        Some((_, [])) | None => labels.first(),
        Some((_, before)) => before.iter().find(|label| hosted || !SAYING_NOTHING.contains(label)),
    };
    tidy(naming.copied().unwrap_or(&host))
}

/// A name that is not taken yet, the first of these that is free, else the first with a number.
pub(super) fn unique<'a>(
    candidates: impl IntoIterator<Item = &'a str>,
    taken: &mut BTreeSet<String>,
) -> String {
    let candidates: Vec<String> = candidates.into_iter().map(tidy).collect();
    let first = candidates.first().cloned().unwrap_or_else(|| tidy(""));
    let numbered = (2_u32..).map(|number| format!("{first}-{number}"));
    let free = candidates.into_iter().chain(numbered).find(|name| !taken.contains(name)).unwrap_or(first);
    taken.insert(free.clone());
    free
}

/// A text made into a name: other characters become dashes, no two in a row, none at either end.
fn tidy(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars() {
        if name.len() >= LONGEST {
            break;
        }
        match c {
            'a'..='z' | '0'..='9' => name.push(c),
            'A'..='Z' => name.push(c.to_ascii_lowercase()),
            '_' if !name.is_empty() => name.push(c),
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    let name = name.trim_end_matches(['-', '_']);
    if name.is_empty() { "unnamed".to_owned() } else { name.to_owned() }
}

/// Text from outside on one line of ASCII, escaped, and cut off where it gets long.
pub fn shown(text: &str) -> String {
    let plain = |c: char| c == ' ' || c.is_ascii_graphic();
    let mut shown = String::new();
    for c in text.chars() {
        if shown.len() >= LONGEST_SHOWN {
            shown.push_str("...");
            break;
        }
        if plain(c) { shown.push(c) } else { shown.extend(c.escape_default()) }
    }
    shown
}

/// A substituter without what may be secret in it: user, password and the values of its parameters.
pub fn without_secrets(substituter: &str) -> String {
    let (scheme, rest) = substituter.split_once("://").map_or(("", substituter), |(s, rest)| (s, rest));
    let mark = if scheme.is_empty() { "" } else { "://" };
    // Whatever stands before the last @, for a password may contain what should have been escaped.
    let (hidden, rest) = rest.rsplit_once('@').map_or(("", rest), |(_, rest)| ("***@", rest));
    shown(&format!("{scheme}{mark}{hidden}{}", rest.split('?').next().unwrap_or_default()))
}

/// The name of what runs on this machine.
const LOCAL: &str = "local";
/// Who gives every customer a first label of their own.
const HOSTERS: &[&str] = &[".cachix.org"];
/// First labels that say what a host does, not whose it is.
const SAYING_NOTHING: &[&str] = &[
    "attic",
    "binary-cache",
    "binarycache",
    "cache",
    "caches",
    "dl",
    "harmonia",
    "hydra",
    "mirror",
    "mirrors",
    "nix",
    "nix-cache",
    "nixcache",
    "s3",
    "store",
    "substituter",
    "www",
];
/// Leaves room for a number within the 64 that a name may have.
const LONGEST: usize = 40;
/// Enough for a URL, short enough for a line.
const LONGEST_SHOWN: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hosts_are_called_by_whose_they_are() {
        for (host, name) in [
            ("cache.nixos.org", "nixos"),
            ("acme.cachix.org", "acme"),
            ("cache.cachix.org", "cache"),
            ("nix-community.cachix.org", "nix-community"),
            ("hydra.iohk.io", "iohk"),
            ("Nix-Cache.Acme.Example", "acme"),
            ("mirror.sjtu.edu.cn", "sjtu"),
            ("example.org", "example"),
            ("cache.org", "cache-org"),
            ("buildbox", "buildbox"),
            ("localhost", "local"),
            ("127.0.0.1", "local"),
            ("[::1]", "local"),
            ("192.0.2.7", "cache-192-0-2-7"),
            ("[2001:db8::7]", "cache-2001-db8-7"),
            ("xn--bcher-kva.example", "xn-bcher-kva"),
            ("", "unnamed"),
            ("...", "unnamed"),
        ] {
            assert_eq!(short(host), name, "{host}");
        }
    }

    #[test]
    fn names_are_given_once() {
        let mut taken = BTreeSet::new();
        let mut give = |candidates: &[&str]| unique(candidates.iter().copied(), &mut taken);
        assert_eq!(give(&["nixos", "cache.nixos.org"]), "nixos");
        assert_eq!(give(&["nixos", "hydra.nixos.org"]), "hydra-nixos-org");
        assert_eq!(give(&["nixos", "hydra.nixos.org"]), "nixos-2");
        assert_eq!(give(&["nixos"]), "nixos-3");
    }

    #[test]
    fn secrets_in_substituters_are_not_shown() {
        for (text, expected) in [
            ("https://u:pa?ss/@h/x?token=1", "https://***@h/x"),
            ("s3://bucket?secret-key=/k", "s3://bucket"),
            ("u:p@h", "***@h"),
            ("/var/cache", "/var/cache"),
            ("a\u{1b}[2J\nb", "a\\u{1b}[2J\\nb"),
        ] {
            assert_eq!(without_secrets(text), expected);
        }
        assert!(shown(&"x".repeat(9999)).len() < 200);
    }

    proptest! {
        #[test]
        fn every_name_can_stand_in_a_header(text in "\\PC{0,80}") {
            let name = unique([text.as_str(), short(&text).as_str()], &mut BTreeSet::new());
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
            prop_assert!(!name.is_empty() && name.len() <= 64 && name.chars().all(plain));
            prop_assert!(name.starts_with(|c: char| c.is_ascii_alphanumeric()));
        }

        #[test]
        fn what_is_shown_is_one_line_of_ascii(text in any::<String>()) {
            prop_assert!(shown(&text).chars().all(|c| c == ' ' || c.is_ascii_graphic()));
        }
    }
}
