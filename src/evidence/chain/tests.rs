use super::*;
use crate::evidence::Outcome;
use crate::evidence::tests::samples::{at, key, public, verdict};

fn head() -> Head {
    let hash = ChainHash::START.next(1, None, &verdict(1, Outcome::Refuse, 0));
    Head { kind: SealKind::Head, serial: 3, number: 17, hash, at: at(0) }
}

/// Rows that are on disks already have such hashes: another one here is another version of the form.
#[test]
fn the_hash_of_a_row_is_what_it_has_always_been() {
    let row = verdict(1, Outcome::Endorse, 0);
    let first = ChainHash::START.next(1, None, &row);
    assert_eq!(first.to_string(), FIRST);
    let carried = first.next(2, Some(Carried { from: 1, at: at(9) }), &row);
    assert_eq!(carried.to_string(), CARRIED);
}

const FIRST: &str = "97c25007fb56bf3e0cc6700046cea725ad8e18717096bb5ba1ced1bd4e5e8fb0";
const CARRIED: &str = "2adf52800591d27d9faeb4eb30acce3d34d2772f392d7776d1ecc847d5169a73";

#[test]
fn a_signed_head_reads_back_and_in_no_other_spelling() {
    let signed = head().sign(&key(1));
    let text = signed.to_string();
    assert_eq!(SignedHead::parse(&text), Ok(signed.clone()));
    assert!(text.starts_with("countersign-head;1;3;17;"), "{text}");
    assert_eq!(text.lines().count(), 1);
    for (from, to) in [
        ("countersign-head;", "countersign-tail;"),
        (";1;3;", ";2;3;"),
        (";3;17;", ";03;17;"),
        (";3;17;", ";+3;17;"),
        (";3;17;", ";3;-17;"),
        (";3;17;", ";3;"),
        ("countersign-machine-1:", "countersign-machine-1"),
    ] {
        let other = text.replacen(from, to, 1);
        assert_ne!(other, text);
        SignedHead::parse(&other).unwrap_err();
    }
    for other in
        [format!("{text}\n"), format!(" {text}"), format!("{text}{}", "x".repeat(600)), String::new()]
    {
        SignedHead::parse(&other).unwrap_err();
    }
    let upper = text.replacen(&head().hash.to_string(), &head().hash.to_string().to_uppercase(), 1);
    SignedHead::parse(&upper).unwrap_err();
}

#[test]
fn a_head_counts_only_under_a_key_of_the_machine_and_as_it_was() {
    let signed = head().sign(&key(1));
    assert!(signed.is_signed_by(&[public(2), public(1)]));
    assert!(!signed.is_signed_by(&[public(2)]));
    assert!(!signed.is_signed_by(&[]));
    for other in [
        Head { kind: SealKind::Checkpoint, ..head() },
        Head { serial: 4, ..head() },
        Head { number: 18, ..head() },
        Head { hash: ChainHash::START, ..head() },
        Head { at: at(1), ..head() },
    ] {
        let forged = SignedHead { head: other, signature: signed.signature.clone() };
        assert!(!forged.is_signed_by(&[public(1)]), "{forged}");
    }
}

#[test]
fn what_is_signed_is_nothing_that_nix_signs() {
    for kind in [SealKind::Head, SealKind::Checkpoint] {
        assert!(!Head { kind, ..head() }.to_string().starts_with("1;"));
    }
}
