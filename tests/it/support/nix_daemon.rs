//! A real Nix daemon with a store of its own: started, built with, collected, stopped.

use crate::support::nix::{Machine, is_listening};
use countersign::format::{StoreDir, StorePath};
use countersign::store::{Store, StoreAddress};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// A daemon, its machine, and the store that it serves. Logical paths lie in `/nix/store`, files below the
/// machine's directory.
pub struct NixDaemon {
    process: Child,
    pub machine: Machine,
}

/// The function that every expression of a test may use: a derivation whose builder is a line of shell.
///
/// `extra` goes into the derivation; the builder ends as Nix 2.8 wants it, in a builtin.
const PRELUDE: &str = r#"
let
  shell = name: script: extra: derivation ({
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" "set -e\n${script}\nexit 0" ];
  } // extra);
in
"#;

impl NixDaemon {
    pub fn start(generation: &'static str) -> Self {
        Self::start_with(generation, "")
    }

    /// With further lines of nix.conf, such as a `post-build-hook`.
    pub fn start_with(generation: &'static str, conf: &str) -> Self {
        let machine = Machine::new(generation);
        let written = std::fs::read_to_string(machine.dir.join("nix.conf")).unwrap();
        machine.dir.write("nix.conf", format!("{written}{conf}\n"));
        // Two connections at once must not both be the first to open the store.
        machine.ok("nix-store", &["--init"]);
        let process = Self::spawn(&machine);
        let daemon = Self { process, machine };
        daemon.wait_until_it_answers();
        daemon
    }

    fn spawn(machine: &Machine) -> Child {
        let log = std::fs::File::create(machine.dir.join("daemon.log")).unwrap();
        machine
            .command("nix-daemon")
            .args(["--store", &machine.store()])
            .env("NIX_DAEMON_SOCKET_PATH", machine.dir.join("socket"))
            // What failed builds leave goes with the machine.
            .env("TMPDIR", machine.dir.path())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    fn wait_until_it_answers(&self) {
        for _ in 0..3000 {
            if is_listening(&self.socket()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let log = std::fs::read_to_string(self.machine.dir.join("daemon.log")).unwrap();
        panic!("the daemon does not answer:\n{log}");
    }

    /// Ends the daemon. Connections that are open are served on by processes of their own.
    pub fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Ends the processes that serve open connections, as a crash of theirs would.
    pub fn end_connections(&self) {
        let started = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{started}/task/{started}/children")).unwrap();
        let ended = children.split_whitespace().filter(|child| {
            let child = rustix::process::Pid::from_raw(child.parse().unwrap()).unwrap();
            // One whose client has left may be gone by itself meanwhile.
            rustix::process::kill_process(child, rustix::process::Signal::KILL).is_ok()
        });
        assert!(ended.count() > 0, "nobody is connected");
    }

    /// Starts it again after [`Self::stop`], with the same store.
    pub fn start_again(&mut self) {
        std::fs::remove_file(self.socket()).unwrap_or_default();
        self.process = Self::spawn(&self.machine);
        self.wait_until_it_answers();
    }

    pub fn socket(&self) -> PathBuf {
        self.machine.dir.join("socket")
    }

    /// The store's address, as `NIX_REMOTE` says it.
    pub fn remote(&self) -> String {
        format!("unix://{}?root={}", self.socket().display(), self.machine.store())
    }

    pub fn address(&self) -> StoreAddress {
        let address = StoreAddress::from_environment(|name| {
            Some(self.remote()).filter(|_| name == "NIX_REMOTE").map(Into::into)
        });
        address.unwrap()
    }

    pub fn connect(&self) -> Store {
        Store::connect(&self.address(), StoreDir::default(), Store::PATIENCE).unwrap()
    }

    /// Where a path's files lie.
    pub fn physical(&self, path: &StorePath) -> PathBuf {
        self.address().physical(&StoreDir::default(), path)
    }

    /// A command of this Nix that goes through the daemon; standard input is empty.
    pub fn command(&self, command: &str) -> Command {
        let mut command = self.machine.command(command);
        command.env("NIX_REMOTE", self.remote());
        command
    }

    /// Runs a command that must succeed; gives what it printed.
    pub fn ok(&self, command: &str, arguments: &[&str]) -> String {
        String::from_utf8(self.ok_bytes(command, arguments)).unwrap()
    }

    /// The same for output that is no text.
    pub fn ok_bytes(&self, command: &str, arguments: &[&str]) -> Vec<u8> {
        let Output { status, stdout, stderr } = self.command(command).args(arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{command} {arguments:?}: {status}\n{stderr}");
        stdout
    }

    /// Makes the derivations that an expression stands for, without building; their paths.
    ///
    /// The expression may use `shell NAME SCRIPT ATTRIBUTES`.
    pub fn instantiate(&self, expression: &str) -> Vec<StorePath> {
        let file = self.machine.dir.write("expression.nix", format!("{PRELUDE}{expression}"));
        // Each line may name an output behind an exclamation mark.
        paths(&self.ok("nix-instantiate", &[file.to_str().unwrap()]))
    }

    /// Builds what an expression stands for; the paths that came out.
    pub fn build(&self, expression: &str) -> Vec<StorePath> {
        let file = self.machine.dir.write("expression.nix", format!("{PRELUDE}{expression}"));
        paths(&self.ok("nix-build", &["--no-out-link", file.to_str().unwrap()]))
    }

    /// The output `out` of an expression that has no other.
    pub fn build_one(&self, expression: &str) -> StorePath {
        let mut built = self.build(expression);
        assert_eq!(built.len(), 1, "{built:?}");
        built.remove(0)
    }

    /// Adds a file that holds these bytes.
    pub fn add(&self, name: &str, contents: &[u8]) -> StorePath {
        let file = self.machine.dir.write(&format!("added/{name}"), contents);
        paths(&self.ok("nix-store", &["--add", file.to_str().unwrap()])).remove(0)
    }

    pub fn is_valid(&self, path: &StorePath) -> bool {
        let path = full(path);
        self.command("nix-store").args(["--check-validity", &path]).output().unwrap().status.success()
    }

    /// One answer of `nix-store --query`.
    pub fn query(&self, what: &str, path: &StorePath) -> String {
        self.ok("nix-store", &["--query", what, &full(path)]).trim_end().to_owned()
    }

    /// The NAR of a path, as Nix writes it.
    pub fn dump(&self, path: &StorePath) -> Vec<u8> {
        self.ok_bytes("nix-store", &["--dump", self.physical(path).to_str().unwrap()])
    }

    /// Collects all garbage.
    pub fn gc(&self) {
        self.ok("nix-store", &["--gc"]);
    }
}

impl Drop for NixDaemon {
    fn drop(&mut self) {
        // A test that fails leaves no process behind.
        self.process.kill().unwrap_or_default();
        self.process.wait().map(drop).unwrap_or_default();
    }
}

/// A path in full.
pub fn full(path: &StorePath) -> String {
    path.to_absolute_path(&StoreDir::default())
}

/// Store paths, one a line, each possibly followed by `!OUTPUT`.
pub fn paths(text: &str) -> Vec<StorePath> {
    let line = |line: &str| line.split('!').next().unwrap().to_owned();
    text.lines().map(|l| StorePath::from_absolute_path(&StoreDir::default(), &line(l)).unwrap()).collect()
}
