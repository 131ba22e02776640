//! Rules out of reach and thresholds out of reach, and what is in reach after all.

use super::{KEYS, errors, good, policy_with, read};
use crate::config::Severity;
use crate::trust::{Dissent, SignerSet, Subject, Timestamp};

fn rule(name: &str, packages: &str, rest: &str) -> String {
    let signatures = match rest.contains("signatures") {
        true => "",
        false => "signatures = [{ at-least = 1, of = [\"a\"] }]\n",
    };
    format!("[[rules]]\nname = \"{name}\"\npackages = {packages}\n{signatures}{rest}\n")
}

fn two_of(signers: &str) -> String {
    format!("signatures = [{{ at-least = 2, of = {signers} }}]")
}

#[test]
fn an_exception_reaches_a_rule_that_no_package_does() {
    let lax = rule("lax", r#"["linux-firmware-*"]"#, "");
    let rules = rule("linux", r#"["linux-*"]"#, "") + &lax;
    assert_eq!(errors(&policy_with(&rules)), ["rules[1].name"]);
    for until in ["2037-01-31", "2020-01-31"] {
        let exception = format!(
            "[[exceptions]]\npackages = [\"linux-x\"]\nrule = \"lax\"\nuntil = {until}\nwhy = \"w\"\n"
        );
        // Also one that has ended: its last day must not be the day on which the file becomes invalid.
        good(&policy_with(&(rules.clone() + &exception)));
    }
}

#[test]
fn an_exception_can_make_a_threshold_meetable() {
    let strict = rule("strict", r#"["x-*"]"#, &two_of(r#"["a", "b"]"#));
    let text = policy_with(&strict).replace("[signers.b]\n", "[signers.b]\nmay-vouch-for = [\"y-*\"]\n");
    assert_eq!(errors(&text), ["rules[0].signatures[0].at-least"]);
    let until = "until = 2037-01-31\nwhy = \"w\"\nrule = \"strict\"\n";
    good(&(text.clone() + "[[exceptions]]\npackages = [\"y-*\"]\n" + until));
    let core = |name: &str| {
        let path = format!("/nix/store/6s67ppsc5rawxx0pd1rycdznbf39zbx0-{name}");
        let hash = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
        format!("[[exceptions]]\ncore = {{ path = \"{path}\", nar-hash = \"{hash}\" }}\n{until}")
    };
    good(&(text.clone() + &core("y-1")));
    assert_eq!(errors(&(text + &core("z-1"))), ["rules[0].signatures[0].at-least"]);
}

#[test]
fn voices_are_counted_and_not_signers() {
    let rules = rule("r", r#"["x"]"#, &two_of(r#"["a", "b"]"#));
    good(&policy_with(&rules));
    let derived =
        |lines: &str| policy_with(&rules).replace("[signers.b]\n", &format!("[signers.b]\n{lines}\n"));
    assert_eq!(errors(&derived("derives-from = [\"a\"]")), ["rules[0].signatures[0].at-least"]);
    // A common source that is asked for nothing makes one voice of both.
    let common =
        derived("derives-from = [\"c\"]").replace("[signers.a]\n", "[signers.a]\nderives-from = [\"c\"]\n");
    assert_eq!(errors(&common), ["rules[0].signatures[0].at-least"]);
}

#[test]
fn what_keeps_a_signer_from_counting_is_said() {
    let rules = rule("r", r#"["x"]"#, &two_of(r#"["a", "b", "c"]"#));
    let text =
        policy_with(&rules).replace("[signers.b]\n", "[signers.b]\nmay-vouch-for = [\"y\"]\n").replace(
            "keys = [\"c-1:oOaXP5dVjj06EEIRXpX+SkrD3LuYk56FIo8mt2e3pEs=\"]",
            "keys = [{ key = \"c-1:oOaXP5dVjj06EEIRXpX+SkrD3LuYk56FIo8mt2e3pEs=\", revoked = \"stolen\" }]",
        );
    let report = read(&text).unwrap_err();
    let fault = &report.faults()[0];
    assert_eq!(fault.found, "no package that the rule is for could have more than 1 voice");
    assert_eq!(
        fault.would_do,
        "at most 1, or other signers; \"b\" may not vouch for them, \"c\" has only revoked keys"
    );
}

#[test]
fn what_time_or_suspension_takes_away_is_a_warning() {
    let rules = rule("r", r#"["x"]"#, &two_of(r#"["a", "b"]"#));
    let key = format!("\"b-1:{}\"", KEYS[1]);
    let ended = format!("{{ key = {key}, not-after = 2025-01-01T00:00:00Z }}");
    for text in [
        policy_with(&rules).replace("[signers.b]\n", "[signers.b]\nsuspended = \"looking\"\n"),
        policy_with(&rules).replace(&key, &ended),
    ] {
        let loaded = read(&text).unwrap();
        let warned =
            loaded.warnings.faults().iter().find(|f| &*f.key == "rules[0].signatures[0].at-least").unwrap();
        assert_eq!(warned.severity, Severity::Warning);
        assert_eq!(warned.found, "at present, no package that the rule is for could have more than 1 voice");
    }
    // A key that is not valid yet will be.
    let later = format!("{{ key = {key}, not-before = 2030-01-01T00:00:00Z }}");
    assert!(read(&policy_with(&rules).replace(&key, &later)).unwrap().warnings.is_empty());
}

#[test]
fn operators_are_counted_as_the_rule_of_trust_counts_them() {
    let of_both = "signatures = [{ at-least = 2, of = [\"a\", \"b\"] }]\noperators = 2";
    let rules = rule("r", r#"["x"]"#, of_both);
    good(&policy_with(&rules));
    for (from, to) in [
        ("https://y.test\"\n", "https://y.test\"\noperator = \"x\"\n"),
        ("https://y.test", "http://y.test"),
        ("https://y.test\"\n", "https://y.test\"\naccept-signers = [\"c\"]\n"),
    ] {
        assert_eq!(errors(&policy_with(&rules).replace(from, to)), ["rules[0].operators"], "{to}");
    }
    good(&policy_with(&rules).replace("https://y.test", "http://127.0.0.1:5000"));
    // Both operators could be credible, but for no one package: one shows only a signer of other names.
    let text = policy_with(&rule(
        "r",
        r#"["x", "y"]"#,
        "signatures = [{ at-least = 1, of = [\"a\", \"b\"] }]\noperators = 2",
    ))
    .replace("[signers.b]\n", "[signers.b]\nmay-vouch-for = [\"y\"]\n")
    .replace("[signers.a]\n", "[signers.a]\nmay-vouch-for = [\"x\"]\n")
    .replace("https://y.test\"\n", "https://y.test\"\naccept-signers = [\"b\"]\n")
    .replace("https://x.example\"\n", "https://x.example\"\naccept-signers = [\"a\", \"c\"]\n");
    assert_eq!(errors(&text), ["rules[0].name"]);
}

#[test]
fn one_fault_does_not_echo_through_the_rules() {
    let rules = rule("r", r#"["x"]"#, &two_of(r#"["a", "b"]"#));
    for (from, to, fault) in [
        (KEYS[1], "AAAA", "signers.b.keys[0]"),
        ("https://y.test", "y.test", "caches.y.url"),
        ("of = [\"a\", \"b\"]", "of = [\"a\", \"bb\"]", "rules[0].signatures[0].of[1]"),
        ("packages = [\"x\"]", "packages = [\"/\"]", "rules[0].packages[0]"),
    ] {
        let text = policy_with(&rules);
        assert!(text.contains(from), "{from}");
        assert_eq!(errors(&text.replace(from, to)), [fault]);
    }
}

#[test]
fn circles_of_signers_are_found_wherever_they_close() {
    let derive = |from: &str, of: &str| {
        (format!("[signers.{from}]\n"), format!("[signers.{from}]\nderives-from = [\"{of}\"]\n"))
    };
    let mut text = policy_with("");
    for (header, with) in [derive("a", "b"), derive("b", "c"), derive("c", "a")] {
        text = text.replace(&header, &with);
    }
    assert_eq!(
        errors(&text),
        ["signers.a.derives-from[0]", "signers.b.derives-from[0]", "signers.c.derives-from[0]"]
    );
}

#[test]
fn what_the_policy_is_given() {
    let prefer = rule(
        "r",
        r#"["x", "y*"]"#,
        "dissent = { prefer = [\"b\", \"a\"] }\nmust-answer = [\"y\"]\ncontent-addressed = \"ignore\"",
    );
    let exception = "[[exceptions]]\npackages = [\"z\"]\nrule = \"r\"\nuntil = 2026-12-31\nwhy = \"later\"\n";
    let config = good(
        &policy_with(&(prefer + exception)).replace("[signers.b]\n", "[signers.b]\nderives-from = [\"a\"]\n"),
    );
    let policy = &config.policy;
    let rule = &policy.rules()[0];
    assert_eq!(rule.packages.as_ref().map(Vec::len), Some(2));
    let ids: Vec<_> = policy.signer_ids().collect();
    assert_eq!(rule.dissent, Dissent::Prefer(vec![ids[1], ids[0]]));
    assert_eq!(rule.must_answer, [policy.cache_ids().nth(1).unwrap()]);
    assert!(!rule.verify_content_addressed);
    assert_eq!(policy.roots(ids[1]), SignerSet::only(ids[0]));
    let exception = &policy.exceptions()[0];
    assert!(matches!(&exception.subject, Subject::Packages(globs) if globs.len() == 1));
    // The whole last day still belongs to it.
    assert_eq!(exception.ends, Timestamp::from_seconds(1_798_761_600));
}

#[test]
fn moments_and_days_may_be_texts() {
    // Programs that write TOML from JSON have no other way.
    let text = policy_with(
        "[[exceptions]]\npackages = [\"z\"]\nrule = \"rest\"\nuntil = \"2026-12-31\"\nwhy = \"w\"\n",
    );
    assert_eq!(good(&text).policy.exceptions()[0].ends, Timestamp::from_seconds(1_798_761_600));
    let key = format!("\"a-1:{}\"", KEYS[0]);
    let dated = format!("{{ key = {key}, not-after = \"2037-01-01T00:00:00Z\" }}");
    good(&policy_with("").replace(&key, &dated));
}

/// A public key of its own for each number.
fn key(number: u8) -> String {
    let public = ed25519_dalek::SigningKey::from_bytes(&[number; 32]).verifying_key();
    data_encoding::BASE64.encode(public.as_bytes())
}

#[test]
fn more_signers_than_can_be_counted_are_refused() {
    let signer = |number: u8, more: &str| {
        format!("[signers.s{number}]\nkeys = [\"s{number}:{}\"]\n{more}\n", key(number))
    };
    let many = |count: u8| (0..count).map(|number| signer(number, "")).collect::<String>();
    good(&policy_with(&many(125)));
    assert_eq!(errors(&policy_with(&many(126))), ["signers.s125"]);
    let resigners =
        |count: u8| (0..count).map(|n| signer(n, "derives-from = [\"a\", \"b\"]")).collect::<String>();
    good(&policy_with(&resigners(16)));
    assert_eq!(errors(&policy_with(&resigners(17))), ["signers.s16"]);
}

#[test]
fn everything_that_a_rule_lacks_is_told() {
    let signatures = "signatures = [{ at-least = 2, of = [\"a\"] }, { at-least = 3, of = [\"a\", \"b\"] }]";
    let rules = rule("r", r#"["x"]"#, &format!("{signatures}\noperators = 9"));
    assert_eq!(
        errors(&policy_with(&rules)),
        ["rules[0].signatures[0].at-least", "rules[0].signatures[1].at-least", "rules[0].operators"]
    );
}
