//! The main job, with real Nix: every path that the policy endorses arrives, and none that it refuses.

use crate::support::dirs::Dir;
use crate::support::nix::{Closure, GENERATIONS, Machine, Nginx, hash_part};
use crate::support::service::Served;
use countersign::format::fingerprint::fingerprint;
use countersign::format::narinfo::{Limits, NarInfo};
use countersign::format::{NarHash, SigningKey, StoreDir};
use std::fs;
use std::path::Path;

/// Two signers, two caches of two operators, and both are needed for everything.
fn both_needed(closure: &Closure, urls: [&str; 2], more: &str) -> String {
    format!(
        "{more}\n[signers.one]\nkeys = [\"{}\"]\n[signers.two]\nkeys = [\"{}\"]\n\
         [caches.xz]\nurl = \"{}\"\n[caches.zstd]\nurl = \"{}\"\n\
         [[rules]]\nname = \"both\"\nsignatures = [{{ at-least = 2, of = [\"one\", \"two\"] }}]\noperators = 2\n",
        closure.read("one.pub"),
        closure.read("two.pub"),
        urls[0],
        urls[1],
    )
}

fn trusting<'a>(url: &'a str, key: &'a str) -> Vec<&'a str> {
    vec!["--option", "substituters", url, "--option", "trusted-public-keys", key]
}

fn assert_all_countersigned(machine: &Machine, closure: &Closure, key: &str) {
    let name = key.split(':').next().unwrap();
    let signatures = machine.signatures(&closure.top());
    assert_eq!(signatures.len(), closure.paths().len());
    for (path, line) in signatures {
        assert!(line.contains(&format!("{name}:")), "{path} lacks the countersignature: {line}");
    }
}

/// `nix copy --from` and `nix-store -r` through the proxy, with only the machine key trusted.
fn brings_the_closure(generation: &'static str) {
    let closure = Closure::get();
    let nginx = Nginx::serve(&[&closure.dir.join("xz"), &closure.dir.join("zstd")]);
    let served = Served::with(&both_needed(closure, [&nginx.url(0), &nginx.url(1)], ""));
    let (url, key, top) = (served.url(), served.key(), closure.top());

    let copier = Machine::new(generation);
    copier.ok(
        "nix",
        &["copy", "--from", &url, "--to", &copier.store(), "--option", "trusted-public-keys", &key, &top],
    );
    assert_all_countersigned(&copier, closure, &key);

    let realiser = Machine::new(generation);
    let store = realiser.store();
    realiser.ok("nix-store", &[&["--store", &store, "-r", &top][..], &trusting(&url, &key)].concat());
    assert_all_countersigned(&realiser, closure, &key);
}

/// The same client, with another key trusted, takes nothing: it is our countersignature that lets paths in.
fn rests_on_the_countersignature(generation: &'static str) {
    let closure = Closure::get();
    let nginx = Nginx::serve(&[&closure.dir.join("xz"), &closure.dir.join("zstd")]);
    let served = Served::with(&both_needed(closure, [&nginx.url(0), &nginx.url(1)], ""));
    let other = closure.read("one.pub").replace("one-1:", "other-1:");
    let machine = Machine::new(generation);
    let store = machine.store();
    let (url, leaf) = (served.url(), closure.leaf());
    let output =
        machine.run("nix-store", &[&["--store", &store, "-r", &leaf][..], &trusting(&url, &other)].concat());
    assert!(!output.status.success());
    assert!(!machine.has(&leaf));
}

