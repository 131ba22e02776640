//! A restart behind a socket that somebody else holds, as systemd does: no connection is dropped.

use super::Kept;
use crate::support::client::parse;
use crate::support::daemon::{Daemon, countersign};
use crate::support::dirs::Dir;
use crate::support::scene::{RULE, Scene};
use crate::support::service::{caches, signers};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Starts `serve` with the socket as descriptor 3, as sd_listen_fds(3) has it. The standard library passes on the first
/// three only, so a shell moves it.
fn start(dir: &Dir, config: &Path, socket: &TcpListener) -> Daemon {
    let program = countersign(dir, &["serve", "--config", config.to_str().unwrap()]);
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\""])
        .arg(program.get_program())
        .args(program.get_args())
        .env_clear()
        .env("HOME", dir.path())
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(socket.try_clone().unwrap())));
    let mut daemon = Daemon::start_as(command);
    daemon.forget_log();
    daemon
}

/// What clients met that they should not.
#[derive(Default)]
struct Seen {
    over: AtomicBool,
    answered: AtomicUsize,
    last: AtomicUsize,
    faults: Mutex<Vec<String>>,
}

impl Seen {
    fn fault(&self, what: impl Into<String>) {
        self.faults.lock().unwrap().push(what.into());
    }

    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Acquire)
    }

    fn checked(&self, status: u16) {
        if status != 200 {
            self.fault(format!("status {status}"));
        }
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection for each request.
    fn ask_anew(&self, port: u16, path: &str) {
        while self.goes_on() {
            let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            let mut said = Vec::new();
            let asked = TcpStream::connect(("127.0.0.1", port)).and_then(|mut stream| {
                stream.set_read_timeout(Some(Duration::from_secs(60)))?;
                stream.write_all(head.as_bytes())?;
                stream.read_to_end(&mut said)
            });
            match asked {
                Ok(_) => self.checked(parse(&said).status),
                Err(error) => self.fault(format!("a new connection: {error}")),
            }
        }
    }

    /// One connection until an answer says that it is the last.
    fn ask_on(&self, port: u16, path: &str, pause: Duration) {
        while self.goes_on() {
            let mut kept = match Kept::open(port) {
                Ok(kept) => kept,
                Err(error) => {
                    self.fault(format!("opening a connection to keep: {error}"));
                    continue;
                }
            };
            while self.goes_on() {
                let Some(reply) = kept.get(path) else {
                    self.fault("a kept connection ended without an answer and without word");
                    break;
                };
                self.checked(reply.status);
                if reply.header("connection") == Some("close") {
                    self.last.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                std::thread::sleep(pause);
            }
        }
    }
}

#[test]
fn a_restart_drops_no_connection() {
    let scene = Scene::small();
    let dir = Dir::new();
    let text = format!("{}{}{RULE}", signers(&[&scene.party]), caches(&[("a", &scene.cache)]));
    let config = dir.write("c.toml", text);
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, seen, path) = (socket.local_addr().unwrap().port(), Seen::default(), scene.narinfo_path());
    let daemon = std::thread::scope(|scope| {
        let mut daemon = start(&dir, &config, &socket);
        for n in 0..3 {
            let (seen, path) = (&seen, &path);
            scope.spawn(move || seen.ask_anew(port, path));
            scope.spawn(move || seen.ask_on(port, path, Duration::from_millis(n * 20)));
        }
        for round in 0..6 {
            let before = seen.answered.load(Ordering::Relaxed);
            while seen.answered.load(Ordering::Relaxed) < before + 50 {
                std::thread::sleep(Duration::from_millis(5));
            }
            // The new one accepts while the old one drains, or starts when the old one has gone.
            if round % 2 == 0 {
                let next = start(&dir, &config, &socket);
                assert_eq!(daemon.stop(), Some(0));
                daemon = next;
            } else {
                assert_eq!(daemon.stop(), Some(0));
                daemon = start(&dir, &config, &socket);
            }
        }
        seen.over.store(true, Ordering::Release);
        daemon
    });
    assert_eq!(daemon.stop(), Some(0));
    let faults = seen.faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} of {:?}: {faults:?}", faults.len(), seen.answered);
    assert!(seen.last.into_inner() >= 6, "kept connections were told");
}
