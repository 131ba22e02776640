//! The program as a user starts it: commands, signals, exit codes.

use crate::support::client::get;
use crate::support::daemon::{Daemon, countersign};
use crate::support::dirs::Dir;
use crate::support::fake_cache::{FakeCache, Script};
use crate::support::party::{Package, Party, noise};
use crate::support::proxy::Proxy;
use crate::support::service::{caches, nar_url, signers};
use crate::support::tls_cache::TlsCache;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

pub fn run(dir: &Dir, arguments: &[&str]) -> Output {
    countersign(dir, arguments).output().unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A configuration with one party and one cache.
fn one(party: &Party, cache: &FakeCache) -> String {
    format!(
        "listen = [\"127.0.0.1:0\"]\n{}{}[[rules]]\nname = \"all\"\nsignatures = [{{ at-least = 1, of = [\"a-1\"] }}]\n",
        signers(&[party]),
        caches(&[("a", cache)])
    )
}

#[test]
fn serve_starts_reloads_and_stops() {
    let (party, other) = (Party::new("a-1"), Party::new("b-1"));
    let package = Package::new("thing-1.0", &noise(1, 2000));
    let cache = FakeCache::with("xz", &[&party], &[&package]);
    let dir = Dir::new();
    let config = dir.write("c.toml", one(&party, &cache));
    let mut daemon = Daemon::start(&dir, config.to_str().unwrap());
    let path = format!("/{}.narinfo", package.hash());
    assert_eq!(get(daemon.port, &path).status, 200);

    dir.write("c.toml", one(&other, &cache).replace("b-1]", "a-1]").replace("signers.b-1", "signers.a-1"));
    daemon.signal("-HUP");
    daemon.wait_for("reloaded the configuration");
    assert_eq!(get(daemon.port, &path).status, 404, "the key is no longer a signer's");

    dir.write("c.toml", "listen = 5\n[nonsense]\n");
    daemon.signal("-HUP");
    daemon.wait_for("kept the old configuration");
    assert_eq!(get(daemon.port, "/nix-cache-info").status, 200);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn keys_are_made_once_and_for_us_alone() {
    let party = Party::new("a-1");
    let cache = FakeCache::start();
    let dir = Dir::new();
    let config = dir.write("c.toml", one(&party, &cache));
    let config = config.to_str().unwrap();
    let before = run(&dir, &["key", "public", "--config", config]);
    assert_eq!(before.status.code(), Some(3));
    assert!(stderr(&before).contains("made when `countersign serve` first starts"), "{}", stderr(&before));

    let mut daemon = Daemon::start(&dir, config);
    let said = daemon.wait_for("countersigning");
    let public = stdout(&run(&dir, &["key", "public", "--config", config]));
    assert!(public.starts_with("countersign-machine-") && public.lines().count() == 1, "{public}");
    assert!(said.contains(public.trim()), "{said}");
    let state = dir.join(".local/state/countersign");
    let secret = std::fs::read_to_string(state.join("machine.sec")).unwrap();
    assert_eq!(std::fs::metadata(state.join("machine.sec")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(daemon.stop(), Some(0));

    let again = Daemon::start(&dir, config);
    assert_eq!(stdout(&run(&dir, &["key", "public", "--config", config])), public);
    // Of port 0 nobody knows what it will be; of another, Nix is told.
    assert_eq!(run(&dir, &["key", "public", "--nix-conf", "--config", config]).status.code(), Some(2));
    let text = one(&party, &cache).replace("127.0.0.1:0", "0.0.0.0:8419");
    let elsewhere = dir.write("elsewhere.toml", text);
    let lines = run(&dir, &["key", "public", "--nix-conf", "--config", elsewhere.to_str().unwrap()]);
    let lines = stdout(&lines);
    let wanted = format!(
        "\nsubstituters = http://127.0.0.1:8419\ntrusted-public-keys = {public}require-sigs = true\n"
    );
    assert!(lines.starts_with('\n') && lines.contains(&wanted), "{lines}");
    assert_eq!(again.stop(), Some(0));

    let rotated = run(&dir, &["key", "rotate", "--config", config]);
    assert_eq!(rotated.status.code(), Some(0), "{}", stderr(&rotated));
    assert_ne!(stdout(&rotated), public);
    assert!(std::fs::read_to_string(state.join("retired.pub")).unwrap().contains(public.trim()));
    for output in [&rotated, &before] {
        assert!(!stdout(output).contains(secret.split(':').nth(1).unwrap()));
    }

    std::fs::set_permissions(state.join("machine.sec"), PermissionsExt::from_mode(0o644)).unwrap();
    let open = run(&dir, &["serve", "--config", config]);
    assert_eq!(open.status.code(), Some(3));
    assert!(stderr(&open).contains("mode 0644"), "{}", stderr(&open));
    std::fs::remove_file(state.join("machine.sec")).unwrap();
    let lost = run(&dir, &["serve", "--config", config]);
    assert_eq!(lost.status.code(), Some(3));
    assert!(stderr(&lost).contains("missing although its public half is there"), "{}", stderr(&lost));
}

#[test]
fn signing_keys_are_made_shown_and_followed() {
    let dir = Dir::new();
    let file = dir.join("acme.sec");
    let path = file.to_str().unwrap();
    let made = run(&dir, &["key", "generate", "acme-1", path]);
    assert_eq!(made.status.code(), Some(0));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(stderr(&made).contains("extra-trusted-public-keys = acme-1:"));
    assert_eq!(stdout(&run(&dir, &["key", "public", path])), stdout(&made));
    assert_eq!(
        run(&dir, &["key", "generate", "acme-1", path]).status.code(),
        Some(3),
        "it is never overwritten"
    );
    assert_eq!(run(&dir, &["key", "generate", "acme 1", path]).status.code(), Some(2));
    let next = run(&dir, &["key", "rotate", path]);
    assert!(stdout(&next).starts_with("acme-2:"), "{}", stderr(&next));
    assert!(dir.join("acme.sec.next").exists());
}

#[test]
fn the_machine_key_may_not_be_a_signer() {
    let party = Party::new("a-1");
    let cache = FakeCache::start();
    let dir = Dir::new();
    let config = dir.write("c.toml", one(&party, &cache));
    assert_eq!(Daemon::start(&dir, config.to_str().unwrap()).stop(), Some(0));
    let public = stdout(&run(&dir, &["key", "public", "--config", config.to_str().unwrap()]));
    dir.write("c.toml", one(&party, &cache).replace(&party.key(), public.trim()));
    let refused = run(&dir, &["serve", "--config", config.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(stderr(&refused).contains("it may not be a signer"), "{}", stderr(&refused));
}

#[test]
fn explain_puts_the_claims_side_by_side() {
    let (a, b) = (Party::new("a-1"), Party::new("b-1"));
    let package = Package::new("thing-1.0", &noise(1, 2000));
    let first = FakeCache::with("xz", &[&a], &[&package]);
    let second = FakeCache::with("zstd", &[&b], &[&package]);
    let dir = Dir::new();
    let text = format!(
        "{}{}[[rules]]\nname = \"both\"\nsignatures = [{{ at-least = 2, of = [\"a-1\", \"b-1\"] }}]\n",
        signers(&[&a, &b]),
        caches(&[("first", &first), ("second", &second)])
    );
    let config = dir.write("c.toml", text);
    let explain = |path: &str| run(&dir, &["explain", path, "--config", config.to_str().unwrap()]);

    let endorsed = explain(&package.path());
    assert_eq!(endorsed.status.code(), Some(0), "{}", stderr(&endorsed));
    for words in
        ["first", "second", "signed by a-1", "signed by b-1", "verdict    endorse", "rule       both"]
    {
        assert!(stdout(&endorsed).contains(words), "{words} is not in\n{}", stdout(&endorsed));
    }

    second.claim(&package, &package.forged(b"evil").narinfo("zstd", &[&b]));
    let refused = explain(&package.hash());
    assert_eq!(refused.status.code(), Some(1));
    assert!(stdout(&refused).contains("credible claims differ"), "{}", stdout(&refused));
    assert!(stdout(&refused).contains("[[exceptions]] core = { path = "), "{}", stdout(&refused));

    second.script(&format!("/{}.narinfo", package.hash()), Script::Status(500));
    assert_eq!(explain(&package.core.store_path.to_string()).status.code(), Some(3));
    assert_eq!(explain("/nix/store/nonsense").status.code(), Some(2));

    let json = run(&dir, &["explain", "--json", &package.hash(), "--config", config.to_str().unwrap()]);
    let parsed: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(parsed["verdict"], "defer");
    assert_eq!(parsed["caches"][0]["signers"][0], "a-1");
}

/// A cache behind TLS that has one package, and what `explain` makes of it under an environment.
fn explain_behind_tls(environment: impl Fn(&TlsCache) -> Vec<(&'static str, String)>) -> Output {
    let party = Party::new("a-1");
    let package = Package::new("thing-1.0", &noise(1, 2000));
    let narinfo = package.narinfo("zstd", &[&party]).into_bytes();
    let cache = TlsCache::serve(HashMap::from([(format!("/{}.narinfo", package.hash()), narinfo)]));
    let dir = Dir::new();
    let rule = "[[rules]]\nname = \"all\"\nsignatures = [{ at-least = 1, of = [\"a-1\"] }]\n";
    let text = format!("{}[caches.a]\nurl = \"{}\"\n{rule}", signers(&[&party]), cache.url());
    let config = dir.write("c.toml", text);
    let mut command = countersign(&dir, &["explain", &package.hash(), "--config", config.to_str().unwrap()]);
    command.envs(environment(&cache)).output().unwrap()
}

#[test]
fn certificates_come_from_where_nix_takes_them() {
    let trusted = explain_behind_tls(|c| vec![("NIX_SSL_CERT_FILE", c.ca_file().display().to_string())]);
    assert_eq!(trusted.status.code(), Some(0), "{}{}", stdout(&trusted), stderr(&trusted));
    let distrusted = explain_behind_tls(|_| Vec::new());
    assert_eq!(distrusted.status.code(), Some(3), "{}", stdout(&distrusted));
    let missing = explain_behind_tls(|_| vec![("NIX_SSL_CERT_FILE", "/nonexistent.pem".to_owned())]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(stderr(&missing).contains("certificates in /nonexistent.pem"), "{}", stderr(&missing));
}

#[test]
fn https_goes_through_the_proxy_of_the_environment_unless_it_is_exempt() {
    let proxy = Proxy::start();
    let through = |c: &TlsCache, more: Option<(&'static str, String)>| {
        let mut all =
            vec![("NIX_SSL_CERT_FILE", c.ca_file().display().to_string()), ("HTTPS_PROXY", proxy.url())];
        all.extend(more);
        all
    };
    let exempt = explain_behind_tls(|c| through(c, Some(("NO_PROXY", "localhost".to_owned()))));
    assert_eq!((exempt.status.code(), proxy.opened().len()), (Some(0), 0), "{}", stdout(&exempt));
    let proxied = explain_behind_tls(|c| through(c, None));
    assert_eq!((proxied.status.code(), proxy.opened().len()), (Some(0), 1), "{}", stdout(&proxied));
    assert!(proxy.opened()[0].starts_with("localhost:"));
}

#[test]
fn stopping_waits_for_the_answers_under_way() {
    let party = Party::new("a-1");
    let package = Package::new("large-1.0", &noise(3, 3_000_000));
    let cache = FakeCache::with("none", &[&party], &[&package]);
    let slow = Script::Slow(package.nar.clone(), std::time::Duration::from_secs(2));
    cache.script(&format!("/{}", package.url("none")), slow);
    let dir = Dir::new();
    let config = dir.write("c.toml", one(&party, &cache));
    let daemon = Daemon::start(&dir, config.to_str().unwrap());
    let port = daemon.port;
    let client = std::thread::spawn(move || get(port, &nar_url(&package)));
    while cache.asked().len() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(daemon.stop(), Some(0));
    assert!(client.join().unwrap().is_whole());
}

#[test]
fn no_more_connections_are_served_than_the_limit() {
    let party = Party::new("a-1");
    let cache = FakeCache::start();
    let dir = Dir::new();
    let config = dir.write("c.toml", format!("{}[limits]\nconnections = 2\n", one(&party, &cache)));
    let daemon = Daemon::start(&dir, config.to_str().unwrap());
    let idle: Vec<TcpStream> =
        (0..2).map(|_| TcpStream::connect(("127.0.0.1", daemon.port)).unwrap()).collect();
    let mut third = TcpStream::connect(("127.0.0.1", daemon.port)).unwrap();
    third.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    third.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
    assert!(third.read(&mut [0; 64]).is_err(), "it waits for room");
    drop(idle);
    third.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    assert!(third.read(&mut [0; 64]).unwrap() > 0, "it is served when there is room");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn the_log_is_json_for_programs() {
    let (a, b) = (Party::new("a-1"), Party::new("b-1"));
    let package = Package::new("thing-1.0", b"x");
    let cache = FakeCache::with("none", &[&b], &[&package]);
    let dir = Dir::new();
    let config = dir.write("c.toml", format!("log-format = \"json\"\n{}", one(&a, &cache)));
    let mut daemon = Daemon::start(&dir, config.to_str().unwrap());
    assert_eq!(get(daemon.port, &format!("/{}.narinfo", package.hash())).status, 404);
    let line: serde_json::Value = serde_json::from_str(&daemon.wait_for("not endorsed")).unwrap();
    assert_eq!((line["verdict"].as_str(), line["code"].as_u64()), (Some("refuse"), Some(20)));
    assert_eq!(line["name"], "thing-1.0");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn status_says_how_the_running_service_is() {
    let party = Party::new("a-1");
    let package = Package::new("thing-1.0", b"x");
    let cache = FakeCache::with("none", &[&party], &[&package]);
    let dir = Dir::new();
    let config = dir.write("c.toml", one(&party, &cache));
    let config = config.to_str().unwrap();
    let before = run(&dir, &["status", "--config", config]);
    assert_eq!(before.status.code(), Some(3));
    assert!(stderr(&before).contains("is `countersign serve` running"), "{}", stderr(&before));
    let daemon = Daemon::start(&dir, config);
    assert_eq!(get(daemon.port, &format!("/{}.narinfo", package.hash())).status, 200);
    let text = stdout(&run(&dir, &["status", "--config", config]));
    for words in ["mode      enforce", "1 endorsed, 0 refused", config, "127.0.0.1:"] {
        assert!(text.contains(words), "{words} is not in\n{text}");
    }
    let json = run(&dir, &["status", "--json", "--config", config]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        (json["verdicts"]["endorse"].as_u64(), json["caches"][0]["claims"].as_u64()),
        (Some(1), Some(1))
    );
    let socket = dir.join(".local/state/countersign/control.sock");
    assert_eq!(std::fs::metadata(socket).unwrap().permissions().mode() & 0o007, 0, "others may not ask");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn usage_and_configuration_faults_exit_with_2() {
    let dir = Dir::new();
    assert_eq!(run(&dir, &["dance"]).status.code(), Some(2));
    let config = dir.write("c.toml", "mode = \"enforced\"\nlimit = 3\n");
    for command in [&["check"][..], &["serve"], &["key", "public"]] {
        let output = run(&dir, &[command, &["--config", config.to_str().unwrap()]].concat());
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        assert!(
            stderr(&output).contains("enforced") && stderr(&output).contains("limit"),
            "{}",
            stderr(&output)
        );
    }
    let missing = run(&dir, &["check", "--config", "/nonexistent/c.toml"]);
    assert_eq!(missing.status.code(), Some(3));
}

#[test]
fn completions_and_man_pages_know_the_commands() {
    let dir = Dir::new();
    for shell in ["bash", "fish", "zsh"] {
        let output = run(&dir, &["completions", shell]);
        assert!(output.status.success() && stdout(&output).contains("explain"), "{shell}");
    }
    assert!(run(&dir, &["man", dir.path().to_str().unwrap()]).status.success());
    let page = std::fs::read_to_string(dir.join("countersign-explain.1")).unwrap();
    assert!(page.contains("side by side"), "{page}");
    assert_eq!(run(&dir, &["man", "/nonexistent"]).status.code(), Some(3));
}

#[test]
fn no_file_at_all_is_a_valid_configuration() {
    let dir = Dir::new();
    let output = run(&dir, &["check"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(run(&dir, &["--version"]).status.success());
    let help = stdout(&run(&dir, &["--help"]));
    for word in ["serve", "init", "check", "explain", "key", "Exit status", "key public --nix-conf"] {
        assert!(help.contains(word), "{word} is not in the help");
    }
}