/// With one path forged in one cache everything comes but that path and what needs it, and a derivation for it
/// is built from source.
fn refuses_a_forged_path(generation: &'static str) {
    let closure = Closure::get();
    let forged = Dir::new();
    forge(&closure.dir.join("zstd"), forged.path(), &closure.leaf(), &closure.read("two.sec"));
    let nginx = Nginx::serve(&[&closure.dir.join("xz"), forged.path()]);
    let served = Served::with(&both_needed(closure, [&nginx.url(0), &nginx.url(1)], ""));
    let (url, key, top, leaf) = (served.url(), served.key(), closure.top(), closure.leaf());

    let machine = Machine::new(generation);
    let store = machine.store();
    let realise = [&["--store", &store, "-r", "-k", &top][..], &trusting(&url, &key)].concat();
    assert!(!machine.run("nix-store", &realise).status.success(), "the top needs the forged path");
    for path in closure.paths() {
        let is_expected = path != leaf && path != top;
        assert_eq!(machine.has(&path), is_expected, "{path}");
    }

    let builder = Machine::new(generation);
    let store = builder.store();
    let nix = closure.dir.join("closure.nix").display().to_string();
    let derivation = builder.ok("nix-instantiate", &["--store", &store, "-A", "leaf", &nix]);
    let realise = [&["--store", &store, "-r", "-k", derivation.trim()][..], &trusting(&url, &key)].concat();
    let output = builder.run("nix-store", &realise);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("building '"), "it was not built from source:\n{said}");
    assert!(builder.has(&leaf));
}

/// Copies a cache, and has one of its narinfos claim other bytes under the cache's own, valid signature.
fn forge(from: &Path, to: &Path, path: &str, secret: &str) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::os::unix::fs::symlink(entry.path(), target).unwrap();
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
    let file = to.join(format!("{}.narinfo", hash_part(path)));
    let text = fs::read_to_string(&file).unwrap();
    let mut core = NarInfo::parse(text.as_bytes(), &StoreDir::default(), &Limits::default()).unwrap().core;
    let honest = core.nar_hash.to_string();
    core.nar_hash = NarHash::from_digest([7; 32]);
    let key = SigningKey::parse(secret.as_bytes()).unwrap();
    let signature = key.sign(fingerprint(&StoreDir::default(), &core).as_bytes());
    let lines = text.lines().map(|line| match line.split_once(": ") {
        Some(("NarHash", _)) => format!("NarHash: {}\n", core.nar_hash),
        Some(("Sig", _)) => format!("Sig: {signature}\n"),
        _ => format!("{line}\n"),
    });
    let forged: String = lines.collect();
    assert!(!forged.contains(&honest));
    fs::write(file, forged).unwrap();
}

/// Nix 2.8 dies of a 503 under `fallback = true`: we never give it one, even where the configuration says `fail`.
fn never_ends_the_client(generation: &'static str) {
    let closure = Closure::get();
    let forged = Dir::new();
    forge(&closure.dir.join("zstd"), forged.path(), &closure.leaf(), &closure.read("two.sec"));
    let nginx = Nginx::serve(&[&closure.dir.join("xz"), forged.path()]);
    let fails = "when-refused = \"fail\"\nwhen-undecided = \"fail\"\n";
    let served = Served::with(&both_needed(closure, [&nginx.url(0), &nginx.url(1)], fails));
    let (url, key) = (served.url(), served.key());
    let machine = Machine::new(generation);
    let store = machine.store();
    let nix = closure.dir.join("closure.nix").display().to_string();
    let derivation = machine.ok("nix-instantiate", &["--store", &store, "-A", "leaf", &nix]);
    let mut realise = [&["--store", &store, "-r", derivation.trim()][..], &trusting(&url, &key)].concat();
    realise.extend(["--option", "fallback", "true"]);
    let output = machine.run("nix-store", &realise);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{:?} {said}", output.status);
    assert_eq!(said.contains("503"), generation != "2.8", "{said}");
}

macro_rules! with_every_generation {
    ($($test:ident)*) => {$(
        mod $test {
            #[test]
            fn nix_2_8() {
                super::$test(super::GENERATIONS[0]);
            }

            #[test]
            fn nix_2_26() {
                super::$test(super::GENERATIONS[1]);
            }

            #[test]
            fn nix_2_34() {
                super::$test(super::GENERATIONS[2]);
            }
        }
    )*};
}

with_every_generation! {
    brings_the_closure
    rests_on_the_countersignature
    refuses_a_forged_path
    never_ends_the_client
}
