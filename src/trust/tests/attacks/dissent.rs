//! Attackers who want to veto, or to have an honest veto ignored.

use crate::trust::tests::case::Case;
use crate::trust::tests::lab::{Lab, Need, needs};
use crate::trust::tests::sheet::{hello, other};

fn case(need: Need) -> Case {
    Lab::of("p q r x", "a b c").rule(need).ask().says("a", hello().signed("p-1"))
}

/// A cache without any key claims other contents. It is noise.
#[test]
fn unsigned_dissent() {
    case(needs(1, "p q")).says("b", other()).endorses(&hello());
    case(needs(1, "p q")).says("b", other().signed("q-1")).refuses("dissent");
}

/// The same with a signature of somebody whom we do not know.
#[test]
fn dissent_signed_by_a_stranger() {
    case(needs(1, "p q")).says("b", other().signed("mallory-1")).endorses(&hello());
    case(needs(1, "p q")).says("b", other().signed("mallory-1 q-1")).refuses("dissent");
}

/// The same with a signature of a signer that we know and this rule does not name.
#[test]
fn dissent_signed_by_a_signer_of_other_rules() {
    case(needs(1, "p q")).says("b", other().signed("x-1")).endorses(&hello());
    case(needs(1, "p q x")).says("b", other().signed("x-1")).refuses("dissent");
}

/// The same with a signature lifted from the honest claim.
#[test]
fn dissent_with_a_borrowed_signature() {
    let borrowed = other().signatures_of(&hello().signed("p-1"));
    case(needs(1, "p q")).says("b", borrowed).endorses(&hello());
}

/// Two builders differ. Whoever is right, nothing is served.
#[test]
fn signed_dissent() {
    case(needs(1, "p q")).says("b", other().signed("q-1")).refuses("dissent");
    case(needs(1, "p q")).says("b", hello().signed("q-1")).endorses(&hello());
}

/// Many unsigned claims against one signed one. Claims are not votes.
#[test]
fn a_crowd_of_unsigned_claims() {
    case(needs(1, "p q").outvote()).all_say("b c", &other()).endorses(&hello());
    case(needs(1, "p q").outvote()).all_say("b c", &other().signed("q-1")).refuses("dissent");
}

/// One party signs both cores, to be the voice that outvotes for whichever suits it.
#[test]
fn outvoting_with_a_double_voucher() {
    let both = |b: &str| {
        case(needs(1, "p q r").outvote()).says("a", hello().signed("p-1 q-1")).says("b", other().signed(b))
    };
    both("q-1").refuses("dissent");
    both("r-1").endorses(&hello());
}

/// A double voucher is to fill a clause for the core that outvotes.
#[test]
fn satisfying_with_a_double_voucher_under_outvote() {
    let both = |n| {
        let case = case(needs(n, "p q r").outvote()).says("a", hello().signed("p-1 q-1 r-1"));
        case.says("b", other().signed("r-1"))
    };
    both(3).refuses("dissent");
    both(2).endorses(&hello());
}

/// The preferred signer's key is stolen and signs another core. It is never preferred again.
#[test]
fn preferring_a_contradicting_signer() {
    let stolen = case(needs(1, "p q").prefer("p")).says("b", other().signed("p-1"));
    stolen.refuses("dissent");
    case(needs(1, "p q").prefer("p")).says("b", other().signed("q-1")).endorses(&hello());
}

/// A double voucher is to fill a clause for the preferred core.
#[test]
fn satisfying_with_a_double_voucher_under_prefer() {
    let both = |b: &str| {
        let case = case(needs(2, "p q r").prefer("p")).says("a", hello().signed("p-1 q-1"));
        case.says("b", other().signed(b))
    };
    both("q-1 r-1").refuses("dissent");
    both("r-1").endorses(&hello());
}

/// A mirror's key signs another core, so that its source outvotes with it on its side. One voice, two cores.
#[test]
fn a_source_and_its_resigner_on_both_sides() {
    let lab = |from| {
        Lab::of("p q r", "a b").signer("copy").derives_from(from).rule(needs(1, "p q r copy").outvote())
    };
    let both =
        |from| lab(from).ask().says("a", hello().signed("p-1 q-1")).says("b", other().signed("copy-1"));
    both("p").refuses("dissent");
    both("r").endorses(&hello());
}

/// The dissenter's cache may not show the dissenter: its claim is noise.
#[test]
fn dissent_through_a_cache_that_may_not_show_it() {
    let lab = |accepts| Lab::of("p q", "a").cache("b").accepts(accepts).rule(needs(1, "p q"));
    let both = |accepts| lab(accepts).ask().says("a", hello().signed("p-1")).says("b", other().signed("q-1"));
    both("p").endorses(&hello());
    both("p q").refuses("dissent");
}

/// A difference in References alone is dissent too: cores are compared, not NarHashes.
#[test]
fn dissent_about_references_alone() {
    case(needs(1, "p q")).says("b", hello().references("").signed("q-1")).refuses("dissent");
    case(needs(1, "p q")).says("b", hello().signed("q-1")).endorses(&hello());
}

/// A difference in NarSize alone is dissent too.
#[test]
fn dissent_about_the_size_alone() {
    case(needs(1, "p q")).says("b", hello().size(7).signed("q-1")).refuses("dissent");
    case(needs(1, "p q")).says("b", hello().signed("q-1")).endorses(&hello());
}
