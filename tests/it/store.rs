//! The local store, as three versions of the real daemon serve it.

use crate::support::nix::GENERATIONS;
use crate::support::nix_daemon::{NixDaemon, full};
use countersign::format::derivation::OutputKind;
use countersign::format::nar::{Limits, Verifier};
use countersign::format::{ContentAddress, KeyName, NarHash, Signature, StoreDir, StorePath};
use countersign::store::{StoreError, dump, read_derivation};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::os::unix::fs::symlink;

/// Three paths in a row, the last with a file of every kind that a NAR can hold.
const CHAIN: &str = r#"
let
  text = builtins.toFile "text" "a text\n";
  lib = shell "lib" "echo ${text} > $out" { };
in
shell "app" ''
  mkdir -p $out/bin $out/share/empty
  echo '#!/bin/sh' > $out/bin/app
  chmod +x $out/bin/app
  ln -s ${lib} $out/lib
  echo $out > $out/share/self
  seq 1 100000 > $out/share/numbers
  printf 'x' > $out/share/no-newline
'' { }
"#;

fn on_each(test: fn(&NixDaemon)) {
    for generation in GENERATIONS {
        test(&NixDaemon::start(generation));
    }
}

/// The NAR that we write of a path.
fn our_nar(daemon: &NixDaemon, path: &StorePath) -> Vec<u8> {
    let mut nar = Vec::new();
    let size = dump(&daemon.physical(path), &mut nar).unwrap();
    assert_eq!(size, nar.len() as u64);
    nar
}

fn strings(paths: impl IntoIterator<Item = StorePath>) -> BTreeSet<String> {
    paths.into_iter().map(|path| full(&path)).collect()
}

fn lines(text: &str) -> BTreeSet<String> {
    text.lines().map(str::to_owned).collect()
}

#[test]
fn records_of_built_added_and_missing_paths() {
    on_each(|daemon| {
        let app = daemon.build_one(CHAIN);
        let mut store = daemon.connect();
        assert!(daemon.ok("nix-store", &["--version"]).trim().ends_with(store.nix_version()));

        let info = store.path_info(&app).unwrap().unwrap();
        assert!(info.ultimate);
        assert_eq!(info.core.store_path, app);
        assert_eq!(info.core.nar_hash.to_string(), daemon.query("--hash", &app));
        assert_eq!(info.core.nar_size.to_string(), daemon.query("--size", &app));
        let references = strings(info.core.references.iter().cloned());
        assert_eq!(references, lines(&daemon.query("--references", &app)));
        assert!(references.contains(&full(&app)) && references.len() == 2, "{references:?}");
        assert_eq!(full(&info.deriver.unwrap()), daemon.query("--deriver", &app));
        assert!(info.registered > 1_700_000_000);
        assert!(info.signatures.is_empty() && info.content_address.is_none());

        let added = daemon.add("added.txt", b"added\n");
        let info = store.path_info(&added).unwrap().unwrap();
        assert!(!info.ultimate && info.deriver.is_none() && info.core.references.is_empty());
        assert_eq!(info.content_address, Some(ContentAddress::Recursive(hash(&info.core.nar_hash))));
        assert!(info.content_address.unwrap().certifies(&StoreDir::default(), &info.core));

        let missing = StorePath::from_base_name(&format!("{}-missing", "0".repeat(32))).unwrap();
        assert_eq!(store.path_info(&missing).unwrap(), None);
        let asked = [app.clone(), missing.clone(), added.clone()];
        let valid = store.valid_paths(&asked).unwrap();
        assert_eq!(strings(valid), strings([app, added]));
        assert_eq!(store.valid_paths(&[]).unwrap(), []);
    });
}

fn hash(nar_hash: &NarHash) -> countersign::format::NixHash {
    countersign::format::NixHash::Sha256(*nar_hash.digest())
}

#[test]
fn signatures_are_stored_and_read_back() {
    on_each(|daemon| {
        let added = daemon.add("signed.txt", b"signed\n");
        let mut store = daemon.connect();
        let signature = |byte| Signature::from_parts(KeyName::parse("test-1").unwrap(), [byte; 64]);
        store.add_signatures(&added, &[signature(1), signature(2)]).unwrap();
        let info = store.path_info(&added).unwrap().unwrap();
        assert_eq!(info.signatures, [signature(1), signature(2)]);
        let missing = StorePath::from_base_name(&format!("{}-missing", "0".repeat(32))).unwrap();
        // Every version's daemon crashes if it is asked to.
        let refused = store.add_signatures(&missing, &[signature(1)]);
        assert!(matches!(&refused, Err(StoreError::NotValid { referrer: None, .. })), "{refused:?}");
        assert!(store.path_info(&added).unwrap().is_some());
    });
}

