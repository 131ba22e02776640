//! Whose signature counts, and how voices and operators are counted (§3.1, §3.2, §3.3).

use crate::trust::tests::case::NOW;
use crate::trust::tests::lab::{Lab, needs};
use crate::trust::tests::sheet::{hello, other};
use crate::trust::{Basis, SignerKey, Timestamp};

/// One signer, one cache, one signature.
fn one() -> Lab {
    Lab::of("nixos", "a").rule(needs(1, "nixos"))
}

#[test]
fn a_signed_claim_is_endorsed_with_its_core_rule_and_signature() {
    let sheet = hello().signed("nixos-1");
    let endorsed = one().ask().says("a", sheet.clone()).endorsed();
    assert_eq!(*endorsed.core(), sheet.core());
    assert_eq!((endorsed.rule(), endorsed.basis()), ("rule", Basis::Rule));
    assert_eq!(endorsed.signatures(), sheet.parse().unwrap().signatures);
    one().ask().says("a", hello()).refuses("not-credible");
}

#[test]
fn the_key_must_be_the_signers_by_its_bytes() {
    one().ask().says("a", hello().signed_as("nixos-1", "nixos-1")).endorses(&hello());
    one().ask().says("a", hello().signed_as("nixos-1", "mallory")).refuses("not-credible");
}

#[test]
fn any_key_of_the_signer_will_do() {
    let lab = Lab::default().signer("nixos").key("nixos-2").cache("a").rule(needs(1, "nixos"));
    lab.ask().says("a", hello().signed("nixos-2")).endorses(&hello());
}

#[test]
fn a_revoked_key_does_not_count() {
    let lab = Lab::default().signer("nixos").revoked().key("nixos-2").cache("a").rule(needs(1, "nixos"));
    lab.ask().says("a", hello().signed("nixos-1")).refuses("not-credible");
    lab.ask().says("a", hello().signed("nixos-2")).endorses(&hello());
}

#[test]
fn a_key_counts_from_its_first_moment_to_its_last() {
    let lab = Lab::default().signer("nixos").from(10).until(20).cache("a").rule(needs(1, "nixos"));
    let at = |t| lab.ask().says("a", hello().signed("nixos-1")).at(t);
    at(9).refuses("not-credible");
    at(10).endorses(&hello());
    at(20).endorses(&hello());
    at(21).refuses("not-credible");
}

#[test]
fn now_is_never_earlier_than_the_newest_row() {
    let at = Timestamp::from_seconds;
    assert_eq!(at(5).not_before(Some(at(9))), at(9));
    assert_eq!(at(9).not_before(Some(at(5))), at(9));
    assert_eq!(at(9).not_before(None), at(9));
}

#[test]
fn time_alone_changes_a_verdict_only_when_the_policy_says_so() {
    let lab = Lab::default().signer("nixos").from(10).until(20).cache("a").rule(needs(1, "nixos"));
    let policy = lab.except("x", "rule", 30).ask().cast().policy().clone();
    let next = |t| policy.next_change(Timestamp::from_seconds(t)).map(Timestamp::seconds);
    assert_eq!((next(0), next(10), next(21), next(30)), (Some(10), Some(21), Some(30), None));
}

#[test]
fn the_name_must_be_within_may_vouch_for() {
    let lab = |globs| Lab::default().signer("nixos").may_vouch_for(globs).cache("a").rule(needs(1, "nixos"));
    let case = |globs| lab(globs).ask().says("a", hello().signed("nixos-1"));
    case("acme-* hello-*").endorses(&hello());
    case("acme-* hell").refuses("not-credible");
}

#[test]
fn the_cache_must_be_allowed_to_show_the_signer() {
    let lab = Lab::of("nixos acme", "").cache("a").accepts("nixos").cache("b").rule(needs(1, "acme"));
    lab.ask().says("a", hello().signed("acme-1")).refuses("not-credible");
    lab.ask().says("b", hello().signed("acme-1")).endorses(&hello());
}

#[test]
fn a_signature_must_be_over_this_very_core() {
    one().ask().says("a", other().signatures_of(&hello().signed("nixos-1"))).refuses("not-credible");
    one().ask().says("a", hello().signatures_of(&hello().signed("nixos-1"))).endorses(&hello());
}

#[test]
fn a_suspended_signer_does_not_vouch() {
    let lab =
        Lab::default().signer("nixos").suspended().signer("acme").cache("a").rule(needs(1, "nixos acme"));
    lab.ask().says("a", hello().signed("nixos-1")).refuses("not-credible");
    lab.ask().says("a", hello().signed("acme-1")).endorses(&hello());
}

#[test]
fn a_suspended_signer_does_not_veto() {
    let lab = |lab: Lab| lab.signer("acme").cache("a").cache("b").rule(needs(1, "nixos acme"));
    let case = |l| lab(l).ask().says("a", hello().signed("acme-1")).says("b", other().signed("nixos-1"));
    case(Lab::default().signer("nixos").suspended()).endorses(&hello());
    case(Lab::default().signer("nixos")).refuses("dissent");
}

