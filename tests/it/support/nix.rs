//! Real Nix in three versions, real caches behind nginx, and the closure that they serve.
//!
//! `tests/nix/README.md` says what is behind it.

use crate::support::dirs::Dir;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

/// The versions that every end-to-end test runs with.
pub const GENERATIONS: [&str; 3] = ["2.8", "2.26", "2.34"];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A machine with Nix: its own home, caches, configuration and store.
pub struct Machine {
    generation: &'static str,
    pub dir: Dir,
}

impl Machine {
    pub fn new(generation: &'static str) -> Self {
        let dir = Dir::new();
        let busybox = repository().join("target/nix/busybox");
        dir.write(
            "nix.conf",
            format!(
                "build-users-group =\nsandbox = false\nsandbox-paths = /bin/sh={}\nsubstituters =\n\
                 experimental-features = nix-command\nnarinfo-cache-negative-ttl = 0\n\
                 narinfo-cache-positive-ttl = 300\n",
                busybox.display()
            ),
        );
        Self { generation, dir }
    }

    pub fn store(&self) -> String {
        self.dir.join("store").display().to_string()
    }

    /// A command of this Nix, in an environment of the machine's own, on its store.
    pub fn command(&self, command: &str) -> Command {
        let program = repository().join("target/nix").join(self.generation).join("bin").join(command);
        assert!(program.exists(), "{} is missing: run tests/install", program.display());
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.dir.join("home"))
            .env("XDG_CACHE_HOME", self.dir.join("cache"))
            .env("NIX_CONF_DIR", self.dir.path())
            .env("NIX_REMOTE", self.store())
            .env("TMPDIR", std::env::temp_dir())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, command: &str, arguments: &[&str]) -> Output {
        self.command(command).args(arguments).output().unwrap()
    }

    /// Runs a command that must succeed; gives what it printed.
    pub fn ok(&self, command: &str, arguments: &[&str]) -> String {
        let output = self.run(command, arguments);
        assert!(
            output.status.success(),
            "Nix {} {command} {arguments:?}: {}\n{}",
            self.generation,
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Whether a path is valid in the machine's store.
    pub fn has(&self, path: &str) -> bool {
        self.run("nix-store", &["--store", &self.store(), "--check-validity", path]).status.success()
    }

    /// The signatures of each path of a closure.
    pub fn signatures(&self, top: &str) -> Vec<(String, String)> {
        let text = self.ok("nix", &["path-info", "--store", &self.store(), "--sigs", "-r", top]);
        text.lines()
            .map(|line| {
                let (path, signatures) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
                (path.to_owned(), signatures.to_owned())
            })
            .collect()
    }
}

/// The closure of `tests/nix/closure`, made once.
pub struct Closure {
    pub dir: PathBuf,
}

impl Closure {
    /// 100 paths, 20 MB: signed by `one-1` in `xz`, by `two-1` in `zstd`.
    pub fn get() -> &'static Self {
        static CLOSURE: OnceLock<Closure> = OnceLock::new();
        CLOSURE.get_or_init(|| {
            let dir = repository().join("target/fixtures/closure-100");
            fs::create_dir_all(dir.parent().unwrap()).unwrap();
            let made =
                Command::new(repository().join("tests/nix/closure")).arg(&dir).args(["100", "20"]).output();
            let made = made.unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            Self { dir }
        })
    }

    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.dir.join(file)).unwrap().trim_end().to_owned()
    }

    pub fn top(&self) -> String {
        self.read("top")
    }

    pub fn leaf(&self) -> String {
        self.read("leaf")
    }

    pub fn paths(&self) -> Vec<String> {
        self.read("paths").lines().map(str::to_owned).collect()
    }
}

/// The hash part of a store path.
pub fn hash_part(path: &str) -> &str {
    &path["/nix/store/".len().."/nix/store/".len() + 32]
}

/// nginx serving folders, each on a port of its own.
pub struct Nginx {
    process: Child,
    pub ports: Vec<u16>,
    _dir: Dir,
}

impl Nginx {
    pub fn serve(roots: &[&Path]) -> Self {
        Self::start(roots, "")
    }

    /// The same, taking PUT as well.
    pub fn take_uploads(root: &Path) -> Self {
        let uploads =
            "client_max_body_size 0; dav_methods PUT; create_full_put_path on; dav_access user:rw all:r;";
        Self::start(&[root], uploads)
    }

    fn start(roots: &[&Path], more: &str) -> Self {
        let dir = Dir::new();
        // The ports are free when nginx starts, barring a stranger in between.
        let ports: Vec<u16> = roots
            .iter()
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .map(|listener| listener.local_addr().unwrap().port())
            .collect();
        let servers: String = roots
            .iter()
            .zip(&ports)
            .map(|(root, port)| {
                format!("server {{ listen 127.0.0.1:{port}; root \"{}\"; {more} }}\n", root.display())
            })
            .collect();
        let at = dir.path().display();
        let text = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\n\
             events {{ worker_connections 512; }}\nhttp {{ access_log off; sendfile on; keepalive_requests 100000;\n\
             client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;\n\
             uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n{servers}}}\n"
        );
        let conf = dir.write("nginx.conf", text);
        let program = repository().join("target/nix/2.34/bin/nginx");
        let process = Command::new(program)
            .arg("-p")
            .arg(dir.path())
            .arg("-c")
            .arg(conf)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for port in &ports {
            for _ in 0..200 {
                if std::net::TcpStream::connect(("127.0.0.1", *port)).is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
        Self { process, ports, _dir: dir }
    }

    pub fn url(&self, index: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[index])
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGQUIT would wait for keep-alive connections.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
