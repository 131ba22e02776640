//! The commands that read the ledger: `evidence list|show|verify|export|clock`, on a ledger that the test wrote.

mod clock;
mod reading;
mod verifying;

use crate::support::daemon::countersign;
use crate::support::dirs::Dir;
use crate::support::party::{Package, Party};
use countersign::config::Mode;
use countersign::evidence::{
    Batch, BuildKind, BuildRow, ClaimSeen, EventKind, EventRow, Fate, FateRow, Heard, Outcome, Sqlite,
    Storage, Terms, VerdictRow, Word,
};
use countersign::format::{NarHash, Signature};
use countersign::state::StateDirectory;
use countersign::trust::Timestamp;
use std::process::Command;
use std::sync::Arc;

/// 2026-06-01T00:00:00Z, when the first row was written.
const BEGIN: i64 = 1_780_272_000;
const DAY: i64 = 86_400;

/// A state directory with a key, and a configuration of one signer and two caches.
struct Scene {
    dir: Dir,
    party: Party,
    /// A package that every cache claims alike, and one on which they differ.
    glibc: Package,
    thing: Package,
}

/// What a command came to.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Scene {
    fn empty() -> Self {
        let dir = Dir::new();
        let party = Party::new("a-1");
        let text = format!(
            "listen = [\"127.0.0.1:0\"]\nstate-directory = \"{}/state\"\n[signers.a]\nkeys = [\"{}\"]\n\
             [caches.x]\nurl = \"http://127.0.0.1:1\"\n[caches.y]\nurl = \"http://127.0.0.1:2\"\n\
             [[rules]]\nname = \"all\"\nsignatures = [{{ at-least = 1, of = [\"a\"] }}]\n",
            dir.path().display(),
            party.key()
        );
        dir.write("config.toml", text);
        let state = StateDirectory::at(dir.join("state"));
        state.countersigning_key(Mode::Enforce).unwrap();
        let (glibc, thing) = (Package::new("glibc-2.40", b"g"), Package::new("thing-1.0", b"t"));
        Self { dir, party, glibc, thing }
    }

    /// With three verdicts a day apart and a row of everything else.
    fn new() -> Self {
        let scene = Self::empty();
        scene.write(scene.rows());
        scene
    }

    fn rows(&self) -> Batch {
        let claims = vec![
            self.claim("x", &self.thing, &[&self.party], 1, true),
            self.claim("y", &self.thing.forged(b"other"), &[], 1, false),
            self.claim("x", &self.glibc, &[&self.party], 0, true),
        ];
        let event = EventRow {
            kind: EventKind::Dissent,
            path: self.thing.core.store_path.hash_part(),
            name: Some("thing-1.0".into()),
            party: "y".into(),
            before: "this".into(),
            after: "that".into(),
            first_seen: at(1),
            last_seen: at(1),
            count: 1,
        };
        let fate = FateRow {
            nar_hash: self.thing.core.nar_hash,
            cache: "y".into(),
            fate: Fate::False,
            at: at(1),
            count: 1,
        };
        let build = BuildRow {
            path: self.thing.core.store_path.clone(),
            nar_hash: Some(self.thing.core.nar_hash),
            nar_size: Some(self.thing.core.nar_size),
            derivation: None,
            kind: BuildKind::Built,
            at: at(2),
        };
        Batch {
            claims,
            verdicts: vec![
                self.verdict(&self.glibc, 0, Outcome::Endorse, "one rule"),
                self.verdict(&self.thing, 1, Outcome::Refuse, "dissent"),
                self.verdict(&self.thing, 2, Outcome::Defer, "too-few"),
            ],
            events: vec![event],
            fates: vec![fate],
            builds: vec![build],
        }
    }

    fn claim(
        &self,
        cache: &str,
        package: &Package,
        signers: &[&Party],
        day: i64,
        is_credible: bool,
    ) -> ClaimSeen {
        let signed = |party: &&Party| Signature::parse(&party.sign(&package.core)).unwrap();
        ClaimSeen {
            cache: cache.into(),
            core: Arc::new(package.core.clone()),
            signatures: signers.iter().map(signed).collect(),
            deriver: None,
            content_address: None,
            is_credible,
            at: at(day),
        }
    }

    fn verdict(&self, package: &Package, day: i64, outcome: Outcome, label: &str) -> VerdictRow {
        let claims = |nar_hash: NarHash, signers: &[&str]| Word::Claim {
            nar_hash,
            signers: signers.iter().map(|name| (*name).into()).collect(),
        };
        VerdictRow {
            at: at(day),
            asked: Some(package.core.store_path.hash_part()),
            name: Some(package.core.store_path.name().into()),
            outcome,
            observing: false,
            rule: Some("all".into()),
            nar_hash: (outcome == Outcome::Endorse).then_some(package.core.nar_hash),
            label: label.into(),
            reason: if outcome == Outcome::Endorse { "".into() } else { "they differ".into() },
            heard: vec![
                Heard { cache: "x".into(), word: claims(package.core.nar_hash, &["a"]) },
                Heard { cache: if day == 1 { "y".into() } else { "z".into() }, word: Word::NotFound },
            ],
        }
    }

    fn write(&self, batch: Batch) {
        self.storage().write(&batch).unwrap();
    }

    /// Signs a head now, as the service does daily.
    fn seal(&self) {
        let key = StateDirectory::at(self.dir.join("state")).existing_key(Mode::Enforce).unwrap();
        self.storage().seal(at(3), &|head| head.sign(&key)).unwrap();
    }

    fn storage(&self) -> Sqlite {
        Sqlite::open(&self.dir.join("state"), &Terms::default()).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = countersign(&self.dir, arguments);
        command.env("COUNTERSIGN_CONFIG", self.dir.join("config.toml"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs a command that must succeed.
    fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}{}", ran.out, ran.err);
        ran.out
    }

    /// The lines of a command as JSON.
    fn json(&self, arguments: &[&str]) -> Vec<serde_json::Value> {
        self.ok(arguments).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn at(day: i64) -> Timestamp {
    Timestamp::from_seconds(BEGIN + day * DAY)
}
