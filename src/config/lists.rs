//! Checks of the policy's lists: what is there twice, missing, or in a circle.

use crate::config::address::end_in_slash;
use crate::config::destination::{RawDestination, Target};
use crate::config::draft::Raw;
use crate::config::fault::{At, Located};
use crate::config::item::quoted;
use crate::config::read::Desk;
use crate::config::rules::RawPackages;
use crate::config::signers::RawSigner;
use crate::trust::SignerId;
use std::collections::BTreeMap;

/// Checks what needs more than one entry to be seen, and no judging. Says whether voices can be counted.
pub(super) fn check_lists(raw: &Raw, destinations: &[RawDestination], desk: &Desk) -> bool {
    check_presence(raw, desk);
    check_keys(&raw.signers, desk);
    check_last_rule(raw, desk);
    let rule_names = raw.rules.iter().filter_map(|rule| rule.name.as_ref());
    let twice = |name: &Located<Box<str>>| format!("there are two rules called {}", quoted(&name.value));
    unique(rule_names.map(|name| (name.value.to_string(), name)), twice, "another name", desk);
    let urls = raw.caches.iter().filter_map(|cache| cache.url.as_ref());
    let hint = "one [caches.NAME] for each cache: asked twice, it would still be one voice";
    unique(
        urls.map(|url| (url.value.to_string(), url)),
        |_| "another cache has the same URL".to_owned(),
        hint,
        desk,
    );
    let targets = destinations.iter().map(|d| (target_key(&d.url.value), &d.url));
    let hint = "one [destinations.NAME] with the packages of both";
    unique(targets, |_| "another destination has the same URL".to_owned(), hint, desk);
    check_lineage(&raw.signers, desk)
}

