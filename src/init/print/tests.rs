//! Tests of the text: it is always a configuration that can be used, and nothing from outside becomes part of it.

use super::*;
use crate::config::{self, Environment, Loaded, Mode, Style};
use crate::format::{KeyName, SigningKey};
use crate::init::{Entry, Netrc, NixConf, draft};
use crate::trust::Timestamp;
use proptest::prelude::*;

fn key(name: &str, seed: u8) -> String {
    SigningKey::from_seed(KeyName::parse(name).unwrap(), &[seed; 32]).verifying_key().to_string()
}

fn plan(text: &str) -> Option<Plan> {
    let conf = NixConf::read(Path::new("/n/nix.conf"), &|_| Ok(text.as_bytes().to_vec())).ok()?;
    let path = Path::new("/run/secrets/a \"netrc\"");
    let entry = |host: &str| if host.starts_with('a') { Entry::Named } else { Entry::Missing };
    draft(&conf, Netrc::Read { path, open_mode: None, entry: &entry }).ok()
}

fn written(text: &str) -> String {
    toml(&plan(text).unwrap(), Path::new("/etc/countersign/config.toml"))
}

fn check(text: &str) -> Loaded {
    let env = Environment { home: Some("/root".into()), ..Environment::default() };
    match config::parse("draft", text.as_bytes(), &env, Timestamp::from_seconds(1_790_000_000)) {
        Ok(loaded) => loaded,
        Err(report) => panic!("{}\n{text}", report.render(Style::Plain)),
    }
}

