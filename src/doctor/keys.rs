//! Which signatures let a path in, beside the countersignature.

use crate::config::Mode;
use crate::doctor::facts::{is_observe_key, mode_name};
use crate::doctor::{Facts, Finding, Label, NixSettings, Ours, Service, Severity};
use crate::format::VerifyingKey;
use crate::init::shown;
use std::collections::BTreeSet;

/// Looks at the keys; returns whether a path can come in without a countersignature, once somebody offers it.
pub(super) fn examine(facts: &Facts, nix: &NixSettings, found: &mut Vec<Finding>) -> bool {
    let ours = &facts.ours;
    let expected = ours.expected();
    modes(ours, expected.as_ref(), found);
    if !nix.require_sigs {
        found.push(Finding::new(
            Label::SignaturesOff,
            Severity::WayAround,
            format!("require-sigs is off{}", nix.place("require-sigs", None)),
            "any substituter and any user can bring in any contents for any path, unsigned",
            "set `require-sigs = true` in nix.conf",
        ));
    }
    let (mut is_trusted, mut is_open) = (false, !nix.require_sigs);
    let mut names = BTreeSet::new();
    for (index, text) in nix.trusted_public_keys.iter().enumerate() {
        // NixOS/nix `getDefaultPublicKeys` keeps the first of a name.
        if !names.insert(text.split(':').next().unwrap_or_default()) {
            continue;
        }
        let place = nix.place("trusted-public-keys", Some(text));
        match whose(text, ours, expected.as_ref()) {
            Whose::Expected => is_trusted = true,
            Whose::Machine => {}
            Whose::Observe(name) => {
                is_open = true;
                found.push(Finding::new(
                    Label::ObserveKeyTrusted,
                    Severity::WayAround,
                    format!("the observe key {name} is trusted{place}"),
                    "it countersigned what was only observed, and never judged by the policy",
                    ALONE,
                ));
            }
            Whose::Retired(name) => {
                is_open = true;
                found.push(Finding::new(
                    Label::RetiredKeyTrusted,
                    Severity::WayAround,
                    format!("{name}, which was rotated out, is trusted{place}"),
                    "what it countersigned before comes in whatever the policy says now",
                    ALONE,
                ));
            }
            Whose::Other(name) => {
                is_open = true;
                // What has no name may be a secret.
                let name =
                    name.map_or_else(|| format!("number {}", index.saturating_add(1)), |name| shown(&name));
                found.push(Finding::new(
                    Label::OtherKey,
                    Severity::WayAround,
                    format!("the key {name} is trusted{place}"),
                    "what it signed comes in from any substituter or user, and nobody asks us",
                    ALONE,
                ));
            }
        }
    }
    if !nix.secret_key_files.is_empty() {
        is_open = true;
        let files: Vec<String> =
            nix.secret_key_files.iter().take(MOST_NAMED).map(|file| shown(file)).collect();
        found.push(Finding::new(
            Label::SecretKeyFile,
            Severity::WayAround,
            format!("secret-key-files names {}{}", files.join(", "), nix.place("secret-key-files", None)),
            "Nix trusts what those keys signed as if they were trusted-public-keys: who has one goes around us",
            "remove the setting from nix.conf; what is built here can be signed by `upload.signing-key-files` instead",
        ));
    }
    if let (false, Some(key)) = (is_trusted, &expected) {
        found.push(Finding::new(
            Label::MachineKeyNotTrusted,
            Severity::Weakness,
            format!("{} is not among the trusted-public-keys", key.name()),
            format!("Nix takes nothing that is served in mode {}", mode_name(ours.mode)),
            "put the lines of `countersign key public --nix-conf` at the end of nix.conf, and restart nix-daemon",
        ));
    }
    is_open
}

/// What mode and service mean.
fn modes(ours: &Ours, expected: Option<&VerifyingKey>, found: &mut Vec<Finding>) {
    if ours.mode == Mode::Observe {
        found.push(Finding::new(
            Label::Observing,
            Severity::WayAround,
            "the mode is observe",
            "everything is decided and recorded, and nothing enforced",
            "set `mode = \"enforce\"` in the configuration, reload, and renew the key in nix.conf \
             (`countersign key public --nix-conf`)",
        ));
    }
    match &ours.service {
        Some(Service::Silent) => found.push(Finding::new(
            Label::ServiceSilent,
            Severity::Weakness,
            "no service answers on the control socket",
            "Nix goes past a substituter that does not answer, and builds everything itself",
            "start `countersign serve`, or name its configuration with --config",
        )),
        Some(Service::Running { mode, key }) => {
            let name = key.split(':').next().unwrap_or_default();
            let differs = expected.is_some_and(|expected| *key != expected.to_string());
            if differs || mode != mode_name(ours.mode) {
                found.push(Finding::new(
                    Label::OtherService,
                    Severity::Weakness,
                    format!("the running service countersigns with {} in mode {}", shown(name), shown(mode)),
                    format!(
                        "the configuration says mode {}, and Nix is told accordingly",
                        mode_name(ours.mode)
                    ),
                    "reload it (SIGHUP), or name its configuration with --config",
                ));
            }
        }
        None => {}
    }
    if expected.is_none() {
        let kind = match ours.mode {
            Mode::Enforce => "machine",
            Mode::Observe => "observe",
        };
        let else_unknown = if ours.all.is_empty() { ", and no trusted key is known to be ours" } else { "" };
        found.push(Finding::new(
            Label::NoMachineKey,
            Severity::Weakness,
            format!("there is no {kind} key in {}", shown(&ours.state_directory)),
            format!("Nix cannot trust what is served in mode {}{else_unknown}", mode_name(ours.mode)),
            "start `countersign serve`, which makes it, or name its configuration with --config \
             (its `state-directory`, else $STATE_DIRECTORY, is where the keys are)",
        ));
    }
}

/// Whose a trusted key is.
enum Whose {
    /// What the mode countersigns with.
    Expected,
    /// The machine key, while observing: it endorsed what it countersigned.
    Machine,
    Observe(String),
    Retired(String),
    /// Somebody else's, by its name if it has one.
    Other(Option<String>),
}

fn whose(text: &str, ours: &Ours, expected: Option<&VerifyingKey>) -> Whose {
    let Ok(key) = VerifyingKey::parse(text) else {
        let name = text.split_once(':').map(|(name, _)| name.to_owned());
        return Whose::Other(name.filter(|name| !name.is_empty()));
    };
    let is = |other: Option<&VerifyingKey>| other.is_some_and(|other| other.same_key(&key));
    let name = key.name().to_string();
    if is(expected) {
        // Nix looks a key up by its name: ours under another verifies nothing, and harms nobody.
        let same_name = expected.is_some_and(|expected| expected.name() == key.name());
        return if same_name { Whose::Expected } else { Whose::Machine };
    }
    if is(ours.machine.as_ref()) {
        return Whose::Machine;
    }
    match ours.all.iter().find(|known| known.same_key(&key)) {
        Some(known) if is_observe_key(known) && ours.mode == Mode::Enforce => Whose::Observe(name),
        Some(_) => Whose::Retired(name),
        None => Whose::Other(Some(name)),
    }
}

/// What closes every way that a key opens.
const ALONE: &str =
    "leave our key alone in trusted-public-keys; `countersign key public --nix-conf` prints the line";
/// How many files a line names.
const MOST_NAMED: usize = 8;
