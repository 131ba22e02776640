//! The policy of the comparison as plain data, and the same as the configuration that Countersign reads.

use crate::served::paths::{Pin, key};

pub struct Signer {
    pub name: &'static str,
    pub keys: &'static [Key],
    pub may_vouch_for: Option<&'static [&'static str]>,
    pub derives_from: &'static [&'static str],
    pub suspended: bool,
}

pub struct Key {
    pub name: &'static str,
    /// What else the configuration says of it; a key of which anything is said does not count.
    pub but: Option<&'static str>,
}

pub struct Cache {
    pub name: &'static str,
    pub operator: &'static str,
    pub priority: usize,
    pub witness: bool,
    pub accepts: Option<&'static [&'static str]>,
}

pub struct Rule {
    pub name: &'static str,
    pub packages: Option<&'static str>,
    /// So many voices out of these signers, each of them.
    pub clauses: &'static [(usize, &'static [&'static str])],
    pub operators: usize,
    pub dissent: Dissent,
    pub must_answer: &'static [&'static str],
    /// Whether paths may certify themselves.
    pub verify: bool,
}

pub enum Dissent {
    Refuse,
    Outvote,
    Prefer(&'static [&'static str]),
}

/// Other packages than their rule says.
pub struct Exception {
    pub packages: &'static str,
    pub rule: &'static str,
    pub holds: bool,
}

const fn valid(name: &'static str) -> Key {
    Key { name, but: None }
}

const fn but(name: &'static str, but: &'static str) -> Key {
    Key { name, but: Some(but) }
}

const ANYBODY: Signer =
    Signer { name: "", keys: &[], may_vouch_for: None, derives_from: &[], suspended: false };

pub const SIGNERS: &[Signer] = &[
    Signer { name: "alice", keys: &[valid("alice-1"), valid("alice-2")], ..ANYBODY },
    Signer {
        name: "bob",
        keys: &[valid("bob-1"), but("bob-0", "not-after = 2020-01-01T00:00:00Z")],
        ..ANYBODY
    },
    Signer {
        name: "carol",
        keys: &[valid("carol-1")],
        may_vouch_for: Some(&["carol-*", "both-*", "shared-*"]),
        ..ANYBODY
    },
    Signer { name: "dave", keys: &[valid("dave-1")], derives_from: &["alice"], ..ANYBODY },
    Signer { name: "erin", keys: &[valid("erin-1")], suspended: true, ..ANYBODY },
    Signer { name: "frank", keys: &[valid("frank-1"), but("frank-0", "revoked = \"stolen\"")], ..ANYBODY },
    Signer { name: "grace", keys: &[but("grace-1", "not-before = 2099-01-01T00:00:00Z")], ..ANYBODY },
];

pub const CACHES: [Cache; 3] = [
    Cache { name: "one", operator: "north", priority: 40, witness: false, accepts: None },
    Cache {
        name: "two",
        operator: "south",
        priority: 30,
        witness: false,
        accepts: Some(&["alice", "bob", "dave", "frank"]),
    },
    Cache { name: "three", operator: "south", priority: 50, witness: true, accepts: None },
];

const USUAL: Rule = Rule {
    name: "",
    packages: None,
    clauses: &[(1, &["alice", "bob", "erin", "grace"])],
    operators: 1,
    dissent: Dissent::Refuse,
    must_answer: &[],
    verify: true,
};

pub const RULES: &[Rule] = &[
    Rule {
        name: "two voices",
        packages: Some("core-*"),
        clauses: &[(2, &["alice", "bob", "dave", "frank"])],
        ..USUAL
    },
    Rule {
        name: "two operators",
        packages: Some("pair-*"),
        clauses: &[(1, &["alice", "bob"])],
        operators: 2,
        ..USUAL
    },
    Rule {
        name: "outvoted",
        packages: Some("vote-*"),
        clauses: &[(1, &["alice", "bob", "dave", "frank"])],
        dissent: Dissent::Outvote,
        ..USUAL
    },
    Rule {
        name: "preferred",
        packages: Some("pref-*"),
        clauses: &[(2, &["alice", "bob", "frank"])],
        dissent: Dissent::Prefer(&["bob", "alice", "carol"]),
        ..USUAL
    },
    Rule {
        name: "must answer",
        packages: Some("must-*"),
        clauses: &[(1, &["alice", "bob"])],
        must_answer: &["two"],
        ..USUAL
    },
    Rule { name: "carol's", packages: Some("carol-*"), clauses: &[(1, &["carol"])], ..USUAL },
    Rule {
        name: "two clauses",
        packages: Some("both-*"),
        clauses: &[(1, &["alice", "bob"]), (1, &["carol", "frank"])],
        ..USUAL
    },
    Rule { name: "signed alone", packages: Some("plain-*"), verify: false, ..USUAL },
    Rule { name: "the rest", ..USUAL },
];

