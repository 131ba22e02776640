//! The rule: the same requests, each answered by the same class of status, and the same outcome, but for
//! differences that are listed here by name, each with its reason.

use crate::clients::scene::Outcome;
use crate::support::nix::{Closure, hash_part};
use crate::support::recorder::Exchange;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// A difference that may be.
pub struct Difference {
    pub name: &'static str,
    pub reason: &'static str,
    /// Takes away from a text what differs.
    without: fn(&str) -> String,
}

/// All that may differ in what a command prints. That a NAR's URL is ours is in [`Names`].
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        name: "countersignature",
        reason: "a path has one signature more, the machine key's",
        without: |text| {
            let text = text.replace("imported 1 signatures", "imported 2 signatures");
            each_json(&text, |about| {
                if let Some(Value::Array(signatures)) = about.get_mut("signatures") {
                    signatures.retain(|s| !s.as_str().is_some_and(|s| s.starts_with(OURS)));
                }
            })
            .unwrap_or_else(|| {
                let words = text.split_inclusive(char::is_whitespace);
                words.filter(|word| !word.starts_with(OURS)).collect()
            })
        },
    },
    Difference {
        name: "uncompressed",
        reason: "we serve the NAR as it is, so its compression, file hash and download size are other ones",
        without: |text| {
            each_json(text, |about| {
                for key in ["url", "compression", "downloadHash", "downloadSize"] {
                    about.remove(key);
                }
            })
            .unwrap_or_else(|| {
                let size = |line: &str| match (line.find(" ("), line.find(" download, ")) {
                    (Some(from), Some(to)) if from < to => format!("{}{}\n", &line[..from], &line[to..]),
                    _ => format!("{line}\n"),
                };
                text.lines().map(size).collect()
            })
        },
    },
    Difference {
        name: "words-of-405",
        reason: "nginx refuses a PUT with a page, we with an empty body and the standard's words",
        without: |text| {
            let text = text.replace("('Method Not Allowed')", "('Not Allowed')");
            let is_page = |line: &str| line.trim().is_empty() || line.trim().starts_with(['<', 'r']);
            text.lines().filter(|line| !is_page(line)).map(|line| format!("{line}\n")).collect()
        },
    },
];

const OURS: &str = "countersign-machine-";

/// Changes what a command's JSON says of each path; `None` if it is no JSON.
fn each_json(text: &str, change: impl Fn(&mut serde_json::Map<String, Value>)) -> Option<String> {
    let mut json: Value = serde_json::from_str(text).ok()?;
    let paths: Vec<&mut Value> = match &mut json {
        Value::Array(paths) => paths.iter_mut().collect(),
        Value::Object(paths) => paths.values_mut().collect(),
        _ => return None,
    };
    paths.into_iter().filter_map(Value::as_object_mut).for_each(change);
    Some(json.to_string())
}

/// The names of the differences that there are; what differs beyond them.
pub fn compare(names: &Names, ordinary: &Outcome, ours: &Outcome) -> Result<BTreeSet<&'static str>, String> {
    let requests = |outcome: &Outcome| -> BTreeMap<(String, u16), usize> {
        let mut counted = BTreeMap::new();
        for exchange in &outcome.exchanges {
            let key = (names.request(exchange), exchange.status / 100);
            *counted.entry(key).or_default() += 1;
        }
        counted
    };
    let status = |outcome: &Outcome| (outcome.status.clone(), outcome.stderr.clone());
    if ordinary.status != ours.status {
        equal("status", &status(ordinary), &status(ours))?;
    }
    equal("requests", &requests(ordinary), &requests(ours))?;
    equal("store", &ordinary.store, &ours.store)?;
    for exchange in ordinary.exchanges.iter().chain(&ours.exchanges) {
        if let Some(fault) = fault(exchange) {
            return Err(format!("{} {}: {fault}", exchange.method, exchange.path));
        }
    }
    let mut used = BTreeSet::new();
    equal_but("stdout", &ordinary.stdout, &ours.stdout, &mut used)?;
    equal_but("stderr", &said(ordinary), &said(ours), &mut used)?;
    Ok(used)
}

