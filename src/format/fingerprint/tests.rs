//! Tests of the signed text: published vectors, and what must not verify.

use proptest::prelude::*;

use super::*;
use crate::format::samples::{CURL, GCC, PERL, core, narinfo, path, public_cache_key};
use crate::format::{KeyName, NarHash, References, SigningKey};

#[test]
fn published_text() {
    let expected = "1;/nix/store/syd87l2rxw8cbsxmxl853h0r6pdwhwjr-curl-7.82.0-bin;sha256:1b4sb93wp679q4zx9k1ignby1yna3z7c4c2ri3wphylbc2dwsys0;196040;/nix/store/0jqd0rlxzra1rs38rdxl43yh6rxchgc6-curl-7.82.0,/nix/store/6w8g7njm4mck5dmjxws0z1xnrxvl81xa-glibc-2.34-115,/nix/store/j5jxw3iy7bbz4a57fh9g2xm2gxmyal8h-zlib-1.2.12,/nix/store/yxvjs9drzsphm9pcf42a4byzj1kb9m7k-openssl-1.1.1n";
    assert_eq!(expected.len(), 358);
    assert_eq!(fingerprint(&StoreDir::default(), &core(CURL)), expected);
}

#[test]
fn published_signatures_verify() {
    for text in [CURL, PERL] {
        let narinfo = narinfo(text);
        let signed = fingerprint(&StoreDir::default(), &narinfo.core);
        assert!(public_cache_key().verify(signed.as_bytes(), &narinfo.signatures[0]), "{signed}");
    }
}

#[test]
fn base16_in_the_narinfo_is_base32_in_the_signed_text() {
    let signed = fingerprint(&StoreDir::default(), &core(PERL));
    assert!(signed.contains(";sha256:1wsgz5cbawm6ifh59ccixw4n717wng5n6wp4sxyav0ad78lzvbb0;"), "{signed}");
}

#[test]
fn a_reference_to_itself_is_listed_in_full() {
    let signed = fingerprint(&StoreDir::default(), &core(PERL));
    let own = "/nix/store/0vpqfxbkx0ffrnhbws6g9qwhmliksz7f-perl-HTTP-Cookies-6.01";
    assert_eq!(signed.matches(own).count(), 2);
}

#[test]
fn no_references_leave_the_last_part_empty() {
    let bare = Core { references: References::default(), ..core(CURL) };
    let dir = StoreDir::new("/gnu/store").unwrap();
    let expected = "1;/gnu/store/syd87l2rxw8cbsxmxl853h0r6pdwhwjr-curl-7.82.0-bin;sha256:1b4sb93wp679q4zx9k1ignby1yna3z7c4c2ri3wphylbc2dwsys0;196040;";
    assert_eq!(fingerprint(&dir, &bare), expected);
}

/// A published narinfo of gcc 3.4.6 was once signed so; Nix does not verify it, so it must not count.
#[test]
fn a_signature_over_unsorted_references_does_not_verify() {
    let sorted = fingerprint(&StoreDir::default(), &core(CURL));
    let (head, references) = sorted.rsplit_once(';').unwrap();
    let mut listed: Vec<&str> = references.split(',').collect();
    listed.reverse();
    let key = SigningKey::from_seed(KeyName::parse("k").unwrap(), &[3; 32]);
    let as_listed = key.sign(format!("{head};{}", listed.join(",")).as_bytes());
    assert!(!key.verifying_key().verify(sorted.as_bytes(), &as_listed));
    assert!(key.verifying_key().verify(sorted.as_bytes(), &key.sign(sorted.as_bytes())));
}

/// The one published narinfo of the notes that must fail: its signature holds for the references as listed.
#[test]
fn a_published_signature_over_unsorted_references_does_not_count() {
    let narinfo = narinfo(GCC);
    assert!(narinfo.quirks.unsorted_references);
    let sorted = fingerprint(&StoreDir::default(), &narinfo.core);
    let signature = &narinfo.signatures[0];
    assert!(!public_cache_key().verify(sorted.as_bytes(), signature));
    let (head, _) = sorted.rsplit_once(';').unwrap();
    let listed = GCC.lines().find_map(|line| line.strip_prefix("References: ")).unwrap();
    let listed: Vec<String> = listed.split(' ').map(|name| format!("/nix/store/{name}")).collect();
    assert!(public_cache_key().verify(format!("{head};{}", listed.join(",")).as_bytes(), signature));
}

#[test]
fn every_part_of_the_core_is_covered() {
    let dir = StoreDir::default();
    let good = core(CURL);
    let other = path("j5jxw3iy7bbz4a57fh9g2xm2gxmyal8h-zlib-1.2.12");
    let altered = [
        Core { store_path: other.clone(), ..good.clone() },
        Core { nar_hash: NarHash::from_digest([0; 32]), ..good.clone() },
        Core { nar_size: good.nar_size + 1, ..good.clone() },
        Core { references: References::default(), ..good.clone() },
        Core { references: References::from_unsorted(vec![other]), ..good.clone() },
    ];
    for core in altered {
        assert_ne!(fingerprint(&dir, &core), fingerprint(&dir, &good));
    }
}

proptest! {
    #[test]
    fn the_listed_order_and_repeats_do_not_matter(
        picks in proptest::collection::vec(0usize..4, 0..8).prop_shuffle(),
    ) {
        let all: Vec<_> = core(CURL).references.iter().cloned().collect();
        let listed: References = picks.iter().map(|&pick| all[pick].clone()).collect();
        let mut sorted = picks;
        sorted.sort_unstable();
        sorted.dedup();
        let expected: Vec<_> = sorted.iter().map(|&pick| all[pick].to_absolute_path(&StoreDir::default())).collect();
        let signed = fingerprint(&StoreDir::default(), &Core { references: listed, ..core(CURL) });
        prop_assert_eq!(signed.rsplit_once(';').unwrap().1, expected.join(","));
    }
}
