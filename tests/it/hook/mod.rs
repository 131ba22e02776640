//! The post-build hook: what it writes, what it survives, and what real Nix makes of it.

mod builds;
mod crash;
mod odd;
mod places;
mod tracer;

use crate::support::dirs::Dir;
use countersign::format::{StoreDir, StorePath};
use countersign::spool::{Record, Spool};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

pub const HOOK: &str = env!("CARGO_BIN_EXE_countersign-hook");
pub const DRV: &str = "/nix/store/s66mzxpvicwk07gjbjfw9izjfa797vsw-hello.drv";
pub const OUT: &str = "/nix/store/1b9p07z77phvv2hf6gm9f28syp39f1ag-hello";
pub const DEV: &str = "/nix/store/0c7c96gikmzv87i7lv3vq5s1cmfjd6zf-hello-dev";
/// Nobody's number, and nobody who runs these tests.
pub const STRANGER: u32 = 54_321;

/// A spool and a state directory of Nix, for the hook to find.
pub struct Scene {
    pub dir: Dir,
    pub spool: Spool,
}

impl Scene {
    pub fn new() -> Self {
        let dir = Dir::new();
        // Whatever the mask of who runs the tests: a way that a group may write to is refused.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let spool = Spool::create(&dir.join("spool")).unwrap();
        fs::create_dir_all(dir.join("state/gcroots/auto")).unwrap();
        Self { dir, spool }
    }

    /// A program that will become or start the hook, told of nothing yet.
    pub fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("COUNTERSIGN_SPOOL", self.dir.join("spool"))
            .env("NIX_STATE_DIR", self.dir.join("state"))
            .stdin(Stdio::null());
        command
    }

    /// The hook, told of nothing yet.
    pub fn hook(&self) -> Command {
        self.program(HOOK)
    }

    /// The hook, told of a build of two outputs.
    pub fn told(&self) -> Command {
        let mut hook = self.hook();
        hook.env("DRV_PATH", DRV).env("OUT_PATHS", format!("{DEV} {OUT}"));
        hook
    }

    /// The same, become of a shell that first runs `script`; the script ends with `"$0"` as a command.
    pub fn after(&self, script: &str) -> Command {
        let mut shell = self.program("/bin/sh");
        shell.args(["-c", script, HOOK]).env("DRV_PATH", DRV).env("OUT_PATHS", format!("{DEV} {OUT}"));
        shell
    }

    /// The records in the spool; nothing in it may be anything else.
    pub fn records(&self) -> Vec<Record> {
        let batch = self.spool.records(1000).unwrap();
        assert!(batch.refused.is_empty(), "{:?}", batch.refused);
        batch.taken.iter().map(|taken| taken.record().clone()).collect()
    }

    /// The one record in the spool.
    pub fn record(&self) -> Record {
        let mut records = self.records();
        assert_eq!(records.len(), 1, "{records:?}");
        records.remove(0)
    }

    /// Files in the spool that are no records: what a hook left.
    pub fn left(&self) -> Vec<String> {
        let names = fs::read_dir(self.dir.join("spool")).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).filter(|name| name.ends_with(".new")).collect()
    }

    /// What the links in a folder point to, sorted.
    pub fn links(&self, folder: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.join(folder)).unwrap();
        let mut links: Vec<_> = entries.map(|entry| fs::read_link(entry.unwrap().path()).unwrap()).collect();
        links.sort();
        links
    }
}

/// Runs a hook that must not fail the build; what it said.
pub fn said(hook: &mut Command) -> String {
    silent_success(&hook.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap())
}

fn silent_success(output: &Output) -> String {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{:?}: {said}", output.status);
    assert_eq!(output.stdout, b"");
    assert!(said.is_empty() || said.starts_with("countersign-hook: "), "{said:?}");
    assert_eq!(said.matches('\n').count(), usize::from(!said.is_empty()), "{said:?}");
    said
}

pub fn path(absolute: &str) -> StorePath {
    StorePath::from_absolute_path(&StoreDir::default(), absolute).unwrap()
}

#[test]
fn a_build_is_written_down() {
    let scene = Scene::new();
    assert_eq!(said(&mut scene.told()), "");
    let record = scene.record();
    assert_eq!(record.drv(), Some(&path(DRV)));
    assert_eq!(record.outputs(), [path(DEV), path(OUT)]);
    assert_eq!(record.store().as_str(), "/nix/store");
    let name = scene.spool.records(1).unwrap().taken.remove(0).name();
    let file = fs::metadata(scene.dir.join("spool").join(name)).unwrap();
    assert_eq!(file.mode() & 0o7777, 0o600);
    // What a file system takes for the time is a few milliseconds late, and may be of the second before.
    let written = file.mtime().unsigned_abs() + 1;
    assert!(record.built() <= written && record.built() > written.saturating_sub(3600), "{}", record.built());
    assert_eq!(scene.left(), [""; 0]);
}

