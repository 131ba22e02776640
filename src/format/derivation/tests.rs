//! Derivations printed and read back, as Nix wrote them, and as nobody should.

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use super::*;

/// As Nix 2.8.0 wrote it, all of it but the hash parts.
const REAL: &str = r#"Derive([("dev","/nix/store/m3bqwa4qq3aaqsl27spp7l8mx4gvzl8c-two-dev","",""),("out","/nix/store/3c2hvc0hnvcjwn4rm8kjkhjmpk6ky3hz-two","","")],[("/nix/store/0jqd0rlxzra1rs38rdxl43yh6rxchgc6-one.drv",["lib","out"])],["/nix/store/y25hsnq1kd1hjmsvvhp24bygpai69li3-hello.txt"],"x86_64-linux","/bin/sh",["-c","echo \"a\\b\"\n\texit 0"],[("builder","/bin/sh"),("empty",""),("name","two")])"#;

fn path(base_name: &str) -> StorePath {
    StorePath::from_base_name(base_name).unwrap()
}

fn parse(text: impl AsRef<[u8]>) -> Result<Derivation, DerivationFault> {
    Derivation::parse(text.as_ref(), &StoreDir::default(), &Limits::default())
}

fn kind_of(text: impl AsRef<[u8]>) -> FaultKind {
    parse(text).unwrap_err().kind
}

