//! A whole rotation, with real Nix as the readers.

use super::{DIRECTORY, nars, sign_with, signers};
use crate::support::nix::{GENERATIONS, Machine};
use crate::support::nix_daemon::full;
use crate::support::uploads::{Uploads, chain};
use countersign::format::StorePath;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Readers trust the old key, both, or the new one alone. Nobody is left behind at any step, and at the end nobody needs
/// the old key.
#[test]
fn nobody_is_left_behind_by_a_rotation() {
    for generation in GENERATIONS {
        let uploads = Uploads::new(generation, DIRECTORY);
        let cache = uploads.dir.join("cache");
        let old = uploads.key().to_string();
        let reads = |key: &str, path: &StorePath| reads(generation, &cache, key, path);
        let before = uploads.daemon.build(&chain(2, 300));
        uploads.ok(&["push", &full(&before[1])]);
        assert!(reads(&old, &before[1]));

        let secret = uploads.dir.join("acme-1.sec");
        let new = uploads.ok(&["key", "rotate", secret.to_str().unwrap()]).trim().to_owned();
        assert!(new.starts_with("acme-2:"), "{new}");
        sign_with(&uploads, &["acme-1.sec", "acme-2.sec"]);
        let during = uploads.daemon.build(&chain(3, 300)).remove(2);
        uploads.ok(&["push", &full(&during)]);
        assert_eq!(signers(&cache, &during, &[uploads.key()]), ["acme-1", "acme-2"]);
        // What it refers to was there before: the new key alone does not do yet.
        assert!(reads(&old, &during) && !reads(&new, &during), "{generation}");
        assert!(reads(&format!("{old} {new}"), &during), "{generation}");

        let sent = nars(&cache);
        uploads.ok(&["push", "--since", "1970-01-01"]);
        assert_eq!(nars(&cache), sent, "no bytes are sent again");
        assert!(reads(&old, &during) && reads(&new, &during) && reads(&new, &before[1]), "{generation}");

        sign_with(&uploads, &["acme-2.sec"]);
        let after = uploads.daemon.build(&chain(4, 300)).remove(3);
        uploads.ok(&["push", &full(&after)]);
        assert_eq!(signers(&cache, &after, &[]), ["acme-2"]);
        assert!(reads(&new, &after) && !reads(&old, &after), "{generation}");
        assert_eq!(signers(&cache, &before[1], &[uploads.key()]), ["acme-1", "acme-2"], "the old word stays");
    }
}

/// Whether a machine that trusts these keys alone installs a path.
fn reads(generation: &'static str, cache: &Path, keys: &str, path: &StorePath) -> bool {
    let reader = Machine::new(generation);
    let substituter = format!("file://{}", cache.display());
    let options = ["--option", "substituters", &substituter, "--option", "trusted-public-keys", keys];
    reader.command("nix-store").args(["-r", &full(path)]).args(options).output().unwrap().status.success()
}

/// The successor lies beside its predecessor, for the same readers; a second run makes no other one, and nothing that is
/// there is written over.
#[test]
fn a_successor_is_made_once() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    let secret = uploads.dir.join("acme-1.sec");
    let rotate = || uploads.run(&["key", "rotate", secret.to_str().unwrap()]);
    let (code, public, said) = rotate();
    assert_eq!(code, Some(0), "{said}");
    let successor = uploads.dir.join("acme-2.sec");
    assert_eq!(std::fs::metadata(&successor).unwrap().permissions().mode() & 0o777, 0o600);
    let made = std::fs::read_to_string(&successor).unwrap();
    let base64 = made.split_once(':').unwrap().1;
    for line in ["signing-key-files = [", "extra-trusted-public-keys = acme-2:", "push --since", "30 days"] {
        assert!(said.contains(line), "{line}:\n{said}");
    }
    assert!(!said.contains(base64) && !public.contains(base64), "no secret is shown");
    let (code, again, said) = rotate();
    assert_eq!((code, again), (Some(0), public), "{said}");
    assert!(said.contains("has been made already"), "{said}");
    assert_eq!(std::fs::read_to_string(&successor).unwrap(), made);

    // Another key in its place, or something that is none.
    for (text, fault) in [
        (made.replace("acme-2:", "other-2:"), "holds a key named other-2"),
        (std::fs::read_to_string(&secret).unwrap().replace("acme-1:", "acme-2:"), "holds the old key"),
        ("nonsense".to_owned(), "holds no usable secret key"),
    ] {
        std::fs::write(&successor, &text).unwrap();
        let (code, _, said) = rotate();
        assert!(matches!(code, Some(2 | 3)), "{said}");
        assert!(said.contains(fault), "{said}");
        assert_eq!(std::fs::read_to_string(&successor).unwrap(), text);
    }
    let names = std::fs::read_dir(uploads.dir.path()).unwrap();
    let left = names.filter(|name| name.as_ref().unwrap().file_name().to_string_lossy().contains(".new."));
    assert_eq!(left.count(), 0, "nothing is left beside it");
}