#[test]
fn signatures_for_one_core_are_pooled_over_caches() {
    let lab = Lab::of("nixos acme", "a b").rule(needs(2, "nixos acme"));
    let case = lab.ask().says("a", hello().signed("nixos-1"));
    case.clone().says("b", hello().signed("acme-1")).endorses(&hello());
    case.refuses("shortfall");
}

#[test]
fn only_the_first_64_signatures_of_a_claim_are_looked_at() {
    let junk = |n| (0..n).fold(hello(), |sheet, _| sheet.line("Sig: junk"));
    one().ask().says("a", junk(63).signed("nixos-1")).endorses(&hello());
    one().ask().says("a", junk(64).signed("nixos-1")).refuses("not-credible");
}

#[test]
fn keys_of_one_signer_are_one_voice() {
    let lab = Lab::default().signer("acme").key("acme-2").signer("nixos").cache("a");
    let lab = lab.rule(needs(2, "acme nixos"));
    lab.ask().says("a", hello().signed("acme-1 acme-2")).refuses("shortfall");
    lab.ask().says("a", hello().signed("acme-1 nixos-1")).endorses(&hello());
}

#[test]
fn voices_are_signers_with_disjoint_roots() {
    let lab = Lab::of("nixos acme", "a").signer("mirror").derives_from("nixos");
    let lab = lab.rule(needs(2, "nixos acme mirror"));
    lab.ask().says("a", hello().signed("nixos-1 mirror-1")).refuses("shortfall");
    lab.ask().says("a", hello().signed("acme-1 mirror-1")).endorses(&hello());
}

#[test]
fn roots_are_followed_to_the_end() {
    let lab = Lab::of("nixos acme", "a").signer("mirror").derives_from("nixos");
    let lab = lab.signer("far").derives_from("mirror").rule(needs(2, "nixos acme far"));
    lab.ask().says("a", hello().signed("nixos-1 far-1")).refuses("shortfall");
    lab.ask().says("a", hello().signed("acme-1 far-1")).endorses(&hello());
}

#[test]
fn the_largest_disjoint_set_is_counted() {
    // Taking the re-signer of both first would leave one voice.
    let lab = Lab::default().signer("both").derives_from("x y").signer("x").signer("y").cache("a");
    let lab = lab.rule(needs(2, "both x y"));
    lab.ask().says("a", hello().signed("both-1 x-1 y-1")).endorses(&hello());
    lab.ask().says("a", hello().signed("both-1 x-1")).refuses("shortfall");
}

#[test]
fn each_operator_counts_once() {
    let lab = |b| Lab::of("nixos", "a").cache("b").run_by(b).rule(needs(1, "nixos").operators(2));
    let case = |b| lab(b).ask().all_say("a b", &hello().signed("nixos-1"));
    case("a").refuses("shortfall");
    case("somebody else").endorses(&hello());
}

#[test]
fn plain_http_does_not_count_towards_operators() {
    let lab = Lab::of("nixos", "a c").cache("b").plain_http().rule(needs(1, "nixos").operators(2));
    lab.ask().all_say("a b", &hello().signed("nixos-1")).refuses("shortfall");
    lab.ask().all_say("a c", &hello().signed("nixos-1")).endorses(&hello());
}

#[test]
fn what_plain_http_shows_still_vouches() {
    let lab = Lab::of("nixos acme", "a").cache("b").plain_http().rule(needs(2, "nixos acme"));
    lab.ask().says("a", hello().signed("nixos-1")).says("b", hello().signed("acme-1")).endorses(&hello());
}

#[test]
fn only_credible_claims_count_towards_operators() {
    let lab = Lab::of("nixos", "a b").rule(needs(1, "nixos").operators(2));
    let case = lab.ask().says("a", hello().signed("nixos-1"));
    case.clone().says("b", hello()).refuses("shortfall");
    case.says("b", hello().signed("nixos-1")).endorses(&hello());
}

#[test]
fn every_clause_must_be_met() {
    let lab = Lab::of("nixos acme tests", "a").rule(needs(1, "nixos acme").and(1, "tests"));
    lab.ask().says("a", hello().signed("nixos-1 acme-1")).refuses("shortfall");
    lab.ask().says("a", hello().signed("nixos-1 tests-1")).endorses(&hello());
}

#[test]
fn voices_outside_a_clause_do_not_fill_it() {
    let lab = Lab::of("nixos acme tests", "a").rule(needs(2, "nixos acme"));
    lab.ask().says("a", hello().signed("nixos-1 tests-1")).refuses("shortfall");
    lab.ask().says("a", hello().signed("nixos-1 acme-1")).endorses(&hello());
}

#[test]
fn the_shortfall_is_named() {
    let lab = Lab::of("nixos acme", "a").rule(needs(2, "nixos acme").operators(2));
    let verdict = lab.ask().says("a", hello().signed("acme-1")).verdict();
    let told = verdict.reason().unwrap().to_string();
    assert_eq!(
        told,
        "rule \"rule\": 1 of 2 needed voices out of nixos, acme (vouching: acme); 1 of 2 needed operators (a)"
    );
}

#[test]
fn a_key_without_bounds_is_always_valid() {
    let lab = one();
    let key: &SignerKey = &lab.parts().signers[0].keys[0];
    assert!(key.is_valid(Timestamp::from_seconds(i64::MIN)) && key.is_valid(Timestamp::from_seconds(NOW)));
}
