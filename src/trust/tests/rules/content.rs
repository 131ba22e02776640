//! Paths that certify themselves (§3.7), what is told of an endorsed path (§4), and observe mode.

use crate::format::{NixHash, StoreDir};
use crate::trust::tests::lab::{Lab, needs};
use crate::trust::tests::sheet::{GLIBC, Sheet, certified, flat, hello, other, recursive, secret};
use crate::trust::{Basis, render};

fn lab() -> Lab {
    Lab::of("p q", "a b").rule(needs(1, "p").operators(2))
}

fn source() -> Sheet {
    certified(recursive("source"))
}

fn flat_file() -> Sheet {
    certified(flat("a file"))
}

#[test]
fn a_path_that_certifies_itself_needs_no_signer_and_no_operators() {
    let endorsed = lab().ask().about(&source()).says("a", source()).endorsed();
    assert_eq!(endorsed.basis(), Basis::Content);
    assert_eq!(endorsed.content_address(), Some(&recursive("source")));
    let moved = source().named("hello-2.13");
    lab().ask().about(&moved).says("a", moved.clone()).refuses("not-credible");
}

#[test]
fn references_must_recompute_too() {
    lab().ask().about(&source()).says("a", source().references(GLIBC)).refuses("not-credible");
    lab().ask().about(&source()).says("a", source()).endorses(&source());
}

#[test]
fn recursive_sha256_demands_its_nar_hash() {
    let lie = source().contents("other contents");
    assert!(lie.claim(crate::trust::CacheId(0), lie.path().hash_part()).is_none());
    // The cache is faulty: what it said is no answer, so its silence defers.
    lab().ask().about(&source()).says("a", lie).defers("no-claim");
    lab().ask().about(&source()).says("a", source()).endorses(&source());
}

#[test]
fn other_kinds_wait_for_their_bytes() {
    let case = lab().ask().about(&flat_file()).says("a", flat_file());
    assert_eq!(case.asks_for_bytes(), 1);
    case.defers("bytes-unchecked");
    case.clone().bytes(|_| true).endorses(&flat_file());
    case.bytes(|_| false).refuses("not-credible");
}

#[test]
fn recursive_hashes_of_other_algorithms_wait_too() {
    let sha1 = certified(crate::format::ContentAddress::Recursive(NixHash::Sha1([7; 20])));
    let case = lab().ask().about(&sha1).says("a", sha1.clone());
    case.defers("bytes-unchecked");
    case.bytes(|_| true).endorses(&sha1);
}

#[test]
fn they_count_only_where_no_credible_claim_differs() {
    let case = lab().ask().about(&source()).says("a", source());
    case.clone().says("b", source().unaddressed().size(7).signed("p-1")).refuses("shortfall");
    case.clone().says("b", source().signed("p-1")).endorses(&source());
    case.says("b", source().unaddressed().size(7).signed("q-1")).endorses(&source());
}

#[test]
fn they_never_make_dissent() {
    let lab = Lab::of("p", "a b").rule(needs(1, "p"));
    let case = lab.ask().about(&source()).says("a", source().size(7).signed("p-1"));
    case.says("b", source()).endorses(&source().size(7));
}

#[test]
fn of_several_the_one_whose_bytes_check() {
    let rival = || source().size(7);
    let case = lab().ask().about(&source()).says("a", source()).says("b", rival());
    assert_eq!(case.asks_for_bytes(), 2);
    case.defers("bytes-unchecked");
    case.clone().bytes(|core| core.nar_size == 7).endorses(&rival());
    case.clone().bytes(|core| core.nar_size != 7).endorses(&source());
    case.bytes(|_| false).refuses("not-credible");
}

#[test]
fn a_signed_core_that_falls_short_may_certify_itself() {
    let case = lab().ask().about(&flat_file()).says("a", flat_file().signed("p-1"));
    case.defers("bytes-unchecked");
    assert_eq!(case.clone().bytes(|_| true).endorsed().basis(), Basis::Content);
    case.bytes(|_| false).refuses("shortfall");
}

#[test]
fn a_memory_of_a_content_address_certifies_nothing() {
    let case = lab().ask().about(&source()).says("b", source().unaddressed());
    case.clone().silent("a").remembering("a", source()).defers("not-credible");
    case.says("a", source()).endorses(&source());
}

#[test]
fn the_rule_may_ignore_content_addresses() {
    let lab = |need| Lab::of("p", "a").rule(need);
    let case = |need| lab(need).ask().about(&source()).says("a", source());
    case(needs(1, "p").ignore_content()).refuses("not-credible");
    case(needs(1, "p")).endorses(&source());
}

#[test]
fn caches_that_must_answer_must_do_so_here_too() {
    let lab = Lab::of("p", "a b").rule(needs(1, "p").must_answer("b"));
    let case = lab.ask().about(&source()).says("a", source());
    case.clone().silent("b").defers("must-answer");
    case.endorses(&source());
}

#[test]
fn without_a_source_they_are_refused() {
    let lab = Lab::of("p", "a").cache("w").witness().rule(needs(1, "p"));
    lab.ask().about(&source()).says("w", source()).refuses("no-source");
    lab.ask().about(&source()).says("a", source()).endorses(&source());
}

