//! Tests of the plan.

use super::*;
use crate::format::{KeyName, SigningKey};

const DEFAULT_KEY: &str = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=";

fn conf(text: &str) -> NixConf {
    NixConf::read(Path::new("/n/nix.conf"), &|_| Ok(text.as_bytes().to_vec())).unwrap()
}

fn key(name: &str, seed: u8) -> String {
    SigningKey::from_seed(KeyName::parse(name).unwrap(), &[seed; 32]).verifying_key().to_string()
}

fn plan(text: &str) -> Plan {
    draft(&conf(text), Netrc::Missing).unwrap()
}

fn names(caches: &[PlannedCache]) -> Vec<&str> {
    caches.iter().map(|cache| cache.name.as_str()).collect()
}

#[test]
fn nixs_defaults_are_one_cache_and_one_signer() {
    let plan = plan("");
    assert_eq!(names(&plan.caches), ["nixos"]);
    assert_eq!(plan.caches[0].url.as_str(), "https://cache.nixos.org/");
    assert_eq!(plan.caches[0].own_signers, ["nixos"]);
    assert_eq!(plan.signers[0].keys[0].to_string(), DEFAULT_KEY);
    assert!(plan.left_out.is_empty());
}

#[test]
fn every_substituter_is_a_cache_or_listed_once() {
    let plan = plan(
        "substituters = https://a.cachix.org https://a.cachix.org/ s3://b https://x.example/one \
         https://x.example/two http://localhost:8419 https://u:hush@y.example?secret=hush&trusted=1\n\
         trusted-substituters = https://z.example https://a.cachix.org",
    );
    assert_eq!(names(&plan.caches), ["a", "x", "x-two", "y"]);
    assert_eq!(names(&plan.on_demand), ["z"]);
    let listed = plan.left_out.join("\n");
    for words in ["s3://b (/n/nix.conf:1)", "itself listens", "user and password", "parameters secret"] {
        assert!(listed.contains(words), "{words} is not in\n{listed}");
    }
    assert_eq!(plan.left_out.len(), 4);
    assert!(!format!("{plan:?}").contains("hush"));
    assert!(plan.unknown.iter().any(|line| line.contains("without any signature") && line.contains('y')));
}

#[test]
fn a_cache_is_matched_with_keys_of_its_name() {
    for (stem, host, part, own) in [
        ("cache.nixos.org", "cache.nixos.org", None, true),
        ("acme.example", "cache.acme.example", None, true),
        ("cache.acme.example", "acme.example", None, true),
        ("evil-acme.example", "acme.example", None, false),
        ("example", "acme.example", None, false),
        ("team", "attic.example", Some("team"), true),
        ("team", "attic.example", None, false),
    ] {
        assert_eq!(is_own(stem, host, part), own, "{stem} {host}");
    }
}

#[test]
fn a_netrc_entry_of_the_host_becomes_its_credentials() {
    let conf = conf("substituters = https://a.example https://b.example https://c.example");
    let entry = |host: &str| match host {
        "a.example" => Entry::Named,
        "b.example" => Entry::Default,
        _ => Entry::Missing,
    };
    let path = Path::new("/etc/nix/netrc");
    let plan = draft(&conf, Netrc::Read { path, open_mode: Some(0o644), entry: &entry }).unwrap();
    let files: Vec<_> = plan.caches.iter().map(|cache| cache.credentials.as_deref()).collect();
    assert_eq!(files, [Some(path), None, None]);
    let unknown = plan.unknown.join("\n");
    assert!(unknown.contains("`default` entry") && unknown.contains("mode 0644"), "{unknown}");

    for odd in ["netrc", "/a/../netrc", "/a\nb"] {
        let plan =
            draft(&conf, Netrc::Read { path: Path::new(odd), open_mode: None, entry: &entry }).unwrap();
        assert!(plan.caches.iter().all(|cache| cache.credentials.is_none()));
        assert!(plan.left_out[0].contains("no absolute path"), "{:?}", plan.left_out);
    }
    let plan = draft(&conf, Netrc::Unreadable { path, why: "permission denied" }).unwrap();
    assert_eq!(plan.unknown.iter().filter(|line| line.contains("permission denied")).count(), 1);
}

#[test]
fn without_a_cache_or_a_signer_there_is_no_draft() {
    let refused = |text: &str| draft(&conf(text), Netrc::Missing).unwrap_err();
    assert!(matches!(refused("substituters ="), DraftError::NoCache(_)));
    assert!(refused("substituters = http://127.0.0.1:8419").to_string().contains("itself listens"));
    assert!(matches!(refused("trusted-public-keys ="), DraftError::NoSigner(_)));
    assert!(refused("trusted-public-keys = x").to_string().contains("number 1"));
}

#[test]
fn numbers_are_bounded() {
    let urls: String = (0..129).map(|n| format!(" https://h{n}.example")).collect();
    let keys: String = (0..129).map(|n| format!(" {}", key(&format!("k{n}"), n))).collect();
    for text in [
        format!("substituters ={urls}"),
        format!("trusted-substituters ={urls}"),
        format!("trusted-public-keys ={keys}"),
        format!("trusted-public-keys ={}", " x".repeat(1025)),
    ] {
        let refused = draft(&conf(&text), Netrc::Missing).unwrap_err();
        assert!(matches!(refused, DraftError::TooMany { .. }), "{refused}");
    }
}
