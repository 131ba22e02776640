//! Attackers who want one word to count twice, or a word to count that should not.

use crate::trust::tests::case::NOW;
use crate::trust::tests::lab::{Lab, needs};
use crate::trust::tests::sheet::{hello, other};
use crate::trust::{Policy, PolicyError};

/// Two parties, two caches, two voices needed.
fn two() -> Lab {
    Lab::of("nixos acme", "a b").rule(needs(2, "nixos acme"))
}

/// The attacker holds one key and shows its signature under the other party's key name too. The bytes of the
/// key that bears the name decide.
#[test]
fn one_key_under_two_names() {
    two().ask().says("a", hello().signed("nixos-1").signed_as("acme-1", "nixos-1")).refuses("shortfall");
    two().ask().says("a", hello().signed("nixos-1 acme-1")).endorses(&hello());
}

/// A party lists one key under two names and signs with both. Signers are counted, not names.
#[test]
fn one_key_listed_twice_by_its_party() {
    let lab = Lab::default().signer("acme").key_called("acme-alias", "acme-1").signer("nixos").cache("a");
    let lab = lab.rule(needs(2, "acme nixos"));
    lab.ask().says("a", hello().signed("acme-1").signed_as("acme-alias", "acme-1")).refuses("shortfall");
    lab.ask().says("a", hello().signed("nixos-1").signed_as("acme-alias", "acme-1")).endorses(&hello());
}

/// A party signs with its old and its new key. All keys of a party are one voice.
#[test]
fn two_keys_of_one_party() {
    let lab = Lab::default().signer("acme").key("acme-2").signer("nixos").cache("a").cache("b");
    let lab = lab.rule(needs(2, "acme nixos"));
    let case = lab.ask().says("a", hello().signed("acme-1"));
    case.clone().says("b", hello().signed("acme-2")).refuses("shortfall");
    case.says("b", hello().signed("nixos-1")).endorses(&hello());
}

/// Two parties list one key, under two names. That would be two voices, so it is no policy.
#[test]
fn one_key_of_two_parties() {
    let lab = |key| {
        let lab = Lab::default().signer("acme").signer("thief").key_called("thief-2", key).cache("a");
        Policy::new(lab.rule(needs(2, "acme thief")).parts())
    };
    assert!(matches!(lab("acme-1"), Err(PolicyError::OneKeyTwice { .. })));
    assert!(lab("thief-3").is_ok());
}

/// Two keys of different parties bear one name. Each counts for the party whose bytes it has.
#[test]
fn two_parties_with_one_key_name() {
    let lab = Lab::default().signer("nixos").signer("acme").key_called("nixos-1", "acme-1").cache("a");
    let lab = lab.rule(needs(2, "nixos acme"));
    lab.ask().says("a", hello().signed("nixos-1")).refuses("shortfall");
    lab.ask().says("a", hello().signed("nixos-1").signed_as("nixos-1", "acme-1")).endorses(&hello());
}

/// An operator opens a second cache to be counted twice. Operators are counted, not caches.
#[test]
fn one_operator_with_two_caches() {
    let lab = |b| Lab::of("nixos", "a").cache("b").run_by(b).rule(needs(1, "nixos").operators(2));
    let case = |b| lab(b).ask().all_say("a b", &hello().signed("nixos-1"));
    case("a").refuses("shortfall");
    case("b").endorses(&hello());
}

/// A mirror signs what it copied. It is one voice with its source.
#[test]
fn a_resigner_beside_its_source() {
    let lab = |from| Lab::of("nixos", "a").signer("mirror").derives_from(from).rule(needs(2, "nixos mirror"));
    let case = |from| lab(from).ask().says("a", hello().signed("nixos-1 mirror-1"));
    case("nixos").refuses("shortfall");
    case("").endorses(&hello());
}

/// Two mirrors of one source stand in for it. They are one voice.
#[test]
fn two_resigners_of_one_source() {
    let lab = |from| {
        let lab = Lab::of("nixos", "a").signer("x").derives_from("nixos").signer("y").derives_from(from);
        lab.rule(needs(2, "x y"))
    };
    let case = |from| lab(from).ask().says("a", hello().signed("x-1 y-1"));
    case("nixos").refuses("shortfall");
    case("").endorses(&hello());
}