#[test]
fn outputs_are_kept_from_the_garbage_collector() {
    let scene = Scene::new();
    said(&mut scene.told());
    assert_eq!(scene.links("spool/roots"), [DEV, OUT].map(PathBuf::from));
    let mut links = [DEV, OUT].map(|path| scene.dir.join("spool/roots").join(&path["/nix/store/".len()..]));
    links.sort();
    assert_eq!(scene.links("state/gcroots/auto"), links);
    // Built again, linked already.
    assert_eq!(said(&mut scene.told()), "");
    assert_eq!(scene.records().len(), 2);
    scene.spool.unroot(&path(OUT)).unwrap();
    assert_eq!(scene.links("spool/roots"), [PathBuf::from(DEV)]);
}

#[test]
fn where_nix_keeps_no_roots_the_spool_has_its_links_still() {
    let scene = Scene::new();
    let nowhere = scene.dir.join("nowhere");
    assert_eq!(said(scene.told().env("NIX_STATE_DIR", &nowhere)), "");
    assert_eq!(scene.links("spool/roots").len(), 2);
    assert!(!nowhere.exists());
    // Where it keeps some, the first indirect one makes their folder.
    fs::create_dir_all(nowhere.join("gcroots")).unwrap();
    said(scene.told().env("NIX_STATE_DIR", &nowhere));
    assert_eq!(scene.links("nowhere/gcroots/auto").len(), 2);
}

#[test]
fn a_derivation_names_its_outputs_where_nix_does_not() {
    let scene = Scene::new();
    let store = scene.dir.join("store").display().to_string();
    let (out, dev) = (OUT.replace("/nix/store", &store), DEV.replace("/nix/store", &store));
    let drv = DRV.replace("/nix/store", &store);
    let text = format!(r#"Derive([("dev","{dev}","",""),("out","{out}","","")],[],[],"x","/bin/sh",[],[])"#);
    scene.dir.write(&format!("store{}", &DRV["/nix/store".len()..]), text);
    assert_eq!(said(scene.hook().env("DRV_PATH", &drv)), "");
    let record = scene.record();
    assert_eq!(record.store().as_str(), store);
    assert_eq!(record.outputs(), [path(DEV), path(OUT)]);
    assert_eq!(scene.links("spool/roots"), [dev, out].map(PathBuf::from));
}

#[test]
fn sixty_four_at_once_leave_sixty_four_records() {
    let scene = Scene::new();
    let hooks: Vec<_> = (0..64).map(|_| scene.told().stderr(Stdio::piped()).spawn().unwrap()).collect();
    for hook in hooks {
        assert_eq!(silent_success(&hook.wait_with_output().unwrap()), "");
    }
    assert_eq!(scene.records().len(), 64);
    assert_eq!(scene.left(), [""; 0]);
    assert_eq!(scene.links("spool/roots").len(), 2);
    let batch = scene.spool.records(64).unwrap();
    scene.spool.done(batch.taken).unwrap();
    assert_eq!(scene.spool.waiting().unwrap(), 0);
}

/// As many names as a machine leaves that built for months without an uploader.
#[test]
fn a_full_spool_takes_one_more() {
    let scene = Scene::new();
    said(&mut scene.told());
    let name = scene.spool.records(1).unwrap().taken.remove(0).name();
    let first = scene.dir.join("spool").join(name);
    // A file system may allow 65,000 names of one file.
    let second = scene.dir.join("second");
    fs::copy(&first, &second).unwrap();
    for n in 1_u32..100_000 {
        let from = if n % 2 == 0 { &first } else { &second };
        fs::hard_link(from, scene.dir.join("spool").join(format!("{n:012}-000000000-1-0.build"))).unwrap();
    }
    assert_eq!(said(&mut scene.told()), "");
    assert_eq!(scene.spool.waiting().unwrap(), 100_001);
    let taken = scene.spool.records(2).unwrap().taken;
    assert_eq!(
        taken.iter().map(|one| one.name()).collect::<Vec<_>>(),
        [1, 2].map(|n| format!("{n:012}-000000000-1-0.build"))
    );
}
