//! Texts that other parsers take and this one must not, and floods that must cost nothing.
//!
//! The first tests are cases where Nix 2.8, a published parser or both read something else than was meant; the
//! rest is the list of attacks that a cache could try with a narinfo.

use super::*;
use crate::format::samples::{CURL, narinfo, path, public_cache_key};
use crate::format::{KeyName, SigningKey, fingerprint};

fn parse(text: impl AsRef<[u8]>) -> Result<NarInfo, ParseError> {
    NarInfo::parse(text.as_ref(), &StoreDir::default(), &Limits::default())
}

/// Asserts that a text is refused, and for this reason.
#[track_caller]
fn refused(text: impl AsRef<[u8]>, kind: ErrorKind) {
    assert_eq!(parse(text).unwrap_err().kind, kind);
}

/// The sample with one piece of text replaced by another.
#[track_caller]
fn swap(from: &str, to: &str) -> String {
    assert!(CURL.contains(from), "{from} is not in the sample");
    CURL.replacen(from, to, 1)
}

/// Nix 2.8 reads 96040, `nix-narinfo` reads 196040.
#[test]
fn no_space_after_the_colon() {
    refused(swap("NarSize: 196040", "NarSize:196040"), ErrorKind::NoSpace);
    refused(swap("URL: nar", "URL:nar"), ErrorKind::NoSpace);
}

/// Nix skips the newline and swallows the next line as the value.
#[test]
fn glued_lines() {
    let (head, tail) = CURL.split_once("References: ").unwrap();
    let rest = tail.split_once('\n').unwrap().1;
    refused(format!("{head}References:\n{rest}"), ErrorKind::NoSpace);
    refused(swap("\nNarSize", " NarSize"), {
        let found = "1b4sb93wp679q4zx9k1ignby1yna3z7c4c2ri3wphylbc2dwsys0 NarSize: 196040".len();
        ErrorKind::Hash(crate::format::hash::HashError::Length {
            algo: crate::format::HashAlgo::Sha256,
            found,
        })
    });
}

#[test]
fn carriage_return_at_the_line_end() {
    refused(CURL.replace('\n', "\r\n"), ErrorKind::Byte { byte: b'\r' });
    refused(swap("NarSize: 196040\n", "NarSize: 196040\r\n"), ErrorKind::Byte { byte: b'\r' });
}

#[test]
fn no_final_newline() {
    refused(CURL.trim_end(), ErrorKind::NoFinalNewline);
    assert_eq!(parse(CURL.trim_end()).unwrap_err().line, 10);
    refused("StorePath: ", ErrorKind::NoFinalNewline);
}

#[test]
fn blank_line() {
    refused(swap("URL: ", "\nURL: "), ErrorKind::BlankLine);
    refused(format!("\n{CURL}"), ErrorKind::BlankLine);
    refused(format!("{CURL}\n"), ErrorKind::BlankLine);
    refused("\n", ErrorKind::BlankLine);
}

#[test]
fn no_break_space_or_tab_after_the_colon() {
    refused(swap("NarSize: ", "NarSize:\u{a0}"), ErrorKind::Byte { byte: 0xc2 });
    refused(swap("NarSize: ", "NarSize: \u{a0}"), ErrorKind::Byte { byte: 0xc2 });
    refused(swap("NarSize: ", "NarSize:\t"), ErrorKind::Byte { byte: b'\t' });
    refused(swap("NarSize: ", "NarSize: \t"), ErrorKind::Byte { byte: b'\t' });
}

#[test]
fn nar_hash_of_another_algorithm() {
    let hash = "sha256:1b4sb93wp679q4zx9k1ignby1yna3z7c4c2ri3wphylbc2dwsys0";
    for other in ["md5:2jgqc6ahgr5mlasqmnb39icq3q", "sha1:dr55afsg2lxjgl18m1y3h00hiyify38h"] {
        let error = parse(swap(hash, other)).unwrap_err();
        assert_eq!((error.field, error.line), (Some(Field::NarHash), 6));
    }
    for other in ["", "1b4sb93wp679q4zx9k1ignby1yna3z7c4c2ri3wphylbc2dwsys0", "sha256:", &hash.to_uppercase()]
    {
        assert!(matches!(parse(swap(hash, other)).unwrap_err().kind, ErrorKind::Hash(_)), "{other}");
    }
}

#[test]
fn references_with_a_directory() {
    let error = parse(swap("References: ", "References: /nix/store/")).unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Reference { number: 1, .. }));
}