/// With one output that ends in these two texts.
fn with_output(last: &str) -> String {
    format!(r#"Derive([("out","/nix/store/3c2hvc0hnvcjwn4rm8kjkhjmpk6ky3hz-x",{last})],[],[],"","",[],[])"#)
}

#[test]
fn a_real_derivation() {
    let input = |name: &str, base_name| Output {
        name: name.into(),
        path: Some(path(base_name)),
        kind: OutputKind::InputAddressed,
    };
    let expected = Derivation {
        outputs: vec![
            input("dev", "m3bqwa4qq3aaqsl27spp7l8mx4gvzl8c-two-dev"),
            input("out", "3c2hvc0hnvcjwn4rm8kjkhjmpk6ky3hz-two"),
        ],
        input_derivations: vec![(
            path("0jqd0rlxzra1rs38rdxl43yh6rxchgc6-one.drv"),
            vec!["lib".into(), "out".into()],
        )],
        input_sources: vec![path("y25hsnq1kd1hjmsvvhp24bygpai69li3-hello.txt")],
        forgets_references: false,
    };
    assert_eq!(parse(REAL), Ok(expected));
}

#[test]
fn references_that_nix_was_told_to_forget() {
    let with = |name: &[u8], value: &[u8]| {
        let real = parse(REAL).unwrap();
        parse(printed(&real, &[], &[(name.to_vec(), value.to_vec())])).unwrap().forgets_references
    };
    assert!(with(b"__json", br#"{"name":"x","unsafeDiscardReferences":{"out":true}}"#));
    assert!(!with(b"__json", br#"{"name":"unsafeDiscardReferences"}"#));
    // Nix heeds it among structured attributes alone.
    assert!(!with(b"unsafeDiscardReferences", br#""unsafeDiscardReferences":1"#));
}

#[test]
fn outputs_of_every_kind() {
    let hex = "6bc66a827fe86925af680be5e00da2b7a7f22947c8c0209b22563890258462f6";
    let hash = NixHash::from_str(hex, HashAlgo::Sha256).unwrap();
    let cases = [
        (r#""","""#.to_owned(), OutputKind::InputAddressed),
        (format!(r#""sha256","{hex}""#), OutputKind::Fixed(ContentAddress::Flat(hash))),
        (format!(r#""r:sha256","{hex}""#), OutputKind::Fixed(ContentAddress::Recursive(hash))),
        (
            format!(r#""text:sha256","{hex}""#),
            OutputKind::Fixed(ContentAddress::from_nix_str(&format!("text:sha256:{hex}")).unwrap()),
        ),
        (r#""r:sha256","""#.to_owned(), OutputKind::Floating),
        (r#""r:sha256","impure""#.to_owned(), OutputKind::Floating),
    ];
    for (last, kind) in cases {
        assert_eq!(parse(with_output(&last)).unwrap().outputs[0].kind, kind, "{last}");
    }
    let unplaced = r#"Derive([("out","","r:sha256","")],[],[],"","",[],[])"#;
    assert_eq!(parse(unplaced).unwrap().outputs[0].path, None);
    let unplaced = format!(r#"Derive([("out","","sha256","{hex}")],[],[],"","",[],[])"#);
    assert_eq!(kind_of(unplaced), FaultKind::Unplaced);
}

#[test]
fn outputs_that_mean_nothing() {
    let hex = "00".repeat(32);
    assert_eq!(kind_of(with_output(&format!(r#""","{hex}""#))), FaultKind::Unmethodical);
    assert_eq!(kind_of(with_output(&format!(r#""git:sha1","{hex}""#))), FaultKind::Method);
    for last in [format!(r#""blake3","{hex}""#), r#""sha256","xyz""#.into(), r#""r:md4","""#.into()] {
        assert!(matches!(kind_of(with_output(&last)), FaultKind::Hash(_)), "{last}");
    }
    let sha1 = "00".repeat(20);
    let found = kind_of(with_output(&format!(r#""text:sha1","{sha1}""#)));
    assert_eq!(found, FaultKind::Hash(HashError::NotSha256 { found: HashAlgo::Sha1 }));
}

#[test]
fn dynamic_derivations_are_named() {
    let text = REAL.replace("Derive(", r#"DrvWithVersion("xp-dyn-drv","#);
    assert_eq!(kind_of(&text), FaultKind::Dynamic);
    assert!(parse(&text).unwrap_err().to_string().contains("dynamic derivations"));
}

#[test]
fn what_is_not_kept_may_hold_any_bytes() {
    let mut text = REAL.as_bytes().to_vec();
    let at = REAL.find("echo").unwrap();
    text[at] = 0xff;
    assert_eq!(parse(&text), parse(REAL));
    // But a name may not.
    let mut text = REAL.as_bytes().to_vec();
    text[REAL.find("dev").unwrap()] = 0xff;
    assert_eq!(kind_of(&text), FaultKind::Text);
}

#[test]
fn a_fault_says_where() {
    // What is replaced by what, and how far into it the fault is.
    let cases = [
        ("(\"dev\"", "('dev'", 1),
        ("),(\"out\"", ") (\"out\"", 1),
        ("\"/nix/store/m3bq", "\"/gnu/store/m3bq", 0),
        ("\"out\"])]", "\"o/t\"])]", 0),
        (
            "\"/nix/store/0jqd0rlxzra1rs38rdxl43yh6rxchgc6-one.drv",
            "\"/nix/store/0jqd0rlxzra1rs38rdxl43yh6rxchgc6-one",
            0,
        ),
        ("a\\\\b", "a\\xb", 2),
    ];
    for (from, to, inside) in cases {
        let begun = REAL.find(from).unwrap();
        let fault = parse(REAL.replacen(from, to, 1)).unwrap_err();
        assert_eq!(fault.offset, begun + inside, "{to}: {fault}");
    }
}

#[test]
fn cut_anywhere_or_with_more_behind() {
    for end in 0..REAL.len() {
        assert!(matches!(kind_of(&REAL[..end]), FaultKind::Expected { .. } | FaultKind::Escape), "{end}");
    }
    for more in ["\n", " ", ")", "\0"] {
        assert_eq!(kind_of(format!("{REAL}{more}")), FaultKind::Trailing);
    }
}

#[test]
fn nothing_is_listed_twice() {
    let twice = [
        ("(\"out\",", "(\"dev\","),
        ("[\"lib\",\"out\"]", "[\"out\",\"out\"]"),
        ("hello.txt\"]", "hello.txt\",\"/nix/store/y25hsnq1kd1hjmsvvhp24bygpai69li3-hello.txt\"]"),
        ("\"out\"])]", "\"out\"]),(\"/nix/store/0jqd0rlxzra1rs38rdxl43yh6rxchgc6-one.drv\",[])]"),
    ];
    for (from, to) in twice {
        assert!(REAL.contains(from), "{from}");
        assert_eq!(kind_of(REAL.replacen(from, to, 1)), FaultKind::Repeated, "{to}");
    }
}

#[test]
fn limits_hold_exactly() {
    let parse = |limits| Derivation::parse(REAL.as_bytes(), &StoreDir::default(), &limits);
    assert!(parse(Limits { bytes: REAL.len(), items: 3 }).is_ok());
    let kind = |limits| parse(limits).unwrap_err().kind;
    let bytes = REAL.len() - 1;
    assert_eq!(kind(Limits { bytes, items: 3 }), FaultKind::TooLong { limit: bytes });
    assert_eq!(kind(Limits { bytes: REAL.len(), items: 2 }), FaultKind::TooMany { limit: 2 });
}

/// A string as Nix prints it.
fn quoted(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', *byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            other => out.push(*other),
        }
    }
    out.push(b'"');
}

fn listed<T>(items: &[T], out: &mut Vec<u8>, mut print: impl FnMut(&T, &mut Vec<u8>)) {
    out.push(b'[');
    for (number, item) in items.iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        print(item, out);
    }
    out.push(b']');
}

/// The text that Nix would write, with these arguments and variables.
fn printed(derivation: &Derivation, arguments: &[Vec<u8>], variables: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let dir = StoreDir::default();
    let in_full = |path: &StorePath| path.to_absolute_path(&dir).into_bytes();
    let tuple = |texts: [&[u8]; 2], out: &mut Vec<u8>| {
        quoted(texts[0], out);
        out.push(b',');
        quoted(texts[1], out);
    };
    let mut out = b"Derive(".to_vec();
    listed(&derivation.outputs, &mut out, |output, out| {
        let path = output.path.as_ref().map(in_full).unwrap_or_default();
        let (algo, hash) = match output.kind {
            OutputKind::Fixed(ContentAddress::Flat(hash)) => {
                (hash.algo().to_string(), hash.to_plain_hex_string())
            }
            OutputKind::Fixed(ContentAddress::Recursive(hash)) => {
                (format!("r:{}", hash.algo()), hash.to_plain_hex_string())
            }
            OutputKind::Fixed(ContentAddress::Text(digest)) => {
                ("text:sha256".into(), NixHash::Sha256(digest).to_plain_hex_string())
            }
            OutputKind::Floating => ("r:sha256".into(), String::new()),
            OutputKind::InputAddressed => (String::new(), String::new()),
        };
        out.push(b'(');
        tuple([output.name.as_bytes(), &path], out);
        out.push(b',');
        tuple([algo.as_bytes(), hash.as_bytes()], out);
        out.push(b')');
    });
    out.push(b',');
    listed(&derivation.input_derivations, &mut out, |(path, names), out| {
        out.push(b'(');
        quoted(&in_full(path), out);
        out.push(b',');
        listed(names, out, |name, out| quoted(name.as_bytes(), out));
        out.push(b')');
    });
    out.push(b',');
    listed(&derivation.input_sources, &mut out, |path, out| quoted(&in_full(path), out));
    out.push(b',');
    tuple([b"x86_64-linux", b"/bin/sh"], &mut out);
    out.push(b',');
    listed(arguments, &mut out, |argument, out| quoted(argument, out));
    out.push(b',');
    listed(variables, &mut out, |(name, value), out| {
        out.push(b'(');
        tuple([name, value], out);
        out.push(b')');
    });
    out.push(b')');
    out
}

fn any_path(suffix: &'static str) -> impl Strategy<Value = StorePath> {
    let name = "[a-z0-9][a-zA-Z0-9+._?=-]{0,20}".prop_map(move |name| format!("{name}{suffix}"));
    (any::<[u8; 20]>(), name).prop_map(|(digest, name)| {
        StorePath::from_parts(super::super::store_path::HashPart::from_digest(digest), &name).unwrap()
    })
}

fn any_kind() -> impl Strategy<Value = OutputKind> {
    let digest = any::<[u8; 32]>();
    prop_oneof![
        4 => Just(OutputKind::InputAddressed),
        1 => Just(OutputKind::Floating),
        1 => digest.prop_map(|d| OutputKind::Fixed(ContentAddress::Flat(NixHash::Sha256(d)))),
        1 => digest.prop_map(|d| OutputKind::Fixed(ContentAddress::Recursive(NixHash::Sha256(d)))),
        1 => digest.prop_map(|d| OutputKind::Fixed(ContentAddress::Text(d))),
        1 => any::<[u8; 20]>().prop_map(|d| OutputKind::Fixed(ContentAddress::Flat(NixHash::Sha1(d)))),
    ]
}

fn any_derivation() -> impl Strategy<Value = Derivation> {
    let name = || "[a-z][a-z0-9_]{0,8}";
    let outputs = btree_map(name(), (any_path(""), any_kind(), any::<bool>()), 1..5);
    let inputs = btree_map(any_path(".drv"), btree_set(name(), 0..4), 0..6);
    (outputs, inputs, btree_set(any_path(""), 0..6)).prop_map(|(outputs, inputs, sources)| Derivation {
        outputs: outputs
            .into_iter()
            .map(|(name, (path, kind, placed))| {
                let path = Some(path).filter(|_| placed || matches!(kind, OutputKind::Fixed(_)));
                Output { name, path, kind }
            })
            .collect(),
        input_derivations: (inputs.into_iter())
            .map(|(path, names)| (path, names.into_iter().collect()))
            .collect(),
        input_sources: sources.into_iter().collect(),
        forgets_references: false,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn what_is_printed_is_read(
        derivation in any_derivation(),
        arguments in vec(vec(any::<u8>(), 0..30), 0..4),
        variables in vec((vec(any::<u8>(), 0..10), vec(any::<u8>(), 0..30)), 0..4),
    ) {
        let text = printed(&derivation, &arguments, &variables);
        prop_assert_eq!(parse(&text), Ok(derivation));
    }

    #[test]
    fn no_byte_but_in_a_string_can_be_another(derivation in any_derivation(), at: prop::sample::Index, byte: u8) {
        // Damage is an answer, never a panic; and where it is accepted, it still prints as it reads.
        let mut text = printed(&derivation, &[], &[]);
        let at = at.index(text.len());
        text[at] = byte;
        if let Ok(read) = parse(&text) {
            let again = printed(&read, &[], &[]);
            prop_assert_eq!(parse(&again), Ok(read));
        }
    }

    #[test]
    fn noise_is_refused(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert!(parse(&bytes).is_err());
    }
}
