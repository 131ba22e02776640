//! Whom Nix asks beside us, and whether that matters.
//!
//! Another substituter is a way around only if something lets its paths in: a key beside ours, `trusted=1`, or no
//! signatures at all. Else it is told as what it is: somebody who learns what is installed here.

use crate::doctor::{Facts, Finding, Label, NixSettings, ProxyEnvironment, Severity, captures};
use crate::init::without_secrets;
use url::Url;

/// Looks at the substituters. `is_open`: a path can come in without a countersignature.
pub(super) fn examine(facts: &Facts, nix: &NixSettings, is_open: bool, found: &mut Vec<Finding>) {
    let mut is_asked = false;
    for text in &nix.substituters {
        let is_ours = url(text).is_some_and(|url| facts.ours.is_at(&url));
        is_asked |= is_ours;
        let what = format!("{}{}", without_secrets(text), nix.place("substituters", Some(text)));
        if is_unsigned(text) {
            found.push(unsigned(&what, "substituters", is_ours));
        } else if !is_ours {
            found.push(other(&what, is_open));
        }
    }
    for text in &nix.trusted_substituters {
        if url(text).is_some_and(|url| facts.ours.is_at(&url)) {
            continue;
        }
        let what = format!("{}{}", without_secrets(text), nix.place("trusted-substituters", Some(text)));
        found.push(if is_unsigned(text) {
            unsigned(&what, "trusted-substituters", false)
        } else {
            of_users(&what, is_open)
        });
    }
    asked(nix, is_asked, found);
    if is_asked && nix.substitute {
        ttls(nix, found);
        for environment in &facts.proxies {
            proxied(facts, nix, environment, found);
        }
    }
}

fn asked(nix: &NixSettings, is_asked: bool, found: &mut Vec<Finding>) {
    let (what, mend) = if !nix.substitute {
        (
            format!("substitute is off{}", nix.place("substitute", None)),
            "set `substitute = true` in nix.conf, or leave it away",
        )
    } else if !is_asked {
        (
            format!("Countersign is not among the substituters{}", nix.place("substituters", None)),
            "put the lines of `countersign key public --nix-conf` at the end of nix.conf, and restart nix-daemon",
        )
    } else {
        return;
    };
    found.push(Finding::new(
        Label::NotAsked,
        Severity::Weakness,
        what,
        "Nix builds everything itself, or takes it from elsewhere, and no policy is asked",
        mend,
    ));
}

fn unsigned(what: &str, setting: &str, is_ours: bool) -> Finding {
    if is_ours {
        return Finding::new(
            Label::UnsignedSubstituter,
            Severity::Weakness,
            format!("Countersign is asked with trusted=1, as {what}"),
            "Nix then needs no countersignature: whoever takes the port while the service is down is believed",
            "leave `trusted=1` away; the machine key is what Nix should trust",
        );
    }
    Finding::new(
        Label::UnsignedSubstituter,
        Severity::WayAround,
        format!("{setting} has {what} with trusted=1"),
        "whatever is there comes in without any signature, whichever keys are trusted",
        format!("remove it from {setting}; a cache that you need belongs into [caches] of the policy"),
    )
}

fn other(what: &str, is_open: bool) -> Finding {
    if is_open {
        return Finding::new(
            Label::OtherSubstituter,
            Severity::WayAround,
            format!("the substituter {what} is asked beside us"),
            "what it has under another trusted key, or under none where none is needed, comes in unseen",
            "leave Countersign alone in substituters; a cache that you need belongs into [caches] of the policy",
        );
    }
    Finding::new(
        Label::OtherSubstituter,
        Severity::Note,
        format!("the substituter {what} is asked beside us"),
        "nothing that it signed is trusted, so only content-addressed paths can come from it; it learns what you install",
        "leave Countersign alone in substituters, unless that is meant",
    )
}

fn of_users(what: &str, is_open: bool) -> Finding {
    let (severity, why) = match is_open {
        true => (
            Severity::WayAround,
            "what it has under another trusted key, or under none where none is needed, comes in unseen",
        ),
        false => (
            Severity::Note,
            "nothing that it signed is trusted, so only content-addressed paths can come from it",
        ),
    };
    Finding::new(
        Label::UserSubstituter,
        severity,
        format!("any user may have Nix ask {what}"),
        why,
        "remove it from trusted-substituters",
    )
}

fn ttls(nix: &NixSettings, found: &mut Vec<Finding>) {
    for (setting, value, most, why) in [
        (
            "narinfo-cache-negative-ttl",
            nix.negative_ttl,
            NEGATIVE_TTL,
            "what was refused once is built from source for as long, also when it would be endorsed",
        ),
        (
            "narinfo-cache-positive-ttl",
            nix.positive_ttl,
            POSITIVE_TTL,
            "what was endorsed once is planned with for as long, also when it is refused by now",
        ),
    ] {
        if value > most {
            found.push(Finding::new(
                Label::LongTtl,
                Severity::Weakness,
                format!("{setting} is {value} s{}", nix.place(setting, None)),
                why,
                format!("set `{setting} = {most}` in nix.conf; asking us again costs next to nothing"),
            ));
        }
    }
}

fn proxied(facts: &Facts, nix: &NixSettings, environment: &ProxyEnvironment, found: &mut Vec<Finding>) {
    let urls = nix.substituters.iter().filter_map(|text| url(text)).filter(|url| facts.ours.is_at(url));
    for url in urls {
        if let Some(variable) = captures(&environment.variables, &url) {
            let host = url.host_str().unwrap_or_default();
            found.push(Finding::new(
                Label::Proxied,
                Severity::Weakness,
                format!("{variable} in the environment of {} is for {host} too", environment.whose),
                "Nix then asks that proxy instead of us, and goes on without us when it cannot reach this machine",
                format!("add {host} to no_proxy in that environment, and restart nix-daemon"),
            ));
        }
    }
}

fn url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
}

/// Whether Nix asks it for no signature. Of a parameter that is written twice, versions of Nix take different ones.
fn is_unsigned(text: &str) -> bool {
    let parameters = text.split_once('?').map_or("", |(_, parameters)| parameters);
    let mut pairs = url::form_urlencoded::parse(parameters.as_bytes());
    pairs.any(|(name, value)| name == "trusted" && matches!(&*value, "1" | "true" | "yes"))
}

/// What README and `key public --nix-conf` set: a verdict may change at any time.
const NEGATIVE_TTL: u64 = 0;
const POSITIVE_TTL: u64 = 300;
