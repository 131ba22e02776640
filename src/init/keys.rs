//! Trusted keys of nix.conf, put together into signers.
//!
//! Keys whose names differ only in the number at the end are taken for one party's: that is how names are given
//! by custom (`cache.nixos.org-1`), and a guess. What cannot be a key is named by its place and never repeated:
//! it may be a secret one.

use crate::format::{KeyError, VerifyingKey};
use crate::init::names::{short, shown, unique};
use crate::init::nix_conf::Word;
use std::collections::BTreeSet;

/// A signer to be.
#[derive(Clone, Debug)]
pub struct PlannedSigner {
    /// Its name in the draft.
    pub name: String,
    /// What its keys' names have in common: `cache.nixos.org`.
    pub stem: String,
    /// Its keys, in the order of nix.conf.
    pub keys: Vec<VerifyingKey>,
}

/// All signers to be, and what is left out.
#[derive(Debug, Default)]
pub(super) struct Grouped {
    pub(super) signers: Vec<PlannedSigner>,
    pub(super) left_out: Vec<String>,
}

/// Puts keys together into signers.
pub(super) fn group(words: &[Word]) -> Grouped {
    let mut grouped = Grouped::default();
    let mut taken = BTreeSet::new();
    for (index, word) in words.iter().enumerate() {
        let number = index.saturating_add(1);
        match VerifyingKey::parse(&word.text) {
            Ok(key) => {
                if let Err(why) = grouped.add(key, &mut taken) {
                    grouped.leave_out(word, number, &why);
                }
            }
            Err(error) => grouped.leave_out(word, number, &complaint(&word.text, error)),
        }
    }
    grouped
}

impl Grouped {
    fn add(&mut self, key: VerifyingKey, taken: &mut BTreeSet<String>) -> Result<(), String> {
        let name = key.name().as_str();
        if OURS.iter().any(|ours| name.starts_with(ours)) {
            return Err("it is a Countersign's own key, whose word is no evidence".to_owned());
        }
        for other in self.signers.iter().flat_map(|signer| &signer.keys) {
            match (other.same_key(&key), other.name() == key.name()) {
                // Written twice: nothing is lost.
                (true, true) => return Ok(()),
                (true, false) => return Err(format!("it is the same key as {}", other.name())),
                // NixOS/nix `getDefaultPublicKeys` keeps the first of a name.
                (false, true) => return Err("an earlier key has its name, and Nix used only that".to_owned()),
                (false, false) => {}
            }
        }
        let stem = stem(name).to_owned();
        match self.signers.iter_mut().find(|signer| signer.stem == stem) {
            Some(signer) => signer.keys.push(key),
            None => {
                let name = unique([short(&stem).as_str(), stem.as_str()], taken);
                self.signers.push(PlannedSigner { name, stem, keys: vec![key] });
            }
        }
        Ok(())
    }

    fn leave_out(&mut self, word: &Word, number: usize, why: &str) {
        // The part before the colon is a name; without a colon nothing is known to be harmless.
        let name = match word.text.split_once(':') {
            Some((name, _)) if !name.is_empty() => format!(" {}", shown(name)),
            _ => String::new(),
        };
        self.left_out.push(format!("trusted key number {number}{name} ({}): {why}", word.place()));
    }
}

fn complaint(text: &str, error: KeyError) -> String {
    // 64 bytes of base64: the form of a signing key.
    if text.rsplit(':').next().is_some_and(|encoded| encoded.len() == 88) {
        return "it is a secret key, in a file that everybody may read: make a new one".to_owned();
    }
    error.to_string()
}

/// A key's name without its number.
fn stem(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((stem, number)) if !stem.is_empty() && is_number(number) => stem,
        _ => name,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// How the names of machine and observe keys begin.
const OURS: &[&str] = &["countersign-machine-", "countersign-observe-"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{KeyName, SigningKey};

    fn key(name: &str, seed: u8) -> String {
        SigningKey::from_seed(KeyName::parse(name).unwrap(), &[seed; 32]).verifying_key().to_string()
    }

    fn of(keys: &[String]) -> Grouped {
        let words: Vec<Word> = keys.iter().map(|k| Word { text: k.clone(), origin: None }).collect();
        group(&words)
    }

    #[test]
    fn numbers_of_one_name_are_one_signer() {
        let grouped = of(&[
            key("cache.nixos.org-1", 1),
            key("acme.cachix.org-1", 2),
            key("cache.nixos.org-2", 3),
            key("hydra.nixos.org-1", 4),
            key("team", 5),
            key("a-b", 6),
        ]);
        let signers: Vec<_> = grouped.signers.iter().map(|s| (s.name.as_str(), s.keys.len())).collect();
        let expected = [("nixos", 2), ("acme", 1), ("hydra-nixos-org", 1), ("team", 1), ("a-b", 1)];
        assert_eq!(signers, expected);
        assert!(grouped.left_out.is_empty());
    }

    #[test]
    fn one_key_is_never_two() {
        let twice = key("x-1", 1);
        let same = twice.replace("x-1", "y-1");
        let grouped = of(&[twice.clone(), twice, same, key("x-1", 2)]);
        assert_eq!((grouped.signers.len(), grouped.signers[0].keys.len()), (1, 1));
        assert!(grouped.left_out[0].contains("y-1") && grouped.left_out[0].contains("same key as x-1"));
        assert!(grouped.left_out[1].contains("Nix used only that"), "{}", grouped.left_out[1]);
    }

    #[test]
    fn what_is_no_key_is_listed_and_secrets_are_not_repeated() {
        let secret = SigningKey::from_seed(KeyName::parse("s-1").unwrap(), &[7; 32]).to_secret_text();
        let bare = secret.split(':').nth(1).unwrap().to_owned();
        // The encoding of the point of order one: anyone could sign for it.
        let weak = format!("w-1:AQ{}=", "A".repeat(41));
        let ours = key("countersign-machine-0123", 9);
        let grouped =
            of(&[secret.to_string(), bare.clone(), weak, "x".to_owned(), "\u{1b}:AAAA".to_owned(), ours]);
        assert!(grouped.signers.is_empty());
        let all = grouped.left_out.join("\n");
        for words in ["number 1 s-1", "secret key", "weak", "not of the form", "own key"] {
            assert!(all.contains(words), "{words} is not in\n{all}");
        }
        assert!(!all.contains(&bare) && !all.contains('\u{1b}'), "{all}");
    }

    #[test]
    fn stems_end_before_a_number() {
        for (name, expected) in [("a-1", "a"), ("a-1-22", "a-1"), ("a", "a"), ("-1", "-1"), ("a-", "a-")] {
            assert_eq!(stem(name), expected);
        }
    }
}
