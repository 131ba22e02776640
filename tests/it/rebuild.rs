//! `countersign rebuild` with real Nix: what it finds, what it writes down, and what it says where it cannot build.

use crate::support::daemon::countersign;
use crate::support::dirs::Dir;
use crate::support::fake_cache::{FakeCache, Script};
use crate::support::nix::GENERATIONS;
use crate::support::nix_daemon::{NixDaemon, full};
use crate::support::party::Party;
use countersign::evidence::{BuildKind, BuildRow, EventKind, Sqlite, Storage, Terms};
use countersign::format::{Core, NarHash, References, StorePath};
use std::process::{Command, Output};

/// A machine that builds, and two caches of which it may be told things.
struct Scene {
    daemon: NixDaemon,
    dir: Dir,
    party: Party,
    cache: FakeCache,
    generation: &'static str,
}

/// What one rebuild came to.
struct Rebuilt {
    code: Option<i32>,
    report: serde_json::Value,
    said: String,
}

impl Scene {
    fn new(generation: &'static str) -> Self {
        Self::with(generation, Dir::new(), "")
    }

    /// With further lines of nix.conf.
    fn with(generation: &'static str, dir: Dir, conf: &str) -> Self {
        let scene = Self {
            daemon: NixDaemon::start_with(generation, conf),
            dir,
            party: Party::new("a-1"),
            cache: FakeCache::start(),
            generation,
        };
        let text = format!(
            "state-directory = \"{}/state\"\n[signers.a]\nkeys = [\"{}\"]\n[caches.x]\nurl = \"{}\"\n\
             [[rules]]\nname = \"all\"\nsignatures = [{{ at-least = 1, of = [\"a\"] }}]\n",
            scene.dir.path().display(),
            scene.party.key(),
            scene.cache.url(),
        );
        scene.dir.write("config.toml", text);
        std::fs::create_dir_all(scene.dir.join("state")).unwrap();
        scene
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let nix = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/nix").join(self.generation);
        let mut command = countersign(&self.dir, arguments);
        command
            .env("COUNTERSIGN_CONFIG", self.dir.join("config.toml"))
            .env("PATH", format!("{}:/usr/bin:/bin", nix.join("bin").display()))
            .env("NIX_CONF_DIR", self.daemon.machine.dir.path())
            .env("NIX_STATE_DIR", self.daemon.machine.dir.join("state"))
            .env("XDG_CACHE_HOME", self.dir.join("cache"))
            .env("NIX_REMOTE", self.daemon.remote());
        command
    }

