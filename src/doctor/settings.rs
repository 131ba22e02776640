//! What Nix is told, as far as it matters here: from Nix's own answer (`nix config show --json`, the same settings
//! from 2.8 to 2.34), or from its files.
//!
//! The files are asked for places besides: Nix does not say where a setting stands.

use crate::init::NixConf;
use serde_json::{Map, Value};

/// The settings that a way around can lie in.
#[derive(Clone, Debug)]
pub struct NixSettings {
    /// Whom Nix asks, in this order of writing.
    pub substituters: Vec<String>,
    /// Whom any user may have it ask.
    pub trusted_substituters: Vec<String>,
    /// Whose signatures let a path in.
    pub trusted_public_keys: Vec<String>,
    /// Who may do what root may.
    pub trusted_users: Vec<String>,
    /// Files of the keys that Nix itself signs with.
    pub secret_key_files: Vec<String>,
    /// Whether a path needs a signature.
    pub require_sigs: bool,
    /// Whether substituters are asked at all.
    pub substitute: bool,
    /// Whether flakes set what they like.
    pub accept_flake_config: bool,
    /// The machines that build, or the file that lists them.
    pub builders: String,
    /// Whether those fetch what they need by themselves.
    pub builders_use_substitutes: bool,
    /// For how many seconds a claim is remembered.
    pub positive_ttl: u64,
    /// For how many seconds "not found" is remembered.
    pub negative_ttl: u64,
    /// The program that is run after each build; empty for none.
    pub post_build_hook: String,
    /// What the files say, for places.
    pub files: Option<NixConf>,
}

impl NixSettings {
    /// Reads Nix's answer.
    ///
    /// # Errors
    /// What is wrong with it, in words that repeat nothing of it: it may hold access tokens.
    pub fn from_json(text: &[u8]) -> Result<Self, String> {
        let answer: Map<String, Value> =
            serde_json::from_slice(text).map_err(|_| "its answer is no JSON object".to_owned())?;
        let value = |name: &'static str| {
            let value = answer.get(name).and_then(|setting| setting.get("value"));
            value.ok_or_else(|| format!("its answer has no {name}"))
        };
        let odd = |name: &'static str| format!("its answer has a {name} of an unknown kind");
        let list = |name: &'static str| {
            let items = value(name)?.as_array().ok_or_else(|| odd(name))?;
            let text = |item: &Value| item.as_str().map(str::to_owned).ok_or_else(|| odd(name));
            items.iter().map(text).collect::<Result<Vec<String>, String>>()
        };
        let flag = |name: &'static str| value(name)?.as_bool().ok_or_else(|| odd(name));
        let number = |name: &'static str| value(name)?.as_u64().ok_or_else(|| odd(name));
        let text = |name: &'static str| match value(name)? {
            Value::Null => Ok(String::new()),
            Value::String(text) => Ok(text.clone()),
            _ => Err(odd(name)),
        };
        Ok(Self {
            substituters: list("substituters")?,
            trusted_substituters: list("trusted-substituters")?,
            trusted_public_keys: list("trusted-public-keys")?,
            trusted_users: list("trusted-users")?,
            secret_key_files: list("secret-key-files")?,
            require_sigs: flag("require-sigs")?,
            substitute: flag("substitute")?,
            accept_flake_config: flag("accept-flake-config")?,
            builders: text("builders")?,
            builders_use_substitutes: flag("builders-use-substitutes")?,
            positive_ttl: number("narinfo-cache-positive-ttl")?,
            negative_ttl: number("narinfo-cache-negative-ttl")?,
            post_build_hook: text("post-build-hook")?,
            files: None,
        })
    }

    /// What files say, with Nix's defaults for what they do not. `machines` is where the list of builders is unless
    /// a file says otherwise.
    pub fn from_files(conf: NixConf, machines: &str) -> Self {
        let list = |name: &str| conf.words(name).iter().map(|word| word.text.clone()).collect();
        let flag = |name: &str, usual: bool| conf.flag(name).map_or(usual, |(value, _)| value);
        let text = |name: &str| conf.words(name).first().map(|word| word.text.clone());
        let number = |name: &str| text(name).and_then(|text| with_unit(&text)).unwrap_or(u64::MAX);
        Self {
            substituters: list("substituters"),
            trusted_substituters: list("trusted-substituters"),
            trusted_public_keys: list("trusted-public-keys"),
            trusted_users: list("trusted-users"),
            secret_key_files: list("secret-key-files"),
            require_sigs: flag("require-sigs", true),
            substitute: flag("substitute", true),
            accept_flake_config: flag("accept-flake-config", false),
            builders: text("builders").unwrap_or_else(|| format!("@{machines}")),
            builders_use_substitutes: flag("builders-use-substitutes", false),
            positive_ttl: number("narinfo-cache-positive-ttl"),
            negative_ttl: number("narinfo-cache-negative-ttl"),
            post_build_hook: text("post-build-hook").unwrap_or_default(),
            files: Some(conf),
        }
    }

    /// Where a setting stands, or a word of it, to be put behind it; empty where the files that were read do not say.
    pub(super) fn place(&self, setting: &str, word: Option<&str>) -> String {
        let words = self.files.iter().flat_map(|files| files.words(setting));
        let mut stands = words.filter(|found| word.is_none_or(|text| found.text == text));
        stands.next().map_or_else(String::new, |found| format!(" ({})", found.place()))
    }
}

