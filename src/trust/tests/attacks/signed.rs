//! Attackers who change what was signed, or what is said beside it.

use crate::format::{ContentAddress, StoreDir, fingerprint};
use crate::trust::tests::case::Case;
use crate::trust::tests::lab::{Lab, needs};
use crate::trust::tests::sheet::{GLIBC, Sheet, certified, flat, hello, recursive, secret};
use crate::trust::{Answer, Basis, CacheId, Timestamp, render};

fn lab() -> Lab {
    Lab::of("nixos", "a b").rule(needs(1, "nixos"))
}

fn says(sheet: Sheet) -> Case {
    let path = sheet.clone();
    lab().ask().about(&path).says("a", sheet)
}

fn honest() -> Sheet {
    hello().signed("nixos-1")
}

/// A reference is added, so that the attacker's path is fetched along. References are signed.
#[test]
fn a_reference_added() {
    let references = format!("{GLIBC} yxvjs9drzsphm9pcf42a4byzj1kb9m7k-evil-1");
    says(honest().references(&references)).refuses("not-credible");
    says(honest()).endorses(&hello());
    says(hello().references(&references).signed("nixos-1")).endorses(&hello().references(&references));
}

/// A reference is removed, so that the path breaks when garbage is collected.
#[test]
fn a_reference_removed() {
    says(honest().references(GLIBC)).refuses("not-credible");
    says(honest()).endorses(&hello());
}

/// NarSize is changed, to flood or to cut.
#[test]
fn an_altered_nar_size() {
    says(honest().size(226_561)).refuses("not-credible");
    says(honest().size(226_560)).endorses(&hello());
}

/// NarHash is changed to that of other contents.
#[test]
fn an_altered_nar_hash() {
    says(honest().contents("evil contents")).refuses("not-credible");
    says(honest().contents("honest contents")).endorses(&hello());
}

/// The name is changed to one with a laxer rule. The name is signed with the rest.
#[test]
fn an_altered_name() {
    says(honest().named("hello-2.13")).refuses("not-credible");
    says(honest()).endorses(&hello());
}

/// The narinfo of another path, signed and true, is sent as the answer. The cache is faulty.
#[test]
fn the_wrong_path() {
    let wrong = certified(recursive("elsewhere")).signed("nixos-1");
    lab().ask().says("a", wrong.clone()).defers("no-claim");
    assert!(wrong.claim(CacheId(0), hello().path().hash_part()).is_none());
    let claim = wrong.claim(CacheId(0), wrong.path().hash_part()).unwrap();
    let mut ballot = lab().ask().cast();
    ballot.cast(CacheId(0), Answer::Claim(Box::new(claim)));
    assert_eq!(ballot.verdict(Timestamp::default()).label(), "defer");
    lab().ask().about(&wrong).says("a", wrong.clone()).endorses(&wrong);
}

/// A second NarHash line: Nix would take the last, a checker perhaps the first.
#[test]
fn doubled_fields() {
    for line in
        ["NarHash: sha256:1b4sb93wp679q4zx9k1ignby1yna3z7c4c2ri3wphylbc2dwsys0", "NarSize: 1", "References: "]
    {
        says(honest().line(line)).defers("no-claim");
    }
    says(honest().line("Comment: none of Nix's business")).endorses(&hello());
}

/// A `CA` that does not recompute is to pass an unsigned path.
#[test]
fn a_false_content_address() {
    let lie = hello().references("").line(&format!("CA: {}", recursive("honest contents")));
    says(lie).refuses("not-credible");
    let truth = certified(recursive("honest contents"));
    says(truth.clone()).endorses(&truth);
}

/// A `CA` of a path that refers to itself: Nix versions disagree on its hash, so it certifies nothing.
#[test]
fn a_content_address_with_a_self_reference() {
    let truth = certified(recursive("honest contents"));
    let to_itself = truth.clone().references(&truth.path().to_string());
    says(to_itself).refuses("not-credible");
    says(truth.clone()).endorses(&truth);
}

/// A `git` address, which could kill the client. It is as if absent, and never forwarded.
#[test]
fn a_git_content_address() {
    let git = "CA: fixed:git:sha1:dr55afsg2lxjgl18m1y3h00hiyify38h";
    says(hello().line(git)).refuses("not-credible");
    let answer = render(&says(honest().line(git)).endorsed(), &StoreDir::default(), None);
    assert!(!answer.contains("git"), "{answer}");
}

/// A true address beside a false NarHash: the claim contradicts itself, its cache is faulty, even if it
/// signs.
#[test]
fn a_true_content_address_with_a_false_nar_hash() {
    let truth = certified(recursive("honest contents"));
    says(truth.clone().contents("evil contents")).defers("no-claim");
    says(truth.clone().contents("evil contents").signed("nixos-1")).defers("no-claim");
    says(truth.clone()).endorses(&truth);
}