/// A mirror of two sources is to make three voices of two.
#[test]
fn a_resigner_of_two() {
    let lab = |n| Lab::of("p q", "a").signer("mix").derives_from("p q").rule(needs(n, "p q mix"));
    let case = |n| lab(n).ask().says("a", hello().signed("p-1 q-1 mix-1"));
    case(3).refuses("shortfall");
    case(2).endorses(&hello());
    lab(1).ask().says("a", hello().signed("mix-1")).endorses(&hello());
    // Nor is it a voice beside either of them.
    lab(2).ask().says("a", hello().signed("p-1 mix-1")).refuses("shortfall");
}

/// A stolen key signs. It is revoked.
#[test]
fn a_revoked_key() {
    let lab = Lab::default().signer("nixos").revoked().key("nixos-2").cache("a").rule(needs(1, "nixos"));
    lab.ask().says("a", hello().signed("nixos-1")).refuses("not-credible");
    lab.ask().says("a", hello().signed("nixos-1 nixos-2")).endorses(&hello());
}

/// The thief of a revoked key dissents with it. A revoked key has no veto either.
#[test]
fn a_revoked_keys_veto() {
    let lab = |lab: Lab| lab.key("nixos-2").cache("a").cache("b").rule(needs(1, "nixos"));
    let case = |lab: Lab| lab.ask().says("a", hello().signed("nixos-2")).says("b", other().signed("nixos-1"));
    case(lab(Lab::default().signer("nixos").revoked())).endorses(&hello());
    case(lab(Lab::default().signer("nixos"))).refuses("dissent");
}

/// An old signature of a key that has ended is replayed. After `not-after` none of its signatures counts.
#[test]
fn an_expired_keys_old_signature() {
    let lab = Lab::default().signer("nixos").until(NOW).cache("a").rule(needs(1, "nixos"));
    let case = lab.ask().says("a", hello().signed("nixos-1"));
    case.endorses(&hello());
    case.at(NOW + 1).refuses("not-credible");
}

/// A key signs before its time.
#[test]
fn a_key_that_is_not_yet_valid() {
    let lab = Lab::default().signer("nixos").from(NOW).cache("a").rule(needs(1, "nixos"));
    let case = lab.ask().says("a", hello().signed("nixos-1"));
    case.endorses(&hello());
    case.at(NOW - 1).refuses("not-credible");
}

/// The company's key signs a package of the distribution. It is outside its `may-vouch-for`.
#[test]
fn a_signer_out_of_its_scope() {
    let lab = Lab::default().signer("acme").may_vouch_for("acme-*").cache("a").rule(needs(1, "acme"));
    lab.ask().says("a", hello().signed("acme-1")).refuses("not-credible");
    let own = hello().named("acme-tool-1");
    lab.ask().says("a", own.clone().signed("acme-1")).endorses(&own);
}

/// A broken-into cache shows a signature of a signer that it has no business showing.
#[test]
fn accept_signers_violated() {
    let lab = |accepts| Lab::of("nixos acme", "").cache("a").accepts(accepts).rule(needs(1, "nixos acme"));
    let case = |accepts| lab(accepts).ask().says("a", hello().signed("acme-1"));
    case("nixos").refuses("not-credible");
    case("nixos acme").endorses(&hello());
}

/// The same, beside a cache that may: only what the one that may show it shows is counted and told.
#[test]
fn accept_signers_is_not_laundered_by_pooling() {
    let lab = Lab::of("nixos acme", "b").cache("a").accepts("nixos").rule(needs(2, "nixos acme"));
    let case = lab.ask().says("b", hello().signed("nixos-1"));
    case.clone().says("a", hello().signed("acme-1")).refuses("shortfall");
    case.says("b", hello().signed("nixos-1 acme-1")).endorses(&hello());
}