#[test]
fn derivations_and_their_outputs() {
    on_each(|daemon| {
        let several = r#"
          let text = builtins.toFile "text" "a text\n"; one = shell "one" "echo > $out" { };
          in shell "several" "echo ${text} ${one} > $out; mkdir $dev; echo > $lib" { outputs = [ "out" "dev" "lib" ]; tricky = "a\"\\\n\t\r$"; }
        "#;
        let drv = daemon.instantiate(several).remove(0);
        let mut store = daemon.connect();
        let mut told = store.derivation_outputs(&drv).unwrap();
        told.sort();
        let names: Vec<_> = told.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["dev", "lib", "out"]);

        let read = read_derivation(&daemon.physical(&drv), &StoreDir::default()).unwrap();
        let from_file: Vec<_> = read.outputs.iter().map(|o| (o.name.clone(), o.path.clone())).collect();
        assert_eq!(from_file, told);
        assert!(read.outputs.iter().all(|output| output.kind == OutputKind::InputAddressed));
        let references = strings(read.input_derivations.iter().map(|(path, _)| path.clone()));
        let all: BTreeSet<_> = references.union(&strings(read.input_sources.clone())).cloned().collect();
        assert_eq!(all, lines(&daemon.query("--references", &drv)));
        assert_eq!(read.input_derivations.len(), 1);
        assert_eq!(read.input_derivations[0].1, ["out"]);

        let built = daemon.ok("nix-store", &["--realise", &full(&drv)]);
        assert_eq!(lines(&built), strings(told.into_iter().map(|(_, path)| path.unwrap())));

        // A fixed output: the record and the derivation agree on what it is bound to.
        let fixed = r#"shell "fixed" "printf fixed > $out" {
          outputHashMode = "flat"; outputHashAlgo = "sha256";
          outputHash = builtins.hashString "sha256" "fixed"; }"#;
        let path = daemon.build_one(fixed);
        let info = store.path_info(&path).unwrap().unwrap();
        let read = read_derivation(&daemon.physical(&info.deriver.unwrap()), &StoreDir::default()).unwrap();
        assert_eq!(read.outputs[0].kind, OutputKind::Fixed(info.content_address.unwrap()));
        assert!(info.ultimate && info.content_address.unwrap().certifies(&StoreDir::default(), &info.core));

        let missing = StorePath::from_base_name(&format!("{}-missing.drv", "0".repeat(32))).unwrap();
        assert!(matches!(store.derivation_outputs(&missing), Err(StoreError::Daemon { .. })));
    });
}

#[test]
fn a_temporary_root_lasts_as_long_as_its_connection() {
    on_each(|daemon| {
        let (kept, lost) = (daemon.add("kept", b"kept"), daemon.add("lost", b"lost"));
        let mut store = daemon.connect();
        store.add_temp_root(&kept).unwrap();
        daemon.gc();
        assert!(daemon.is_valid(&kept) && !daemon.is_valid(&lost));
        drop(store);
        // The process behind the connection needs a moment to see that it is over.
        for _ in 0..100 {
            daemon.gc();
            if !daemon.is_valid(&kept) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("the path is still kept");
    });
}

#[test]
fn an_indirect_root_lasts_as_long_as_its_symlink() {
    on_each(|daemon| {
        let (kept, lost) = (daemon.add("kept", b"kept"), daemon.add("lost", b"lost"));
        let link = daemon.machine.dir.join("root");
        symlink(full(&kept), &link).unwrap();
        daemon.connect().add_indirect_root(&link).unwrap();
        daemon.gc();
        assert!(daemon.is_valid(&kept) && !daemon.is_valid(&lost));
        std::fs::remove_file(&link).unwrap();
        daemon.gc();
        assert!(!daemon.is_valid(&kept));
    });
}

#[test]
fn a_closure_has_references_first() {
    on_each(|daemon| {
        let app = daemon.build_one(CHAIN);
        let mut store = daemon.connect();
        let closure = store.closure(&app, 3).unwrap();
        let names: Vec<_> = closure.iter().map(|info| info.core.store_path.name()).collect();
        assert_eq!(names, ["text", "lib", "app"]);
        assert!(matches!(store.closure(&app, 2), Err(StoreError::TooManyPaths { limit: 2, .. })));
        let all = closure.into_iter().map(|info| info.core.store_path);
        assert_eq!(strings(all), lines(&daemon.query("--requisites", &app)));
        let missing = StorePath::from_base_name(&format!("{}-missing", "0".repeat(32))).unwrap();
        assert!(matches!(store.closure(&missing, 9), Err(StoreError::NotValid { referrer: None, .. })));
    });
}

#[test]
fn our_nars_are_those_of_nix() {
    on_each(|daemon| {
        let app = daemon.build_one(CHAIN);
        let mut store = daemon.connect();
        for info in store.closure(&app, 9).unwrap() {
            let path = &info.core.store_path;
            let nar = our_nar(daemon, path);
            assert_eq!(nar, daemon.dump(path), "{path}");
            assert_eq!(NarHash::from_digest(Sha256::digest(&nar).into()), info.core.nar_hash);
            let mut verifier = Verifier::new(info.core.nar_size, &Limits::default());
            verifier.push(&nar).unwrap();
            verifier.finish().unwrap();
        }
    });
}

#[test]
fn a_daemon_that_goes_away() {
    for generation in GENERATIONS {
        let mut daemon = NixDaemon::start(generation);
        let added = daemon.add("added", b"added");
        let mut store = daemon.connect();
        // The process that serves this connection is a child of the one that was started.
        daemon.end_connections();
        let error = store.path_info(&added).unwrap_err();
        assert!(matches!(error, StoreError::Lost { .. }), "{error}");
        assert!(!store.is_usable());
        daemon.stop();
        let refused = countersign::store::Store::connect(
            &daemon.address(),
            StoreDir::default(),
            countersign::store::Store::PATIENCE,
        );
        assert!(matches!(refused, Err(StoreError::Connect { .. })));
        daemon.start_again();
        assert!(daemon.connect().path_info(&added).unwrap().is_some());
    }
}
