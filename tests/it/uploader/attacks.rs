//! What someone on this machine, or what it was given, could get signed.

use crate::support::nix::Machine;
use crate::support::nix_daemon::full;
use crate::support::uploads::{Uploads, chain, narinfo};
use countersign::format::StorePath;

const DIRECTORY: &str = "[destinations.acme]\nurl = \"file://DIR/cache\"\npackages = [\"*\"]\n";

/// A path that came from elsewhere without a signature that counts (`--no-check-sigs`) is not signed as ours, and
/// neither is what was built on it published before it.
#[test]
fn an_unsigned_import_is_not_signed() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    let path = imported(&uploads, "shell \"acme-import\" \"echo evil > $out\" {}");
    let (code, said, _) = uploads.run(&["push", &full(&path)]);
    assert_eq!(code, Some(1));
    assert!(said.contains("it was not built here"), "{said}");
    assert_eq!(narinfo(&uploads.dir.join("cache"), &path), None);
}

/// Builds on another machine and copies the result to this one without its signatures being looked at.
fn imported(uploads: &Uploads, expression: &str) -> StorePath {
    let other = Uploads::new("2.34", DIRECTORY);
    let path = other.daemon.build_one(expression);
    copied(&other.daemon.machine, uploads, &path);
    path
}

fn copied(from: &Machine, uploads: &Uploads, path: &StorePath) {
    let mut copy = uploads.daemon.machine.command("nix");
    copy.args([
        "copy",
        "--no-check-sigs",
        "--from",
        &from.store(),
        "--to",
        &uploads.daemon.remote(),
        &full(path),
    ]);
    let output = copy.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Of a derivation with two outputs one was substituted (here: imported), the other built: only the built one is
/// signed, although the hook reports the derivation of both.
#[test]
fn a_substituted_sibling_output_is_not_signed() {
    let expression =
        "shell \"acme-two\" \"echo one > $out; echo two > $dev\" { outputs = [\"out\" \"dev\"]; }";
    let uploads = Uploads::new("2.34", DIRECTORY);
    let other = Uploads::new("2.34", DIRECTORY);
    let both = other.daemon.build(&format!("let d = {expression}; in [ d.out d.dev ]"));
    copied(&other.daemon.machine, &uploads, &both[1]);
    let built = uploads.daemon.build(&format!("let d = {expression}; in [ d.out ]"));
    assert_eq!(built[0], both[0]);
    let derivation = uploads.daemon.instantiate(expression).remove(0);
    spool(&uploads, &derivation, &both);
    let _uploader = uploads.start();
    uploads.wait_for("the built output is uploaded", |u| {
        u.state_of("acme", &both[0]).is_some_and(|(state, _)| state == "done")
    });
    let cache = uploads.dir.join("cache");
    assert!(narinfo(&cache, &both[0]).unwrap().contains("Sig: acme-1:"));
    assert_eq!(narinfo(&cache, &both[1]), None);
}

/// Leaves a record in the spool, as the hook does.
fn spool(uploads: &Uploads, derivation: &StorePath, outputs: &[StorePath]) {
    use countersign::spool::{Record, Spool, layout::Stem};
    let spool = Spool::create(&uploads.dir.join("spool")).unwrap();
    let dir = countersign::format::StoreDir::default();
    let record = Record::new(1_700_000_000, dir, Some(derivation.clone()), outputs.iter().cloned()).unwrap();
    let stem = Stem { seconds: 1_700_000_000, nanos: 0, pid: 1, attempt: 0 };
    std::fs::write(spool.path().join(stem.record()), record.encode()).unwrap();
}

/// A record that names what was never built, in a spool that others could write to, or as a link.
#[test]
fn a_record_is_a_hint_and_no_order() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    let import = imported(&uploads, "shell \"acme-import\" \"echo evil > $out\" {}");
    let honest = uploads.daemon.build_one("shell \"acme-honest\" \"echo good > $out\" {}");
    let derivation = uploads.daemon.instantiate("shell \"acme-honest\" \"echo good > $out\" {}").remove(0);
    spool(&uploads, &derivation, &[import.clone(), honest.clone()]);
    std::fs::write(uploads.dir.join("spool/0-0.build"), "nonsense").unwrap();
    let _uploader = uploads.start();
    uploads.wait_for("the honest build is uploaded", |u| {
        u.state_of("acme", &honest).is_some_and(|(state, _)| state == "done")
    });
    assert_eq!(uploads.state_of("acme", &import), None, "{}", uploads.log());
}

/// With `inputs = "endorsed"` a build on something that we never countersigned is not signed.
#[test]
fn nothing_is_signed_that_was_built_on_an_unendorsed_input() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    uploads.configure("", "inputs = \"endorsed\"", DIRECTORY);
    // The machine key, as a first `serve` makes it.
    countersign::state::StateDirectory::at(uploads.state())
        .countersigning_key(countersign::config::Mode::Enforce)
        .unwrap();
    let import = "shell \"acme-tool\" \"echo tool > $out\" {}";
    imported(&uploads, import);
    let tainted = uploads.daemon.build_one(&format!(
        "let tool = {import}; in shell \"acme-app\" \"echo made > $out\" {{ inherit tool; }}"
    ));
    let (code, said, _) = uploads.run(&["push", &full(&tainted)]);
    assert_eq!(code, Some(1));
    assert!(said.contains("which does not carry our countersignature"), "{said}");
    assert_eq!(narinfo(&uploads.dir.join("cache"), &tainted), None);
    // Its honest twin: all of it built here, from nothing.
    let clean = uploads.daemon.build(&chain(2, 10));
    uploads.ok(&["push", &full(&clean[1])]);
}

/// Somebody changed the files of a path in the store: it is given up, and never signed.
#[test]
fn files_that_are_not_what_the_store_recorded_are_never_signed() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    let path = uploads.daemon.build_one("shell \"acme-tool\" \"echo tool > $out\" {}");
    let file = uploads.daemon.physical(&path);
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, "evil\n").unwrap();
    let (code, said, _) = uploads.run(&["push", &full(&path)]);
    assert_eq!(code, Some(1));
    assert!(said.contains("its files are not what the store recorded"), "{said}");
    assert_eq!(narinfo(&uploads.dir.join("cache"), &path), None);
}
