//! How a rule settles dissent (§3.5).

use crate::trust::tests::lab::{Lab, Need, needs};
use crate::trust::tests::sheet::{hello, other};

fn lab(need: Need) -> Lab {
    Lab::of("p q r", "a b c").signer("copy").derives_from("p").rule(need)
}

#[test]
fn refuse_refuses() {
    let lab = lab(needs(1, "p q r"));
    let case = lab.ask().says("a", hello().signed("p-1 q-1"));
    case.clone().says("b", other().signed("r-1")).refuses("dissent");
    case.says("b", hello().signed("r-1")).endorses(&hello());
}

#[test]
fn outvote_takes_the_core_with_strictly_more_voices() {
    let lab = lab(needs(1, "p q r").outvote());
    let case = lab.ask().says("b", other().signed("r-1"));
    case.clone().says("a", hello().signed("p-1")).refuses("dissent");
    case.says("a", hello().signed("p-1 q-1")).endorses(&hello());
}

#[test]
fn outvote_counts_all_others_together() {
    let lab = lab(needs(1, "p q r copy").outvote());
    let case = lab.ask().says("a", hello().signed("p-1"));
    let third = hello().contents("third contents");
    case.clone().says("b", other().signed("q-1")).says("c", third.signed("r-1")).refuses("dissent");
    lab.ask().says("a", hello().signed("p-1 q-1")).says("c", other().signed("r-1")).endorses(&hello());
}

#[test]
fn outvote_counts_voices_not_signers() {
    let lab = lab(needs(1, "p q r copy").outvote());
    let case = lab.ask().says("b", other().signed("r-1"));
    case.clone().says("a", hello().signed("p-1 copy-1")).refuses("dissent");
    case.says("a", hello().signed("q-1 copy-1")).endorses(&hello());
}

#[test]
fn outvote_counts_the_signers_of_the_rules_of_alone() {
    let lab = lab(needs(1, "p r").outvote());
    let case = lab.ask().says("b", other().signed("r-1"));
    case.says("a", hello().signed("p-1 q-1")).refuses("dissent");
    // The stranger to the rule beside the dissenter is no voice either.
    let case = lab.ask().says("a", hello().signed("p-1"));
    case.says("b", other().signed("r-1 q-1")).refuses("dissent");
    let pair = self::lab(needs(1, "p q r").outvote());
    let case = pair.ask().says("a", hello().signed("p-1 q-1"));
    case.says("b", other().signed("r-1 copy-1")).endorses(&hello());
    let wider = self::lab(needs(1, "p q r").outvote());
    wider.ask().says("a", hello().signed("p-1 q-1")).says("b", other().signed("r-1")).endorses(&hello());
}

#[test]
fn a_signer_vouching_for_two_cores_counts_against_both() {
    let lab = lab(needs(1, "p q r").outvote());
    let case = lab.ask().says("a", hello().signed("p-1 q-1"));
    case.clone().says("b", other().signed("q-1")).refuses("dissent");
    case.clone().says("b", other().signed("r-1")).endorses(&hello());
    lab.ask().says("a", hello().signed("p-1 q-1 r-1")).says("b", other().signed("r-1")).endorses(&hello());
}

#[test]
fn the_core_that_outvotes_must_satisfy_the_rule() {
    let case = |need| {
        let lab = lab(need);
        lab.ask().says("a", hello().signed("p-1 q-1")).says("b", other().signed("r-1"))
    };
    case(needs(2, "p q r").outvote()).endorses(&hello());
    case(needs(3, "p q r").outvote()).refuses("dissent");
    case(needs(2, "p q r").outvote().operators(2)).refuses("dissent");
}

/// Chosen reading: whose voice counts against a core does not help to satisfy for it.
#[test]
fn a_contradicting_voice_does_not_satisfy_under_outvote() {
    let lab = |n| lab(needs(n, "p q r copy").outvote());
    let case = |n| lab(n).ask().says("a", hello().signed("p-1 q-1 r-1")).says("b", other().signed("r-1"));
    case(2).endorses(&hello());
    case(3).refuses("dissent");
    // The re-signer of a core is its source's voice.
    let case = |n| lab(n).ask().says("a", hello().signed("p-1 q-1 r-1")).says("b", other().signed("copy-1"));
    case(2).endorses(&hello());
    case(3).refuses("dissent");
}

#[test]
fn prefer_takes_the_first_listed_signer_that_vouches() {
    let case = |list| {
        let lab = lab(needs(1, "p q r").prefer(list));
        lab.ask().says("a", hello().signed("p-1")).says("b", other().signed("q-1 r-1"))
    };
    case("p q").endorses(&hello());
    case("q p").endorses(&other());
    case("copy p").endorses(&hello());
}

#[test]
fn prefer_passes_over_a_signer_that_vouches_for_two_cores() {
    let lab = lab(needs(1, "p q r").prefer("p q"));
    let case = lab.ask().says("a", hello().signed("p-1"));
    case.clone().says("b", other().signed("p-1 q-1")).endorses(&other());
    case.says("b", other().signed("q-1")).endorses(&hello());
}

#[test]
fn the_preferred_core_must_satisfy_the_rule_and_none_other_is_tried() {
    let lab = |n| lab(needs(n, "p q r").prefer("p q"));
    let case = |n| lab(n).ask().says("a", hello().signed("p-1")).says("b", other().signed("q-1 r-1"));
    case(2).refuses("dissent");
    case(1).endorses(&hello());
}

#[test]
fn without_a_listed_signer_dissent_is_refused() {
    let lab = lab(needs(1, "p q r").prefer("copy"));
    let case = lab.ask().says("a", hello().signed("p-1")).says("b", other().signed("q-1"));
    case.refuses("dissent");
    case.says("a", hello().signed("p-1 copy-1")).endorses(&hello());
}

/// Chosen reading: a signer that vouches for another core too is no support for the preferred one.
#[test]
fn a_contradicting_signer_does_not_satisfy_under_prefer() {
    let lab = lab(needs(2, "p q r").prefer("p"));
    let case = lab.ask().says("b", other().signed("r-1"));
    case.clone().says("a", hello().signed("p-1 r-1")).refuses("dissent");
    case.says("a", hello().signed("p-1 q-1")).endorses(&hello());
}

#[test]
fn a_signer_that_vouches_for_two_cores_is_dissent_with_itself() {
    let lab = lab(needs(1, "p"));
    let case = lab.ask().says("a", hello().signed("p-1"));
    case.clone().says("b", other().signed("p-1")).refuses("dissent");
    case.says("b", hello().signed("p-1")).endorses(&hello());
}

#[test]
fn dissent_that_nothing_could_lift_is_refused_at_once() {
    let case = |need| {
        let case = lab(need).ask().says("a", hello().signed("p-1"));
        case.says("b", other().signed("q-1")).pending("c")
    };
    assert!(case(needs(1, "p q r")).is_settled());
    case(needs(1, "p q r")).refuses("dissent");
    assert!(!case(needs(1, "p q r").outvote()).is_settled());
    case(needs(1, "p q r").outvote()).defers("dissent");
}

#[test]
fn dissent_is_told_with_its_sides() {
    let lab = lab(needs(1, "p q"));
    let case = lab.ask().says("a", hello().signed("p-1")).says("b", other().signed("q-1"));
    let reason = case.verdict().reason().unwrap().clone();
    assert!(reason.to_string().contains("by a (signed by p) against"), "{reason}");
    assert!(reason.lift().contains(&hello().core().nar_hash.to_string()), "{}", reason.lift());
}
