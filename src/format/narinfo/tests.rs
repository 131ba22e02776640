//! Tests of what a narinfo means: values, quirks, limits, messages. Hostile texts are in `hostile.rs`.

use super::*;
use crate::format::samples::{CURL, PERL, narinfo, path};
use crate::format::{ContentAddress, NixHash};

/// The sample with one line's value replaced.
fn with(field: &str, value: &str) -> String {
    CURL.lines()
        .map(|line| match line.split_once(": ") {
            Some((name, _)) if name == field => format!("{field}: {value}\n"),
            _ => format!("{line}\n"),
        })
        .collect()
}

/// The sample without one line.
fn without(field: &str) -> String {
    CURL.lines()
        .filter(|line| !line.starts_with(&format!("{field}:")))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The sample and one more line.
fn and(line: &str) -> String {
    format!("{CURL}{line}\n")
}

fn error(text: &str) -> ParseError {
    NarInfo::parse(text.as_bytes(), &StoreDir::default(), &Limits::default()).unwrap_err()
}

fn kind(text: &str) -> ErrorKind {
    error(text).kind
}

#[test]
fn a_published_narinfo() {
    let narinfo = narinfo(CURL);
    assert_eq!(narinfo.core.store_path, path("syd87l2rxw8cbsxmxl853h0r6pdwhwjr-curl-7.82.0-bin"));
    let nar_hash = "sha256:1b4sb93wp679q4zx9k1ignby1yna3z7c4c2ri3wphylbc2dwsys0";
    assert_eq!(narinfo.core.nar_hash.to_string(), nar_hash);
    assert_eq!(narinfo.core.nar_size, 196_040);
    assert_eq!(narinfo.core.references.len(), 4);
    assert!(narinfo.core.references.contains(&path("j5jxw3iy7bbz4a57fh9g2xm2gxmyal8h-zlib-1.2.12")));
    assert_eq!(narinfo.hints.url, "nar/05ra3y72i3qjri7xskf9qj8kb29r6naqy1sqpbs3azi3xcigmj56.nar.xz");
    assert_eq!(narinfo.hints.compression, Compression::Xz);
    let file_hash = NixHash::from_nix_str("sha256:05ra3y72i3qjri7xskf9qj8kb29r6naqy1sqpbs3azi3xcigmj56");
    assert_eq!(narinfo.hints.file_hash, file_hash.ok());
    assert_eq!(narinfo.hints.file_size, Some(68_852));
    assert_eq!(narinfo.hints.deriver, Some(path("5rwxzi7pal3qhpsyfc16gzkh939q1np6-curl-7.82.0.drv")));
    assert_eq!(narinfo.hints.content_address, None);
    assert_eq!(narinfo.hints.system, None);
    assert_eq!(narinfo.signatures.len(), 1);
    assert_eq!(narinfo.signatures[0].key_name().as_str(), "cache.nixos.org-1");
    assert!(narinfo.quirks.is_empty());
}

#[test]
fn optional_fields_may_be_missing() {
    let narinfo = narinfo(PERL);
    assert_eq!(narinfo.hints.compression, Compression::Bzip2);
    assert!(narinfo.hints.file_hash.is_none() && narinfo.hints.file_size.is_none());
    assert!(narinfo.hints.deriver.is_none() && narinfo.hints.system.is_none());
    assert!(self::narinfo(&without("References")).core.references.is_empty());
    assert!(self::narinfo(&without("Sig")).signatures.is_empty());
}

#[test]
fn required_fields_are_missed_by_name() {
    let fields = [Field::StorePath, Field::Url, Field::NarHash, Field::NarSize];
    for field in fields {
        let expected = ParseError { line: 0, field: Some(field), kind: ErrorKind::Missing };
        assert_eq!(error(&without(field.as_str())), expected);
    }
}

#[test]
fn the_order_of_fields_does_not_matter() {
    let reversed: String = CURL.lines().rev().map(|line| format!("{line}\n")).collect();
    assert_eq!(narinfo(&reversed).core, narinfo(CURL).core);
}

#[test]
fn another_store_directory() {
    let dir = StoreDir::new("/gnu/store").unwrap();
    let text = CURL.replace("/nix/store", "/gnu/store");
    let narinfo = NarInfo::parse(text.as_bytes(), &dir, &Limits::default()).unwrap();
    assert_eq!(narinfo.core, self::narinfo(CURL).core);
    assert!(NarInfo::parse(CURL.as_bytes(), &dir, &Limits::default()).is_err());
}

#[test]
fn compressions() {
    let cases = [
        ("", Compression::Bzip2),
        ("bzip2", Compression::Bzip2),
        ("none", Compression::None),
        ("xz", Compression::Xz),
        ("zstd", Compression::Zstd),
        ("gzip", Compression::Gzip),
        ("br", Compression::Br),
        ("lrzip", Compression::Other("lrzip".into())),
        ("XZ", Compression::Other("XZ".into())),
    ];
    for (name, compression) in cases {
        assert_eq!(narinfo(&with("Compression", name)).hints.compression, compression);
        assert_eq!(Compression::parse(name), compression);
        assert_eq!(compression.as_str(), if name.is_empty() { "bzip2" } else { name });
    }
    assert_eq!(narinfo(&without("Compression")).hints.compression, Compression::Bzip2);
    assert_eq!(kind(&with("Compression", " xz")), ErrorKind::Space);
}

#[test]
fn references_are_sorted_and_oddities_recorded() {
    let names: Vec<String> = narinfo(CURL).core.references.iter().map(ToString::to_string).collect();
    let [a, b, c, d] = names.as_slice() else { panic!("four references") };
    let cases = [
        (format!("{d} {c} {b} {a}"), true, 0),
        (format!("{a} {a} {b} {c} {d} {d} {d}"), false, 3),
        (format!("{a} {b} {a} {c} {d}"), true, 1),
    ];
    for (value, unsorted_references, repeated_references) in cases {
        let narinfo = narinfo(&with("References", &value));
        assert_eq!(narinfo.core, self::narinfo(CURL).core);
        let quirks = Quirks { unsorted_references, repeated_references, ..Quirks::default() };
        assert_eq!(narinfo.quirks, quirks);
    }
    assert!(narinfo(&with("References", "")).core.references.is_empty());
}

#[test]
fn references_are_a_set() {
    let (low, high) = (path(&format!("{}-b", "0".repeat(32))), path(&format!("1{}-a", "0".repeat(31))));
    let set = References::from_unsorted(vec![high.clone(), low.clone(), high.clone()]);
    assert_eq!(set.iter().collect::<Vec<_>>(), [&low, &high]);
    assert_eq!((&set).into_iter().count(), set.len());
    assert_eq!([low.clone(), high].into_iter().collect::<References>(), set);
    assert!(set.contains(&low) && !set.contains(&path(&format!("{}-c", "0".repeat(32)))));
    assert!(References::default().is_empty());
}

#[test]
fn a_hash_in_another_encoding_is_recorded() {
    assert!(narinfo(PERL).quirks.hash_not_base32);
    let file_hash = narinfo(CURL).hints.file_hash.unwrap();
    for value in [file_hash.to_sri_string(), format!("sha256:{}", file_hash.to_plain_hex_string())] {
        let narinfo = narinfo(&with("FileHash", &value));
        assert_eq!(narinfo.hints.file_hash, Some(file_hash));
        assert!(narinfo.quirks.hash_not_base32);
    }
}

#[test]
fn a_file_hash_may_be_of_any_algorithm_but_not_garbage() {
    let narinfo = narinfo(&with("FileHash", "sha1:dr55afsg2lxjgl18m1y3h00hiyify38h"));
    assert_eq!(narinfo.hints.file_hash.unwrap().algo().as_str(), "sha1");
    for value in ["", "sha256:", "garbage", "sha256:zzzz"] {
        assert!(matches!(kind(&with("FileHash", value)), ErrorKind::Hash(_)), "{value}");
    }
}

#[test]
fn derivers() {
    let unknown = narinfo(&with("Deriver", "unknown-deriver"));
    assert_eq!(unknown.hints.deriver, None);
    assert_eq!(unknown.quirks, Quirks { unknown_deriver: true, ..Quirks::default() });
    assert_eq!(kind(&with("Deriver", "")), ErrorKind::EmptyValue);
    assert!(matches!(kind(&with("Deriver", "no-store-path.drv")), ErrorKind::StorePath(_)));
}

#[test]
fn content_addresses() {
    let address = "fixed:r:sha256:1jw4bpkfa5gkfw7ng95qfsba9l1j0g325nb3k0dqx4gqnia7rsqn";
    let narinfo = narinfo(&and(&format!("CA: {address}")));
    assert_eq!(narinfo.hints.content_address, ContentAddress::from_nix_str(address).ok());
    assert!(narinfo.quirks.is_empty());
    let empty = self::narinfo(&and("CA: "));
    assert!(empty.hints.content_address.is_none() && empty.quirks.is_empty());
    for value in ["garbage", "fixed:git:sha1:dr55afsg2lxjgl18m1y3h00hiyify38h", "fixed:r:sha256:", " "] {
        let narinfo = self::narinfo(&and(&format!("CA: {value}")));
        assert_eq!(narinfo.hints.content_address, None, "{value}");
        assert_eq!(narinfo.quirks, Quirks { unusable_content_address: true, ..Quirks::default() });
        assert_eq!(narinfo.core, self::narinfo(CURL).core);
    }
}

#[test]
fn unknown_fields_are_counted_and_ignored() {
    let narinfo = narinfo(&format!("{CURL}Later: x\nLater: \nAnother: a: b\nSystem: x86_64-linux\n"));
    assert_eq!(narinfo.quirks, Quirks { unknown_fields: 3, ..Quirks::default() });
    assert_eq!(narinfo.hints.system.as_deref(), Some("x86_64-linux"));
    assert_eq!(self::narinfo(&and("System: ")).hints.system, None);
}

#[test]
fn limits_hold_exactly() {
    let parse = |limits: Limits| NarInfo::parse(CURL.as_bytes(), &StoreDir::default(), &limits);
    let exact = Limits { bytes: CURL.len(), signatures: 1, references: 4, nar_size: 196_040 };
    assert!(parse(exact).is_ok());
    let kind = |limits| parse(limits).unwrap_err().kind;
    let bytes = CURL.len() - 1;
    assert_eq!(kind(Limits { bytes, ..exact }), ErrorKind::TooLong { limit: bytes });
    assert_eq!(kind(Limits { references: 3, ..exact }), ErrorKind::TooManyReferences { limit: 3 });
    assert_eq!(kind(Limits { nar_size: 196_039, ..exact }), ErrorKind::NumberTooLarge { limit: 196_039 });
    let unsigned = parse(Limits { signatures: 0, ..exact }).unwrap();
    assert!(unsigned.signatures.is_empty());
    assert_eq!(unsigned.quirks.ignored_signatures, 1);
}

#[test]
fn defaults_of_the_limits() {
    let limits = Limits::default();
    assert_eq!((limits.bytes, limits.signatures, limits.references), (1_048_576, 64, 20_000));
    assert_eq!(limits.nar_size, 64 * 1024 * 1024 * 1024);
}

#[test]
fn messages_name_line_and_field() {
    let cases = [
        (String::new(), "narinfo: empty text"),
        (without("URL"), "narinfo, URL: missing"),
        (and(""), "narinfo line 11: blank line"),
        (CURL.replacen('\n', "\r\n", 1), "narinfo line 1: byte 0x0d is not printable ASCII"),
        (with("NarSize", "-1"), "narinfo line 7, NarSize: not a plain decimal number"),
        (with("FileSize", "68719476737"), "narinfo line 5, FileSize: larger than 68719476736"),
        (and("NarSize: 1"), "narinfo line 11, NarSize: given twice"),
        (and("narsize: 1"), "narinfo line 11, NarSize: written in other case"),
        (
            with("References", "syd87l2rxw8cbsxmxl853h0r6pdwhwjr-a  x"),
            "narinfo line 8, References: reference 2: 0 characters are too few for a store path's hash part",
        ),
        (
            with("NarHash", "md5:2jgqc6ahgr5mlasqmnb39icq3q"),
            "narinfo line 6, NarHash: the hash must be sha256, not md5",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(error(&text).to_string(), message);
    }
}

#[test]
fn fields_have_distinct_names() {
    for (place, field) in Field::ALL.into_iter().enumerate() {
        assert_eq!(Field::ALL.iter().position(|other| other.as_str() == field.as_str()), Some(place));
    }
}
