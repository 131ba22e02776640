//! What is built here comes into the ledger, and is held against what caches claim: from the hook, also where nothing
//! is uploaded, and by `push`.

use crate::support::fake_cache::{FakeCache, Script};
use crate::support::nix::GENERATIONS;
use crate::support::nix_daemon::{NixDaemon, full};
use crate::support::party::Party;
use crate::support::uploads::{Uploads, chain, hooked};
use countersign::evidence::{
    Batch, BuildKind, BuildRow, ClaimSeen, EventKind, EventRow, Filter, Sqlite, Storage, Terms,
};
use countersign::format::{Core, NarHash, Signature, StorePath};
use countersign::trust::Timestamp;
use std::ops::ControlFlow;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

const DIRECTORY: &str = "[destinations.acme]\nurl = \"file://DIR/cache\"\npackages = [\"*\"]\n";

/// Two caches, of a party whose word counts.
struct Caches {
    party: Party,
    same: FakeCache,
    other: FakeCache,
}

impl Caches {
    fn new() -> Self {
        Self { party: Party::new("a-1"), same: FakeCache::start(), other: FakeCache::start() }
    }

    fn sections(&self) -> String {
        format!(
            "[signers.a]\nkeys = [\"{}\"]\n[caches.same]\nurl = \"{}\"\n[caches.other]\nurl = \"{}\"\n\
             [[rules]]\nname = \"all\"\nsignatures = [{{ at-least = 1, of = [\"a\"] }}]\n",
            self.party.key(),
            self.same.url(),
            self.other.url()
        )
    }

    /// One claims what was built, the other something else, both signed.
    fn claim(&self, core: &Core) {
        let forged = Core { nar_hash: NarHash::from_digest([7; 32]), ..core.clone() };
        for (cache, core) in [(&self.same, core), (&self.other, &forged)] {
            let references: Vec<String> = core.references.iter().map(ToString::to_string).collect();
            let text = format!(
                "StorePath: /nix/store/{}\nURL: nar/x.nar\nCompression: none\nNarHash: {}\nNarSize: {}\n\
                 References: {}\nSig: {}\n",
                core.store_path,
                core.nar_hash,
                core.nar_size,
                references.join(" "),
                self.party.sign(core)
            );
            cache.script(&format!("/{}.narinfo", core.store_path.hash_part()), Script::Bytes(text.into()));
        }
    }
}

/// The ledger's builds of a path. While the uploader makes the ledger, there may be none to be read.
fn builds(uploads: &Uploads, path: &StorePath) -> Vec<BuildRow> {
    match Sqlite::open_existing(&uploads.state(), &Terms::default()) {
        Ok(Some(mut storage)) => storage.earlier(path.hash_part()).unwrap().builds,
        Ok(None) | Err(_) => Vec::new(),
    }
}

fn events(uploads: &Uploads, path: &StorePath) -> Vec<EventRow> {
    let mut events = Vec::new();
    let filter = Filter { path: Some(path.hash_part()), ..Filter::default() };
    let Ok(Some(mut storage)) = Sqlite::open_existing(&uploads.state(), &Terms::default()) else {
        return events;
    };
    storage
        .events(&filter, &mut |event| {
            events.push(event);
            ControlFlow::Continue(())
        })
        .unwrap();
    events.sort_by(|a, b| a.party.cmp(&b.party));
    events
}

/// The files in the spool, but for its folders.
fn spooled(uploads: &Uploads) -> Vec<String> {
    let names = std::fs::read_dir(uploads.dir.join("spool")).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    names.filter(|name| name != "roots" && name != "refused").collect()
}

/// `serve`, whose log is the uploader's.
struct Serve(Child);

impl Serve {
    fn start(uploads: &Uploads) -> Self {
        let log = std::fs::OpenOptions::new().append(true).create(true).open(uploads.dir.join("upload.log"));
        let mut command = uploads.command(&["serve"]);
        Self(command.stdout(Stdio::null()).stderr(log.unwrap()).spawn().unwrap())
    }

