//! README's five commands lead from an ordinary nix.conf to an enforced policy, with each version of Nix.

use std::path::Path;
use std::process::Command;

fn leads_to_an_enforced_policy(generation: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scratch = crate::support::dirs::Dir::new();
    let output = Command::new(root.join("tests/nix/first-hour"))
        .args([env!("CARGO_BIN_EXE_countersign"), generation])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("TMPDIR", scratch.path())
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    // The script's own checks have passed; these are that it made them, and ran what README has.
    let commands: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    assert_eq!(commands.len(), 5, "{said}");
    assert!(readme.contains(&format!("```sh\n{}\n```", commands.join("\n"))), "{commands:?}");
    for words in [
        "Nix installed the thief's contents",
        "trusted-public-keys = countersign-machine-",
        "credible claims differ",
        "That was the first hour",
    ] {
        assert!(said.contains(words), "{words:?} is not in\n{said}");
    }
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "something is left");
}

#[test]
fn with_nix_2_8() {
    leads_to_an_enforced_policy("2.8");
}

#[test]
fn with_nix_2_26() {
    leads_to_an_enforced_policy("2.26");
}

#[test]
fn with_nix_2_34() {
    leads_to_an_enforced_policy("2.34");
}