/// What no cache may do, the ordinary one or ours.
fn fault(exchange: &Exchange) -> Option<&'static str> {
    let has = |name: &str| exchange.answered_with.iter().any(|(n, _)| n == name);
    match exchange.status {
        0 => Some("no answer"),
        _ if !exchange.is_whole => Some("the answer was cut"),
        200 if !has("content-length") => Some("the length is not said"),
        200 if has("content-encoding") => Some("encoded, which not every version decodes"),
        200 if exchange.path.starts_with("/nar/") && !has("accept-ranges") => Some("cannot be gone on with"),
        _ => None,
    }
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, ordinary: &T, ours: &T) -> Result<(), String> {
    match ordinary == ours {
        true => Ok(()),
        false => Err(format!("{what}\n  ordinary: {ordinary:.4000?}\n  ours: {ours:.4000?}")),
    }
}

fn equal_but(
    what: &str,
    ordinary: &str,
    ours: &str,
    used: &mut BTreeSet<&'static str>,
) -> Result<(), String> {
    let plain = |text: &str| each_json(text, |_| {}).unwrap_or_else(|| text.to_owned());
    let (mut ordinary, mut ours) = (plain(ordinary), plain(ours));
    for difference in DIFFERENCES {
        if ordinary == ours {
            return Ok(());
        }
        let without = ((difference.without)(&ordinary), (difference.without)(&ours));
        // What takes away the same from both is not where they differ.
        let is_nearer = without.0 == without.1 || (without.0 == ordinary) != (without.1 == ours);
        if is_nearer {
            used.insert(difference.name);
            (ordinary, ours) = without;
        }
    }
    equal(what, &ordinary, &ours)
}

/// What Nix said, sorted: it does several things at once. Sometimes 2.8 closes a build's descriptor twice, and
/// says so; that is between it and the sandbox. `nix-store` of 2.34 crashes at its end after any use of
/// `--store http://…`, now in one way, now in another.
fn said(outcome: &Outcome) -> String {
    let counts = |line: &str| match outcome.status {
        Some(_) => !line.contains("closing file descriptor"),
        None => line.contains("error: "),
    };
    let mut lines: Vec<&str> = outcome.stderr.lines().filter(|line| counts(line)).collect();
    lines.sort_unstable();
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// What requests are about: hashes become names, and the URLs of NARs those of their store paths.
pub struct Names {
    by_hash: BTreeMap<String, String>,
    by_url: BTreeMap<String, String>,
}

impl Names {
    pub fn of(closure: &Closure) -> Self {
        let (mut by_hash, mut by_url) = (BTreeMap::new(), BTreeMap::new());
        for path in closure.paths() {
            let (hash, name) = (hash_part(&path), path[44..].to_owned());
            let text = fs::read_to_string(closure.dir.join(format!("zstd/{hash}.narinfo"))).unwrap();
            let url = text.lines().find_map(|line| line.strip_prefix("URL: ")).unwrap();
            by_url.insert(format!("/{url}"), name.clone());
            by_hash.insert(hash.to_owned(), name);
        }
        Self { by_hash, by_url }
    }

    /// A path with names. One difference is taken away here: the URL of a NAR is ours, for it carries what is
    /// needed to judge the path again.
    pub fn path(&self, path: &str) -> String {
        let our_nar = path.strip_prefix("/nar/").and_then(|rest| self.by_hash.get(rest.get(..32)?));
        if let Some(name) = our_nar.or_else(|| self.by_url.get(path)) {
            return format!("/nar/({name})");
        }
        let narinfo = path.strip_prefix('/').and_then(|rest| rest.strip_suffix(".narinfo"));
        match narinfo.and_then(|hash| self.by_hash.get(hash)) {
            Some(name) => format!("/({name}).narinfo"),
            None => path.to_owned(),
        }
    }

    /// A request with what is asked and how, but for the lengths of what is sent: it may be our narinfo.
    fn request(&self, exchange: &Exchange) -> String {
        let how: BTreeSet<String> = exchange
            .asked_with
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "host" | "content-length"))
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        format!("{} {} {how:?}", exchange.method, self.path(&exchange.path))
    }
}
