//! Attackers who silence a cache, or have it change its word.

use super::super::case::Case;
use crate::trust::tests::lab::{Lab, needs, seconds};
use crate::trust::tests::sheet::{hello, other};
use crate::trust::{Answer, CacheId, Silence, Timestamp};

fn case() -> Case {
    Lab::of("p q", "a b").rule(needs(1, "p q")).ask().says("a", hello().signed("p-1"))
}

/// The dissenting cache is taken off the net. What it said last still dissents.
#[test]
fn a_silenced_dissenter() {
    case().silent("b").remembering("b", other().signed("q-1")).defers("dissent");
    case().silent("b").remembering("b", hello().signed("q-1")).endorses(&hello());
}

/// The ledger is full of one key's claims, to be counted when their caches are down.
#[test]
fn a_memory_as_a_vote() {
    let lab = Lab::of("p q", "a b").rule(needs(2, "p q"));
    let case = lab.ask().says("a", hello().signed("p-1"));
    case.clone().silent("b").remembering("b", hello().signed("q-1")).defers("shortfall");
    case.says("b", hello().signed("q-1")).endorses(&hello());
}

/// The ledger was written to by hand: what it holds is checked again.
#[test]
fn a_forged_memory() {
    case().silent("b").remembering("b", other().signed_as("q-1", "mallory-1")).endorses(&hello());
    case().silent("b").remembering("b", other().signed("q-1")).defers("dissent");
}

/// A memory of another path cannot be recalled into this question.
#[test]
fn a_memory_of_another_path() {
    let case = case().silent("b");
    let elsewhere =
        crate::trust::tests::sheet::certified(crate::trust::tests::sheet::recursive("x")).signed("q-1");
    let mut ballot = case.cast();
    ballot.recall(elsewhere.claim(CacheId(1), elsewhere.path().hash_part()).unwrap(), seconds(1));
    assert_eq!(ballot.verdict(Timestamp::from_seconds(0)).label(), "endorse");
    ballot.recall(other().signed("q-1").claim(CacheId(1), hello().path().hash_part()).unwrap(), seconds(1));
    assert_eq!(ballot.verdict(Timestamp::from_seconds(0)).label(), "defer");
}

/// The cache that must answer is kept from doing so.
#[test]
fn a_cache_that_must_answer_is_silenced() {
    let lab = Lab::of("p", "a b").rule(needs(1, "p").must_answer("b"));
    let case = lab.ask().says("a", hello().signed("p-1"));
    case.clone().silent("b").defers("must-answer");
    case.clone().says("b", hello().line("NarSize: 1")).defers("must-answer");
    case.endorses(&hello());
}

/// A cache gives a second answer. The last one holds, in both directions.
#[test]
fn a_cache_changes_its_word() {
    let now = Timestamp::from_seconds(0);
    let mut ballot = case().cast();
    let mut say = |sheet: crate::trust::tests::sheet::Sheet| {
        let claim = sheet.claim(CacheId(1), hello().path().hash_part()).unwrap();
        ballot.cast(CacheId(1), Answer::Claim(Box::new(claim)));
        ballot.verdict(now).label()
    };
    assert_eq!(say(hello().signed("q-1")), "endorse");
    assert_eq!(say(other().signed("q-1")), "refuse");
    assert_eq!(say(hello()), "endorse");
    ballot.cast(CacheId(0), Answer::NoAnswer(Silence::TimedOut));
    assert_eq!(ballot.verdict(now).label(), "defer");
}

/// A claim made by one cache is cast as another's, to be counted for its operator.
#[test]
fn a_claim_cast_as_another_caches() {
    let mut ballot = Lab::of("p", "a b").rule(needs(1, "p").operators(2)).ask().cast();
    let claim =
        |cache| Box::new(hello().signed("p-1").claim(CacheId(cache), hello().path().hash_part()).unwrap());
    ballot.cast(CacheId(0), Answer::Claim(claim(0)));
    ballot.cast(CacheId(1), Answer::Claim(claim(0)));
    assert_eq!(ballot.verdict(Timestamp::from_seconds(0)).label(), "defer");
    ballot.cast(CacheId(1), Answer::Claim(claim(1)));
    assert_eq!(ballot.verdict(Timestamp::from_seconds(0)).label(), "endorse");
}

/// A cache that the policy does not know answers.
#[test]
fn an_answer_of_an_unknown_cache() {
    let mut ballot = Lab::of("p", "a").rule(needs(1, "p")).ask().cast();
    let claim = hello().signed("p-1").claim(CacheId(7), hello().path().hash_part()).unwrap();
    ballot.cast(CacheId(7), Answer::Claim(Box::new(claim)));
    assert_eq!(ballot.verdict(Timestamp::from_seconds(0)).label(), "absent");
}

/// A narinfo that no strict parser takes is no answer: it neither votes nor says that the path is absent.
#[test]
fn a_malformed_answer() {
    let lab = Lab::of("p", "a b").rule(needs(1, "p"));
    lab.ask().says("a", hello().signed("p-1").line("")).defers("no-claim");
    lab.ask().says("a", hello().signed("p-1")).endorses(&hello());
}
