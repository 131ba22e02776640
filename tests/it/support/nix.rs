//! Real Nix in three versions, real caches behind nginx, and the closure that they serve.
//!
//! `tests/nix/README.md` says what is behind it.

use crate::support::client;
use crate::support::dirs::Dir;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

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
        Self::with(generation, "")
    }

    /// The same with further lines in nix.conf.
    pub fn with(generation: &'static str, lines: &str) -> Self {
        let dir = Dir::new();
        let busybox = repository().join("target/nix/busybox");
        dir.write(
            "nix.conf",
            format!(
                "build-users-group =\nsandbox = false\nsandbox-paths = /bin/sh={}\nsubstituters =\n\
                 experimental-features = nix-command\nnarinfo-cache-negative-ttl = 0\n\
                 narinfo-cache-positive-ttl = 300\nfsync-metadata = false\n{lines}\n",
                busybox.display()
            ),
        );
        Self { generation, dir }
    }

    pub fn store(&self) -> String {
        self.dir.join("store").display().to_string()
    }

    /// The exact version.
    pub fn version(&self) -> String {
        let file = repository().join("target/nix").join(self.generation).join("version");
        fs::read_to_string(file).unwrap().trim_end().to_owned()
    }

    /// Runs a command to its end.
    pub fn run(&self, command: &str, arguments: &[&str]) -> Output {
        self.command(command).args(arguments).output().unwrap()
    }

    /// Runs a command to its end, whose store is a daemon's, which runs as long as the command.
    pub fn run_through_daemon(&self, command: &str, arguments: &[&str]) -> Output {
        let socket = self.dir.join("socket");
        // Two connections at once must not both be the first to open the store.
        self.ok("nix-store", &["--init"]);
        let mut daemon = self.command("nix-daemon");
        daemon.args(["--store", &self.store()]).env("NIX_DAEMON_SOCKET_PATH", &socket);
        let mut daemon = daemon.stderr(Stdio::null()).spawn().unwrap();
        while !is_listening(&socket) {
            assert_eq!(daemon.try_wait().unwrap(), None, "nix-daemon ended");
            std::thread::sleep(Duration::from_millis(10));
        }
        let remote = format!("unix://{}", socket.display());
        let output = self.command(command).args(arguments).env("NIX_REMOTE", remote).output();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        output.unwrap()
    }

    /// A command of this Nix, in an environment of the machine's own, on its store.
    pub fn command(&self, command: &str) -> Command {
        let program = repository().join("target/nix").join(self.generation).join("bin").join(command);
        assert!(program.exists(), "{} is missing: run tests/install", program.display());
        let mut started = Command::new(program);
        started
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.dir.join("home"))
            .env("XDG_CACHE_HOME", self.dir.join("cache"))
            .env("NIX_CONF_DIR", self.dir.path())
            .env("NIX_REMOTE", self.store())
            .env("NIX_STATE_DIR", self.dir.join("state"))
            .env("TMPDIR", std::env::temp_dir())
            .stdin(Stdio::null());
        started
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
        // The ports are free until we let go of them: if a stranger was faster, others are tried.
        Self::start(roots, "")
    }

    /// The same, taking PUT as well.
    pub fn take_uploads(root: &Path) -> Self {
        let uploads =
            "client_max_body_size 0; dav_methods PUT; create_full_put_path on; dav_access user:rw all:r;";
        Self::start(&[root], uploads)
    }

    fn start(roots: &[&Path], more: &str) -> Self {
        std::iter::repeat_with(|| Self::try_start(roots, more))
            .take(20)
            .flatten()
            .next()
            .expect("nginx serves")
    }

    fn try_start(roots: &[&Path], more: &str) -> Option<Self> {
        let dir = Dir::new();
        let free: Vec<TcpListener> =
            roots.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = free.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        let at = dir.path().display();
        let servers: String = roots
            .iter()
            .zip(&ports)
            .map(|(root, port)| {
                format!(
                    "server {{ listen 127.0.0.1:{port}; root \"{}\"; location = /.ours {{ return 200 \"{at}\"; }} {more} }}\n",
                    root.display()
                )
            })
            .collect();
        let text = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\n\
             events {{ worker_connections 512; }}\nhttp {{ access_log off; sendfile on; keepalive_requests 100000;\n\
             client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;\n\
             uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n{servers}}}\n"
        );
        let name = at.to_string();
        let conf = dir.write("nginx.conf", text);
        let program = repository().join("target/nix/2.34/bin/nginx");
        let mut command = Command::new(program);
        command.arg("-p").arg(dir.path()).arg("-c").arg(conf).stderr(Stdio::null());
        drop(free);
        let process = command.spawn().unwrap();
        let mut nginx = Self { process, ports, _dir: dir };
        let is_up = |nginx: &mut Self| {
            while nginx.process.try_wait().unwrap().is_none() {
                let answers: Option<Vec<String>> = nginx.ports.iter().map(|&port| answer(port)).collect();
                match answers {
                    Some(answers) => return answers.iter().all(|answer| *answer == name),
                    None => std::thread::sleep(Duration::from_millis(10)),
                }
            }
            false
        };
        is_up(&mut nginx).then_some(nginx)
    }

    pub fn url(&self, index: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[index])
    }
}

/// Whether somebody listens at a socket: asked of the kernel, since a connection would be one for the daemon.
pub(super) fn is_listening(socket: &Path) -> bool {
    let sockets = fs::read_to_string("/proc/net/unix").unwrap();
    let path = socket.display().to_string();
    // Num, RefCount, Protocol, Flags (proc(5); 0x10000 is __SO_ACCEPTCON), Type, St, Inode, Path.
    sockets.lines().any(|line| line.ends_with(&path) && line.split_whitespace().nth(3) == Some("00010000"))
}

/// Who answers at a port; `None` if nobody does yet.
fn answer(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    stream.write_all(b"GET /.ours HTTP/1.0\r\n\r\n").ok()?;
    let mut answered = Vec::new();
    stream.read_to_end(&mut answered).ok()?;
    Some(client::parse(&answered).text())
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGQUIT would wait for keep-alive connections.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
