//! The same rotation where Countersign reads: two keys of one signer are one voice, and a key ends.

use super::{DIRECTORY, sign_with, written};
use crate::support::dirs::Dir;
use crate::support::nix::Nginx;
use crate::support::nix_daemon::full;
use crate::support::uploads::Uploads;
use std::process::Output;

/// One path is signed by the old key, another by both; the reader's policy goes through all steps.
#[test]
fn a_reader_goes_over_with_one_signer_and_two_keys() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    let new = written(&uploads, "acme-2.sec", "acme-2", 2);
    let built = uploads.daemon.build(
        "[ (shell \"acme-early\" \"echo early > $out\" {}) (shell \"acme-late\" \"echo late > $out\" {}) ]",
    );
    uploads.ok(&["push", &full(&built[0])]);
    sign_with(&uploads, &["acme-1.sec", "acme-2.sec"]);
    uploads.ok(&["push", &full(&built[1])]);
    let nginx = Nginx::serve(&[&uploads.dir.join("cache")]);
    let (old, new) = (format!("\"{}\"", uploads.key()), format!("\"{new}\""));
    let ended = format!("{{ key = {old}, not-after = 2026-01-01T00:00:00Z }}");
    let asked =
        |keys: &[&str], rule: &str, path| explained(&nginx.url(0), &keys.join(", "), rule, &full(path));
    let one = "{ at-least = 1, of = [\"acme\"] }";
    for (keys, early, late) in [
        (&[old.as_str()][..], 0, 0),
        (&[old.as_str(), new.as_str()], 0, 0),
        (&[ended.as_str(), new.as_str()], 1, 0),
        (&[new.as_str()], 1, 0),
    ] {
        for (path, expected) in [(&built[0], early), (&built[1], late)] {
            let (code, said) = asked(keys, one, path);
            assert_eq!(code, Some(expected), "{keys:?} {path}\n{said}");
        }
    }
    // Both keys signed it; that is one party's word all the same.
    let two = "{ at-least = 2, of = [\"acme\", \"other\"] }";
    let (code, said) = asked(&[&old, &new], two, &built[1]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("acme"), "{said}");
}

/// What `explain --ask` says of a path, and its exit code.
fn explained(url: &str, keys: &str, clause: &str, path: &str) -> (Option<i32>, String) {
    let dir = Dir::new();
    let text = format!(
        "listen = [\"127.0.0.1:0\"]\nstate-directory = \"{}/state\"\n[signers.acme]\nkeys = [{keys}]\n\
         [signers.other]\nkeys = [\"{OTHER}\"]\n[caches.acme]\nurl = \"{url}\"\n\
         [[rules]]\nname = \"all\"\nsignatures = [{clause}]\n",
        dir.path().display()
    );
    let config = dir.write("config.toml", text);
    let mut command = crate::support::daemon::countersign(&dir, &["explain", "--ask", path]);
    let Output { status, stdout, stderr } = command.env("COUNTERSIGN_CONFIG", &config).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout) + &text(stderr))
}

/// The key of a party that signed nothing here.
const OTHER: &str = "other-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=";
