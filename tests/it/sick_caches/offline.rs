//! A machine without a network: told of once, nothing held, and no storm when the network is back.

use super::{MS, narinfo, packages};
use crate::support::client::{get, parse};
use crate::support::daemon::{Daemon, countersign};
use crate::support::dirs::Dir;
use crate::support::fake_cache::{FakeCache, Script};
use crate::support::namespace;
use crate::support::party::{Package, Party};
use crate::support::scene::RULE;
use crate::support::service::signers;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Names come from /etc/hosts alone, which is the test's file `hosts`.
const NAMES: &str = "\
printf 'hosts: files\\n' > nsswitch; mount --bind nsswitch /etc/nsswitch.conf
mount --bind hosts /etc/hosts
";

/// Lines of the log that tell people of the caches or of anything wrong.
fn told(log: &str) -> Vec<&str> {
    let words = ["line", "is down", "gave no answer", "cannot be asked now", "is back", "WARN", "ERROR"];
    log.lines().filter(|line| words.iter().any(|words| line.contains(words))).collect()
}

fn write(dir: &Dir, listen: &str, party: &Party, urls: &[String]) {
    let state = dir.join("state");
    let caches: String =
        urls.iter().enumerate().map(|(n, url)| format!("[caches.c{n}]\nurl = \"{url}\"\n")).collect();
    let all = format!("{}{caches}{RULE}", signers(&[party]));
    dir.write("c.toml", format!("listen = {listen}\nstate-directory = \"{}\"\n{all}", state.display()));
}

fn status(dir: &Dir, arguments: &[&str]) -> String {
    let arguments = [&["status", "--config", "c.toml"], arguments].concat();
    let said = countersign(dir, &arguments).current_dir(dir.path()).output().unwrap();
    String::from_utf8(said.stdout).unwrap()
}

#[test]
fn being_offline_is_one_warning_and_coming_back_one_line_and_no_storm() {
    let (dir, party, packages) = (Dir::new(), Party::new("a-1"), packages(60));
    let fakes: Vec<FakeCache> = (0..3).map(|_| FakeCache::start()).collect();
    // Each takes its time, so that a storm would be seen before the first answer.
    for (fake, package) in fakes.iter().flat_map(|fake| packages.iter().map(move |package| (fake, package))) {
        let text = package.narinfo("none", &[&party]).into_bytes();
        fake.script(&narinfo(package), Script::Late(500 * MS, text));
    }
    let urls: Vec<String> = fakes.iter().map(|fake| format!("http://localhost:{}", fake.port())).collect();
    dir.write("hosts", "");
    write(&dir, "[\"127.0.0.1:0\"]", &party, &urls);
    let mut daemon = Daemon::start_as(namespace::script(
        &dir,
        &format!("{NAMES}\nexec $countersign serve --config c.toml"),
    ));
    let port = daemon.port;
    let warning = daemon.wait_for("offline: no cache can be reached");
    assert!(warning.contains("cannot be resolved"), "{warning}");
    let log = daemon.keep_log();
    // Two seconds of questions, so that there are probes as well.
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(2) {
        for package in &packages {
            let asked = Instant::now();
            assert_eq!(get(port, &narinfo(package)).verdict(), "defer");
            assert!(asked.elapsed() < Duration::from_secs(2), "a question was held");
        }
    }
    let said = status(&dir, &[]);
    assert!(said.contains("offline   no cache can be reached") && said.contains("c0     offline"), "{said}");
    let json = status(&dir, &["--json"]);
    assert!(json.contains("\"offline_for\": ") && json.contains("\"state\": \"offline\""), "{json}");
    // The network is back, and everybody wants something.
    let asked = || fakes.iter().map(|fake| fake.asked().len()).sum::<usize>();
    thread::scope(|scope| {
        fs::write(dir.join("hosts"), "127.0.0.1 localhost\n").unwrap();
        let since = Instant::now();
        for package in &packages {
            scope.spawn(move || {
                while get(port, &narinfo(package)).verdict() != "endorse" {
                    assert!(since.elapsed() < Duration::from_secs(60), "the return was not noticed");
                    thread::sleep(10 * MS);
                }
            });
        }
        while asked() == 0 {
            assert!(since.elapsed() < Duration::from_secs(60), "no probe");
            thread::sleep(MS);
        }
        let first = Instant::now();
        loop {
            let asked = asked();
            if first.elapsed() > 400 * MS {
                break;
            }
            assert_eq!(asked, 1, "a storm");
            thread::sleep(5 * MS);
        }
    });
    assert_eq!(daemon.stop(), Some(0));
    let log = log.join().unwrap();
    let told = told(&log);
    assert!(told.len() == 1 && told[0].contains("online again"), "{told:#?}");
}

/// What a client on a unix socket is told.
fn verdict(socket: &Path, package: &Package) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    let request =
        format!("GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", narinfo(package));
    stream.write_all(request.as_bytes()).unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).unwrap();
    parse(&said).verdict().to_owned()
}

/// No route instead of no name: a network namespace with nothing in it but loopback.
#[test]
fn without_a_route_it_is_offline_too() {
    let (dir, party, packages) = (Dir::new(), Party::new("a-1"), packages(20));
    let socket = dir.join("ours.sock");
    let urls = ["https://192.0.2.1".to_owned(), "https://192.0.2.2".to_owned()];
    write(&dir, &format!("[\"127.0.0.1:0\", \"unix:{}\"]", socket.display()), &party, &urls);
    let mut daemon = Daemon::start_as(namespace::script(
        &dir,
        "exec unshare --net sh -euc 'ip link set lo up; exec \"$countersign\" serve --config c.toml'",
    ));
    for package in &packages {
        assert_eq!(verdict(&socket, package), "defer");
    }
    let warning = daemon.wait_for("offline: no cache can be reached");
    assert!(warning.contains("unreachable"), "{warning}");
    let log = daemon.keep_log();
    thread::sleep(700 * MS);
    assert!(status(&dir, &[]).contains("c1     offline"));
    assert_eq!(daemon.stop(), Some(0));
    let log = log.join().unwrap();
    assert_eq!(told(&log), [""; 0]);
}
