//! What we pack and publish, taken by real Nix of every generation, from a directory and from nginx.

use crate::support::dirs::Dir;
use crate::support::nix::{Closure, GENERATIONS, Machine, Nginx};
use crate::uploads::{LEISURE, directory, server};
use countersign::aside::Durability;
use countersign::config::Compression;
use countersign::destination::{OurClaim, Place, Published, publish_nar, publish_narinfo};
use countersign::format::fingerprint::fingerprint;
use countersign::format::narinfo::{Core, References};
use countersign::format::{SigningKey, StoreDir, StorePath};
use countersign::pack::pack_in;
use std::io::Write;
use std::sync::atomic::AtomicBool;

/// A path of the closure with its references, as the store that built it knows it.
pub(crate) struct Local {
    path: StorePath,
    references: Vec<StorePath>,
    nar: Vec<u8>,
}

pub(crate) fn local(machine: &Machine, closure: &Closure, path: &str) -> Local {
    let store = closure.dir.join("store").display().to_string();
    let parse = |line: &str| StorePath::from_absolute_path(&StoreDir::default(), line).unwrap();
    let references = machine.ok("nix-store", &["--store", &store, "-q", "--references", path]);
    let dump = machine.run("nix-store", &["--dump", &format!("{store}{path}")]);
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    Local { path: parse(path), references: references.lines().map(parse).collect(), nar: dump.stdout }
}

pub(crate) async fn publish(place: &Place, local: &Local, compression: Compression, key: &SigningKey) {
    let (dir, run) = (Dir::new(), AtomicBool::new(false));
    let dump = |out: &mut dyn Write| out.write_all(&local.nar);
    let (packed, file) = pack_in(dir.path(), dump, compression, 2, Durability::Synced, &run).unwrap();
    let core = Core {
        store_path: local.path.clone(),
        nar_hash: packed.nar_hash,
        nar_size: packed.nar_size,
        references: References::from_unsorted(local.references.clone()),
    };
    let signatures = vec![key.sign(fingerprint(&StoreDir::default(), &core).as_bytes())];
    let nar = publish_nar(place, &packed, &file).await.unwrap();
    let ours = OurClaim { core, nar, deriver: None, content_address: None, signatures };
    assert_eq!(publish_narinfo(place, &ours).await.unwrap(), Published::Created);
}

/// The leaf and a chain of ten, each in the next compression.
#[test]
fn nix_takes_what_we_publish() {
    let closure = Closure::get();
    let key = SigningKey::parse(closure.read("one.sec").as_bytes()).unwrap();
    let machine = Machine::new(GENERATIONS[2]);
    let [files, root] = [Dir::new(), Dir::new()];
    let nginx = Nginx::take_uploads(root.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let kinds = [
        Compression::Zstd(3),
        Compression::Xz(9),
        Compression::None,
        Compression::Zstd(19),
        Compression::Xz(0),
    ];
    let mut paths: Vec<_> = closure.paths().into_iter().take(10).collect();
    paths.push(closure.leaf());
    paths.dedup();
    runtime.block_on(async {
        let places = [directory(files.path()), server(&format!("{}/", nginx.url(0)), LEISURE)];
        for place in &places {
            place.prepare(true).await.unwrap();
            for (path, kind) in paths.iter().zip(kinds.iter().cycle()) {
                publish(place, &local(&machine, closure, path), *kind, &key).await;
            }
        }
    });
    for generation in GENERATIONS {
        for url in [format!("file://{}", files.path().display()), nginx.url(0)] {
            let client = Machine::new(generation);
            let (store, trusted) = (client.store(), closure.read("one.pub"));
            let mut copy =
                vec!["copy", "--from", &url, "--to", &store, "--option", "trusted-public-keys", &trusted];
            copy.extend(paths.iter().map(String::as_str));
            client.ok("nix", &copy);
            for path in &paths {
                assert!(client.has(path), "Nix {generation} {path}");
            }
        }
    }
}

/// A NAR of many blocks, which goes through zstd's threads, is one frame to the libarchive of Nix 2.8.
#[test]
fn nix_takes_a_large_nar() {
    let closure = Closure::get();
    let key = SigningKey::parse(closure.read("one.sec").as_bytes()).unwrap();
    let (files, contents) = (Dir::new(), crate::support::party::noise(9, 30 << 20));
    let package = crate::support::party::Package::new("large-1", &contents);
    let large =
        Local { path: package.core.store_path.clone(), references: Vec::new(), nar: package.nar.clone() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(publish(&directory(files.path()), &large, Compression::Zstd(3), &key));
    for generation in GENERATIONS {
        let client = Machine::new(generation);
        let (store, trusted) = (client.store(), closure.read("one.pub"));
        let url = format!("file://{}", files.path().display());
        let path = package.path();
        client.ok(
            "nix",
            &["copy", "--from", &url, "--to", &store, "--option", "trusted-public-keys", &trusted, &path],
        );
        assert!(client.has(&path), "Nix {generation}");
    }
}
