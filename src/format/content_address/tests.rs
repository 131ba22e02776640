//! Tests of content addresses: paths that Nix made, recomputed; and claims that do not hold.

use proptest::prelude::*;
use sha2::Sha512;

use super::*;
use crate::format::samples::path;

/// NAR hash of the directory D of Nix's examples.
const DIRECTORY: &str = "1jw4bpkfa5gkfw7ng95qfsba9l1j0g325nb3k0dqx4gqnia7rsqn";
const HELLO: &str = "y25hsnq1kd1hjmsvvhp24bygpai69li3-hello.txt";

fn sha256(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

fn address(text: &str) -> ContentAddress {
    ContentAddress::from_nix_str(text).unwrap()
}

fn refs(paths: &[&str]) -> References {
    paths.iter().map(|base_name| path(base_name)).collect()
}

/// The path for an address, a name and references, as a base name.
fn made(address: ContentAddress, name: &str, references: &[&str]) -> String {
    address.store_path(&StoreDir::default(), name, &refs(references)).unwrap().to_string()
}

/// A core with an address's NAR hash, if it binds one.
fn core(base_name: &str, nar_hash: Option<NarHash>, references: &[&str]) -> Core {
    let nar_hash = nar_hash.unwrap_or(NarHash::from_digest([0; 32]));
    Core { store_path: path(base_name), nar_hash, nar_size: 1, references: refs(references) }
}

#[test]
fn recursive_sha256_as_nix_makes_it() {
    let address = address(&format!("fixed:r:sha256:{DIRECTORY}"));
    assert_eq!(made(address, "d", &[]), "069lwnp8219vfly7zixm6zbgfi2rk5xw-d");
    assert_eq!(address.binds_nar_hash(), Some(NarHash::parse_nixbase32(DIRECTORY).unwrap()));
}

#[test]
fn flat_sha256_as_nix_makes_it() {
    let flat = ContentAddress::Flat(NixHash::Sha256(sha256(b"flat\n")));
    assert_eq!(flat.to_string(), "fixed:sha256:1xk2hhjr0f2n4adj1h688wlz59xpl86y1r8bd2pjasg8gy16mikb");
    assert_eq!(address(&flat.to_string()), flat);
    assert_eq!(made(flat, "flat.txt", &[]), "rkf79g8l9nv68w00j1z80zjn9aw7szx3-flat.txt");
    assert_eq!(flat.binds_nar_hash(), None);
}

#[test]
fn recursive_sha1_as_nix_makes_it() {
    let address = address("fixed:r:sha1:dr55afsg2lxjgl18m1y3h00hiyify38h");
    assert_eq!(made(address, "d", &[]), "md3pf3kg56x0bhhjh494v8j6pqd01ilp-d");
    assert_eq!(address.binds_nar_hash(), None);
}

#[test]
fn flat_sha512_as_nix_makes_it() {
    let digest = Sha512::digest(b"flat\n").into();
    let path = made(ContentAddress::Flat(NixHash::Sha512(digest)), "flat.txt", &[]);
    assert_eq!(path, "mf9xmvbl2w1zsnb8bd0qxrz1c0wdh6q9-flat.txt");
}

#[test]
fn text_as_nix_makes_it() {
    let hello = ContentAddress::Text(sha256(b"hello text\n"));
    assert_eq!(made(hello, "hello.txt", &[]), HELLO);
    let referring = ContentAddress::Text(sha256(format!("refers to /nix/store/{HELLO}\n").as_bytes()));
    assert_eq!(made(referring, "refs.txt", &[HELLO]), "iqz6bzmf6lj1yv33zashang27v3lr7j3-refs.txt");
    assert_eq!(referring.binds_nar_hash(), None);
}

#[test]
fn published_paths_certify_themselves() {
    let dir = StoreDir::default();
    let cases = [
        (
            "vlapfq163ddwdcn2smfk31x6fs0c9jh6-source",
            "fixed:r:sha256:0gkkhap0ljzw750z2ypjr87n4mhinv07flvcshvi9l4jlqs2w1bc",
        ),
        (
            "k20pahypzvr49fy82cw5sx72hdfg3qcr-texlive-hyphenex-37354",
            "fixed:r:sha1:1ak1ymbmsfx7z8kh09jzkr3a4dvkrfjw",
        ),
    ];
    for (base_name, text) in cases {
        let address = address(text);
        assert!(address.certifies(&dir, &core(base_name, address.binds_nar_hash(), &[])), "{text}");
        assert!(!address.certifies(&dir, &core(base_name, None, &[HELLO])), "a reference too many");
        assert!(!address.certifies(&StoreDir::new("/gnu/store").unwrap(), &core(base_name, None, &[])));
        assert!(!address.certifies(&dir, &core(&format!("{base_name}x"), None, &[])), "another name");
        assert!(!address.certifies(&dir, &core(HELLO, None, &[])));
    }
}

#[test]
fn references_are_bound_where_they_are_allowed() {
    let dir = StoreDir::default();
    let text = ContentAddress::Text(sha256(format!("refers to /nix/store/{HELLO}\n").as_bytes()));
    let base_name = "iqz6bzmf6lj1yv33zashang27v3lr7j3-refs.txt";
    assert!(text.certifies(&dir, &core(base_name, None, &[HELLO])));
    assert!(!text.certifies(&dir, &core(base_name, None, &[])), "references stripped");
}

#[test]
fn references_are_refused_where_nothing_binds_them() {
    let kinds =
        ["fixed:sha256:", "fixed:sha1:", "fixed:r:sha1:", "fixed:r:md5:", "fixed:sha512:", "fixed:r:sha512:"];
    for kind in kinds {
        let algo: HashAlgo = kind.rsplit(':').nth(1).unwrap().parse().unwrap();
        let address = address(&format!("{kind}{}", "0".repeat(algo.digest_len() * 2)));
        assert!(address.store_path(&StoreDir::default(), "x", &refs(&[])).is_ok(), "{kind}");
        let refused = address.store_path(&StoreDir::default(), "x", &refs(&[HELLO]));
        assert_eq!(refused, Err(RecomputeError::References), "{kind}");
    }
}

/// Nix hashes such contents with the path's own hash part blanked, differently in different versions.
#[test]
fn a_path_that_refers_to_itself_never_certifies_itself() {
    let own = "k9gznq0rxhdf2552hd7c9bp77sfb093c-app-1.0";
    let library = "qpics51y9l6zkd8vwchj7rwavnsvq51b-lib-1.0";
    let zeroed = "5493c409ed5df3d22051c538683a1a86bf3d3569d0f6ffb3f531c3f491367169";
    let address = address(&format!("fixed:r:sha256:{zeroed}"));
    assert!(!address.certifies(&StoreDir::default(), &core(own, None, &[library, own])));
    // The computation that is left out, to show that the vector is right: `:self` after the references.
    let text = format!("source:/nix/store/{library}:self:sha256:{zeroed}:/nix/store:app-1.0");
    assert_eq!(HashPart::from_digest(fold(&sha256(text.as_bytes()))), path(own).hash_part());
}

#[test]
fn names_that_are_none_make_no_path() {
    let address = address(&format!("fixed:r:sha256:{DIRECTORY}"));
    for name in ["", ".", "a/b", "a:b", &"a".repeat(212)] {
        let path = address.store_path(&StoreDir::default(), name, &References::default());
        assert!(matches!(path, Err(RecomputeError::Path(_))), "{name}");
    }
}

#[test]
fn any_encoding_but_sri() {
    let canonical = "fixed:r:sha256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s";
    let spellings = [
        "1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
    ];
    for digest in spellings {
        assert_eq!(address(&format!("fixed:r:sha256:{digest}")).to_string(), canonical);
        let text = address(&format!("text:sha256:{digest}"));
        assert_eq!(text.to_string(), canonical.replacen("fixed:r:", "text:", 1));
    }
    let sri = ContentAddress::from_nix_str("fixed:r:sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    assert_eq!(sri, Err(ContentAddressError::Hash(HashError::NoAlgorithm)));
}

#[test]
fn texts_that_are_no_content_address() {
    let sha1 = "dr55afsg2lxjgl18m1y3h00hiyify38h";
    let not_sha256 = HashError::NotSha256 { found: HashAlgo::Sha1 };
    let cases = [
        (String::new(), ContentAddressError::Kind),
        (format!("sha1:{sha1}"), ContentAddressError::Kind),
        (format!("Fixed:sha1:{sha1}"), ContentAddressError::Kind),
        (format!("fixed:git:sha1:{sha1}"), ContentAddressError::Git),
        ("fixed:git:".to_owned(), ContentAddressError::Git),
        (format!("text:sha1:{sha1}"), ContentAddressError::Hash(not_sha256)),
        ("fixed:".to_owned(), ContentAddressError::Hash(HashError::NoAlgorithm)),
        (format!("fixed:r:r:sha1:{sha1}"), ContentAddressError::Hash(HashError::UnknownAlgorithm)),
        (format!("text:r:sha1:{sha1}"), ContentAddressError::Hash(HashError::UnknownAlgorithm)),
    ];
    for (text, error) in cases {
        assert_eq!(ContentAddress::from_nix_str(&text), Err(error), "{text}");
    }
}

proptest! {
    #[test]
    fn round_trip(kind in 0usize..3, algo in 0usize..4, bytes: [u8; 64]) {
        let algo = [HashAlgo::Md5, HashAlgo::Sha1, HashAlgo::Sha256, HashAlgo::Sha512][algo];
        let hash = NixHash::from_digest(algo, &bytes[..algo.digest_len()]).unwrap();
        let digest = bytes[..32].try_into().unwrap();
        let address =
            [ContentAddress::Text(digest), ContentAddress::Flat(hash), ContentAddress::Recursive(hash)][kind];
        prop_assert_eq!(ContentAddress::from_nix_str(&address.to_string()), Ok(address));
        let path = address.store_path(&StoreDir::default(), "n", &References::default()).unwrap();
        let claim = core(&path.to_string(), address.binds_nar_hash(), &[]);
        prop_assert!(address.certifies(&StoreDir::default(), &claim));
    }

    #[test]
    fn arbitrary_text_is_refused_or_read_again(
        text in prop_oneof![".{0,80}", "(text|fixed)(:r|:git)?:(md5|sha1|sha256)[:-][0-9a-f]{32,64}"],
    ) {
        if let Ok(address) = ContentAddress::from_nix_str(&text) {
            prop_assert_eq!(ContentAddress::from_nix_str(&address.to_string()), Ok(address));
        }
    }
}
