//! Which rule judges a claim, and what different names for one path make of it (§3.3, §3.4).

use crate::trust::tests::case::NOW;
use crate::trust::tests::lab::{Lab, needs};
use crate::trust::tests::sheet::{hello, other};

/// A strict first rule for greetings, a lax last one.
fn two_rules() -> Lab {
    Lab::of("nixos acme", "a b")
        .rule(needs(2, "nixos acme").called("strict").packages("hello-*"))
        .rule(needs(1, "nixos acme").called("lax"))
}

#[test]
fn the_first_rule_whose_packages_match_judges() {
    two_rules().ask().says("a", hello().signed("nixos-1")).refuses("shortfall");
    let bye = hello().named("bye-1");
    two_rules().ask().says("a", bye.clone().signed("nixos-1")).endorses(&bye);
}

#[test]
fn an_exception_that_holds_goes_before_the_rules() {
    let lab = two_rules().except("hello-2*", "lax", NOW + 1);
    let case = lab.ask().says("a", hello().signed("nixos-1"));
    case.endorses(&hello());
    case.at(NOW + 1).refuses("shortfall");
}

#[test]
fn a_claim_is_credible_under_its_own_names_rule() {
    // "tests" is named by the rule for greetings alone, so its other name for the path is noise.
    let lab = Lab::of("nixos tests", "a b")
        .rule(needs(1, "nixos tests").called("greetings").packages("hello-*"))
        .rule(needs(1, "nixos").called("rest"));
    let case = lab.ask().says("a", hello().signed("nixos-1"));
    case.clone().says("b", hello().named("bye-1").signed("tests-1")).endorses(&hello());
    case.says("b", hello().named("hello-3").signed("tests-1")).refuses("names-differ");
}

#[test]
fn a_signer_named_in_prefer_makes_a_claim_credible() {
    let lab = Lab::of("nixos tests", "a b");
    let case = |need| {
        let lab = lab.clone().rule(need);
        lab.ask().says("a", hello().signed("nixos-1")).says("b", other().signed("tests-1"))
    };
    case(needs(1, "nixos").prefer("tests nixos")).refuses("dissent");
    case(needs(1, "nixos").prefer("nixos")).endorses(&hello());
}

#[test]
fn a_pinned_exception_lets_that_core_be_judged_by_its_rule() {
    let lab = two_rules();
    let pinned = lab.clone().pin(&hello(), "lax", NOW + 1);
    let case = |lab: &Lab| lab.ask().says("a", hello().signed("nixos-1"));
    case(&lab).refuses("shortfall");
    case(&pinned).endorses(&hello());
    case(&pinned).at(NOW + 1).refuses("shortfall");
}

#[test]
fn other_cores_are_noise_to_a_pinned_one() {
    let lab = two_rules();
    let pinned = lab.clone().pin(&hello(), "lax", NOW + 1);
    let case = |lab: &Lab| {
        lab.ask().says("a", hello().signed("nixos-1")).says("b", other().signed("nixos-1 acme-1"))
    };
    case(&pinned).endorses(&hello());
    case(&lab).refuses("dissent");
}

#[test]
fn a_pinned_exception_that_does_not_endorse_leaves_everything_to_the_rules() {
    let lab = two_rules().pin(&other(), "lax", NOW + 1);
    lab.ask().says("a", other()).says("b", hello().signed("nixos-1 acme-1")).endorses(&hello());
    lab.ask().says("a", other()).says("b", hello().signed("nixos-1")).refuses("shortfall");
}

#[test]
fn names_from_limited_signers_are_noise_beside_one_from_an_unlimited_signer() {
    let lab =
        |globs| Lab::of("nixos", "a b").signer("acme").may_vouch_for(globs).rule(needs(1, "nixos acme"));
    let case = |globs| {
        let case = lab(globs).ask().says("a", hello().signed("nixos-1"));
        case.says("b", hello().named("acme-1").signed("acme-1"))
    };
    case("acme-*").endorses(&hello());
    case("*").refuses("names-differ");
}

#[test]
fn credible_names_that_still_differ_are_refused_however_the_rule_settles_dissent() {
    let lab = Lab::of("nixos acme tests", "a b");
    let case = |need, name: &str| {
        let lab = lab.clone().rule(need);
        let case = lab.ask().says("a", hello().signed("nixos-1 tests-1"));
        case.says("b", other().named(name).signed("acme-1"))
    };
    case(needs(1, "nixos acme tests").outvote(), "bye-1").refuses("names-differ");
    case(needs(1, "nixos acme tests").prefer("nixos"), "bye-1").refuses("names-differ");
    case(needs(1, "nixos acme tests").outvote(), "hello-2.12").endorses(&hello());
    case(needs(1, "nixos acme tests").prefer("nixos"), "hello-2.12").endorses(&hello());
}

/// Only a different name is noise: about the name that the unlimited signer uses, a limited one may dissent.
#[test]
fn a_limited_signer_dissents_about_the_name_that_it_may_vouch_for() {
    let lab = Lab::of("nixos", "a b c").signer("acme").may_vouch_for("hello-* acme-*");
    let lab = lab.rule(needs(1, "nixos acme"));
    let case = lab.ask().says("a", hello().signed("nixos-1")).says("b", other().signed("acme-1"));
    case.refuses("dissent");
    case.clone().says("c", hello().named("acme-1").signed("acme-1")).refuses("dissent");
    case.says("b", hello().signed("acme-1")).endorses(&hello());
}

#[test]
fn names_that_an_unlimited_signer_could_still_settle_are_deferred() {
    let lab = |accepts| {
        let lab = Lab::of("p", "a b").signer("x").may_vouch_for("hello-*").signer("y").may_vouch_for("bye-*");
        lab.cache("c").accepts(accepts).rule(needs(1, "p x y"))
    };
    let case = |accepts| {
        let case = lab(accepts).ask().says("a", hello().signed("x-1"));
        case.says("b", hello().named("bye-1").signed("y-1")).silent("c")
    };
    case("p").defers("names-differ");
    case("x y").refuses("names-differ");
    case("p").says("c", hello().signed("p-1")).endorses(&hello());
}

/// The unlimited signer's word must be given now: a memory helps nobody.
#[test]
fn a_remembered_unlimited_signer_makes_no_noise_of_others() {
    let lab = Lab::of("nixos", "a b c").signer("x").may_vouch_for("hello-*");
    let lab = lab.signer("y").may_vouch_for("bye-*").rule(needs(1, "nixos x y"));
    let bye = hello().named("bye-1").signed("y-1");
    let case = lab.ask().says("a", hello().signed("x-1")).says("b", bye);
    case.clone().silent("c").remembering("c", hello().signed("nixos-1")).defers("names-differ");
    case.says("c", hello().signed("nixos-1")).endorses(&hello());
}
