//! A machine that builds and uploads: a real Nix daemon, a configuration with destinations, and the uploader as a
//! process of its own.

use crate::support::daemon::countersign;
use crate::support::dirs::Dir;
use crate::support::nix_daemon::NixDaemon;
use countersign::format::{KeyName, SigningKey, StorePath, VerifyingKey};
use countersign::state::write_new_secret_key;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A machine that builds and uploads.
pub struct Uploads {
    pub daemon: NixDaemon,
    pub dir: Dir,
    key: VerifyingKey,
    config: PathBuf,
}

/// A running uploader; killed when dropped.
pub struct Uploader(Child);

impl Uploads {
    /// With these destinations, as the configuration has them; `DIR` in them stands for the machine's directory.
    pub fn new(generation: &'static str, destinations: &str) -> Self {
        Self::with(NixDaemon::start(generation), Dir::new(), "", destinations)
    }

    /// The same with further lines of `[upload]` and an own daemon.
    pub fn with(daemon: NixDaemon, dir: Dir, upload: &str, destinations: &str) -> Self {
        let key = SigningKey::from_seed(KeyName::parse("acme-1").unwrap(), &SEED);
        let file = dir.join("acme-1.sec");
        write_new_secret_key(&file, &key).unwrap();
        let uploads = Self { daemon, key: key.verifying_key(), config: dir.join("config.toml"), dir };
        uploads.configure("", upload, destinations);
        uploads
    }

    /// Writes the configuration: sections before, lines of `[upload]`, destinations.
    pub fn configure(&self, sections: &str, upload: &str, destinations: &str) {
        let dir = self.dir.path().display();
        let sections = if sections.is_empty() {
            format!(
                "[signers.acme]\nkeys = [\"{}\"]\n[caches.none]\nurl = \"http://127.0.0.1:1\"\n\
                 [[rules]]\nname = \"all\"\nsignatures = [{{ at-least = 1, of = [\"acme\"] }}]\n",
                self.key
            )
        } else {
            sections.to_owned()
        };
        let text = format!(
            "state-directory = \"{dir}/state\"\nlisten = [\"127.0.0.1:0\"]\n{sections}\n[upload]\n\
             signing-key-files = [\"{dir}/acme-1.sec\"]\nspool-directory = \"{dir}/spool\"\n{upload}\n{destinations}\n"
        );
        std::fs::write(&self.config, text.replace("DIR", &dir.to_string())).unwrap();
    }

