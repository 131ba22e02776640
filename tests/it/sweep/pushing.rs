//! `push --since`: what was built here from a day on, and nothing else.

use super::{DIRECTORY, origins, register_at};
use crate::support::nix::GENERATIONS;
use crate::support::nix_daemon::{NixDaemon, full};
use crate::support::uploads::{Uploads, narinfo};
use countersign::format::StorePath;

const TWO: &str =
    "[ (shell \"acme-old\" \"echo old > $out\" {}) (shell \"acme-new\" \"echo new > $out\" {}) ]";

/// Registered in January and in February 2026.
fn old_and_new(uploads: &Uploads) -> Vec<StorePath> {
    let built = uploads.daemon.build(TWO);
    register_at(uploads, &built[0], 1_768_435_200);
    register_at(uploads, &built[1], 1_770_000_000);
    built
}

/// What was built from the day on goes, signed; what was built before does not, what was added neither, and all is
/// counted.
#[test]
fn what_was_built_since_a_day_goes() {
    for generation in GENERATIONS {
        let uploads = Uploads::new(generation, DIRECTORY);
        let built = old_and_new(&uploads);
        let added = uploads.daemon.add("acme-file", b"file");
        let said = uploads.ok(&["push", "--since", "2026-02-01"]);
        assert!(said.contains("since 2026-02-01T00:00:00Z: 1 built here; 1 not built here"), "{said}");
        assert!(said.contains("1 sent, 0 skipped, 0 held back, 0 given up"), "{said}");
        let cache = uploads.dir.join("cache");
        assert!(narinfo(&cache, &built[1]).unwrap().contains("Sig: acme-1:"));
        assert_eq!((narinfo(&cache, &built[0]), narinfo(&cache, &added)), (None, None));
        assert_eq!(origins(&uploads, &built[1]), [("done".to_owned(), "pushed".to_owned())]);
        // A moment, to the second.
        let said = uploads.ok(&["push", "--since", "2026-01-15T00:00:00Z", "--json"]);
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["found"]["built_here"], 2, "{said}");
        assert_eq!(said["sent"].as_array().unwrap().len(), 2, "{said}");
        assert!(narinfo(&cache, &built[0]).is_some());
    }
}

/// What `packages` does not match is counted and no failure; what is held back or given up is one, with its reason.
#[test]
fn why_others_did_not_go_is_said() {
    let narrow = "[destinations.acme]\nurl = \"file://DIR/cache\"\npackages = [\"acme-new\"]\n";
    let uploads = Uploads::new("2.34", narrow);
    let built = old_and_new(&uploads);
    let said = uploads.ok(&["push", "--since", "2026-01-01"]);
    assert!(said.contains("1 of them left out: no `packages` of [destinations.acme] matches them"), "{said}");
    assert!(said.contains("1 sent, 0 skipped, 0 held back, 0 given up"), "{said}");
    let file = uploads.daemon.physical(&built[1]);
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, "evil\n").unwrap();
    std::fs::remove_dir_all(uploads.dir.join("cache")).unwrap();
    let (code, said, _) = uploads.run(&["push", "--since", "2026-01-01"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("its files are not what the store recorded"), "{said}");
    // Nothing at all was built: that is no failure.
    assert!(uploads.ok(&["push", "--since", "2099-01-01"]).contains("0 built here"));
}

/// With an uploader that runs, it is that one which uploads.
#[test]
fn an_uploader_that_runs_takes_them() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    let uploader = uploads.start();
    let built = old_and_new(&uploads);
    let said = uploads.ok(&["push", "--since", "2026-01-01"]);
    assert!(said.contains("2 sent"), "{said}");
    assert!(built.iter().all(|path| narinfo(&uploads.dir.join("cache"), path).is_some()));
    assert_eq!(uploader.stop(), Some(0));
}

/// `--dry-run` says what would go and where, and queues nothing.
#[test]
fn a_dry_run_queues_nothing() {
    let two =
        format!("{DIRECTORY}[destinations.other]\nurl = \"file://DIR/other\"\npackages = [\"acme-old\"]\n");
    let uploads = Uploads::new("2.34", &two);
    let built = old_and_new(&uploads);
    let said = uploads.ok(&["push", "--since", "2026-01-01", "--dry-run"]);
    for (destination, path) in [("acme", &built[0]), ("acme", &built[1]), ("other", &built[0])] {
        assert!(said.contains(&format!("would send  {destination}  {path}")), "{said}");
    }
    assert_eq!(said.matches("would send").count(), 3, "{said}");
    assert_eq!(uploads.queue()["entries"].as_array().unwrap().len(), 0);
    let only = uploads.ok(&["push", "--since", "2026-01-01", "--dry-run", "--destination", "other"]);
    assert_eq!(only.matches("would send").count(), 1, "{only}");
    let named = uploads.ok(&["push", "--dry-run", "--destination", "other", &full(&built[0])]);
    assert_eq!(named.matches("would send").count(), 1, "{named}");
    assert_eq!(uploads.queue()["entries"].as_array().unwrap().len(), 0);
}

/// A time that is none, paths beside a time, and neither, are errors of usage; a store that does not answer is not
/// findings.
#[test]
fn what_cannot_be_meant_is_refused() {
    let mut uploads =
        Uploads::with(NixDaemon::start("2.34"), crate::support::dirs::Dir::new(), "", DIRECTORY);
    let path = full(&uploads.daemon.build(TWO)[0]);
    for wrong in [
        &["push"][..],
        &["push", "--since", "soon"],
        &["push", "--since", "2026-01-01", &path],
        &["push", "--since", "2026-01-01", "--destination", "nowhere"],
    ] {
        let (code, _, said) = uploads.run(wrong);
        assert_eq!(code, Some(2), "{wrong:?}: {said}");
    }
    uploads.daemon.stop();
    let (code, _, said) = uploads.run(&["push", "--since", "2026-01-01"]);
    assert_eq!(code, Some(3), "{said}");
}
