//! Silence, memory, and what a missing answer could change (§3.6, §3.8, §3.9).

use crate::trust::tests::lab::{Lab, needs};
use crate::trust::tests::sheet::{hello, other};

fn lab() -> Lab {
    Lab::of("p q", "a b").rule(needs(1, "p q").ignore_content())
}

#[test]
fn every_cache_says_not_found_is_absent() {
    lab().ask().is_absent();
    lab().ask().says("a", hello().signed("p-1")).endorses(&hello());
}

#[test]
fn silence_is_not_absence() {
    lab().ask().silent("a").defers("no-claim");
    lab().ask().silent("a b").defers("no-claim");
}

#[test]
fn silence_neither_helps_nor_lowers_the_bar() {
    let lab = Lab::of("p q", "a b c").rule(needs(2, "p q").operators(2));
    let case = lab.ask().says("a", hello().signed("p-1 q-1"));
    case.clone().silent("b c").defers("shortfall");
    case.clone().refuses("shortfall");
    case.says("b", hello().signed("p-1")).silent("c").endorses(&hello());
}

#[test]
fn a_missing_answer_that_could_satisfy_defers() {
    let lab = |accepts| Lab::of("p q", "a").cache("b").accepts(accepts).rule(needs(2, "p q"));
    let case = |accepts| lab(accepts).ask().says("a", hello().signed("p-1")).silent("b");
    case("q").defers("shortfall");
    case("p").refuses("shortfall");
}

#[test]
fn a_missing_operator_that_could_satisfy_defers() {
    let lab = |operator| Lab::of("p", "a").cache("b").run_by(operator).rule(needs(1, "p").operators(2));
    let case = |operator| lab(operator).ask().says("a", hello().signed("p-1")).silent("b");
    case("another").defers("shortfall");
    case("a").refuses("shortfall");
}

#[test]
fn the_last_claim_of_a_silent_cache_still_makes_dissent() {
    let case = lab().ask().says("a", hello().signed("p-1")).remembering("b", other().signed("q-1"));
    case.clone().silent("b").defers("dissent");
    case.clone().says("b", hello().signed("q-1")).endorses(&hello());
    case.endorses(&hello());
}

#[test]
fn a_memory_never_helps_to_satisfy() {
    let lab = Lab::of("p q", "a b").rule(needs(2, "p q"));
    let case = lab.ask().says("a", hello().signed("p-1"));
    case.clone().silent("b").remembering("b", hello().signed("q-1")).defers("shortfall");
    case.says("b", hello().signed("q-1")).endorses(&hello());
}

#[test]
fn a_memory_is_no_operator_either() {
    let lab = Lab::of("p", "a b").rule(needs(1, "p").operators(2));
    let case = lab.ask().says("a", hello().signed("p-1"));
    case.clone().silent("b").remembering("b", hello().signed("p-1")).defers("shortfall");
    case.says("b", hello().signed("p-1")).endorses(&hello());
}

#[test]
fn a_memory_alone_endorses_nothing() {
    let case = lab().ask().remembering("a", hello().signed("p-1"));
    case.clone().silent("a").defers("shortfall");
    case.is_absent();
}

#[test]
fn an_incredible_memory_is_noise() {
    let case = lab().ask().says("a", hello().signed("p-1")).silent("b");
    case.clone().remembering("b", other().signed("mallory-1")).endorses(&hello());
    case.remembering("b", other().signed("p-1")).defers("dissent");
}

#[test]
fn a_memory_outweighs_under_outvote_and_prefer_but_never_wins() {
    let lab = |need| Lab::of("p q r", "a b").rule(need);
    let case = |need| {
        let case = lab(need).ask().says("a", hello().signed("p-1")).silent("b");
        case.remembering("b", other().signed("q-1 r-1"))
    };
    case(needs(1, "p q r").outvote()).defers("dissent");
    case(needs(1, "p q r").prefer("q p")).defers("dissent");
    case(needs(1, "p q r").prefer("p q")).endorses(&hello());
}

/// Chosen reading: where only a memory disagrees, its cache could still take it back.
#[test]
fn dissent_of_memories_alone_is_deferred_even_where_the_silent_cache_could_add_nothing() {
    let lab = Lab::of("p q", "a").cache("b").accepts("q").rule(needs(1, "p").prefer("q").ignore_content());
    let case = lab.ask().says("a", hello().signed("p-1"));
    case.clone().silent("b").remembering("b", other().signed("q-1")).defers("dissent");
    case.clone().says("b", other().signed("q-1")).refuses("dissent");
    case.endorses(&hello());
}

