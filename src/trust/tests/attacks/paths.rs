//! Attackers who rename a path, abuse an exception, or have nothing to deliver.

use crate::trust::tests::case::NOW;
use crate::trust::tests::lab::{Lab, needs};
use crate::trust::tests::sheet::{hello, other};

/// Strict for greetings, lax for the rest.
fn strict() -> Lab {
    Lab::of("p q", "a b")
        .rule(needs(2, "p q").called("strict").packages("hello-*"))
        .rule(needs(1, "p q").called("lax"))
}

/// A signer that may vouch for its own packages alone gives another's path one of its names. It is noise.
#[test]
fn a_limited_signer_renames_a_path() {
    let lab = |globs| Lab::of("p", "a b").signer("acme").may_vouch_for(globs).rule(needs(1, "p acme"));
    let case = |globs| {
        let renamed = other().named("acme-tool-1").signed("acme-1");
        lab(globs).ask().says("a", hello().signed("p-1")).says("b", renamed)
    };
    case("acme-*").endorses(&hello());
    case("*").refuses("names-differ");
}

/// Two limited signers name one path differently. Neither is above the other.
#[test]
fn two_limited_signers_rename_a_path() {
    let lab = Lab::of("", "a b").signer("x").may_vouch_for("hello-*").signer("y").may_vouch_for("bye-*");
    let case = lab.rule(needs(1, "x y")).ask().says("a", hello().signed("x-1"));
    case.endorses(&hello());
    case.says("b", hello().named("bye-1").signed("y-1")).refuses("names-differ");
}

/// A limited signer adds a claim under another name, so that another limited signer's honest dissent drops
/// out.
#[test]
fn a_second_name_does_not_silence_a_limited_dissenter() {
    let lab = Lab::of("p", "a b c").signer("x").may_vouch_for("hello-*").signer("y").may_vouch_for("bye-*");
    let lab = lab.rule(needs(1, "p x y"));
    let case = lab.ask().says("a", hello().signed("p-1")).says("c", hello().named("bye-1").signed("y-1"));
    case.endorses(&hello());
    case.says("b", other().signed("x-1")).refuses("dissent");
}

/// A path is given a name with a laxer rule by one key. The honest name refuses it.
#[test]
fn a_path_renamed_towards_a_laxer_rule() {
    let case = strict().ask().says("a", hello().signed("p-1 q-1"));
    case.endorses(&hello());
    case.says("b", hello().named("bye-1").signed("q-1")).refuses("names-differ");
}

/// An exception pins one build; the attacker shows another.
#[test]
fn a_pinned_exception_used_for_another_core() {
    let lab = strict().pin(&hello(), "lax", NOW + 1);
    lab.ask().says("a", other().signed("p-1")).refuses("shortfall");
    lab.ask().says("a", hello().signed("p-1")).endorses(&hello());
}

/// The pinned contents under another name, which would be another path.
#[test]
fn a_pinned_exception_used_for_another_name() {
    let lab = strict().pin(&hello(), "lax", NOW + 1);
    lab.ask().says("a", hello().named("hello-3").signed("p-1")).refuses("shortfall");
    lab.ask().says("a", hello().signed("p-1")).endorses(&hello());
}

/// A pinned build still needs its rule's signatures: pinning is no signature.
#[test]
fn a_pinned_build_without_a_signature() {
    let lab = strict().pin(&hello(), "lax", NOW + 1);
    lab.ask().says("a", hello()).refuses("not-credible");
    lab.ask().says("a", hello().signed("q-1")).endorses(&hello());
}

/// A pinned exception has ended.
#[test]
fn an_expired_pinned_exception() {
    let case = strict().pin(&hello(), "lax", NOW + 1).ask().says("a", hello().signed("p-1"));
    case.endorses(&hello());
    case.at(NOW + 1).refuses("shortfall");
}

/// An exception for packages has ended.
#[test]
fn an_expired_exception() {
    let case = strict().except("hello-*", "lax", NOW + 1).ask().says("a", hello().signed("p-1"));
    case.endorses(&hello());
    case.at(NOW + 1).refuses("shortfall");
}

/// An exception for some packages is stretched over others.
#[test]
fn an_exception_for_other_packages() {
    let case = |globs| strict().except(globs, "lax", NOW + 1).ask().says("a", hello().signed("p-1"));
    case("hello-1.*").refuses("shortfall");
    case("hello-2.*").endorses(&hello());
}

/// Only witnesses have the path. Claims are no bytes.
#[test]
fn witnesses_alone() {
    let case = |lab: Lab| lab.rule(needs(1, "p")).ask().says("a", hello().signed("p-1"));
    case(Lab::of("p", "a").witness()).refuses("no-source");
    case(Lab::of("p", "a")).endorses(&hello());
}

/// The bytes are offered in a compression that starts external programs in some clients.
#[test]
fn an_unknown_compression() {
    let case = |name| strict().ask().says("a", hello().compression(name).signed("p-1 q-1"));
    case("lrzip").refuses("no-source");
    case("zstd").endorses(&hello());
}

/// The URL leads elsewhere.
#[test]
fn a_location_outside() {
    strict().ask().says("a", hello().signed("p-1 q-1").outside()).refuses("no-source");
    strict().ask().says("a", hello().signed("p-1 q-1")).endorses(&hello());
}

/// A cache offers bytes of another core than the endorsed one. Nothing is fetched from it.
#[test]
fn an_offer_of_other_bytes() {
    let lab = Lab::of("p q", "b").cache("w").witness().rule(needs(1, "p"));
    let case = lab.ask().says("w", hello().signed("p-1"));
    case.clone().says("b", other()).refuses("no-source");
    case.says("b", hello()).endorses(&hello());
}