/// Bytes that a pinned build waits for are asked for, whatever the ordinary rules still wait for.
#[test]
fn the_bytes_of_a_pinned_build_are_asked_for_while_caches_are_missing() {
    let lab = Lab::of("p", "a b")
        .rule(needs(1, "p").called("signed").packages("hello-*").ignore_content())
        .rule(needs(1, "p").called("content"))
        .pin(&flat_file(), "content", i64::MAX);
    let case = lab.ask().about(&flat_file()).says("a", flat_file()).silent("b");
    assert_eq!(case.asks_for_bytes(), 1);
    case.bytes(|_| true).endorses(&flat_file());
}

/// The answer as text, countersigned.
fn told(case: &crate::trust::tests::case::Case) -> String {
    render(&case.endorsed(), &StoreDir::default(), Some(&secret("machine-1")))
}

#[test]
fn paths_endorsed_by_their_content_alone_are_not_countersigned() {
    let lab = Lab::of("p", "a").rule(needs(1, "p"));
    let alone = told(&lab.ask().about(&source()).says("a", source()));
    assert!(!alone.contains("machine-1:") && alone.contains("\nCA: fixed:r:sha256:"), "{alone}");
    let signed = told(&lab.ask().about(&source()).says("a", source().signed("p-1")));
    assert!(signed.contains("machine-1:") && signed.contains("\nCA: fixed:r:sha256:"), "{signed}");
}

#[test]
fn a_content_address_that_does_not_recompute_is_never_forwarded() {
    let lab = Lab::of("p", "a").rule(needs(1, "p"));
    // Another hash than its NarHash, and its NarHash although the path does not follow from it.
    let others = ["x", "honest contents"].map(|contents| format!("CA: {}", recursive(contents)));
    for line in ["CA: fixed:git:sha1:dr55afsg2lxjgl18m1y3h00hiyify38h", &others[0], &others[1]] {
        let answer = told(&lab.ask().says("a", hello().line(line).signed("p-1")));
        assert!(!answer.contains("CA:"), "{answer}");
    }
    // Its kind needs bytes, which the rule did not.
    let answer = told(&lab.ask().about(&flat_file()).says("a", flat_file().signed("p-1")));
    assert!(!answer.contains("CA:"), "{answer}");
}

#[test]
fn the_answer_is_printed_from_checked_fields_with_the_countersignature_last() {
    let lab = Lab::of("p q", "a b").rule(needs(1, "p"));
    let sheet = hello().line("System: x86_64-linux").line("Evil: yes").signed("q-1 p-1 mallory-1");
    let answer = told(&lab.ask().says("a", sheet).says("b", hello().signed("p-1")));
    let names: Vec<&str> = answer.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(
        names,
        [
            "StorePath:",
            "URL:",
            "Compression:",
            "FileHash:",
            "FileSize:",
            "NarHash:",
            "NarSize:",
            "References:",
            "Sig:",
            "Sig:",
            "Sig:"
        ]
    );
    let value =
        |name: &str| answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap();
    assert_eq!(value("FileHash"), value("NarHash"), "the file is the NAR");
    assert_eq!(value("FileSize"), value("NarSize"));
    let signers: Vec<&str> =
        answer.lines().filter_map(|l| l.strip_prefix("Sig: ")?.split(':').next()).collect();
    assert_eq!(signers, ["p-1", "q-1", "machine-1"]);
    assert!(
        answer.contains("\nURL: nar/syd87l2rxw8cbsxmxl853h0r6pdwhwjr-")
            && answer.contains("\nCompression: none\n")
    );
}

#[test]
fn observe_serves_what_one_allowed_signature_admits_by_priority() {
    let lab = Lab::of("p q", "a").cache("b").priority(10).rule(needs(2, "p q"));
    let case = lab.ask().says("a", hello().signed("p-1"));
    assert_eq!(*case.admitted().unwrap().core(), hello().core());
    let both = case.says("b", other().signed("q-1"));
    both.refuses("dissent");
    let admitted = both.admitted().unwrap();
    assert_eq!((admitted.core(), admitted.basis()), (&other().core(), Basis::Observed));
    assert!(lab.ask().says("a", hello().signed("mallory-1")).admitted().is_none());
    assert!(lab.ask().silent("a").remembering("a", hello().signed("p-1")).admitted().is_none());
    let remembered = lab.ask().silent("a").remembering("a", hello().signed("p-1")).says("b", hello());
    assert!(remembered.admitted().is_none());
    let content = lab.ask().about(&source()).says("a", source()).admitted().unwrap();
    assert_eq!(content.basis(), Basis::Content);
}

#[test]
fn bytes_come_from_the_sources_that_claim_the_core_best_priority_first() {
    let lab = Lab::of("p", "a").cache("b").priority(10).cache("c").rule(needs(1, "p"));
    let case = lab.ask().says("a", hello().signed("p-1")).says("b", hello()).says("c", other());
    let grant = case.endorsed().grant();
    let from: Vec<u16> = grant.offers().iter().map(|offer| offer.cache.0).collect();
    assert_eq!((from, grant.nar_hash(), grant.nar_size()), (vec![1, 0], hello().core().nar_hash, 226_560));
}
