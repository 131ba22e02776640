//! What systemd has to do with us: notifications, the watchdog, secrets that it hands over, the key for nix.conf.

use crate::support::daemon::{Daemon, countersign};
use crate::support::dirs::Dir;
use countersign::format::{KeyName, SigningKey};
use countersign::state::write_new_secret_key;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// What listens on `$NOTIFY_SOCKET`.
struct Manager(UnixDatagram, String);

impl Manager {
    fn at(path: &Path) -> Self {
        Self(UnixDatagram::bind(path).unwrap(), path.display().to_string())
    }

    /// In the abstract namespace, as containers have it.
    fn abstract_one(name: &str) -> Self {
        let address = SocketAddr::from_abstract_name(name).unwrap();
        Self(UnixDatagram::bind_addr(&address).unwrap(), format!("@{name}"))
    }

    /// The next notification.
    fn next(&self) -> String {
        self.0.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut bytes = [0; 4096];
        let length = self.0.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    /// The next that is not a sign of life.
    fn word(&self) -> String {
        loop {
            let word = self.next();
            if word.trim() != "WATCHDOG=1" {
                return word;
            }
        }
    }

    /// How many are there now.
    fn waiting(&self) -> Vec<String> {
        self.0.set_nonblocking(true).unwrap();
        let mut bytes = [0; 4096];
        let mut words = Vec::new();
        while let Ok(length) = self.0.recv(&mut bytes) {
            words.push(String::from_utf8(bytes[..length].to_vec()).unwrap());
        }
        self.0.set_nonblocking(false).unwrap();
        words
    }
}

const LOCAL: &str = "listen = [\"127.0.0.1:0\"]\n";

#[test]
fn serve_tells_the_service_manager_how_it_is() {
    let dir = Dir::new();
    let config = dir.write("c.toml", LOCAL);
    let name = format!("countersign-test-{}", std::process::id());
    for manager in [Manager::at(&dir.join("notify")), Manager::abstract_one(&name)] {
        dir.write("c.toml", LOCAL);
        let mut command = countersign(&dir, &["serve", "--config", config.to_str().unwrap()]);
        command.env("NOTIFY_SOCKET", &manager.1);
        let daemon = Daemon::start_as(command);
        let ready = manager.next();
        let status = format!("STATUS=enforcing, listening on http://127.0.0.1:{}", daemon.port);
        assert_eq!(ready.lines().collect::<Vec<_>>(), ["READY=1", &status]);

        dir.write("c.toml", "nonsense = 1\n");
        daemon.signal("-HUP");
        let reloading = manager.next();
        let lines: Vec<_> = reloading.lines().collect();
        assert_eq!(lines[0], "RELOADING=1");
        // As systemd compares it: with the clock that it has itself.
        assert!(lines[1].strip_prefix("MONOTONIC_USEC=").unwrap().parse::<u64>().unwrap() > 0);
        let kept = manager.next();
        assert!(kept.starts_with("READY=1\n") && kept.contains("is not in force"), "{kept}");

        dir.write("c.toml", format!("mode = \"observe\"\n{LOCAL}"));
        daemon.signal("-HUP");
        assert!(manager.next().starts_with("RELOADING=1"));
        let taken = manager.next();
        assert!(taken.contains("STATUS=observing only") && !taken.contains("not in force"), "{taken}");
        assert_eq!(daemon.stop(), Some(0));
        assert!(manager.next().starts_with("STOPPING=1"));
        assert_eq!(manager.waiting(), [] as [&str; 0], "no watchdog was asked for");
    }
}

/// A service whose port is dead does not tell the watchdog that it lives, although the process does.
#[test]
fn the_watchdog_hangs_on_an_answer() {
    let dir = Dir::new();
    let config = dir.write("c.toml", LOCAL);
    let manager = Manager::at(&dir.join("notify"));
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let program = countersign(&dir, &["serve", "--config", config.to_str().unwrap()]);
    let mut command = Command::new("/bin/sh");
    let start = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 WATCHDOG_PID=$$ exec \"$0\" \"$@\"";
    command.args(["-c", start]).arg(program.get_program()).args(program.get_args()).env_clear();
    command.env("HOME", dir.path()).env("NOTIFY_SOCKET", &manager.1).env("WATCHDOG_USEC", "900000");
    let mut daemon = Daemon::start_as({
        command.stdin(Stdio::from(OwnedFd::from(socket.try_clone().unwrap())));
        command
    });
    assert!(manager.next().starts_with("READY=1"));
    for _ in 0..3 {
        assert_eq!(manager.next().trim(), "WATCHDOG=1");
    }
    // The socket is one, whoever holds it: from here on nothing can be accepted.
    rustix::net::shutdown(&socket, rustix::net::Shutdown::Both).unwrap();
    // What was under way may still be said.
    std::thread::sleep(Duration::from_millis(600));
    manager.waiting();
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(manager.waiting(), [] as [&str; 0], "five chances to say that it lives");
    daemon.wait_for("does not answer itself");
    daemon.signal("-KILL");
}

/// The watchdog of another process is none of ours.
#[test]
fn the_watchdog_of_another_process_is_not_fed() {
    let dir = Dir::new();
    let config = dir.write("c.toml", LOCAL);
    let manager = Manager::at(&dir.join("notify"));
    let mut command = countersign(&dir, &["serve", "--config", config.to_str().unwrap()]);
    command.env("NOTIFY_SOCKET", &manager.1).env("WATCHDOG_USEC", "3000").env("WATCHDOG_PID", "1");
    let daemon = Daemon::start_as(command);
    assert!(manager.next().starts_with("READY=1"));
    assert_eq!(daemon.stop(), Some(0));
    assert!(manager.next().starts_with("STOPPING=1"));
}

/// An uploader for a destination, with the key that systemd hands over.
fn uploader(dir: &Dir, environment: &[(&str, &str)]) -> Command {
    let credentials = dir.join("credentials");
    std::fs::create_dir_all(&credentials).unwrap();
    std::fs::create_dir_all(dir.join("cache")).unwrap();
    let file = credentials.join("acme-1");
    if !file.exists() {
        write_new_secret_key(&file, &SigningKey::from_seed(KeyName::parse("acme-1").unwrap(), &[7; 32]))
            .unwrap();
    }
    // As it looks with an entry for the unit's user in its ACL.
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o440)).unwrap();
    let at = dir.path().display();
    let text = format!(
        "{LOCAL}[upload]\nsigning-key-files = [\"{}\"]\nspool-directory = \"{at}/spool\"\n[destinations.here]\n\
         url = \"file://{at}/cache\"\npackages = [\"*\"]\n",
        file.display()
    );
    let config = dir.write("c.toml", text);
    let mut command = countersign(dir, &["upload", "--config", config.to_str().unwrap()]);
    command.envs(environment.iter().copied()).stderr(Stdio::piped()).stdout(Stdio::null());
    command
}