    fn stop(mut self) {
        assert!(Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap().success());
        assert_eq!(self.0.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        self.0.kill().unwrap_or_default();
        self.0.wait().map(drop).unwrap_or_default();
    }
}

/// Built, reported by the hook, written by the uploader that `serve` starts; no key is read, nothing is uploaded.
#[test]
fn without_a_destination_builds_come_into_the_ledger_and_are_compared() {
    for generation in GENERATIONS {
        let (uploads, caches) = (hooked(generation, ""), Caches::new());
        uploads.configure(&caches.sections(), "", "");
        std::fs::remove_file(uploads.dir.join("acme-1.sec")).unwrap();
        // Known before, as it is where Nix asked and was refused: by a machine of the same kind.
        let twin = NixDaemon::start(generation);
        let expected = twin.build_one("shell \"thing-1\" \"echo a > $out\" {}");
        caches.claim(&twin.connect().path_info(&expected).unwrap().unwrap().core);
        let serve = Serve::start(&uploads);
        let path = uploads.daemon.build_one("shell \"thing-1\" \"echo a > $out\" {}");
        assert_eq!(path, expected);
        uploads.wait_for("the build is compared", |u| events(u, &path).len() == 2);
        let core = uploads.daemon.connect().path_info(&path).unwrap().unwrap();
        let rows = builds(&uploads, &path);
        assert_eq!(rows.len(), 1, "{generation}: {rows:?}");
        assert_eq!((rows[0].kind, rows[0].nar_hash), (BuildKind::Built, Some(core.core.nar_hash)));
        assert_eq!((rows[0].nar_size, &rows[0].derivation), (Some(core.core.nar_size), &core.deriver));
        let found: Vec<_> = events(&uploads, &path).into_iter().map(|e| (e.party, e.kind, e.count)).collect();
        assert_eq!(
            found,
            [("other".into(), EventKind::BuildDiffers, 1), ("same".into(), EventKind::BuildAgrees, 1)]
        );
        uploads.wait_for("the spool is empty", |u| spooled(u).is_empty());
        assert!(
            std::fs::read_dir(uploads.dir.join("spool/roots")).unwrap().next().is_none(),
            "nothing is kept"
        );
        // Built again with the same result: the hook reports it again, and nothing new is known.
        let derivation = full(core.deriver.as_ref().unwrap());
        uploads.daemon.ok("nix-store", &["--realise", "--check", &derivation]);
        uploads.wait_for("the spool is empty again", |u| spooled(u).is_empty());
        assert_eq!(builds(&uploads, &path).len(), 1);
        let said = uploads.log();
        assert_eq!(said.matches("what was built here is not what a cache claims").count(), 1, "{said}");
        serve.stop();
    }
}

/// What caches said before counts where they are silent now, if somebody's signature on it counts.
#[test]
fn claims_of_the_ledger_are_compared_where_caches_are_silent() {
    let (uploads, caches) = (hooked("2.34", ""), Caches::new());
    // Both are configured, and neither answers: they have gone away.
    let gone = caches.sections().replace(&caches.same.url(), "http://127.0.0.1:1");
    uploads.configure(&gone.replace(&caches.other.url(), "http://127.0.0.1:2"), "", "");
    let twin = NixDaemon::start("2.34");
    let expected = twin.build_one("shell \"thing-1\" \"echo a > $out\" {}");
    let core = twin.connect().path_info(&expected).unwrap().unwrap().core;
    let signature = Signature::parse(&caches.party.sign(&core)).unwrap();
    let claim = |cache: &str, signatures: &[Signature]| ClaimSeen {
        cache: cache.into(),
        core: Arc::new(core.clone()),
        signatures: signatures.to_vec(),
        deriver: None,
        content_address: None,
        is_credible: true,
        at: Timestamp::from_seconds(1_780_272_000),
    };
    let claims = vec![claim("same", &[signature]), claim("other", &[])];
    std::fs::create_dir_all(uploads.state()).unwrap();
    let mut storage = Sqlite::open(&uploads.state(), &Terms::default()).unwrap();
    storage.write(&Batch { claims, ..Batch::default() }).unwrap();
    let _uploader = uploads.start();
    let path = uploads.daemon.build_one("shell \"thing-1\" \"echo a > $out\" {}");
    uploads.wait_for("the build is written", |u| !builds(u, &path).is_empty());
    let found: Vec<_> = events(&uploads, &path).into_iter().map(|e| (e.party, e.kind)).collect();
    assert_eq!(found, [("same".into(), EventKind::BuildAgrees)], "{}", uploads.log());
}

/// Neither a destination nor a spool: there is nothing to do, and `serve` starts nobody.
#[test]
fn without_anything_to_do_the_uploader_says_so() {
    let uploads = Uploads::with(NixDaemon::start("2.34"), crate::support::dirs::Dir::new(), "", "");
    let (code, _, said) = uploads.run(&["upload"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("no [destinations.NAME]") && said.contains("is no spool of this user"), "{said}");
    assert!(!uploads.dir.join("spool").exists());
}

/// What was not built here, though its derivation is known, is no opinion of this machine.
#[test]
fn what_was_substituted_is_no_build() {
    let other = NixDaemon::start("2.34");
    let expression = "shell \"thing-1\" \"echo a > $out\" {}";
    let theirs = other.build_one(expression);
    let uploads = hooked("2.34", "");
    let cache = format!("file://{}", uploads.dir.join("binary").display());
    other.ok("nix", &["copy", "--to", &cache, &full(&theirs)]);
    let derivation = uploads.daemon.instantiate(expression).remove(0);
    uploads.daemon.ok("nix", &["copy", "--no-check-sigs", "--from", &cache, &full(&theirs)]);
    let told = Command::new(crate::hook::HOOK)
        .env_clear()
        .env("DRV_PATH", full(&derivation))
        .env("OUT_PATHS", full(&theirs))
        .env("COUNTERSIGN_SPOOL", uploads.dir.join("spool"))
        .env("NIX_STATE_DIR", uploads.dir.join("nowhere"))
        .status();
    assert!(told.unwrap().success());
    assert_eq!(spooled(&uploads).len(), 1);
    let _uploader = uploads.start();
    uploads.wait_for("the record is taken", |u| spooled(u).is_empty());
    assert_eq!(builds(&uploads, &theirs), []);
}

/// A ledger that cannot be written delays no upload; its records wait apart, and are written when it can be.
#[test]
fn a_ledger_that_cannot_be_written_holds_up_no_upload() {
    let uploads = hooked("2.34", DIRECTORY);
    let blocked = uploads.state().join("evidence.db");
    std::fs::create_dir_all(&blocked).unwrap();
    let uploader = uploads.start();
    let built = uploads.daemon.build(&chain(3, 100));
    uploads.wait();
    let (cache, first) = (uploads.dir.join("cache"), &built[0]);
    assert!(built.iter().all(|path| crate::support::uploads::narinfo(&cache, path).is_some()));
    let held = spooled(&uploads);
    assert_eq!(held.len(), 3, "{held:?}");
    assert!(held.iter().all(|name| name.ends_with(".held")), "{held:?}");
    assert_eq!(uploads.log().matches("cannot be written into the ledger").count(), 1, "{}", uploads.log());
    uploader.kill();
    std::fs::remove_dir(&blocked).unwrap();
    let _uploader = uploads.start();
    uploads.wait_for("nothing is held", |u| spooled(u).is_empty());
    assert!(built.iter().all(|path| builds(&uploads, path).len() == 1), "{}", uploads.log());
    assert_eq!(builds(&uploads, first)[0].kind, BuildKind::Built);
}

/// What `push` gives was built here too, long before there was a hook.
#[test]
fn what_is_pushed_comes_into_the_ledger() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    let caches = Caches::new();
    uploads.configure(&caches.sections(), "", DIRECTORY);
    let path = uploads.daemon.build_one("shell \"thing-1\" \"echo a > $out\" {}");
    let file = uploads.daemon.add("file", b"a");
    uploads.ok(&["push", &full(&path)]);
    let rows = builds(&uploads, &path);
    assert_eq!(rows.iter().map(|row| row.kind).collect::<Vec<_>>(), [BuildKind::Built]);
    uploads.run(&["push", &full(&file)]);
    assert_eq!(builds(&uploads, &file), [], "it was added, not built");
}

/// Killed at every point on the way into the ledger: begun anew, each build is there once and the spool is empty.
#[test]
fn killed_anywhere_a_build_is_written_once() {
    let uploads = hooked("2.34", "");
    for (killed, point) in (1..100).enumerate() {
        let name = format!("thing-{point}");
        let path = uploads.daemon.build_one(&format!("shell \"{name}\" \"echo {name} > $out\" {{}}"));
        let number = point.to_string();
        let uploader = std::cell::RefCell::new(uploads.start_with(&[("COUNTERSIGN_CRASH_AFTER", &number)]));
        let is_written = |u: &Uploads| spooled(u).is_empty() && builds(u, &path).len() == 1;
        let was_killed = || uploader.borrow_mut().try_wait().is_some();
        uploads.wait_for("it was killed, or all is written", |u| was_killed() || is_written(u));
        if !was_killed() {
            assert!(killed > 3, "there are points on the way: {killed}");
            return;
        }
        let again = uploads.start();
        uploads.wait_for("all is written", |u| spooled(u).is_empty() && !builds(u, &path).is_empty());
        assert_eq!(builds(&uploads, &path).len(), 1, "killed at {point}");
        again.kill();
    }
    panic!("it never came through");
}
