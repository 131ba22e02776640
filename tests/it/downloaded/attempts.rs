//! Every way in, and every command by which our signature could be had.

use super::ways::{Fate, WAYS, Way};
use super::{Party, is_signed_by_us};
use crate::support::dirs::Dir;
use crate::support::nix::{GENERATIONS, Nginx};
use crate::support::nix_daemon::full;
use crate::support::uploads::{Uploads, narinfo};
use countersign::format::{StoreDir, StorePath};
use countersign::spool::{Record, Spool, layout::Stem};
use countersign::state::StateDirectory;
use countersign::trust::Timestamp;

#[test]
fn nothing_downloaded_is_signed_under_nix_2_8() {
    nothing_downloaded_is_signed(GENERATIONS[0]);
}

#[test]
fn nothing_downloaded_is_signed_under_nix_2_26() {
    nothing_downloaded_is_signed(GENERATIONS[1]);
}

#[test]
fn nothing_downloaded_is_signed_under_nix_2_34() {
    nothing_downloaded_is_signed(GENERATIONS[2]);
}

/// Pushed by name, by date, reported by a forged hook event, swept: to a directory and to a server.
fn nothing_downloaded_is_signed(generation: &'static str) {
    let served = Dir::new();
    let nginx = Nginx::take_uploads(served.path());
    let party = Party::new(generation);
    let destinations = format!(
        "[destinations.acme]\nurl = \"file://DIR/cache\"\npackages = [\"*\"]\n\
         [destinations.server]\nurl = \"{}/\"\npackages = [\"*\"]\n",
        nginx.url(0)
    );
    let uploads = Uploads::new(generation, &destinations);
    // Ours is an accepted signer, and so is the party.
    let sections = format!(
        "[signers.acme]\nkeys = [\"{}\"]\n[signers.party]\nkeys = [\"{}\"]\n[caches.none]\nurl = \"http://127.0.0.1:1\"\n\
         [[rules]]\nname = \"all\"\nsignatures = [{{ at-least = 1, of = [\"acme\", \"party\"] }}]\n",
        uploads.key(),
        party.public
    );
    uploads.configure(&sections, "", &destinations);
    StateDirectory::at(uploads.state()).create().unwrap();
    StateDirectory::at(uploads.state()).note_installed(Timestamp::from_seconds(1)).unwrap();
    let caches = [uploads.dir.join("cache"), served.path().to_owned()];

    let brought: Vec<(&Way, StorePath)> =
        WAYS.iter().map(|way| (way, (way.bring)(&party, &uploads))).collect();
    let honest = uploads.daemon.build_one("shell \"acme-honest\" \"echo honest > $out\" {}");
    let check = |after: &str| {
        for (way, path) in &brought {
            for cache in &caches {
                let there = narinfo(cache, path).unwrap_or_default();
                assert!(!is_signed_by_us(&there), "{generation}, {}, {after}:\n{there}", way.name);
            }
        }
    };

    // By date first, so that nothing was asked for by name before.
    uploads.run(&["push", "--since", "1970-01-01"]);
    check("push --since");
    for (way, path) in &brought {
        let (code, said, _) = uploads.run(&["push", &full(path)]);
        check("push");
        let there = caches.each_ref().map(|cache| narinfo(cache, path));
        match way.fate {
            Fate::Held => {
                assert_eq!((code, &there), (Some(1), &[None, None]), "{generation}, {}: {said}", way.name);
                assert!(
                    said.contains("it was not built here, and carries no signature"),
                    "{}: {said}",
                    way.name
                );
            }
            Fate::Theirs | Fate::Unsigned => {
                assert_eq!(code, Some(0), "{generation}, {}: {said}", way.name);
                for there in there {
                    let signed = there.unwrap().lines().filter(|line| line.starts_with("Sig: ")).count();
                    assert_eq!(signed, usize::from(way.fate == Fate::Theirs), "{generation}, {}", way.name);
                }
            }
        }
    }

    // The hook is said to have reported them, as outputs of a derivation that is here and of the party's own; remote
    // builds are another matter, and are not signed here.
    let derivation = uploads.daemon.instantiate("shell \"acme-honest\" \"echo honest > $out\" {}").remove(0);
    // What was given up or done above is examined anew.
    for file in ["queue.db", "queue.db-wal", "queue.db-shm"] {
        std::fs::remove_file(uploads.state().join(file)).unwrap_or_default();
    }
    forge(&uploads, &derivation, brought.iter().map(|(_, path)| path.clone()), 1);
    for (number, (_, path)) in (2..).zip(&brought) {
        if let Some(deriver) = party.daemon.connect().path_info(path).unwrap().and_then(|info| info.deriver) {
            forge(&uploads, &deriver, std::iter::once(path.clone()), number);
        }
    }
    let _uploader = uploads.start();
    uploads.wait_for("the spool is taken and the store was swept", |uploads| {
        let spooled = std::fs::read_dir(uploads.dir.join("spool")).unwrap().flatten();
        let waiting = spooled.filter(|file| file.file_name().to_string_lossy().ends_with(".build")).count();
        waiting == 0 && uploads.log().contains("swept: ")
    });
    uploads.wait_for("the honest build is there", |_| {
        caches.iter().all(|cache| narinfo(cache, &honest).is_some_and(|text| is_signed_by_us(&text)))
    });
    check("forged events and the sweep");
}

/// Leaves a record in the spool, as the hook does.
fn forge(uploads: &Uploads, derivation: &StorePath, outputs: impl Iterator<Item = StorePath>, number: u32) {
    let spool = Spool::create(&uploads.dir.join("spool")).unwrap();
    let record = Record::new(1_700_000_000, StoreDir::default(), Some(derivation.clone()), outputs).unwrap();
    let stem = Stem { seconds: 1_700_000_000, nanos: 0, pid: number, attempt: 0 };
    std::fs::write(spool.path().join(stem.record()), record.encode()).unwrap();
}