/// "Not found" from the silent cache would leave the path that certifies itself alone.
#[test]
fn a_memory_beside_a_path_that_certifies_itself_is_deferred() {
    use crate::trust::tests::sheet::{certified, recursive};
    let lab = Lab::of("p q", "a").cache("b").accepts("q").rule(needs(2, "p q"));
    let source = certified(recursive("source"));
    let signed = || source.clone().unaddressed().size(7).signed("q-1");
    let case = lab.ask().about(&source).says("a", source.clone());
    case.clone().silent("b").remembering("b", signed()).defers("shortfall");
    case.clone().says("b", signed()).refuses("shortfall");
    case.endorses(&source);
}

#[test]
fn without_a_cache_that_must_answer_nothing_is_endorsed() {
    let lab = Lab::of("p", "a b").rule(needs(1, "p").must_answer("b"));
    let case = lab.ask().says("a", hello().signed("p-1"));
    case.clone().silent("b").defers("must-answer");
    case.endorses(&hello());
}

#[test]
fn without_a_source_an_endorsed_core_is_refused() {
    let lab = Lab::of("p", "a").cache("w").witness().rule(needs(1, "p"));
    lab.ask().says("w", hello().signed("p-1")).refuses("no-source");
    lab.ask().says("w", hello().signed("p-1")).silent("a").refuses("no-source");
    let preferring = Lab::of("p q", "a").cache("w").witness().rule(needs(1, "p").prefer("p q"));
    let case = preferring.ask().says("w", hello().signed("p-1"));
    case.silent("a").remembering("a", other().signed("q-1")).refuses("no-source");
    // The bytes of a core are the same whoever delivers them.
    lab.ask().says("w", hello().signed("p-1")).says("a", hello()).endorses(&hello());
}

#[test]
fn noise_alone_is_refused_when_nothing_is_missing() {
    lab().ask().says("a", hello()).refuses("not-credible");
    lab().ask().says("a", hello()).silent("b").defers("not-credible");
}

/// Chosen reading: a missing cache could still bring a path that certifies itself.
#[test]
fn noise_with_a_missing_cache_is_deferred_where_content_is_verified() {
    let lab = |need| Lab::of("p q", "a").cache("b").accepts("q").rule(need);
    let case = |need| lab(need).ask().says("a", hello()).silent("b");
    case(needs(1, "p")).defers("not-credible");
    case(needs(1, "p").ignore_content()).refuses("not-credible");
}

#[test]
fn a_ballot_is_settled_when_every_cache_has_answered_or_failed() {
    let case = lab().ask().says("a", hello().signed("p-1"));
    assert!(!case.clone().pending("b").is_settled());
    assert!(case.clone().silent("b").is_settled());
    assert!(case.is_settled());
}

#[test]
fn a_later_answer_withdraws_the_verdict() {
    let case = lab().ask().says("a", hello().signed("p-1"));
    case.clone().pending("b").endorses(&hello());
    case.says("b", other().signed("q-1")).refuses("dissent");
}

#[test]
fn a_pinned_build_that_a_missing_cache_could_bring_defers() {
    let lab = Lab::of("p q", "a b")
        .rule(needs(2, "p q").called("strict").packages("hello-*").ignore_content())
        .rule(needs(1, "p q").called("lax").ignore_content());
    let case = |lab: Lab| lab.ask().says("a", other().signed("p-1 q-1")).says("b", hello().signed("q-1"));
    case(lab.clone()).refuses("dissent");
    let pinned = lab.pin(&hello().contents("pinned"), "lax", i64::MAX).cache("c");
    case(pinned.clone()).refuses("dissent");
    case(pinned).silent("c").defers("no-claim");
}

/// The order of answers must not matter: a pinned build may lack no more than a source, which the rules' dissent
/// knows nothing of.
#[test]
fn dissent_is_not_final_while_a_pinned_build_may_still_find_a_source() {
    let lab = Lab::of("p q", "a w").witness().cache("c").rule(needs(1, "p q").called("all"));
    let case = |lab: &Lab| lab.ask().says("a", other().signed("p-1")).says("w", hello().signed("q-1"));
    assert!(case(&lab).pending("c").is_settled());
    let pinned = lab.pin(&hello(), "all", i64::MAX);
    assert!(!case(&pinned).pending("c").is_settled());
    case(&pinned).says("c", hello()).endorses(&hello());
    case(&pinned).silent("c").refuses("dissent");
}
