//! What was recorded, as a text that people read and the next run is compared with.

use crate::clients::commands::{CASES, Case, Stock};
use crate::clients::rule::{DIFFERENCES, Names};
use crate::clients::scene::Outcome;
use crate::support::recorder::Exchange;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The first line, which names the version and is not compared.
pub fn head(version: &str) -> String {
    format!("What Nix {version} asks of a cache, and how an ordinary cache and Countersign answer.\n")
}

/// What is told before the records.
pub fn legend(agent: &str) -> String {
    let mut text = String::from(
        "\n\
         Written by RECORD_CLIENTS=1 tests/run clients; tests/it/clients says what is run, and by which rule the\n\
         two are compared. Each command is run by one machine that has the ordinary cache as its only substituter\n\
         and trusts its key, and by one that has Countersign and trusts the machine key. In capitals is what\n\
         differs from machine to machine: CACHE is either cache, TOP refers to 99 paths, one of them LEAF. Where\n\
         it says \"without LEAF\", the ordinary cache lacks LEAF and Countersign refuses it.\n\n\
         Columns: how many requests, what is asked, further headers in brackets; the ordinary cache's status,\n\
         ours, and our verdict. Every request has these headers besides its Host:\n\n",
    );
    writeln!(text, "    {agent}\n\nWhat may differ, by name:\n").unwrap();
    let url = ("nar-url", "a NAR's URL is ours, and carries what is needed to judge the path again");
    let others = DIFFERENCES.iter().map(|d| (d.name, d.reason));
    for (name, reason) in std::iter::once(url).chain(others) {
        writeln!(text, "    {name}: {reason}").unwrap();
    }
    text
}

/// The headers that all requests for bytes have.
pub fn agent(outcomes: &[(Case, [Outcome; 2], BTreeSet<&'static str>)]) -> String {
    let exchanges = outcomes.iter().flat_map(|(_, both, _)| both.iter().flat_map(|o| &o.exchanges));
    let kinds: BTreeSet<String> = exchanges.filter(|e| e.method != "PUT").map(usual).collect();
    assert_eq!(kinds.len(), 1, "the same headers always: {kinds:?}");
    kinds.into_iter().next().unwrap()
}

/// The headers that do not differ from request to request, without the numbers of versions.
fn usual(exchange: &Exchange) -> String {
    let shown = |(name, value): &(String, String)| match name.as_str() {
        "accept" | "accept-encoding" => Some(format!("{name}: {value}")),
        "user-agent" => {
            let words = value.split(' ').map(|word| word.split('/').next().unwrap_or_default());
            Some(format!("{name}: {}", words.map(|w| format!("{w}/…")).collect::<Vec<_>>().join(" ")))
        }
        _ => None,
    };
    exchange.asked_with.iter().filter_map(shown).collect::<Vec<_>>().join("; ")
}

/// One command.
pub fn record(names: &Names, case: &Case, both: &[Outcome; 2], differences: &BTreeSet<&str>) -> String {
    let [ordinary, ours] = both;
    let mut text = String::from("\n");
    for before in case.before {
        writeln!(text, "$ {before}    (not recorded)").unwrap();
    }
    write!(text, "$ {}", case.command).unwrap();
    let remarks =
        [(case.through_daemon, "through nix-daemon"), (case.stock == Stock::WithoutLeaf, "without LEAF")];
    let remarks: Vec<&str> = remarks.into_iter().filter_map(|(is, words)| is.then_some(words)).collect();
    match remarks.as_slice() {
        [] => writeln!(text).unwrap(),
        remarks => writeln!(text, "    ({})", remarks.join(", ")).unwrap(),
    }
    let (theirs, ours_counted) = (counted(names, ordinary), counted(names, ours));
    for ((request, their_status, _), (count, (_, status, verdict))) in
        theirs.keys().zip(ours_counted.iter().map(|(key, count)| (count, key)))
    {
        let line = format!("{count:5} {request:52} {their_status} {status} {verdict}");
        writeln!(text, "{}", line.trim_end()).unwrap();
    }
    let named = match differences.is_empty() {
        true => String::new(),
        false => format!("; but for {}", differences.iter().copied().collect::<Vec<_>>().join(", ")),
    };
    let status = ours.status.as_deref().unwrap_or("ended by a signal");
    writeln!(text, "      {status}, alike on both sides{named}").unwrap();
    for line in ours.stderr.lines().filter(|line| line.contains("error: ") && !line.contains("(ignored)")) {
        writeln!(text, "      {}", anonymous(line.trim())).unwrap();
    }
    text
}

/// Requests by what they are about, with both statuses' places, in the order of reading.
fn counted(names: &Names, outcome: &Outcome) -> BTreeMap<(String, u16, String), usize> {
    let mut all = BTreeMap::new();
    for exchange in &outcome.exchanges {
        let verdict = exchange.answered_with.iter().find(|(name, _)| name == "countersign-verdict");
        let further: Vec<String> = exchange
            .asked_with
            .iter()
            .filter_map(|(name, value)| match name.as_str() {
                "content-type" | "expect" | "range" => Some(format!("{name}: {value}")),
                "host" | "accept" | "accept-encoding" | "user-agent" | "content-length" => None,
                _ => Some(name.clone()),
            })
            .collect();
        let further = if further.is_empty() { String::new() } else { format!(" [{}]", further.join(", ")) };
        let request = format!("{:4} {}{further}", exchange.method, anonymous(&names.path(&exchange.path)));
        let key = (request, exchange.status, verdict.map(|(_, value)| value.clone()).unwrap_or_default());
        *all.entry(key).or_default() += 1;
    }
    all
}

/// The same without hashes and numbers: the 98 paths between `LEAF` and `TOP` are alike.
fn anonymous(text: &str) -> String {
    let is_hash = |word: &str| matches!(word.len(), 32 | 52 | 64);
    let digit = |c: char| c.is_ascii_alphanumeric();
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(digit) {
        let word_end = rest[start..].find(|c: char| !digit(c)).map_or(rest.len(), |end| start + end);
        let word = &rest[start..word_end];
        out.push_str(&rest[..start]);
        match is_hash(word) {
            true => out.push_str("HASH"),
            false if out.ends_with("closure-") && word.bytes().all(|b| b.is_ascii_digit()) => out.push('N'),
            false => out.push_str(word),
        }
        rest = &rest[word_end..];
    }
    out + rest
}

/// The cases of a version.
pub fn cases(generation: &str) -> impl Iterator<Item = &'static Case> + use<> {
    let is_2_8 = generation == "2.8";
    CASES.iter().filter(move |case| !is_2_8 || case.is_in_2_8)
}