/// Reports every entry whose key was there before.
fn unique<'a, T: 'a>(
    entries: impl Iterator<Item = (String, &'a Located<T>)>,
    found: impl Fn(&Located<T>) -> String,
    would_do: &str,
    desk: &Desk,
) {
    let mut seen: BTreeMap<String, &At> = BTreeMap::new();
    for (key, entry) in entries {
        if let Some(first) = seen.get(&key) {
            desk.put(entry.at.error(found(entry), would_do).aside(first, "the first is here"));
        } else {
            seen.insert(key, &entry.at);
        }
    }
}

/// A destination's URL in one spelling.
fn target_key(target: &Target) -> String {
    match target {
        Target::Directory(path) => format!("file:{}", path.components().as_path().display()),
        Target::Http(url) => {
            let mut url = url.clone();
            end_in_slash(&mut url);
            url.to_string()
        }
        // The rest says how a bucket is reached, not which one it is.
        Target::S3(bucket) => {
            let endpoint = bucket.endpoint.as_ref().map_or("", |url| url.as_str());
            format!("s3://{}/{} {endpoint}", bucket.name, bucket.prefix)
        }
    }
}

/// One of each at least. If a section is there, the built-in ones of the other two are not.
fn check_presence(raw: &Raw, desk: &Desk) {
    if !desk.complete {
        return;
    }
    let why = "a file with [signers], [caches] or [[rules]] replaces the built-in ones of all three";
    for (missing, key, what, example) in [
        (raw.signers.is_empty(), "signers", "signer", "[signers.NAME] with keys"),
        (raw.caches.is_empty(), "caches", "cache", "[caches.NAME] with a url"),
        (raw.rules.is_empty(), "rules", "rule", "[[rules]] with a name and signatures"),
    ] {
        if missing {
            desk.put(At::nowhere(key).error(format!("there is no {what}"), format!("{example}; {why}")));
        }
    }
    if let Some(first) = raw.signers.get(SignerId::MOST) {
        let found = format!("there are more than {} signers", SignerId::MOST);
        desk.put(first.at().error(found, "fewer signers; one party may have many keys"));
    }
}

/// One key is one voice: nobody may hold it twice, and nobody may hold another's.
fn check_keys(signers: &[RawSigner], desk: &Desk) {
    let mut seen: BTreeMap<[u8; 32], (&RawSigner, &At, String)> = BTreeMap::new();
    for signer in signers {
        for key in &signer.keys {
            let name = key.value.key.name().to_string();
            let Some((first, at, first_name)) = seen.get(key.value.key.bytes()) else {
                seen.insert(*key.value.key.bytes(), (signer, &key.at, name));
                continue;
            };
            let same_party = first.name.value == signer.name.value;
            let found = match (same_party, *first_name == name) {
                (false, _) => format!("signer {} has the same key", quoted(&first.name.value)),
                (true, true) => "the key stands here twice".to_owned(),
                (true, false) => format!("the key stands here already, called {}", quoted(first_name)),
            };
            let hint = match same_party {
                true => "once is enough: keys are told apart by their bytes, not by their names",
                false => "one signer for each party: two with one key would be one voice counted twice",
            };
            desk.put(key.at.error(found, hint).aside(at, "the first is here"));
        }
    }
}

/// No signer copies, through others, from itself, and few enough copy from several for voices to be counted.
fn check_lineage(signers: &[RawSigner], desk: &Desk) -> bool {
    let sources = |signer: &RawSigner| -> Vec<usize> {
        let position = |name: &str| signers.iter().position(|s| *s.name.value == *name);
        signer.derives_from.iter().filter_map(|name| position(&name.value)).collect()
    };
    let edges: Vec<Vec<usize>> = signers.iter().map(sources).collect();
    let mut resigners: Vec<&RawSigner> = Vec::new();
    let mut in_circle = false;
    for (index, signer) in signers.iter().enumerate() {
        let (mut reached, mut open, mut roots) = (vec![false; signers.len()], vec![index], 0_usize);
        while let Some(at) = open.pop() {
            let from = edges.get(at).map_or(&[][..], Vec::as_slice);
            roots = roots.saturating_add(usize::from(from.is_empty()));
            for &source in from {
                if let Some(seen @ false) = reached.get_mut(source) {
                    *seen = true;
                    open.push(source);
                }
            }
        }
        if reached.get(index) == Some(&true) {
            in_circle = true;
            let at = signer.derives_from.first().map_or_else(|| signer.at(), |first| &first.at);
            let found =
                format!("{} derives, perhaps through others, from itself", quoted(&signer.name.value));
            desk.put(at.error(found, "only the signers whose paths it copies and re-signs"));
        } else if roots > 1 {
            resigners.push(signer);
        }
    }
    if let (false, Some(one_more)) = (in_circle, resigners.get(MOST_RESIGNERS)) {
        let found = format!("more than {MOST_RESIGNERS} signers derive from several others");
        desk.put(
            one_more.at().error(found, "fewer such signers: independent voices could not be counted in time"),
        );
    }
    !in_circle && resigners.len() <= MOST_RESIGNERS
}

/// The last rule, and no other, is for all that the others leave.
fn check_last_rule(raw: &Raw, desk: &Desk) {
    let Some((last, earlier)) = raw.rules.split_last() else { return };
    for rule in earlier {
        if matches!(rule.packages, RawPackages::Rest) {
            let found =
                "the rule has no `packages` and is not the last: nothing would reach the rules after it";
            desk.put(
                rule.at
                    .error(found, "`packages = [\"…\"]`, or the rule moved to the end")
                    .aside(&last.at, "the last rule is here"),
            );
        }
    }
    if let (RawPackages::Globs(_, at) | RawPackages::Unreadable(at), true) = (&last.packages, desk.complete) {
        let found = "the last rule has `packages`: no rule is left for what they do not match";
        desk.put(at.error(found, "a last rule without `packages`, for everything else"));
    }
}

/// As in [`crate::trust::Policy::new`], which counts voices by trying each of these with and without.
const MOST_RESIGNERS: usize = 16;