pub const EXCEPTIONS: &[Exception] = &[
    Exception { packages: "core-late-*", rule: "the rest", holds: false },
    Exception { packages: "core-mild-*", rule: "the rest", holds: true },
    Exception { packages: "tool-strict-*", rule: "two voices", holds: true },
];

/// The configuration: the caches at these URLs, and what was pinned.
pub fn configuration(urls: &[String; 3], pins: &[Pin]) -> String {
    let mut text = String::from("decision-timeout = \"60s\"\n");
    for signer in SIGNERS {
        let keys: Vec<String> = signer.keys.iter().map(key_line).collect();
        text.push_str(&format!("[signers.{}]\nkeys = [{}]\n", signer.name, keys.join(", ")));
        if let Some(globs) = signer.may_vouch_for {
            text.push_str(&format!("may-vouch-for = {globs:?}\n"));
        }
        text.push_str(&format!("derives-from = {:?}\n", signer.derives_from));
        if signer.suspended {
            text.push_str("suspended = \"asked twice\"\n");
        }
    }
    for (cache, url) in CACHES.iter().zip(urls) {
        let Cache { name, operator, priority, .. } = cache;
        let role = if cache.witness { "witness" } else { "source" };
        text.push_str(&format!(
            "[caches.{name}]\nurl = \"{url}\"\noperator = \"{operator}\"\nrole = \"{role}\"\n\
             priority = {priority}\nclaim-timeout = \"50s\"\n"
        ));
        if let Some(signers) = cache.accepts {
            text.push_str(&format!("accept-signers = {signers:?}\n"));
        }
    }
    RULES.iter().for_each(|rule| text.push_str(&rule_section(rule)));
    for exception in EXCEPTIONS {
        let subject = format!("packages = [{:?}]", exception.packages);
        text.push_str(&exception_section(&subject, exception.rule, exception.holds));
    }
    for pin in pins {
        let subject = format!("core = {{ path = {:?}, nar-hash = {:?} }}", pin.path, pin.nar_hash);
        text.push_str(&exception_section(&subject, pin.rule, pin.holds));
    }
    text
}

fn key_line(it: &Key) -> String {
    let public = key(it.name).key();
    match it.but {
        None => format!("{public:?}"),
        Some(but) => format!("{{ key = {public:?}, {but} }}"),
    }
}

fn rule_section(rule: &Rule) -> String {
    let mut text = format!("[[rules]]\nname = {:?}\n", rule.name);
    if let Some(glob) = rule.packages {
        text.push_str(&format!("packages = [{glob:?}]\n"));
    }
    let clause = |(least, of): &(usize, &[&str])| format!("{{ at-least = {least}, of = {of:?} }}");
    let clauses: Vec<String> = rule.clauses.iter().map(clause).collect();
    text.push_str(&format!("signatures = [{}]\noperators = {}\n", clauses.join(", "), rule.operators));
    text.push_str(&match rule.dissent {
        Dissent::Refuse => "dissent = \"refuse\"\n".to_owned(),
        Dissent::Outvote => "dissent = \"outvote\"\n".to_owned(),
        Dissent::Prefer(list) => format!("dissent = {{ prefer = {list:?} }}\n"),
    });
    let content = if rule.verify { "verify" } else { "ignore" };
    text.push_str(&format!("must-answer = {:?}\ncontent-addressed = \"{content}\"\n", rule.must_answer));
    text
}

fn exception_section(subject: &str, rule: &str, holds: bool) -> String {
    let until = if holds { "2099-01-01" } else { "2020-01-01" };
    format!("[[exceptions]]\n{subject}\nrule = {rule:?}\nuntil = {until}\nwhy = \"a test\"\n")
}