#[test]
fn deriver_with_a_directory() {
    let error = parse(swap("Deriver: ", "Deriver: /nix/store/")).unwrap_err();
    assert_eq!(error.field, Some(Field::Deriver));
    assert!(matches!(error.kind, ErrorKind::StorePath(_)));
}

/// Nix takes the last one.
#[test]
fn two_store_path_lines() {
    let other = "StorePath: /nix/store/j5jxw3iy7bbz4a57fh9g2xm2gxmyal8h-zlib-1.2.12\n";
    refused(format!("{CURL}{other}"), ErrorKind::Repeated);
    refused(format!("{other}{CURL}"), ErrorKind::Repeated);
}

#[test]
fn any_other_field_twice() {
    for line in CURL.lines().filter(|line| !line.starts_with("Sig")) {
        refused(format!("{CURL}{line}\n"), ErrorKind::Repeated);
    }
    refused(format!("{CURL}CA: \nCA: fixed:x\n"), ErrorKind::Repeated);
    refused(format!("{CURL}System: a\nSystem: a\n"), ErrorKind::Repeated);
}

/// Nix from 2.34 on refuses the whole narinfo; before, it depends on the name.
#[test]
fn malformed_signature_beside_a_good_one() {
    let good = narinfo(CURL).signatures[0].to_string();
    let bad = [
        "".to_owned(),
        "junk".to_owned(),
        "cache.nixos.org-1:".to_owned(),
        "cache.nixos.org-1:AAAA".to_owned(),
        "name with space:".to_owned() + good.split_once(':').unwrap().1,
        format!("{good}junk"),
        good.replace("==", ""),
        format!(" {good}"),
        format!("{good} "),
    ];
    for bad in &bad {
        for text in [format!("{CURL}Sig: {bad}\n"), format!("Sig: {bad}\n{CURL}")] {
            let parsed = parse(&text).unwrap();
            assert_eq!(parsed.signatures, narinfo(CURL).signatures, "{bad:?}");
            assert_eq!(parsed.quirks, Quirks { malformed_signatures: 1, ..Quirks::default() });
        }
    }
}

/// 1 MiB of forged signatures under a trusted name: 321 ms of CPU in a parser that tries them all.
#[test]
fn thousands_of_forged_signatures() {
    let forger = SigningKey::from_seed(KeyName::parse("cache.nixos.org-1").unwrap(), &[9; 32]);
    let forged = format!("Sig: {}\n", forger.sign(b"anything"));
    let bare: String = CURL
        .lines()
        .filter(|line| line.starts_with(['S', 'U', 'N']))
        .fold(String::new(), |text, line| if line.starts_with("Sig") { text } else { text + line + "\n" });
    let text = format!("{bare}{}", forged.repeat(9357));
    assert!(text.len() <= Limits::default().bytes);
    let parsed = parse(&text).unwrap();
    assert_eq!(parsed.signatures.len(), 64);
    assert_eq!(parsed.quirks, Quirks { ignored_signatures: 9357 - 64, ..Quirks::default() });
    let signed = fingerprint(&StoreDir::default(), &parsed.core);
    assert!(!parsed.signatures.iter().any(|forged| public_cache_key().verify(signed.as_bytes(), forged)));
}

#[test]
fn a_flood_of_references() {
    let one = "syd87l2rxw8cbsxmxl853h0r6pdwhwjr-a";
    let text = |count: usize| {
        let head = CURL.split_once("References: ").unwrap().0;
        format!("{head}References: {}\n", vec![one; count].join(" "))
    };
    let parsed = parse(text(20_000)).unwrap();
    assert_eq!(parsed.core.references.len(), 1);
    assert_eq!(parsed.quirks.repeated_references, 19_999);
    refused(text(20_001), ErrorKind::TooManyReferences { limit: 20_000 });
}

#[test]
fn a_flood_of_bytes() {
    let limit = Limits::default().bytes;
    let text = format!("{CURL}Later: {}\n", "x".repeat(limit - CURL.len() - "Later: \n".len()));
    assert_eq!(text.len(), limit);
    assert!(parse(&text).is_ok());
    refused(format!("{text}x"), ErrorKind::TooLong { limit });
}

#[test]
fn an_error_page() {
    refused("", ErrorKind::Empty);
    refused("404\n", ErrorKind::NoColon);
    refused("<html><a href=\"http://x/\">moved</a></html>\n", ErrorKind::FieldName);
}

