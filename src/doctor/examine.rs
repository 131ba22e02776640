//! From facts to findings.

use crate::doctor::{
    Facts, Finding, Label, NixSettings, OwnSettings, Severity, StartedDaemon, hook, keys, substituters,
};
use crate::init::shown;

/// Everything that is found, the worst first.
pub fn examine(facts: &Facts) -> Vec<Finding> {
    let mut found = facts.unknown.clone();
    if let Some(nix) = &facts.nix {
        let is_open = keys::examine(facts, nix, &mut found);
        substituters::examine(facts, nix, is_open, &mut found);
        people(nix, &mut found);
        builders(facts, nix, &mut found);
    }
    found.extend(facts.daemon.as_ref().and_then(outdated));
    for own in &facts.own {
        found.extend(own_settings(own));
    }
    hook::examine(facts, &mut found);
    if let Some(installed) = &facts.installed {
        installed.findings(&mut found);
    }
    found.sort_by_key(|finding| finding.severity);
    found
}

/// A daemon that has not read what stands in its files by now.
fn outdated(daemon: &StartedDaemon) -> Option<Finding> {
    let is_newer = |(_, changed): &&(String, i64)| *changed > daemon.started.saturating_add(GRAIN);
    let files: Vec<String> = daemon.files.iter().filter(is_newer).map(|(file, _)| shown(file)).collect();
    (!files.is_empty()).then(|| {
        Finding::new(
            Label::DaemonOutdated,
            Severity::Weakness,
            format!("{} changed after the Nix daemon started (process {})", files.join(", "), daemon.process),
            "it goes by what it read then, and what is found here may not be so yet",
            "restart nix-daemon",
        )
    })
}

/// Who may do what root may, and who speaks through them.
fn people(nix: &NixSettings, found: &mut Vec<Finding>) {
    let users: Vec<&String> = nix.trusted_users.iter().filter(|user| *user != "root").collect();
    if !users.is_empty() {
        let everybody = if users.iter().any(|user| *user == "*") { "everybody" } else { "they" };
        let mut named: Vec<String> = users.iter().take(MOST_NAMED).map(|user| shown(user)).collect();
        if let Some(more) = users.len().checked_sub(MOST_NAMED).filter(|&more| more > 0) {
            named.push(format!("{more} more"));
        }
        found.push(Finding::new(
            Label::TrustedUser,
            Severity::WayAround,
            format!("trusted-users has {}{}", named.join(", "), nix.place("trusted-users", None)),
            format!("like root, {everybody} can bring in any path without a signature and set any substituter and key"),
            "set `trusted-users = root` in nix.conf",
        ));
    }
    if nix.accept_flake_config {
        found.push(Finding::new(
            Label::FlakeSettings,
            Severity::WayAround,
            format!("accept-flake-config is on{}", nix.place("accept-flake-config", None)),
            "a flake that root or a trusted user builds adds substituters and keys of its own, and nobody is asked",
            "set `accept-flake-config = false` in nix.conf, or leave it away",
        ));
    }
}

fn builders(facts: &Facts, nix: &NixSettings, found: &mut Vec<Finding>) {
    if facts.machines.is_empty() {
        return;
    }
    let mut named: Vec<String> = facts.machines.iter().take(MOST_NAMED).cloned().collect();
    if let Some(more) = facts.machines.len().checked_sub(MOST_NAMED).filter(|&more| more > 0) {
        named.push(format!("{more} more"));
    }
    let also = if nix.builders_use_substitutes {
        "; with builders-use-substitutes they fetch what they need from their own caches"
    } else {
        ""
    };
    found.push(Finding::new(
        Label::RemoteBuilder,
        Severity::WayAround,
        format!("other machines build for this one: {}{}", named.join(", "), nix.place("builders", None)),
        format!("what they send is taken without a signature{also}"),
        "set `builders =` (empty) in nix.conf, or know that each of them is trusted like root",
    ));
}

fn own_settings(own: &OwnSettings) -> Option<Finding> {
    let settings: Vec<&str> =
        own.settings.iter().copied().filter(|name| OF_INTEREST.contains(name)).collect();
    if settings.is_empty() {
        return None;
    }
    let what = format!("{} sets {} for {}", shown(&own.place), settings.join(", "), shown(&own.user));
    Some(if !own.is_heeded {
        Finding::new(
            Label::OwnSettings,
            Severity::Note,
            what,
            "the daemon does not heed it: that user is not trusted",
            "nothing, as long as trusted-users stays as it is",
        )
    } else {
        let opens = settings.iter().any(|name| OPENING.contains(name));
        Finding::new(
            Label::OwnSettings,
            if opens { Severity::WayAround } else { Severity::Weakness },
            what,
            "it replaces what nix.conf says for whatever that user, who is trusted, builds and installs",
            "remove it there; what all should have belongs into nix.conf",
        )
    })
}

/// Settings of one's own that are worth a word.
const OF_INTEREST: &[&str] = &[
    "accept-flake-config",
    "builders",
    "narinfo-cache-negative-ttl",
    "narinfo-cache-positive-ttl",
    "post-build-hook",
    "require-sigs",
    "secret-key-files",
    "substitute",
    "substituters",
    "trusted-public-keys",
];
/// Those of them that can let a path in.
const OPENING: &[&str] = &[
    "accept-flake-config",
    "builders",
    "require-sigs",
    "secret-key-files",
    "substituters",
    "trusted-public-keys",
];
/// How exactly the start of a process is known, in seconds: the kernel says when it booted to a second, rounded.
const GRAIN: i64 = 2;
/// How many of a kind a line names.
const MOST_NAMED: usize = 8;
