//! A key that is missing, or two that do not go together: nothing is signed by the others alone.

use super::{DIRECTORY, sign_with, signers, written};
use crate::support::nix_daemon::full;
use crate::support::uploads::{Uploads, narinfo};

/// Signing with fewer keys than are configured would be found out by readers, later: so nothing goes, and why is said.
#[test]
fn without_one_of_the_keys_the_uploader_does_not_start() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    sign_with(&uploads, &["acme-1.sec", "acme-2.sec"]);
    let path = uploads.daemon.build_one("shell \"acme-tool\" \"echo tool > $out\" {}");
    for command in [&["upload"][..], &["push", &full(&path)]] {
        let (code, _, said) = uploads.run(command);
        assert_eq!(code, Some(2), "{command:?}: {said}");
        assert!(said.contains("acme-2.sec") && said.contains("No such file"), "{said}");
    }
    assert_eq!(narinfo(&uploads.dir.join("cache"), &path), None);
    // Where a configuration is put together, the keys are elsewhere: that is no fault of it.
    uploads.ok(&["check"]);
    written(&uploads, "acme-2.sec", "acme-2", 2);
    uploads.ok(&["push", &full(&path)]);
    assert_eq!(signers(&uploads.dir.join("cache"), &path, &[]), ["acme-1", "acme-2"]);
}

/// A key that is taken away while the uploader runs: builds wait, it is named, and they go when it is back.
#[test]
fn a_key_that_vanishes_holds_everything_up_until_it_is_back() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    let second = written(&uploads, "acme-2.sec", "acme-2", 2);
    sign_with(&uploads, &["acme-1.sec", "acme-2.sec"]);
    let _uploader = uploads.start();
    uploads.wait_for("it runs", |uploads| uploads.log().contains("uploading"));
    std::fs::rename(uploads.dir.join("acme-2.sec"), uploads.dir.join("away")).unwrap();
    let path = uploads.daemon.build_one("shell \"acme-tool\" \"echo tool > $out\" {}");
    let (code, said, _) = uploads.run(&["push", &full(&path)]);
    assert_eq!(code, Some(1));
    assert!(said.contains("acme-2.sec"), "{said}");
    assert_eq!(narinfo(&uploads.dir.join("cache"), &path), None);
    std::fs::rename(uploads.dir.join("away"), uploads.dir.join("acme-2.sec")).unwrap();
    uploads.wait();
    assert_eq!(signers(&uploads.dir.join("cache"), &path, &[uploads.key(), &second]), ["acme-1", "acme-2"]);
}

/// Two files with keys of one name, or with one key, are found by `check` and by a start.
#[test]
fn keys_that_do_not_go_together_are_refused() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    written(&uploads, "namesake.sec", "acme-1", 2);
    let text = std::fs::read_to_string(uploads.dir.join("acme-1.sec")).unwrap();
    let renamed = uploads.dir.join("renamed.sec");
    std::fs::copy(uploads.dir.join("acme-1.sec"), &renamed).unwrap();
    std::fs::write(&renamed, text.replace("acme-1:", "other-1:")).unwrap();
    for (file, fault) in [
        ("namesake.sec", "both hold a key named acme-1"),
        ("renamed.sec", "hold the same key, named other-1 and acme-1"),
    ] {
        sign_with(&uploads, &["acme-1.sec", file]);
        for command in ["check", "upload"] {
            let (code, _, said) = uploads.run(&[command]);
            assert_eq!(code, Some(2), "{command}: {said}");
            assert!(said.contains(fault) && said.contains(file), "{said}");
        }
    }
}