    fn rebuild(&self, paths: &[&StorePath]) -> Rebuilt {
        let paths: Vec<String> = paths.iter().map(|path| full(path)).collect();
        let mut arguments = vec!["rebuild", "--json"];
        arguments.extend(paths.iter().map(String::as_str));
        let output = self.output(&arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
        Rebuilt { code: output.status.code(), report, said }
    }

    /// What the store has recorded of a path.
    fn core(&self, path: &StorePath) -> Core {
        self.daemon.connect().path_info(path).unwrap().unwrap().core
    }

    /// Where an output of a derivation lies.
    fn output_of(&self, derivation: &StorePath, name: &str) -> StorePath {
        let outputs = self.daemon.connect().derivation_outputs(derivation).unwrap();
        outputs.into_iter().find(|(output, _)| output == name).unwrap().1.unwrap()
    }

    /// The cache claims this, signed.
    fn claims(&self, core: &Core) {
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
        self.cache.script(&format!("/{}.narinfo", core.store_path.hash_part()), Script::Bytes(text.into()));
    }

    fn storage(&self) -> Sqlite {
        Sqlite::open(&self.dir.join("state"), &Terms::default()).unwrap()
    }

    /// The builds of a path in the ledger, the last first.
    fn builds(&self, path: &StorePath) -> Vec<BuildRow> {
        self.storage().earlier(path.hash_part()).unwrap().builds
    }

    fn events(&self, path: &StorePath) -> Vec<(EventKind, Box<str>)> {
        let filter = countersign::evidence::Filter { path: Some(path.hash_part()), ..Default::default() };
        let mut events = Vec::new();
        self.storage()
            .events(&filter, &mut |event| {
                events.push((event.kind, event.party));
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
        events
    }
}

impl Rebuilt {
    /// The outcome of an output, and of what it says besides.
    fn of(&self, path: &StorePath) -> &serde_json::Value {
        let path = full(path);
        let outputs = self.report["outputs"].as_array().unwrap();
        let found = outputs.iter().find(|output| output["path"] == *path);
        found.unwrap_or_else(|| panic!("{path} is not in {}\n{}", self.report, self.said))
    }

    fn outcome(&self, path: &StorePath) -> &str {
        self.of(path)["outcome"].as_str().unwrap()
    }

    /// What is said of the one path that could not be begun.
    fn trouble(&self) -> &str {
        self.report["troubles"][0]["why"].as_str().unwrap()
    }
}

const SAME: &str = "shell \"same-1\" \"echo a > $out\" {}";
const OTHER: &str = "shell \"other-1\" \"read -r l < /proc/sys/kernel/random/uuid; echo $l > $out\" {}";

#[test]
fn what_can_be_built_again_is_the_same_and_is_written_down() {
    for generation in GENERATIONS {
        let scene = Scene::new(generation);
        let path = scene.daemon.build_one(SAME);
        let core = scene.core(&path);
        scene.claims(&core);
        let rebuilt = scene.rebuild(&[&path]);
        assert_eq!(rebuilt.code, Some(0), "{generation}: {}\n{}", rebuilt.report, rebuilt.said);
        let of = rebuilt.of(&path);
        assert_eq!(of["outcome"], "equal");
        assert_eq!(of["installed"], core.nar_hash.to_string());
        assert_eq!(of["rebuilt"], core.nar_hash.to_string());
        assert_eq!(of["follows_from_content"], false);
        assert_eq!(of["claims"][0]["cache"], "x");
        assert_eq!(of["claims"][0]["agrees"], true);
        assert_eq!(rebuilt.report["recorded"], true);
        let builds = scene.builds(&path);
        assert_eq!(builds.len(), 1);
        assert_eq!((builds[0].kind, builds[0].nar_hash), (BuildKind::RebuiltEqual, Some(core.nar_hash)));
        assert!(builds[0].derivation.is_some());
        assert_eq!(scene.events(&path), [(EventKind::BuildAgrees, "x".into())]);
    }
}

#[test]
fn another_result_is_hashed_compared_and_shown() {
    for generation in GENERATIONS {
        let scene = Scene::new(generation);
        let path = scene.daemon.build_one(OTHER);
        let core = scene.core(&path);
        // One more from an earlier check, which says nothing of this one.
        assert_eq!(scene.rebuild(&[&path]).code, Some(1));
        let first = scene.builds(&path)[0].nar_hash.unwrap();
        let rebuilt = scene.rebuild(&[&path]);
        assert_eq!(rebuilt.code, Some(1), "{generation}: {}", rebuilt.said);
        assert!(rebuilt.said.contains("may not be deterministic"), "Nix's own words: {}", rebuilt.said);
        let of = rebuilt.of(&path);
        assert_eq!(of["outcome"], "other");
        assert_eq!(of["installed"], core.nar_hash.to_string());
        let kept = scene
            .daemon
            .machine
            .ok("nix-hash", &["--type", "sha256", "--base32", of["kept"].as_str().unwrap()]);
        assert_eq!(of["rebuilt"], format!("sha256:{}", kept.trim_end()));
        let builds = scene.builds(&path);
        assert_eq!(builds.iter().map(|b| b.kind).collect::<Vec<_>>(), [BuildKind::RebuiltOther; 2]);
        let last = builds[0].nar_hash.unwrap();
        assert!(last != first && last != core.nar_hash && builds[1].nar_hash == Some(first));
    }
}

/// Installed and rebuilt agree, and a cache claims something else.
#[test]
fn a_cache_that_claims_another_content_is_a_finding() {
    let scene = Scene::new("2.34");
    let path = scene.daemon.build_one(SAME);
    let core = scene.core(&path);
    scene.claims(&Core { nar_hash: NarHash::from_digest([7; 32]), ..core.clone() });
    let rebuilt = scene.rebuild(&[&path]);
    assert_eq!(rebuilt.code, Some(1), "{}", rebuilt.said);
    assert_eq!(rebuilt.outcome(&path), "equal");
    assert_eq!(rebuilt.of(&path)["claims"][0]["agrees"], false);
    assert_eq!(scene.events(&path), [(EventKind::BuildDiffers, "x".into())]);
    let text = scene.output(&["rebuild", &full(&path)]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("  x           claims another: sha256:"), "{text}");
    assert!(text.contains("1 the same, 0 other, 0 built from source, 0 failed"), "{text}");
    // The same content with another reference.
    let glibc = scene.daemon.build_one("shell \"glibc-1\" \"echo b > $out\" {}");
    scene.claims(&Core { references: References::from_unsorted(vec![glibc]), ..core.clone() });
    assert_eq!(scene.rebuild(&[&path]).code, Some(1));
    // What nobody signed is no claim that counts.
    scene.cache.script(&format!("/{}.narinfo", path.hash_part()), Script::Status(404));
    let unheard = scene.rebuild(&[&path]);
    assert_eq!((unheard.code, unheard.of(&path)["claims"].as_array().unwrap().len()), (Some(0), 0));
}

#[test]
fn a_build_that_fails_is_written_down() {
    for generation in GENERATIONS {
        let dir = Dir::new();
        std::fs::create_dir(dir.join("seen")).unwrap();
        let conf = format!("extra-sandbox-paths = /seen={}", dir.join("seen").display());
        let scene = Scene::with(generation, dir, &conf);
        let path = scene.daemon.build_one(
            "shell \"fails-1\" \"test ! -e /seen/flag || exit 1; read -r l < /proc/sys/kernel/random/uuid; \
             echo $l > $out\" {}",
        );
        // Nix keeps what differs, and it is still there when the next build fails.
        assert_eq!(scene.rebuild(&[&path]).outcome(&path), "other");
        scene.dir.write("seen/flag", "");
        let rebuilt = scene.rebuild(&[&path]);
        assert_eq!(
            (rebuilt.code, rebuilt.outcome(&path)),
            (Some(3), "failed"),
            "{generation}: {}",
            rebuilt.said
        );
        assert_eq!(rebuilt.of(&path)["rebuilt"], serde_json::Value::Null);
        let builds = scene.builds(&path);
        let kinds: Vec<_> = builds.iter().map(|b| (b.kind, b.nar_hash)).collect();
        assert_eq!(kinds[0], (BuildKind::Failed, None));
    }
}

/// All installed outputs are checked together, whichever was asked for; the first that differs ends it.
#[test]
fn outputs_of_one_derivation_are_checked_together() {
    for generation in GENERATIONS {
        let scene = Scene::new(generation);
        let random = "read -r l < /proc/sys/kernel/random/uuid; echo $l > $dev; echo a > $out";
        let same = "echo b > $dev; echo a > $out";
        for (script, code, outcomes) in
            [(same, 0, ["equal", "equal"]), (random, 1, ["other", "not-compared"])]
        {
            let expression = format!("shell \"two-1\" \"{script}\" {{ outputs = [ \"out\" \"dev\" ]; }}");
            let derivation = scene.daemon.instantiate(&expression).remove(0);
            scene.daemon.ok("nix-store", &["--realise", &full(&derivation)]);
            let [dev, out] = ["dev", "out"].map(|name| scene.output_of(&derivation, name));
            let rebuilt = scene.rebuild(&[&out]);
            assert_eq!(rebuilt.code, Some(code), "{generation}: {}\n{}", rebuilt.report, rebuilt.said);
            assert_eq!([rebuilt.outcome(&dev), rebuilt.outcome(&out)], outcomes);
            let known = usize::from(code == 0);
            assert_eq!(scene.builds(&out).len(), known, "nothing is known of what was not compared");
        }
    }
}

/// Its inputs come from a cache, itself not, although the cache has it: both are of chance, so it shows.
#[test]
fn what_is_not_installed_is_built_from_source() {
    const CHAIN: &str = r#"rec {
        dep = shell "dep-1" "read -r l < /proc/sys/kernel/random/uuid; echo $l > $out" {};
        top = shell "top-1" "read -r l < /proc/sys/kernel/random/uuid; echo $l ${dep} > $out" {};
    }.top"#;
    for generation in GENERATIONS {
        let (other, dir) = (NixDaemon::start(generation), Dir::new());
        let theirs = other.build_one(CHAIN);
        let cache = format!("file://{}", dir.join("binary").display());
        other.ok("nix", &["copy", "--to", &cache, &full(&theirs)]);
        let conf = format!("substituters = {cache}\nrequire-sigs = false");
        let scene = Scene::with(generation, dir, &conf);
        let derivation = scene.daemon.instantiate(CHAIN).remove(0);
        let rebuilt = scene.rebuild(&[&theirs]);
        assert_eq!(rebuilt.code, Some(0), "{generation}: {}\n{}", rebuilt.report, rebuilt.said);
        assert_eq!(rebuilt.outcome(&theirs), "built");
        let info = |daemon: &NixDaemon, path: &StorePath| daemon.connect().path_info(path).unwrap().unwrap();
        let (mine, before) = (info(&scene.daemon, &theirs), info(&other, &theirs));
        assert!(mine.ultimate && mine.core.nar_hash != before.core.nar_hash, "it was built here");
        let dep = mine.core.references.iter().find(|path| path.name() == "dep-1").unwrap();
        assert_eq!(info(&scene.daemon, dep).core.nar_hash, info(&other, dep).core.nar_hash, "it was not");
        let builds = scene.builds(&theirs);
        assert_eq!((builds[0].kind, builds[0].nar_hash), (BuildKind::Built, Some(mine.core.nar_hash)));
        assert_eq!(builds[0].derivation.as_ref(), Some(&derivation));
        // Named by its derivation, it is the same, and installed now.
        let again = scene.rebuild(&[&derivation]);
        assert_eq!((again.code, again.outcome(&theirs)), (Some(1), "other"), "{}", again.said);
    }
}

#[test]
fn where_nothing_can_be_built_it_is_said_what_to_do() {
    let scene = Scene::with("2.34", Dir::new(), "keep-derivations = false");
    let path = scene.daemon.build_one(SAME);
    let deriver = scene.daemon.connect().path_info(&path).unwrap().unwrap().deriver.unwrap();
    scene.daemon.ok("nix-store", &["--delete", &full(&deriver)]);
    let gone = scene.rebuild(&[&path]);
    assert_eq!(gone.code, Some(3));
    let why = gone.trouble();
    assert!(why.contains(&format!("its derivation {deriver} is not in the store")), "{why}");
    assert!(why.contains("nix-instantiate") && why.contains("nix copy --derivation"), "{why}");
    assert!(scene.rebuild(&[&deriver]).trouble().contains("this derivation is not in the store"));
    let file = scene.daemon.add("file", b"a");
    assert!(scene.rebuild(&[&file]).trouble().contains("added as a file"));
    let absent = StorePath::from_base_name("1b9p07z77phvv2hf6gm9f28syp39f1ag-absent-1").unwrap();
    assert!(scene.rebuild(&[&absent]).trouble().contains("it is not in the store"));
    assert_eq!(scene.builds(&path), []);
    // The others are built all the same.
    let fine = scene.daemon.build_one("shell \"fine-1\" \"echo b > $out\" {}");
    let mixed = scene.rebuild(&[&absent, &fine]);
    assert_eq!((mixed.code, mixed.outcome(&fine)), (Some(3), "equal"), "{}", mixed.said);
    assert_eq!(scene.output(&["rebuild", "/nix/store/nonsense"]).status.code(), Some(2));
    let no_nix = scene.command(&["rebuild", &full(&fine)]).env("PATH", "/usr/bin:/bin").output().unwrap();
    let said = String::from_utf8_lossy(&no_nix.stdout).into_owned();
    assert_eq!(no_nix.status.code(), Some(3), "{said}");
    assert!(said.contains("put the folder of Nix's programs into PATH"), "{said}");
}

/// The hash is fixed in advance: it is done, and said that it proves little.
#[test]
fn contents_that_are_fixed_in_advance_prove_nothing_more() {
    let scene = Scene::new("2.34");
    let path = scene.daemon.build_one(
        "shell \"fixed-1\" \"echo a > $out\" { outputHashAlgo = \"sha256\"; outputHashMode = \"flat\"; \
         outputHash = \"87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7\"; }",
    );
    let rebuilt = scene.rebuild(&[&path]);
    assert_eq!((rebuilt.code, rebuilt.outcome(&path)), (Some(0), "equal"), "{}", rebuilt.said);
    assert_eq!(rebuilt.of(&path)["follows_from_content"], true);
    let text = String::from_utf8(scene.output(&["rebuild", &full(&path)]).stdout).unwrap();
    assert!(text.contains("its path follows from its contents"), "{text}");
}

/// A ledger that cannot be written: the outcome is told, and that it is not written down.
#[test]
fn without_a_ledger_the_outcome_is_told() {
    let scene = Scene::new("2.34");
    let path = scene.daemon.build_one(SAME);
    std::fs::create_dir(scene.dir.join("state/evidence.db")).unwrap();
    let rebuilt = scene.rebuild(&[&path]);
    assert_eq!((rebuilt.code, rebuilt.outcome(&path)), (Some(3), "equal"), "{}", rebuilt.said);
    assert_eq!(rebuilt.report["recorded"], false);
    assert!(rebuilt.said.contains("not written down"), "{}", rebuilt.said);
}