    /// The public half of the key that signs.
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// A command of the program under this machine's configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = countersign(&self.dir, arguments);
        command.env("COUNTERSIGN_CONFIG", &self.config).env("NIX_REMOTE", self.daemon.remote());
        command
    }

    /// Its exit code, and what it printed on standard output and standard error.
    pub fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (status.code(), text(stdout), text(stderr))
    }

    /// Runs a command that must succeed.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let (code, stdout, stderr) = self.run(arguments);
        assert_eq!(code, Some(0), "{arguments:?}:\n{stdout}\n{stderr}\n{}", self.log());
        stdout
    }

    /// Starts the uploader.
    pub fn start(&self) -> Uploader {
        self.start_with(&[])
    }

    /// The same with variables in its environment; it has begun when this returns, or ended.
    pub fn start_with(&self, environment: &[(&str, &str)]) -> Uploader {
        let log =
            std::fs::OpenOptions::new().append(true).create(true).open(self.dir.join("upload.log")).unwrap();
        let mut command = self.command(&["upload"]);
        command.env("RUST_LOG", "debug").envs(environment.iter().copied());
        let mut uploader = Uploader(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        // Until then a command would upload by itself, with what it has in its own environment.
        let began = Instant::now();
        while !has_lock(uploader.id(), &self.state()) && uploader.try_wait().is_none() {
            assert!(began.elapsed() < Duration::from_secs(60), "it does not begin: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        uploader
    }

    /// What the uploader has said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("upload.log")).unwrap_or_default()
    }

    /// Waits until everything is uploaded.
    pub fn wait(&self) {
        let (code, _, stderr) = self.run(&["queue", "wait", "--timeout", "120s"]);
        assert_eq!(code, Some(0), "{stderr}\n{}\n{}", self.ok(&["queue", "list", "--all"]), self.log());
    }

    /// `queue list --all --json`, parsed.
    pub fn queue(&self) -> serde_json::Value {
        serde_json::from_str(&self.ok(&["queue", "list", "--all", "--json"])).unwrap()
    }

    /// The state of a path at a destination, and what is wrong with it.
    pub fn state_of(&self, destination: &str, path: &StorePath) -> Option<(String, String)> {
        let queue = self.queue();
        let entries = queue["entries"].as_array().unwrap();
        let name = path.to_string();
        let entry = entries.iter().find(|e| e["path"] == *name && e["destination"] == *destination)?;
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        Some((text("state"), text("trouble")))
    }

    /// Waits until the queue is as it should be.
    pub fn wait_for(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !is_so(self) {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "never came to pass: {what}\n{}\n{}",
                self.ok(&["queue", "list", "--all"]),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Uploader {
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// How it ended, if it did, by itself or by a crash.
    pub fn try_wait(&mut self) -> Option<std::process::ExitStatus> {
        self.0.try_wait().unwrap()
    }

    /// SIGTERM; its exit code.
    pub fn stop(mut self) -> Option<i32> {
        assert!(Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap().success());
        self.0.wait().unwrap().code()
    }
}

impl Drop for Uploader {
    fn drop(&mut self) {
        self.0.kill().unwrap_or_default();
        self.0.wait().map(drop).unwrap_or_default();
    }
}

/// Whether a process holds the lock of a state directory, as the kernel tells it (proc_locks(5)): who tries the lock
/// instead has it for an instant, and whatever another thread starts just then has it too.
fn has_lock(process: u32, state: &Path) -> bool {
    let Ok(lock) = std::fs::metadata(state.join("upload.lock")) else { return false };
    let (process, inode) = (format!(" {process} "), format!(":{} ", lock.ino()));
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    locks.lines().any(|line| line.contains("FLOCK") && line.contains(&process) && line.contains(&inode))
}

/// A machine whose daemon calls the hook, as nix.conf has it.
pub fn hooked(generation: &'static str, destinations: &str) -> Uploads {
    let dir = Dir::new();
    let hook = dir.join("hook");
    let daemon = NixDaemon::start_with(generation, &format!("post-build-hook = {}", hook.display()));
    // The daemon's store is not where the system has its own, so the hook is told.
    let script = format!(
        "#!/bin/sh\nNIX_STATE_DIR={}/nix/var/nix COUNTERSIGN_SPOOL={}/spool exec {}\n",
        daemon.machine.store(),
        dir.path().display(),
        env!("CARGO_BIN_EXE_countersign-hook")
    );
    dir.write("hook", script);
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    // As a package makes it.
    countersign::spool::Spool::create(&dir.join("spool")).unwrap();
    Uploads::with(daemon, dir, "", destinations)
}

/// The narinfo of a path in a directory that was published to, if it is there.
pub fn narinfo(cache: &Path, path: &StorePath) -> Option<String> {
    std::fs::read_to_string(cache.join(format!("{}.narinfo", path.hash_part()))).ok()
}

/// An expression of a chain of `length` packages, in order: each refers to the one before, and has about `size`
/// bytes of its own.
pub fn chain(length: usize, size: usize) -> String {
    let mut text = String::from("rec {\n");
    for n in 0..length {
        let before = if n == 0 { String::new() } else { format!("${{p{:03}}}", n - 1) };
        text.push_str(&format!(
            "p{n:03} = shell \"acme-p{n}\" \"echo {before} > $out; printf '%0{size}d' {n} >> $out\" {{}};\n"
        ));
    }
    text + "}\n"
}

/// The seed of the key that signs in these tests.
pub const SEED: [u8; 32] = [
    229, 22, 197, 38, 130, 100, 185, 107, 151, 146, 141, 158, 116, 14, 229, 241, 239, 200, 20, 9, 221, 14,
    222, 217, 58, 152, 83, 235, 240, 255, 69, 234,
];