/// A suspended signer's key is used to vouch.
#[test]
fn a_suspended_signers_vote() {
    let case = |lab: Lab| {
        let lab = lab.signer("acme").cache("a").rule(needs(2, "nixos acme"));
        lab.ask().says("a", hello().signed("nixos-1 acme-1"))
    };
    case(Lab::default().signer("nixos").suspended()).refuses("shortfall");
    case(Lab::default().signer("nixos")).endorses(&hello());
}

/// A suspended signer's key is used to block updates.
#[test]
fn a_suspended_signers_veto() {
    let case = |lab: Lab| {
        let lab = lab.signer("acme").cache("a").cache("b").rule(needs(1, "nixos acme"));
        lab.ask().says("a", hello().signed("acme-1")).says("b", other().signed("nixos-1"))
    };
    case(Lab::default().signer("nixos")).refuses("dissent");
    case(Lab::default().signer("nixos").suspended()).endorses(&hello());
}

/// The attacker copies the signature from another path's narinfo.
#[test]
fn a_signature_moved_to_another_core() {
    let lab = Lab::of("nixos", "a").rule(needs(1, "nixos"));
    let elsewhere = hello().named("bye-1").signed("nixos-1");
    lab.ask().says("a", hello().signatures_of(&elsewhere)).refuses("not-credible");
    lab.ask().says("a", hello().signatures_of(&hello().signed("nixos-1"))).endorses(&hello());
}

/// The attacker signs with a key of their own and writes the trusted key's name.
#[test]
fn the_right_name_with_another_key() {
    let lab = Lab::of("nixos", "a").rule(needs(1, "nixos"));
    lab.ask().says("a", hello().signed_as("nixos-1", "mallory-1")).refuses("not-credible");
    lab.ask().says("a", hello().signed_as("nixos-1", "mallory-1").signed("nixos-1")).endorses(&hello());
}

/// The right key signs, and the attacker renames the signature so that Nix could not look it up.
#[test]
fn the_right_key_under_another_name() {
    let lab = Lab::of("nixos", "a").rule(needs(1, "nixos"));
    lab.ask().says("a", hello().signed_as("nixos-2", "nixos-1")).refuses("not-credible");
    lab.ask().says("a", hello().signed("nixos-1")).endorses(&hello());
}

/// Ten caches of ten operators publish one signature. It is one word, ten times.
#[test]
fn one_signature_shown_by_ten_caches() {
    let ten = "a b c d e f g h i j";
    let lab = Lab::of("nixos acme", ten).rule(needs(2, "nixos acme").operators(10));
    lab.ask().all_say(ten, &hello().signed("nixos-1")).refuses("shortfall");
    lab.ask()
        .all_say(ten, &hello().signed("nixos-1"))
        .says("a", hello().signed("nixos-1 acme-1"))
        .endorses(&hello());
}

/// One signature, many times in one narinfo.
#[test]
fn one_signature_repeated() {
    let repeated = hello().signed("nixos-1 nixos-1 nixos-1");
    two().ask().says("a", repeated.clone()).refuses("shortfall");
    let endorsed = two().ask().says("a", repeated.signed("acme-1")).endorsed();
    assert_eq!(endorsed.signatures().len(), 2);
}

/// The attacker buries the honest dissenter's signature, or pads with junk: what follows the 64th is ignored.
#[test]
fn the_65th_signature() {
    let lab = Lab::of("nixos", "a").rule(needs(1, "nixos"));
    let junk = |n| (0..n).fold(hello(), |sheet, _| sheet.signed("mallory-1"));
    lab.ask().says("a", junk(64).signed("nixos-1")).refuses("not-credible");
    lab.ask().says("a", junk(63).signed("nixos-1")).endorses(&hello());
}

/// Somebody between us and a cache without TLS shows a copied signature, to make a second operator.
#[test]
fn a_plain_http_cache_as_an_operator() {
    let case = |lab: Lab| {
        let lab = lab.rule(needs(1, "nixos").operators(2));
        lab.ask().all_say("a b", &hello().signed("nixos-1"))
    };
    case(Lab::of("nixos", "a b").plain_http()).refuses("shortfall");
    case(Lab::of("nixos", "a b")).endorses(&hello());
}