/// A number as Nix reads it: with K, M, G or T behind it for the powers of 1024.
fn with_unit(text: &str) -> Option<u64> {
    let (digits, shift) = match text.char_indices().last()? {
        (at, 'K' | 'k') => (text.get(..at)?, 10),
        (at, 'M' | 'm') => (text.get(..at)?, 20),
        (at, 'G' | 'g') => (text.get(..at)?, 30),
        (at, 'T' | 't') => (text.get(..at)?, 40),
        _ => (text, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn files(text: &str) -> NixSettings {
        let conf = NixConf::read(Path::new("/n/nix.conf"), &|_| Ok(text.as_bytes().to_vec())).unwrap();
        NixSettings::from_files(conf, "/n/machines")
    }

    #[test]
    fn files_say_what_they_say_and_nix_has_defaults_for_the_rest() {
        let usual = files("");
        assert_eq!(usual.substituters, ["https://cache.nixos.org/"]);
        assert_eq!((usual.positive_ttl, usual.negative_ttl), (2_592_000, 3600));
        assert_eq!((usual.builders.as_str(), usual.post_build_hook.as_str()), ("@/n/machines", ""));
        assert!(usual.require_sigs && usual.substitute);
        assert!(!usual.accept_flake_config && !usual.builders_use_substitutes);
        let set = files(
            "builders =\nrequire-sigs = false\nsubstitute = false\naccept-flake-config = true\n\
             builders-use-substitutes = true\nnarinfo-cache-positive-ttl = 1K\npost-build-hook = /a b\n\
             narinfo-cache-negative-ttl = many",
        );
        assert_eq!((set.builders.as_str(), set.post_build_hook.as_str()), ("", "/a b"));
        assert_eq!((set.positive_ttl, set.negative_ttl), (1024, u64::MAX));
        assert!(!set.require_sigs && !set.substitute);
        assert!(set.accept_flake_config && set.builders_use_substitutes);
        assert_eq!(set.place("require-sigs", None), " (/n/nix.conf:2)");
        assert_eq!(set.place("trusted-users", Some("root")), " (Nix's default)");
        assert_eq!(set.place("trusted-users", Some("somebody")), "");
    }

    #[test]
    fn an_answer_that_is_none_is_told_without_repeating_it() {
        for text in ["", "[]", "{\"secret\": 1}", "{\"substituters\": {\"value\": \"secret\"}}"] {
            let told = NixSettings::from_json(text.as_bytes()).unwrap_err();
            assert!(told.starts_with("its answer") && !told.contains("secret"), "{told}");
        }
    }
}