/// A true flat address beside a false NarHash: nothing but the bytes can tell, so they are waited for, and
/// even then nothing is countersigned.
#[test]
fn a_flat_content_address_before_its_bytes() {
    let case = says(certified(flat("a file")).contents("evil contents"));
    case.defers("bytes-unchecked");
    case.clone().bytes(|_| false).refuses("not-credible");
    let endorsed = case.bytes(|_| true).endorsed();
    let answer = render(&endorsed, &StoreDir::default(), Some(&secret("machine-1")));
    assert!(!answer.contains("Sig:"), "{answer}");
}

/// The check of one core's bytes is offered for another core.
#[test]
fn bytes_checked_for_another_core() {
    let (small, large) = (certified(flat("a file")), certified(flat("a file")).size(7));
    let case = says(small.clone()).says("b", large.clone());
    let lie = |core: &crate::format::Core| core.nar_size == 7;
    case.clone().bytes(lie).endorses(&large);
    says(small.clone()).bytes(lie).refuses("not-credible");
    says(small.clone()).bytes(|_| true).endorses(&small);
}

/// A text address with references that it does not bind.
#[test]
fn a_text_address_with_other_references() {
    let text = certified(ContentAddress::Text([3; 32]));
    says(text.clone().references(GLIBC)).refuses("not-credible");
    says(text.clone()).bytes(|_| true).endorses(&text);
}

/// A path that certifies itself, with a false NarSize, against a signed claim. The signed claim stands.
#[test]
fn a_false_self_certificate_against_a_signed_claim() {
    let truth = certified(recursive("source"));
    let case = says(truth.clone().signed("nixos-1"));
    let endorsed = case.clone().says("b", truth.clone().size(7)).endorsed();
    assert_eq!((endorsed.core(), endorsed.basis()), (&truth.core(), Basis::Rule));
    case.endorses(&truth);
}

/// The same against a signed claim that falls short: it is not outdone by a certificate.
#[test]
fn a_self_certificate_does_not_outdo_a_signed_claim_that_falls_short() {
    let lab = Lab::of("nixos", "a b").rule(needs(1, "nixos").operators(2));
    let truth = certified(recursive("source"));
    let claim = truth.clone().unaddressed().size(7).signed("nixos-1");
    let case = lab.ask().about(&truth).says("a", claim.clone());
    case.clone().says("b", truth).refuses("shortfall");
    case.says("b", claim.clone()).endorses(&claim);
}

/// A rival certificate that differs in NarSize alone: the address does not bind it, so the bytes decide.
#[test]
fn rival_self_certificates() {
    let truth = certified(recursive("source"));
    let case = says(truth.clone());
    case.endorses(&truth);
    let rivals = case.says("b", truth.clone().size(7));
    rivals.defers("bytes-unchecked");
    rivals.bytes(|core| core.nar_size != 7).endorses(&truth);
}

/// The attacker knows the machine key's name and sends a `Sig` line that bears it. It is never forwarded.
#[test]
fn a_signature_with_the_machine_keys_name() {
    let machine = secret("machine-1");
    let case = says(honest().signed_as("machine-1", "mallory-1"));
    let answer = render(&case.endorsed(), &StoreDir::default(), Some(&machine));
    let lines: Vec<&str> = answer.lines().filter(|l| l.starts_with("Sig: machine-1:")).collect();
    let own = format!("Sig: {}", machine.sign(fingerprint(&StoreDir::default(), &hello().core()).as_bytes()));
    assert_eq!(lines, [own]);
    assert!(!render(&case.endorsed(), &StoreDir::default(), None).contains("machine-1"));
}

/// What observe mode countersigned is shown to a store that enforces: the key is another.
#[test]
fn an_observe_signature_in_an_enforced_store() {
    let case = lab().ask().says("a", honest());
    let answer = render(&case.admitted().unwrap(), &StoreDir::default(), Some(&secret("observe-1")));
    let last = answer.lines().last().unwrap().strip_prefix("Sig: ").unwrap();
    let signature = crate::format::Signature::parse(last).unwrap();
    let text = fingerprint(&StoreDir::default(), &hello().core());
    assert!(!secret("machine-1").verifying_key().verify(text.as_bytes(), &signature));
    assert!(secret("observe-1").verifying_key().verify(text.as_bytes(), &signature));
}

/// A cache lies about the deriver. Where the caches do not agree there is none.
#[test]
fn a_false_deriver() {
    let deriver =
        |name: &str| honest().line(&format!("Deriver: 5rwxzi7pal3qhpsyfc16gzkh939q1np6-{name}.drv"));
    let case = says(deriver("hello"));
    let told = |case: &Case| case.endorsed().deriver().map(ToString::to_string);
    assert_eq!(told(&case.clone().says("b", deriver("hello"))), told(&case));
    assert!(told(&case).unwrap().ends_with("-hello.drv"));
    assert_eq!(told(&case.says("b", deriver("evil"))), None);
}
