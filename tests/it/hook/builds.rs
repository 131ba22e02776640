//! Real builds: every one is reported, with the right derivation, in three versions of Nix.

use super::HOOK;
use crate::support::nix::{GENERATIONS, Machine};
use countersign::format::{StoreDir, StorePath};
use countersign::spool::{Record, Spool};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A machine with the hook in its nix.conf, and a derivation of two outputs.
struct Scene {
    machine: Machine,
    spool: Spool,
    generation: &'static str,
}

impl Scene {
    fn new(generation: &'static str) -> Self {
        let machine = Machine::new(generation);
        fs::set_permissions(machine.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let conf = fs::read_to_string(machine.dir.join("nix.conf")).unwrap();
        machine.dir.write("nix.conf", format!("{conf}post-build-hook = {HOOK}\n"));
        machine.dir.write(
            "two.nix",
            "{ n ? \"0\" }: derivation { name = \"two\"; system = builtins.currentSystem; builder = \"/bin/sh\"; inherit n;\n\
             outputs = [ \"out\" \"dev\" ]; args = [ \"-c\" \"echo $n > $out; echo $n > $dev; exit 0\" ]; }\n",
        );
        let spool = Spool::create(&machine.dir.join("spool")).unwrap();
        Self { machine, spool, generation }
    }

    /// A store whose paths are where they say: how Nix calls it, and its directory.
    fn own_place(&self) -> (String, String) {
        let at = self.machine.dir.join("own").display().to_string();
        (format!("local?store={at}/store&state={at}/var&log={at}/log"), format!("{at}/store"))
    }

    fn command(&self, program: &str, store: &str, arguments: &[&str]) -> Command {
        let mut command = self.machine.command(program);
        command.args(["--store", store]).args(arguments);
        // The hook must not find the roots of a Nix that the machine has. This one is told of its own by `store`.
        command
            .env("COUNTERSIGN_SPOOL", self.machine.dir.join("spool"))
            .env("NIX_STATE_DIR", self.machine.dir.join("own/var"));
        command
    }

    /// Runs a command that must succeed; the lines it printed.
    fn ok(&self, command: &mut Command) -> Vec<String> {
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "Nix {}: {:?}\n{said}", self.generation, output.status);
        assert!(!said.contains("countersign-hook:"), "{said}");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// The derivation, and its outputs, sorted.
    fn instantiate(&self, store: &str, n: &str) -> (String, Vec<String>) {
        let file = self.machine.dir.join("two.nix").display().to_string();
        let drv =
            self.ok(&mut self.command("nix-instantiate", store, &["--argstr", "n", n, &file])).remove(0);
        // Instantiating `a.drv` names its first output as `a.drv!out` in some versions.
        let drv = drv.split('!').next().unwrap().to_owned();
        let mut outputs = self.ok(&mut self.command("nix-store", store, &["-q", "--outputs", &drv]));
        outputs.sort();
        (drv, outputs)
    }

    fn records(&self) -> Vec<Record> {
        let batch = self.spool.records(100).unwrap();
        assert!(batch.refused.is_empty(), "{:?}", batch.refused);
        batch.taken.iter().map(|taken| taken.record().clone()).collect()
    }
}

/// What a record names, as paths; the outputs sorted.
fn named(record: &Record) -> (String, Vec<String>) {
    let absolute = |path: &StorePath| path.to_absolute_path(record.store());
    let mut outputs: Vec<_> = record.outputs().iter().map(absolute).collect();
    outputs.sort();
    (record.drv().map(absolute).unwrap_or_default(), outputs)
}

/// A store under another root: its derivations are not where they say, so all that is known is what Nix tells.
fn under_another_root(generation: &'static str) {
    let scene = Scene::new(generation);
    let store = scene.machine.store();
    let (drv, outputs) = scene.instantiate(&store, "1");
    // 2.8.0 tells no outputs.
    let told = if generation == "2.8" { Vec::new() } else { outputs };
    scene.ok(&mut scene.command("nix-store", &store, &["-r", &drv]));
    assert_eq!(scene.records().iter().map(named).collect::<Vec<_>>(), [(drv.clone(), told.clone())]);
    // Built already: no build, no record.
    scene.ok(&mut scene.command("nix-store", &store, &["-r", &drv]));
    assert_eq!(scene.records().len(), 1);
    scene.ok(&mut scene.command("nix-store", &store, &["-r", "--check", &drv]));
    assert_eq!(scene.records().len(), 2);
    assert_eq!(named(&scene.records()[1]).0, drv);
}

/// A store in its own place: the derivation names its outputs, and the garbage collector is held off.
fn in_its_own_place(generation: &'static str) {
    let scene = Scene::new(generation);
    let (store, dir) = scene.own_place();
    let (drv, outputs) = scene.instantiate(&store, "1");
    let state = scene.machine.dir.join("own/var");
    scene.ok(&mut scene.command("nix-store", &store, &["-r", &drv]));
    let records = scene.records();
    assert_eq!(records.iter().map(named).collect::<Vec<_>>(), [(drv, outputs.clone())]);
    assert_eq!(records[0].store().as_str(), dir);

    let auto = || {
        let entries = fs::read_dir(state.join("gcroots/auto")).unwrap();
        let links = entries
            .map(|entry| entry.unwrap().path())
            .map(|link| (link.clone(), fs::read_link(link).unwrap()));
        let mut links: Vec<(PathBuf, PathBuf)> = links.collect();
        links.sort();
        links
    };
    let made = auto();
    assert_eq!(made.len(), 2);
    // Nix's own indirect root by way of the same link has the same name.
    let dir = StoreDir::new(&dir).unwrap();
    let path = StorePath::from_absolute_path(&dir, &outputs[0]).unwrap();
    let link = scene.spool.root(&dir, &path).unwrap();
    let theirs =
        ["-r", &outputs[0], "--indirect", "--add-root", &link.display().to_string()].map(str::to_owned);
    scene.ok(&mut scene.command("nix-store", &store, &theirs.iter().map(String::as_str).collect::<Vec<_>>()));
    assert_eq!(auto(), made);

    scene.ok(&mut scene.command("nix-store", &store, &["--gc"]));
    assert!(outputs.iter().all(|output| fs::exists(output).unwrap()), "collected before they were uploaded");
    for rooted in scene.spool.rooted().unwrap() {
        scene.spool.unroot(&rooted.path).unwrap();
    }
    scene.ok(&mut scene.command("nix-store", &store, &["--gc"]));
    assert!(!outputs.iter().any(|output| fs::exists(output).unwrap()), "kept for ever");
    assert_eq!(auto(), []);
}

/// Through the daemon, several clients at once.
fn through_the_daemon(generation: &'static str) {
    let scene = Scene::new(generation);
    let socket = scene.machine.dir.join("socket");
    // In its own place: a client of 2.8 opens derivations itself.
    let (own, dir) = scene.own_place();
    let mut built: Vec<_> = ["1", "2", "3"].map(|n| scene.instantiate(&own, n)).to_vec();
    let mut command = scene.command("nix-daemon", &own, &[]);
    command.env("NIX_DAEMON_SOCKET_PATH", &socket).stdout(Stdio::null()).stderr(Stdio::null());
    let _daemon = Ended(command.spawn().unwrap());
    for attempt in 0.. {
        if UnixStream::connect(&socket).is_ok() {
            break;
        }
        assert!(attempt < 3000, "the daemon of {generation} does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    let store = format!("unix://{}?store={dir}", socket.display());
    let clients: Vec<_> = built
        .iter()
        .map(|(drv, _)| {
            scene
                .command("nix-store", &store, &["-r", drv])
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for client in clients {
        let output = client.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let mut records: Vec<_> = scene.records().iter().map(named).collect();
    records.sort();
    built.sort();
    assert_eq!(records, built);
}

/// No spool, no uploader: the build is as good as without the hook, and says why nothing is uploaded.
fn without_a_spool(generation: &'static str) {
    let scene = Scene::new(generation);
    let store = scene.machine.store();
    let (drv, _) = scene.instantiate(&store, "1");
    let output = scene
        .command("nix-store", &store, &["-r", &drv])
        .env("COUNTERSIGN_SPOOL", "/nowhere")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("was not reported for upload: cannot open \"/nowhere\""), "{said}");
}

/// A process that ends with its owner.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.kill().unwrap_or_default();
        self.0.wait().ok();
    }
}

#[test]
fn every_build_under_another_root_is_reported() {
    GENERATIONS.into_iter().for_each(under_another_root);
}

#[test]
fn every_build_in_its_own_place_is_reported_and_kept() {
    GENERATIONS.into_iter().for_each(in_its_own_place);
}

#[test]
fn every_build_of_the_daemon_is_reported() {
    GENERATIONS.into_iter().for_each(through_the_daemon);
}

#[test]
fn a_build_never_fails_for_want_of_a_spool() {
    GENERATIONS.into_iter().for_each(without_a_spool);
}
