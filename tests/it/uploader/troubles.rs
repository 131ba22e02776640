//! Destinations that fail, in every way there is: the others do not notice, one line says what is wrong, and all is
//! sent when they heal.

use crate::support::fault_server::{Fault, FaultServer};
use crate::support::nix_daemon::full;
use crate::support::uploads::{Uploads, chain, narinfo};
use countersign::format::StorePath;
use std::time::Duration;

const HONEST: &str = "[destinations.honest]\nurl = \"file://DIR/cache\"\npackages = [\"*\"]\n";

/// What a destination can do wrong, and what `queue list` then says of it.
fn faults() -> Vec<(&'static str, Fault, &'static str)> {
    let status = |code, text| Fault::Status(code, Vec::new(), text);
    vec![
        ("full", status(507, "no room"), "make room there"),
        ("slow to take", Fault::Slow(Duration::from_millis(300)), ""),
        ("refusing", status(500, "broken"), "500"),
        ("storing nothing", Fault::Forget, "it was stored, and is not there"),
        ("cutting in the middle", Fault::Cut(30), "cannot store"),
        ("refusing credentials", status(403, "who are you"), "credentials-file"),
    ]
}

#[test]
fn a_failing_destination_is_its_own_trouble_and_heals() {
    for (what, fault, said) in faults() {
        let server = FaultServer::start();
        let sick = format!("[destinations.sick]\nurl = \"{}\"\npackages = [\"*\"]\n", server.url());
        let uploads = Uploads::new("2.34", &format!("{HONEST}{sick}"));
        let built = uploads.daemon.build(&chain(3, 200));
        server.when("PUT", "", fault.clone());
        let _uploader = uploads.start();
        push(&uploads, &built);
        uploads.wait_for(&format!("{what}: the honest one has all"), |u| {
            built.iter().all(|path| u.state_of("honest", path).is_some_and(|(state, _)| state == "done"))
        });
        if !said.is_empty() {
            uploads.wait_for(&format!("{what}: it is said"), |u| {
                u.ok(&["queue", "list"]).lines().any(|line| line.contains("sick") && line.contains(said))
            });
        }
        server.heal();
        uploads.ok(&["queue", "retry", "--all"]);
        uploads.wait();
        assert!(built.iter().all(|path| is_whole(&server, path)), "{what}: {:?}", server.names());
        assert!(built.iter().all(|path| narinfo(&uploads.dir.join("cache"), path).is_some()), "{what}");
    }
}

/// Has paths uploaded without waiting for the sick one.
fn push(uploads: &Uploads, paths: &[StorePath]) {
    let paths: Vec<String> = paths.iter().map(full).collect();
    let mut arguments = vec!["push"];
    arguments.extend(paths.iter().map(String::as_str));
    let (code, said, _) = uploads.run(&arguments);
    assert!(matches!(code, Some(0 | 1)), "{said}");
}

fn is_whole(server: &FaultServer, path: &StorePath) -> bool {
    let name = format!("{}.narinfo", path.hash_part());
    let Some(text) = server.object(&name) else { return false };
    let text = String::from_utf8(text).unwrap();
    let url = text.lines().find_map(|line| line.strip_prefix("URL: ")).unwrap();
    server.object(url).is_some() && text.contains("Sig: acme-1:")
}

/// A server that is away: nothing is lost, and when it is back all is sent without anybody asking.
#[test]
fn a_destination_that_comes_back_gets_all_by_itself() {
    let mut server = FaultServer::start();
    let away = format!("[destinations.sick]\nurl = \"{}\"\npackages = [\"*\"]\n", server.url());
    let uploads = Uploads::new("2.34", &away);
    let built = uploads.daemon.build(&chain(3, 200));
    server.go_down();
    let _uploader = uploads.start();
    let (code, said, _) = uploads.run(&["push", &full(&built[2])]);
    assert_eq!(code, Some(1));
    assert!(said.contains("Connection refused"), "{said}");
    let listed = uploads.ok(&["queue", "list"]);
    assert_eq!(listed.lines().filter(|line| line.starts_with("destination sick: ")).count(), 1, "{listed}");
    server.come_back();
    uploads.wait();
    assert!(built.iter().all(|path| is_whole(&server, path)));
}

/// A bad entry delays nobody: its narinfo at the destination is garbage, and the rest goes past it.
#[test]
fn one_bad_entry_delays_nobody() {
    let server = FaultServer::start();
    let destination = format!("[destinations.acme]\nurl = \"{}\"\npackages = [\"*\"]\n", server.url());
    let uploads = Uploads::new("2.34", &destination);
    let bad = uploads.daemon.build_one("shell \"acme-bad\" \"echo bad > $out\" {}");
    let good = uploads.daemon.build_one("shell \"acme-good\" \"echo good > $out\" {}");
    let name = format!("{}.narinfo", bad.hash_part());
    server.store(&name, b"this is no narinfo\n");
    let (code, said, _) = uploads.run(&["push", &full(&bad), &full(&good)]);
    assert_eq!(code, Some(1));
    assert!(said.contains("1 sent") && said.contains("what is there is left alone"), "{said}");
    assert!(is_whole(&server, &good));
    assert_eq!(server.object(&name).unwrap(), b"this is no narinfo\n");
    server.remove(&name);
    uploads.ok(&["push", &full(&bad)]);
    assert!(is_whole(&server, &bad));
}
