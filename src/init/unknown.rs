//! What nix.conf does not say and a policy needs, or what it says and no policy can hold.
//!
//! One line each, for those who read the draft: what is not known, and which key or setting is to be looked at.

use crate::init::keys::PlannedSigner;
use crate::init::names::shown;
use crate::init::nix_conf::{NixConf, Word};

/// All of it.
pub(super) fn unknown(
    conf: &NixConf,
    signers: &[PlannedSigner],
    unsigned: &[String],
    remarks: Vec<String>,
) -> Vec<String> {
    let mut lines = Vec::new();
    if signers.len() > 1 {
        lines.push(
            "which signers are independent parties: one that re-signs what it copied from another needs \
             `derives-from`, or one word counts twice"
                .to_owned(),
        );
    } else {
        lines.push(
            "who builds the same packages independently: with one signer every path rests on one party's word"
                .to_owned(),
        );
    }
    lines.push("who runs which cache: `operator` is guessed from the host".to_owned());
    lines.push(
        "which packages each signer should vouch for: now all of them for every one; `may-vouch-for` and \
         [[rules]] narrow it"
            .to_owned(),
    );
    if !unsigned.is_empty() {
        lines.push(format!(
            "who signs what is in {}: `trusted=1` had plain Nix take it without any signature, and Countersign \
             does not",
            unsigned.join(", ")
        ));
    }
    if let Some((false, word)) = conf.flag("require-sigs") {
        lines.push(format!(
            "who signs what you use: `require-sigs = false` ({}) had plain Nix take paths without any \
             signature, and Countersign does not",
            word.place()
        ));
    }
    lines.extend(remarks);
    lines.extend(ways_round(conf));
    lines.extend(conf.skipped.iter().map(|skipped| format!("what is set in {skipped}")));
    lines
}

/// What can bring in paths that no policy here sees.
fn ways_round(conf: &NixConf) -> Vec<String> {
    let mut lines = Vec::new();
    let others: Vec<&Word> = conf.words("trusted-users").iter().filter(|word| word.text != "root").collect();
    if let Some(first) = others.first() {
        lines.push(format!(
            "what trusted-users do ({}; {}): like root they can go round every policy",
            listed(&others),
            first.place()
        ));
    }
    let secrets: Vec<&Word> = conf.words("secret-key-files").iter().collect();
    if let Some(first) = secrets.first() {
        lines.push(format!(
            "who else holds the keys in secret-key-files ({}; {}): Nix trusts what they sign without asking us",
            listed(&secrets),
            first.place()
        ));
    }
    if let Some((true, word)) = conf.flag("accept-flake-config") {
        lines.push(format!(
            "what flakes bring along: `accept-flake-config = true` ({}) lets them name substituters and keys",
            word.place()
        ));
    }
    lines.push(
        "which substituters and keys users and flakes add (extra-substituters, extra-trusted-public-keys): \
         once nix.conf trusts our key alone, only trusted users and content-addressed paths still get past it"
            .to_owned(),
    );
    if conf.flag("fallback").is_none_or(|(fallback, _)| !fallback) {
        lines.push(
            "whether to build from source when Countersign itself fails: without `fallback = true` Nix stops"
                .to_owned(),
        );
    }
    lines
}

/// Words in a row, as many as fit a line.
fn listed(words: &[&Word]) -> String {
    let mut shown: Vec<String> = words.iter().take(MOST_LISTED).map(|word| shown(&word.text)).collect();
    if let Some(more) = words.len().checked_sub(MOST_LISTED).filter(|&more| more > 0) {
        shown.push(format!("and {more} more"));
    }
    shown.join(", ")
}

/// More are counted.
const MOST_LISTED: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn of(text: &str, unsigned: &[String]) -> String {
        let conf = NixConf::read(Path::new("/n/nix.conf"), &|_| Ok(text.as_bytes().to_vec())).unwrap();
        unknown(&conf, &[], unsigned, vec!["a remark".to_owned()]).join("\n")
    }

    #[test]
    fn an_ordinary_file_leaves_the_ordinary_questions() {
        let lines = of("trusted-users = root\nrequire-sigs = true\nfallback = true", &[]);
        for words in ["independently", "`operator`", "`may-vouch-for`", "users and flakes add", "a remark"] {
            assert!(lines.contains(words), "{words} is not in\n{lines}");
        }
        for words in ["trusted-users", "secret-key-files", "require-sigs", "accept-flake", "fallback"] {
            assert!(!lines.contains(words), "{words} is in\n{lines}");
        }
    }

    #[test]
    fn ways_round_the_policy_are_named_with_their_place() {
        let lines = of(
            "require-sigs = false\ntrusted-users = root @wheel \u{1b}x\nsecret-key-files = /k\n\
             accept-flake-config = true\n",
            &["acme".to_owned()],
        );
        for words in [
            "`require-sigs = false` (/n/nix.conf:1)",
            "(@wheel, \\u{1b}x; /n/nix.conf:2)",
            "(/k; /n/nix.conf:3)",
            "`accept-flake-config = true` (/n/nix.conf:4)",
            "in acme: `trusted=1`",
            "`fallback = true`",
        ] {
            assert!(lines.contains(words), "{words} is not in\n{lines}");
        }
        let many = of(&format!("trusted-users ={}", " u".repeat(50)), &[]);
        assert!(many.contains("u, u, and 42 more"), "{many}");
    }
}
