//! A machine where everything goes through the policy: a service, a real Nix daemon, and a nix.conf that a test
//! changes.

use crate::commands::{stderr, stdout};
use crate::support::daemon::{Daemon, countersign};
use crate::support::dirs::Dir;
use crate::support::fake_cache::FakeCache;
use crate::support::nix::Machine;
use crate::support::party::{Package, Party, noise};
use crate::support::service::{caches, signers};
use serde_json::Value;
use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, SystemTime};

pub struct World {
    pub dir: Dir,
    pub machine: Machine,
    pub package: Package,
    /// What the service's configuration is.
    pub config: String,
    /// nix.conf without a fault.
    pub conf: String,
    pub port: u16,
    pub key: String,
    service: Option<Daemon>,
    daemon: Option<Child>,
    program: String,
    _cache: FakeCache,
}

impl World {
    pub fn new(generation: &'static str) -> Self {
        Self::with(generation, &[])
    }

    /// With further variables in the daemon's environment.
    pub fn with(generation: &'static str, variables: &[(&str, &str)]) -> Self {
        let dir = Dir::new();
        let party = Party::new("a-1");
        let package = Package::new("thing-1.0", &noise(1, 2000));
        let cache = FakeCache::with("xz", &[&party], &[&package]);
        let config = format!(
            "listen = [\"127.0.0.1:0\"]\n{}{}[[rules]]\nname = \"all\"\nsignatures = [{{ at-least = 1, of = [\"a-1\"] }}]\n\
             [upload]\nspool-directory = \"{}\"\n",
            signers(&[&party]),
            caches(&[("a", &cache)]),
            dir.join("spool").display()
        );
        let file = dir.write("config.toml", &config);
        let mut service = Daemon::start(&dir, file.to_str().unwrap());
        service.forget_log();
        let machine = Machine::new(generation);
        let program = machine.command("nix").get_program().to_str().unwrap().to_owned();
        let mut world = Self {
            package,
            port: service.port,
            key: String::new(),
            conf: String::new(),
            config,
            service: Some(service),
            daemon: None,
            program,
            machine,
            dir,
            _cache: cache,
        };
        world.key = stdout(&world.command(&["key", "public"]).output().unwrap()).trim_end().to_owned();
        assert!(world.key.starts_with("countersign-machine-"), "{}", world.key);
        let usual = std::fs::read_to_string(world.machine.dir.join("nix.conf")).unwrap();
        world.conf = format!(
            "{usual}\nsubstituters = http://127.0.0.1:{}\ntrusted-public-keys = {}\nrequire-sigs = true\n",
            world.port, world.key
        );
        world.conf("");
        // Two connections at once must not both be the first to open the store.
        world.machine.ok("nix-store", &["--init"]);
        let mut daemon = world.machine.command("nix-daemon");
        daemon.args(["--store", &world.machine.store()]).env("NIX_DAEMON_SOCKET_PATH", world.socket());
        daemon.env("COUNTERSIGN_SPOOL", world.dir.join("spool")).envs(variables.iter().copied());
        world.daemon = Some(daemon.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        while UnixStream::connect(world.socket()).is_err() {
            assert_eq!(world.daemon.as_mut().unwrap().try_wait().unwrap(), None, "nix-daemon ended");
            std::thread::sleep(Duration::from_millis(20));
        }
        world
    }

    /// Writes nix.conf with these lines at its end, as if the daemon had read it.
    pub fn conf(&self, lines: &str) {
        let file = self.machine.dir.write("nix.conf", format!("{}{lines}\n", self.conf));
        set_modified(&file, 0);
    }

    fn socket(&self) -> std::path::PathBuf {
        self.machine.dir.join("socket")
    }

    /// A command of ours, on this machine.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let config = self.dir.join("config.toml");
        let mut command =
            countersign(&self.dir, &[&["--config", config.to_str().unwrap()], arguments].concat());
        command.env("NIX_REMOTE", self.remote());
        command
    }

    fn remote(&self) -> String {
        format!("unix://{}?root={}", self.socket().display(), self.machine.store())
    }

    /// `doctor`, asking this machine's Nix.
    pub fn doctor(&self, arguments: &[&str]) -> Output {
        self.command(&[&["doctor", "--nix", &self.program], arguments].concat()).output().unwrap()
    }

    /// What it finds, by label and severity, with its exit status.
    pub fn found(&self) -> (Vec<String>, Option<i32>) {
        let output = self.doctor(&["--json"]);
        (labels(&output), output.status.code())
    }

    /// A command of this Nix, through the daemon.
    pub fn ok(&self, command: &str, arguments: &[&str]) -> String {
        let mut started = self.machine.command(command);
        let output = started.args(arguments).env("NIX_REMOTE", self.remote()).output().unwrap();
        assert!(output.status.success(), "{command} {arguments:?}: {}", stderr(&output));
        stdout(&output)
    }

    pub fn stop_service(&mut self) {
        assert_eq!(self.service.take().unwrap().stop(), Some(0));
    }

    pub fn stop_daemon(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    pub fn nix(&self) -> &Path {
        Path::new(&self.program)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A test that fails leaves no process behind.
        if let Some(daemon) = &mut self.daemon {
            daemon.kill().unwrap_or_default();
            daemon.wait().map(drop).unwrap_or_default();
        }
    }
}

/// Sets when a file was changed, in seconds since 1970.
pub fn set_modified(file: &Path, seconds: u64) {
    let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    File::options().append(true).open(file).unwrap().set_modified(moment).unwrap();
}

/// The answer for programs.
pub fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}\n{}", stdout(output), stderr(output));
    })
}

/// The findings of an answer: `severity label`.
pub fn labels(output: &Output) -> Vec<String> {
    let told = json(output);
    let text = |finding: &Value, part: &str| finding[part].as_str().unwrap().to_owned();
    // Shown where the test fails.
    println!("{told:#}");
    let findings = told["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|finding| format!("{} {}", text(finding, "severity"), text(finding, "label")))
        .collect()
}