/// The draft with the marks taken from every comment that is a setting or a header.
fn uncommented(text: &str) -> String {
    let is_setting = |line: &str| {
        line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| !key.contains([' ', ':']))
    };
    let mut inside = false;
    text.lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if is_setting(rest) || inside => {
                inside = rest.ends_with('[') || (inside && !rest.starts_with(']'));
                format!("{rest}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect()
}

fn several() -> String {
    format!(
        "substituters = https://cache.nixos.org https://acme.cachix.org?priority=7 https://b.cachix.org\n\
         trusted-substituters = https://c.example\nextra-trusted-public-keys = {} {}\n",
        key("acme.cachix.org-1", 1),
        key("acme.cachix.org-2", 2)
    )
}

#[test]
fn the_draft_says_what_nix_conf_said() {
    let Loaded { config, warnings, .. } = check(&written(&several()));
    assert_eq!(config.mode, Mode::Observe);
    let urls: Vec<_> = config.caches.iter().map(|cache| (&*cache.name, cache.url.as_str())).collect();
    let expected = [
        ("nixos", "https://cache.nixos.org/"),
        ("acme", "https://acme.cachix.org/"),
        ("b", "https://b.cachix.org/"),
    ];
    assert_eq!(urls, expected);
    assert_eq!(config.caches[1].credentials_file.as_deref(), Some(Path::new("/run/secrets/a \"netrc\"")));
    let policy = &config.policy;
    assert_eq!(policy.caches().iter().map(|cache| cache.priority).collect::<Vec<_>>(), [40, 7, 50]);
    assert_eq!(policy.operators().len(), 2, "what is behind one domain is one operator's");
    let keys: Vec<_> = policy.signers().iter().map(|signer| (&*signer.name, signer.keys.len())).collect();
    assert_eq!(keys, [("nixos", 1), ("acme", 2)]);
    assert_eq!(policy.rules().len(), 1);
    assert_eq!(warnings.warnings(), 1, "only that it observes: {}", warnings.render(Style::Plain));
}

#[test]
fn the_commented_examples_can_be_used_as_they_stand() {
    let text = uncommented(&written(&several()));
    let Loaded { config, .. } = check(&text);
    assert_eq!(config.policy.rules().len(), 2, "{text}");
    assert_eq!(config.policy.rules()[0].operators.get(), 2);
    assert_eq!(config.caches.len(), 4);
    assert_eq!(config.policy.caches().iter().filter(|cache| cache.accept_signers.is_some()).count(), 2);

    let one_operator = several().replace("https://cache.nixos.org", "https://x.cachix.org");
    assert!(!written(&one_operator).contains("\n# operators = 2\n"));
    assert!(written(&one_operator).contains("\n# # operators = 2 "));
    assert!(!written("").contains("boot chain"), "one signer cannot agree with another");
}

#[test]
fn comments_are_broken_between_words() {
    let mut out = String::new();
    comment(&mut out, "- ", &"word ".repeat(60));
    assert!(out.lines().all(|line| line.len() <= WIDTH && line.starts_with("# ")), "{out}");
    assert!(out.lines().nth(1).unwrap().starts_with("#   word"));
}

#[test]
fn strings_are_escaped() {
    assert_eq!(string("a\"\\\n\u{202e}é"), "\"a\\\"\\\\\\U0000000A\\U0000202E\\U000000E9\"");
}

#[test]
fn the_terminal_is_told_the_same() {
    let plan = plan(&format!("{}extra-substituters = s3://x", several())).unwrap();
    let said = summary(&plan, Path::new("/x/c.toml"), true);
    for words in [
        "drafted 3 caches, 2 signers and one rule from /n/nix.conf",
        "wrote /x/c.toml",
        "not carried over:\n  - substituter s3://x (/n/nix.conf:4)",
        "`derives-from`",
        "countersign check --config /x/c.toml",
    ] {
        assert!(said.contains(words), "{words} is not in\n{said}");
    }
    assert!(summary(&plan, Path::new("/x y/c.toml"), false).contains("--config FILE"));
}

#[test]
fn the_largest_draft_can_still_be_read() {
    let path = "x".repeat(980);
    let urls: String = (0..128).map(|n| format!(" https://a{n}.example/{path}")).collect();
    let more: String = (0..128).map(|n| format!(" https://b{n}.example/{path}")).collect();
    let keys: String = (0..120_u8).map(|n| format!(" {}", key(&format!("{:x<124}-{n}", ""), n))).collect();
    let text = format!("substituters ={urls}\ntrusted-substituters ={more}\ntrusted-public-keys ={keys}\n");
    let text = written(&text);
    assert!(text.len() < 900_000, "{}", text.len());
    assert_eq!(check(&text).config.caches.len(), 128);
}

/// Parts that a hostile nix.conf may put together.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("https://a.example".to_owned()),
        Just("https://cache.nixos.org".to_owned()),
        (any::<u8>(), "[a-z.0-9+=@_-]{1,12}").prop_map(|(seed, name)| key(&name, seed)),
        "https://[a-z\"'\\\\\\[\\]{}]{1,8}\\.[a-z]{2}/[!-~]{0,12}",
        "\\PC{1,20}",
        any::<String>(),
    ]
}

proptest! {
    #[test]
    fn whatever_nix_conf_says_the_draft_is_a_configuration(
        substituters in prop::collection::vec(word(), 0..6),
        keys in prop::collection::vec(word(), 0..6),
        more in prop::collection::vec(word(), 0..3),
    ) {
        let text = format!(
            "extra-substituters = {}\nextra-trusted-public-keys = {}\ntrusted-users = {}\n\
             trusted-substituters = {}\nsecret-key-files = {}\n",
            substituters.join(" "), keys.join(" "), more.join(" "), more.join(" "), more.join(" ")
        );
        // Line breaks in a word may make lines that Nix refuses too.
        if let Some(plan) = plan(&text) {
            let text = toml(&plan, Path::new("/c.toml"));
            prop_assert!(text.chars().all(|c| c == '\n' || c == ' ' || c.is_ascii_graphic()), "{text:?}");
            let loaded = check(&text);
            prop_assert_eq!(loaded.config.mode, Mode::Observe);
            prop_assert_eq!(loaded.config.policy.rules().len(), 1);
            prop_assert_eq!(loaded.config.caches.len(), plan.caches.len());
        }
    }
}