fn ended(child: Child) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn the_uploader_tells_the_service_manager_how_it_is() {
    let dir = Dir::new();
    let manager = Manager::at(&dir.join("notify"));
    let credentials = dir.join("credentials").display().to_string();
    let environment = [
        ("NOTIFY_SOCKET", manager.1.as_str()),
        ("WATCHDOG_USEC", "600000"),
        ("CREDENTIALS_DIRECTORY", &credentials),
    ];
    let child = uploader(&dir, &environment).spawn().unwrap();
    assert_eq!(manager.next().lines().collect::<Vec<_>>(), ["READY=1", "STATUS=uploading to here"]);
    for _ in 0..3 {
        assert_eq!(manager.next().trim(), "WATCHDOG=1");
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert!(manager.word().starts_with("STOPPING=1"));
    assert_eq!(ended(child).0, Some(0));
}

/// A secret that the group may read is taken from systemd, and from nowhere else; one that all may read, never.
#[test]
fn secrets_that_systemd_hands_over_are_read() {
    let dir = Dir::new();
    let (code, said) = ended(uploader(&dir, &[]).spawn().unwrap());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("mode 0440"), "{said}");
    let elsewhere = dir.path().display().to_string();
    let (code, said) = ended(uploader(&dir, &[("CREDENTIALS_DIRECTORY", &elsewhere)]).spawn().unwrap());
    assert!(code == Some(2) && said.contains("mode 0440"), "{said}");
    let credentials = dir.join("credentials");
    let mut command = uploader(&dir, &[("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap())]);
    std::fs::set_permissions(credentials.join("acme-1"), PermissionsExt::from_mode(0o444)).unwrap();
    let (code, said) = ended(command.spawn().unwrap());
    assert!(code == Some(2) && said.contains("mode 0444"), "{said}");
}

/// `serve` leaves uploading to a unit where it is told to.
#[test]
fn serve_starts_no_uploader_where_a_unit_is_one() {
    let dir = Dir::new();
    drop(uploader(&dir, &[]));
    // A key that an uploader would take.
    std::fs::set_permissions(dir.join("credentials/acme-1"), PermissionsExt::from_mode(0o600)).unwrap();
    let config = dir.join("c.toml");
    let lock = dir.join(".local/state/countersign/upload.lock");
    for (more, uploads) in [(&["--without-upload"][..], false), (&[], true)] {
        let arguments = [&["serve", "--config", config.to_str().unwrap()], more].concat();
        let mut daemon = Daemon::start_as(countersign(&dir, &arguments));
        daemon.signal("-HUP");
        daemon.wait_for("reloaded the configuration");
        if uploads {
            daemon.wait_for("uploading");
        } else {
            // As long as an uploader takes to start, several times over.
            std::thread::sleep(Duration::from_secs(1));
        }
        assert_eq!(lock.exists(), uploads);
        assert_eq!(daemon.stop(), Some(0));
    }
}

/// The file that nix.conf includes: made, left alone, made again after a rotation; and what stands against it is said.
#[test]
fn nix_conf_is_told_the_key_and_looked_at() {
    let dir = Dir::new();
    let config = dir.write("c.toml", "listen = [\"127.0.0.1:8419\"]\n");
    let (config, include) = (config.to_str().unwrap(), dir.join("include.conf"));
    let path = include.to_str().unwrap();
    let first = "trusted-public-keys = other-1:AAAA\nextra-trusted-public-keys = more-1:AAAA\n";
    let conf = |text: &str| dir.write("nix.conf", text).display().to_string();
    let run = |arguments: &[&str]| {
        let output = countersign(&dir, arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let tell = |nix_conf: &str, more: &[&str]| {
        run(&[&["key", "include", path, "--config", config, "--nix-conf", nix_conf], more].concat())
    };
    let good = conf(&format!("{first}!include {path}\n"));
    let (code, _, said) = tell(&good, &[]);
    assert!(code == Some(3) && said.contains("does not exist yet"), "{said}");
    assert!(!include.exists());

    // The first start makes the key, and a rotation another.
    let key = run(&["key", "rotate", "--config", config]).1;
    assert_eq!(tell(&good, &[]), (Some(0), "changed\n".to_owned(), String::new()));
    let text = std::fs::read_to_string(&include).unwrap();
    assert!(
        text.contains(&format!("substituters = http://127.0.0.1:8419\ntrusted-public-keys = {key}")),
        "{text}"
    );
    assert_eq!(include.metadata().unwrap().mode() & 0o777, 0o644);
    assert_eq!(tell(&good, &[]).1, "unchanged\n");
    let next = run(&["key", "rotate", "--config", config]).1;
    assert_eq!(tell(&good, &[]).1, "changed\n");
    let text = std::fs::read_to_string(&include).unwrap();
    assert!(text.contains(next.trim()) && !text.contains(key.trim()), "{text}");

    for (nix_conf, complaint) in [
        (first.to_owned(), "does not trust countersign-machine-"),
        (format!("!include {path}\n{first}"), "does not trust countersign-machine-"),
        (format!("!include {path}\nextra-trusted-public-keys = more-1:AAAA\n"), "trusts more-1:AAAA too"),
        (format!("!include {path}\nrequire-sigs = false\n"), "turns require-sigs off"),
    ] {
        let (code, _, said) = tell(&conf(&nix_conf), &[]);
        assert!(code == Some(1) && said.contains(complaint), "{nix_conf}\n{said}");
    }
    // Beside others it is enough to be trusted.
    let good = conf(&format!("{first}!include {path}\n"));
    assert_eq!(tell(&good, &["--beside"]), (Some(0), "changed\n".to_owned(), String::new()));
    let text = std::fs::read_to_string(&include).unwrap();
    assert!(
        text.contains(
            "extra-substituters = http://127.0.0.1:8419\nextra-trusted-public-keys = countersign-m"
        )
    );
    assert_eq!(tell(&conf(first), &["--beside"]).0, Some(1));
    // As it is while observing, unless something else is asked for.
    dir.write("c.toml", "mode = \"observe\"\nlisten = [\"127.0.0.1:8419\"]\n");
    let good = conf(&format!("{first}!include {path}\n"));
    run(&["key", "rotate", "--config", config]);
    assert_eq!(tell(&good, &[]), (Some(0), "changed\n".to_owned(), String::new()));
    let text = std::fs::read_to_string(&include).unwrap();
    assert!(text.contains("\nextra-trusted-public-keys = countersign-observe-"), "{text}");
    assert_eq!(tell(&good, &["--alone"]).1, "changed\n");
    assert!(
        std::fs::read_to_string(&include).unwrap().contains("\ntrusted-public-keys = countersign-observe-")
    );
}

/// What root reads out of the service's directory may have been put there by a service that was taken over.
#[test]
fn a_public_key_that_is_none_is_not_believed() {
    let dir = Dir::new();
    let config = dir.write("c.toml", "listen = [\"127.0.0.1:8419\"]\n");
    let public = dir.join(".local/state/countersign/machine.pub");
    let include = dir.join("include.conf");
    let tell = || {
        let mut command = countersign(&dir, &["key", "include", include.to_str().unwrap()]);
        let output = command.args(["--config", config.to_str().unwrap()]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    dir.write(".local/state/countersign/machine.pub", "a-1:AAAA\npost-build-hook = /tmp/evil\n");
    assert_eq!(tell().0, Some(3));
    let secret = dir.write("secret", "top secret\n");
    let (secret, public) = (secret.to_str().unwrap(), public.to_str().unwrap());
    for make in [&["mkfifo", public][..], &["ln", "-s", secret, public], &["ln", "-s", "/dev/zero", public]] {
        std::fs::remove_file(public).unwrap();
        assert!(Command::new(make[0]).args(&make[1..]).status().unwrap().success());
        let (code, said) = tell();
        assert!(code == Some(3) && !said.contains("top secret"), "{said}");
    }
    assert!(!include.exists());
}

/// A key that root rotates is still the service's to read.
#[test]
fn what_is_rotated_belongs_to_the_owner_of_the_directory() {
    let dir = Dir::new();
    let config = dir.write("c.toml", LOCAL);
    let state = dir.join(".local/state/countersign");
    std::fs::create_dir_all(&state).unwrap();
    // Another user, where this one may give files away.
    std::os::unix::fs::chown(&state, Some(12345), Some(12346)).unwrap_or_default();
    let owner = |path: &Path| (path.metadata().unwrap().uid(), path.metadata().unwrap().gid());
    for _ in 0..2 {
        let mut command = countersign(&dir, &["key", "rotate", "--config", config.to_str().unwrap()]);
        assert!(command.output().unwrap().status.success());
    }
    for name in ["machine.sec", "machine.pub", "retired.pub"] {
        assert_eq!(owner(&state.join(name)), owner(&state), "{name}");
    }
    assert_eq!(state.join("machine.sec").metadata().unwrap().mode() & 0o777, 0o600);
}
