//! Which proxy libcurl would ask for a URL: Nix fetches by libcurl, and libcurl asks a proxy even for 127.0.0.1.
//!
//! Source: curl `lib/url.c` (`detect_proxy`) and `lib/noproxy.c`. `http_proxy` counts in lower case alone, the
//! others in both, lower case first; an empty variable is as if it were not set. `no_proxy` is a list separated by
//! commas and spaces: names match themselves and what lies below them, addresses themselves and, since curl 7.86,
//! networks; only a list that is `*` and nothing else is for all.

use core::net::IpAddr;
use url::{Host, Url};

/// The variable that has libcurl ask a proxy for this URL; `None` if it goes there itself.
pub fn captures<'a>(variables: &'a [(String, String)], url: &Url) -> Option<&'a str> {
    let set = |name: &str| variables.iter().find(|(found, value)| found == name && !value.is_empty());
    let names: &[&str] = match url.scheme() {
        "https" => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        // HTTP_PROXY is what a CGI program is given for a header `Proxy:`; libcurl does not look at it.
        "http" => &["http_proxy", "all_proxy", "ALL_PROXY"],
        _ => return None,
    };
    let (name, _) = names.iter().find_map(|name| set(name))?;
    let spared = ["no_proxy", "NO_PROXY"].iter().find_map(|name| set(name));
    let is_spared = spared.is_some_and(|(_, list)| spares(list, url));
    (!is_spared).then_some(name.as_str())
}

fn spares(list: &str, url: &Url) -> bool {
    if list == "*" {
        return true;
    }
    let entries = list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
    match url.host() {
        Some(Host::Ipv4(ip)) => entries.into_iter().any(|entry| spares_address(entry, ip.into())),
        Some(Host::Ipv6(ip)) => entries.into_iter().any(|entry| spares_address(entry, ip.into())),
        Some(Host::Domain(name)) => entries.into_iter().any(|entry| spares_name(entry, name)),
        None => false,
    }
}

fn spares_name(entry: &str, name: &str) -> bool {
    let entry = entry.trim_matches('.').to_ascii_lowercase();
    let name = name.trim_end_matches('.');
    let below = || name.strip_suffix(&entry).is_some_and(|rest| rest.ends_with('.'));
    !entry.is_empty() && (name == entry || below())
}

fn spares_address(entry: &str, address: IpAddr) -> bool {
    let entry = entry.trim_start_matches('[').replace(']', "");
    let (network, bits) = match entry.split_once('/') {
        Some((network, bits)) => (network, bits.parse().ok()),
        None => (entry.as_str(), Some(128)),
    };
    match (network.parse(), address, bits) {
        (Ok(IpAddr::V4(network)), IpAddr::V4(address), Some(bits)) => {
            let shift = 32_u32.saturating_sub(bits);
            shifted(network.to_bits().into(), shift) == shifted(address.to_bits().into(), shift)
        }
        (Ok(IpAddr::V6(network)), IpAddr::V6(address), Some(bits)) => {
            let shift = 128_u32.saturating_sub(bits);
            shifted(network.to_bits(), shift) == shifted(address.to_bits(), shift)
        }
        _ => false,
    }
}

fn shifted(bits: u128, by: u32) -> u128 {
    bits.checked_shr(by).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let variables: Vec<_> = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        captures(&variables, &Url::parse(url).unwrap()).map(str::to_owned)
    }

    const US: &str = "http://127.0.0.1:8419";

    #[test]
    fn the_variable_that_libcurl_looks_at() {
        for (variable, url, expected) in [
            ("http_proxy", US, true),
            ("HTTP_PROXY", US, false),
            ("https_proxy", US, false),
            ("all_proxy", US, true),
            ("ALL_PROXY", US, true),
            ("HTTPS_PROXY", "https://localhost", true),
            ("https_proxy", "https://localhost", true),
            ("http_proxy", "https://localhost", false),
        ] {
            let found = of(&[(variable, "http://proxy:3128")], url);
            assert_eq!(found.as_deref(), expected.then_some(variable), "{variable} {url}");
        }
        assert_eq!(of(&[("http_proxy", ""), ("all_proxy", "x")], US).as_deref(), Some("all_proxy"));
        assert_eq!(of(&[("all_proxy", "x"), ("http_proxy", "y")], US).as_deref(), Some("http_proxy"));
        assert_eq!(of(&[], US), None);
    }

    #[test]
    fn what_no_proxy_spares() {
        for (list, url, spared) in [
            ("127.0.0.1,localhost", US, true),
            ("localhost", US, false),
            ("localhost 127.0.0.1", US, true),
            ("127.0.0.0/8", US, true),
            ("127.0.0.0/x", US, false),
            ("10.0.0.0/8", US, false),
            ("0.0.0.0/0", US, true),
            ("127.0.0.1:8419", US, false),
            ("*", US, true),
            ("*,x", US, false),
            ("", US, false),
            (".localhost", "http://localhost:8419", true),
            ("LOCALHOST", "http://localhost:8419", true),
            ("host", "http://localhost:8419", false),
            ("example.org", "http://a.example.org", true),
            ("example.org", "http://aexample.org", false),
            ("::1", "http://[::1]:8419", true),
            ("[::1]", "http://[::1]:8419", true),
            ("::2", "http://[::1]:8419", false),
            ("127.0.0.1", "http://[::1]:8419", false),
        ] {
            let found = of(&[("http_proxy", "p"), ("no_proxy", list)], url);
            assert_eq!(found.is_none(), spared, "{list:?} {url}");
        }
        // Upper case counts where lower case is not set.
        assert_eq!(of(&[("http_proxy", "p"), ("NO_PROXY", "127.0.0.1")], US), None);
        let both = [("http_proxy", "p"), ("NO_PROXY", "127.0.0.1"), ("no_proxy", "x")];
        assert_eq!(of(&both, US).as_deref(), Some("http_proxy"));
    }
}
