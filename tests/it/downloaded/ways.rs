//! The ways by which a path comes into a store without being built there.

use super::{Party, nix};
use crate::support::dirs::Dir;
use crate::support::nix::Nginx;
use crate::support::nix_daemon::{full, paths};
use crate::support::uploads::Uploads;
use countersign::format::StorePath;
use std::io::Write;
use std::process::Stdio;

/// A way, and what is said of what came by it.
pub(super) struct Way {
    pub(super) name: &'static str,
    pub(super) bring: fn(&Party, &Uploads) -> StorePath,
    pub(super) fate: Fate,
}

/// What becomes of a path that is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes with the signature of the party that it is from.
    Theirs,
    /// It goes without any: it is bound to its own content.
    Unsigned,
    /// It does not go.
    Held,
}

pub(super) const WAYS: [Way; 11] = [
    Way { name: "substituted, signed", bring: substituted, fate: Fate::Theirs },
    Way { name: "substituted from a cache with trusted=1", bring: trusted, fate: Fate::Held },
    Way { name: "substituted without signatures being required", bring: unrequired, fate: Fate::Held },
    Way { name: "imported", bring: imported, fate: Fate::Held },
    Way { name: "copied without signatures being checked", bring: copied, fate: Fate::Held },
    Way { name: "built here, collected, then substituted", bring: built_before, fate: Fate::Held },
    Way { name: "registered by hand", bring: registered, fate: Fate::Held },
    Way { name: "added as a file", bring: added, fate: Fate::Unsigned },
    Way { name: "added by nix store add-path", bring: added_path, fate: Fate::Unsigned },
    Way { name: "fetched by an expression", bring: fetched_by_expression, fate: Fate::Unsigned },
    Way { name: "fetched by a derivation", bring: fetched_by_derivation, fate: Fate::Unsigned },
];

/// The party builds it; there the store calls it built.
fn theirs(party: &Party, name: &str) -> StorePath {
    party.daemon.build_one(&expression(name))
}

fn expression(name: &str) -> String {
    format!("shell \"acme-{name}\" \"echo {name} > $out\" {{}}")
}

fn realise(uploads: &Uploads, path: &StorePath, substituter: &str, options: &[&str]) {
    let path = full(path);
    let mut arguments = vec!["-r", &path, "--option", "substituters", substituter];
    arguments.extend(options);
    nix(uploads, "nix-store", &arguments);
}

fn substituted(party: &Party, uploads: &Uploads) -> StorePath {
    let path = theirs(party, "signed");
    let url = party.publish(&path, true);
    realise(uploads, &path, &url, &["--option", "trusted-public-keys", &party.public]);
    path
}

fn trusted(party: &Party, uploads: &Uploads) -> StorePath {
    let path = theirs(party, "trusted");
    let url = party.publish(&path, false);
    realise(uploads, &path, &format!("{url}?trusted=1"), &[]);
    path
}

fn unrequired(party: &Party, uploads: &Uploads) -> StorePath {
    let path = theirs(party, "unrequired");
    let url = party.publish(&path, false);
    // Past the daemon, whose store was opened with its own setting.
    let options = ["--option", "substituters", &url, "--option", "require-sigs", "false"];
    uploads.daemon.machine.ok("nix-store", &[&["-r", &full(&path)][..], &options].concat());
    path
}

fn imported(party: &Party, uploads: &Uploads) -> StorePath {
    let path = theirs(party, "imported");
    let exported = party.daemon.ok_bytes("nix-store", &["--export", &full(&path)]);
    let mut import = uploads.daemon.command("nix-store");
    let mut import = import.arg("--import").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    import.stdin.take().unwrap().write_all(&exported).unwrap();
    assert!(import.wait().unwrap().success());
    path
}

fn copied(party: &Party, uploads: &Uploads) -> StorePath {
    let path = theirs(party, "copied");
    let from = party.daemon.machine.store();
    let to = uploads.daemon.remote();
    uploads
        .daemon
        .machine
        .ok("nix", &["copy", "--no-check-sigs", "--from", &from, "--to", &to, &full(&path)]);
    path
}

/// Once it was ours. What lies there now is not.
fn built_before(party: &Party, uploads: &Uploads) -> StorePath {
    let path = theirs(party, "before");
    assert_eq!(uploads.daemon.build_one(&expression("before")), path);
    nix(uploads, "nix-store", &["--delete", &full(&path)]);
    let url = party.publish(&path, false);
    realise(uploads, &path, &format!("{url}?trusted=1"), &[]);
    path
}

/// As root does after copying files: `--register-validity` knows nothing of `ultimate`.
fn registered(party: &Party, uploads: &Uploads) -> StorePath {
    let path = theirs(party, "registered");
    let record = party.daemon.machine.ok("nix-store", &["--dump-db", &full(&path)]);
    let file = uploads.daemon.physical(&path);
    std::fs::copy(party.daemon.physical(&path), &file).unwrap();
    let mut register = uploads.daemon.machine.command("nix-store");
    let register = register.arg("--load-db").stdin(Stdio::piped()).spawn();
    let mut register = register.unwrap();
    register.stdin.take().unwrap().write_all(record.as_bytes()).unwrap();
    assert!(register.wait().unwrap().success());
    path
}

fn added(_: &Party, uploads: &Uploads) -> StorePath {
    uploads.daemon.add("acme-added", b"downloaded")
}

fn added_path(_: &Party, uploads: &Uploads) -> StorePath {
    let file = uploads.dir.write("acme-path", "downloaded as well");
    paths(&nix(uploads, "nix", &["store", "add-path", file.to_str().unwrap()])).remove(0)
}

fn fetched_by_expression(_: &Party, uploads: &Uploads) -> StorePath {
    let file = uploads.dir.write("acme-evaluated", "fetched while evaluating");
    let expression = format!("builtins.fetchurl \"file://{}\"", file.display());
    let path = nix(uploads, "nix-instantiate", &["--eval", "--expr", &expression]);
    paths(path.trim().trim_matches('"')).remove(0)
}

/// In the store's eyes this one is built here.
fn fetched_by_derivation(_: &Party, uploads: &Uploads) -> StorePath {
    let served = Dir::new();
    let file = served.write("acme-fetched", "fetched by a builder");
    let hash = nix(uploads, "nix-hash", &["--type", "sha256", "--flat", file.to_str().unwrap()]);
    let nginx = Nginx::serve(&[served.path()]);
    let path = uploads.daemon.build_one(&format!(
        "derivation {{ name = \"acme-fetched\"; builder = \"builtin:fetchurl\"; system = \"builtin\"; \
         url = \"{}/acme-fetched\"; outputHashMode = \"flat\"; outputHashAlgo = \"sha256\"; \
         outputHash = \"{}\"; executable = false; unpack = false; preferLocalBuild = true; }}",
        nginx.url(0),
        hash.trim()
    ));
    let info = uploads.daemon.connect().path_info(&path).unwrap().unwrap();
    assert!(info.ultimate && info.content_address.is_some(), "the way that this is about");
    path
}