#[test]
fn names_of_fields_are_exact() {
    for (name, other) in
        [("StorePath", "storepath"), ("URL", "Url"), ("Sig", "SIG"), ("References", "references")]
    {
        refused(swap(&format!("{name}: "), &format!("{other}: ")), ErrorKind::FieldCase);
        refused(format!("{CURL}{other}: x\n"), ErrorKind::FieldCase);
    }
    for line in ["Store-Path: x", "Sig : x", " Sig: x", "Sig2: x", ": x", ":", "9: x"] {
        refused(format!("{CURL}{line}\n"), ErrorKind::FieldName);
    }
}

#[test]
fn control_bytes_and_utf8_anywhere() {
    for byte in (0..=u8::MAX).filter(|byte| !matches!(byte, b'\n' | b' '..=b'~')) {
        let mut text = format!("{CURL}Later: x").into_bytes();
        text.extend([byte, b'\n']);
        let error = parse(&text).unwrap_err();
        assert_eq!(error, ParseError { line: 11, field: None, kind: ErrorKind::Byte { byte } });
    }
}

#[test]
fn sizes_that_are_not_plain() {
    for value in ["", "+196040", "-1", "0196040", "00", "0x78", "1e3", "196 040", " 196040", "196040 ", "1.0"]
    {
        refused(swap("NarSize: 196040", &format!("NarSize: {value}")), ErrorKind::Number);
        refused(swap("FileSize: 68852", &format!("FileSize: {value}")), ErrorKind::Number);
    }
    let limit = Limits::default().nar_size;
    for value in ["68719476737", "18446744073709551615", "18446744073709551616", &"9".repeat(1000)] {
        let kind = ErrorKind::NumberTooLarge { limit };
        refused(swap("NarSize: 196040", &format!("NarSize: {value}")), kind);
        refused(swap("FileSize: 68852", &format!("FileSize: {value}")), kind);
    }
    refused(swap("NarSize: 196040", "NarSize: 0"), ErrorKind::Zero);
    assert_eq!(narinfo(&swap("FileSize: 68852", "FileSize: 0")).hints.file_size, Some(0));
    assert_eq!(narinfo(&swap("NarSize: 196040", "NarSize: 68719476736")).core.nar_size, limit);
}

/// Nix cleans these up first.
#[test]
fn store_paths_that_are_not_plain() {
    for dir in [
        "/nix//store/",
        "/nix/store/./",
        "/nix/store/x/../",
        "/nix/store//",
        "/gnu/store/",
        "",
        " /nix/store/",
    ] {
        let error = parse(swap("StorePath: /nix/store/", &format!("StorePath: {dir}"))).unwrap_err();
        assert_eq!((error.field, error.line), (Some(Field::StorePath), 1), "{dir}");
    }
    assert!(parse(swap("curl-7.82.0-bin\n", "curl-7.82.0-bin/\n")).is_err());
    assert!(parse(swap("curl-7.82.0-bin\n", "curl-7.82.0-bin \n")).is_err());
}

#[test]
fn references_that_are_not_plain() {
    for from in [" 6w8g7", " j5jxw"] {
        assert!(parse(swap(from, &format!(" {from}"))).is_err(), "two spaces");
    }
    assert!(parse(swap("References: ", "References:  ")).is_err(), "space in front");
    assert!(parse(swap("openssl-1.1.1n\n", "openssl-1.1.1n \n")).is_err(), "space behind");
    assert!(parse(swap("zlib-1.2.12", "zlib,1.2.12")).is_err(), "a comma separates in the signed text");
}

#[test]
fn urls_that_are_not_plain() {
    let url = CURL.lines().find_map(|line| line.strip_prefix("URL: ")).unwrap();
    refused(swap(url, ""), ErrorKind::EmptyValue);
    refused(swap(url, " "), ErrorKind::Space);
    refused(swap(url, "nar/a b"), ErrorKind::Space);
    refused(swap(url, &"x".repeat(4097)), ErrorKind::TooLong { limit: 4096 });
    // Where a URL leads is not for the parser: it is kept as it is, and resolved and judged by its user.
    let long = "x".repeat(4096);
    for kept in [&long, "file:///etc/passwd", "//host/x", "../../x", "https://elsewhere/x?hash=y#z"] {
        assert_eq!(narinfo(&swap(url, kept)).hints.url, kept);
    }
}

#[test]
fn the_core_does_not_follow_the_hints() {
    let text =
        swap("Compression: xz", "Compression: lrzip").replace("68852", "1").replace("-curl-7.82.0.drv", "-x");
    assert_eq!(narinfo(&text).core, narinfo(CURL).core);
    assert_ne!(narinfo(&text).hints.deriver, Some(path("5rwxzi7pal3qhpsyfc16gzkh939q1np6-curl-7.82.0.drv")));
}
