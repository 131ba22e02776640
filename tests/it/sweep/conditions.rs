//! The sweep asks the same of a path as the intake of hook events does.

use super::{DIRECTORY, install, installed_long_ago, origins, sweep};
use crate::support::nix_daemon::full;
use crate::support::uploads::{Uploads, chain, narinfo};
use countersign::format::StorePath;

/// What a remote builder made has a record like this: a deriver, and not built here. Without its hook event it is never
/// found, whatever the configuration says; neither is an import, a file that was added, or a derivation.
#[test]
fn nothing_is_found_that_was_not_built_here() {
    let uploads = installed_long_ago("2.34", "sign-remote-builds = true", DIRECTORY);
    let import = imported(&uploads, "shell \"acme-remote\" \"echo remote > $out\" {}");
    let file = uploads.daemon.add("acme-file", b"file");
    let derivation = uploads.daemon.instantiate("shell \"acme-remote\" \"echo remote > $out\" {}").remove(0);
    let honest = uploads.daemon.build_one("shell \"acme-honest\" \"echo honest > $out\" {}");
    let _uploader = sweep(&uploads);
    uploads.wait();
    let cache = uploads.dir.join("cache");
    assert!(narinfo(&cache, &honest).unwrap().contains("Sig: acme-1:"));
    for path in [&import, &file, &derivation] {
        assert_eq!(origins(&uploads, path), []);
        assert_eq!(narinfo(&cache, path), None);
    }
}

/// Only where `packages` of a destination matches; what was not wanted then is found when it is.
#[test]
fn packages_hold_for_what_is_found() {
    let narrow = "[destinations.acme]\nurl = \"file://DIR/cache\"\npackages = [\"acme-p0\"]\n";
    let uploads = installed_long_ago("2.34", "", narrow);
    let built = uploads.daemon.build(&chain(2, 10));
    let uploader = sweep(&uploads);
    uploads.wait();
    assert_eq!(origins(&uploads, &built[0]).len(), 1);
    assert_eq!(origins(&uploads, &built[1]), []);
    drop(uploader);
    uploads.configure("", "", DIRECTORY);
    let _uploader = sweep(&uploads);
    uploads.wait();
    assert_eq!(origins(&uploads, &built[1]), [("done".to_owned(), "swept".to_owned())]);
}

/// With `inputs = "endorsed"` a build on an import that nobody countersigned waits, found or reported.
#[test]
fn inputs_must_be_endorsed_for_what_is_found() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    uploads.configure("", "inputs = \"endorsed\"", DIRECTORY);
    install(&uploads, 1_000_000_000);
    countersign::state::StateDirectory::at(uploads.state())
        .countersigning_key(countersign::config::Mode::Enforce)
        .unwrap();
    let import = "shell \"acme-tool\" \"echo tool > $out\" {}";
    imported(&uploads, import);
    let tainted = uploads.daemon.build_one(&format!(
        "let tool = {import}; in shell \"acme-app\" \"echo made > $out\" {{ inherit tool; }}"
    ));
    let clean = uploads.daemon.build_one("shell \"acme-clean\" \"echo clean > $out\" {}");
    let _uploader = sweep(&uploads);
    uploads.wait_for("both were examined", |u| {
        origins(u, &clean).first().is_some_and(|(state, _)| state == "done")
            && u.state_of("acme", &tainted).is_some_and(|(_, why)| !why.is_empty())
    });
    let (state, why) = uploads.state_of("acme", &tainted).unwrap();
    assert_eq!(state, "queued");
    assert!(why.contains("which does not carry our countersignature"), "{why}");
    assert_eq!(narinfo(&uploads.dir.join("cache"), &tainted), None);
}

/// Builds on another machine and copies the result to this one without its signatures being looked at.
fn imported(uploads: &Uploads, expression: &str) -> StorePath {
    let other = Uploads::new("2.34", DIRECTORY);
    let path = other.daemon.build_one(expression);
    let (from, to) = (other.daemon.machine.store(), uploads.daemon.remote());
    let mut copy = uploads.daemon.machine.command("nix");
    copy.args(["copy", "--no-check-sigs", "--from", &from, "--to", &to, &full(&path)]);
    let output = copy.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    path
}
