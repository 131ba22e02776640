//! How caches are asked: their own origin alone, with their credentials, and nothing believed that was not
//! asked for.

use crate::support::client::get;
use crate::support::dirs::Dir;
use crate::support::fake_cache::{FakeCache, Script};
use crate::support::party::{Package, Party, noise};
use crate::support::service::{Served, caches, signers};
use crate::support::tls_cache::TlsCache;
use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;

fn package() -> (Party, Package) {
    (Party::new("a-1"), Package::new("thing-1.0", &noise(1, 3000)))
}

/// One signature by `a-1`, from a cache with further settings.
fn serve(party: &Party, cache: &FakeCache, settings: &str) -> Served {
    let caches = caches(&[("a", cache)]);
    let rule = "[[rules]]\nname = \"all\"\nsignatures = [{ at-least = 1, of = [\"a-1\"] }]\n";
    Served::with(&format!("{}{caches}{settings}\n{rule}", signers(&[party])))
}

/// A cache whose narinfo points to this URL.
fn pointing_to(party: &Party, package: &Package, url: &str) -> FakeCache {
    let cache = FakeCache::with("none", &[party], &[package]);
    let narinfo = package.narinfo("none", &[party]).replace(&package.url("none"), url);
    cache.claim(package, &narinfo);
    cache
}

#[test]
fn what_is_asked_says_nothing_of_the_user() {
    let (party, package) = package();
    let cache = FakeCache::with("zstd", &[&party], &[&package]);
    let served = serve(&party, &cache, "");
    assert!(served.serves(&package));
    for asked in cache.asked() {
        let mut names: Vec<&str> = asked.headers.iter().map(|(n, _)| n.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept-encoding", "countersign-via", "host", "user-agent"]);
        assert!(asked.headers.contains(&("accept-encoding".to_owned(), "identity".to_owned())));
    }
}

#[test]
fn urls_that_stay_inside_the_cache_are_fetched() {
    let (party, package) = package();
    for (url, path) in [
        ("nar/x.nar", "/nar/x.nar"),
        ("/elsewhere/x.nar", "/elsewhere/x.nar"),
        ("nar/x.nar?hash=abc", "/nar/x.nar?hash=abc"),
        ("nar/a/../x.nar", "/nar/x.nar"),
        ("nar/x.nar#fragment", "/nar/x.nar"),
    ] {
        let cache = pointing_to(&party, &package, url);
        cache.script(path, Script::Bytes(package.nar.clone()));
        assert!(serve(&party, &cache, "").serves(&package), "{url}");
    }
}

#[test]
fn urls_that_leave_the_cache_are_not_fetched() {
    let (party, package) = package();
    let elsewhere = FakeCache::start();
    elsewhere.script("/x.nar", Script::Bytes(package.nar.clone()));
    for url in [
        format!("{}/x.nar", elsewhere.url()),
        format!("//127.0.0.1:{}/x.nar", elsewhere.port()),
        "file:///etc/passwd".to_owned(),
        "ftp://127.0.0.1/x.nar".to_owned(),
        "http://user:secret@127.0.0.1/x.nar".to_owned(),
        "https://127.0.0.1:1/x.nar".to_owned(),
    ] {
        let cache = pointing_to(&party, &package, &url);
        let served = serve(&party, &cache, "");
        let reply = served.narinfo(&package);
        assert_eq!((reply.status, reply.verdict()), (404, "refuse"), "{url}");
        assert!(reply.reason().contains("no source"), "{}", reply.reason());
    }
    assert!(elsewhere.asked().is_empty());
}

#[test]
fn a_listed_host_may_hold_the_nars() {
    let (party, package) = package();
    let elsewhere = FakeCache::start();
    elsewhere.script("/x.nar", Script::Bytes(package.nar.clone()));
    let cache = pointing_to(&party, &package, &format!("{}/x.nar", elsewhere.url()));
    let allowed = format!("nar-hosts = [\"127.0.0.1:{}\"]", elsewhere.port());
    assert!(serve(&party, &cache, &allowed).serves(&package));
    let other_port = format!("nar-hosts = [\"127.0.0.1:{}\"]", elsewhere.port() ^ 1);
    assert!(!serve(&party, &cache, &other_port).serves(&package));
}

#[test]
fn redirects_inside_the_cache_are_followed_and_others_are_not() {
    let (party, package) = package();
    let elsewhere = FakeCache::start();
    elsewhere.script("/x.nar", Script::Bytes(package.nar.clone()));
    let nar = format!("/{}", package.url("none"));
    for (to, followed) in [
        ("/moved.nar".to_owned(), true),
        (format!("{}/x.nar", elsewhere.url()), false),
        ("file:///etc/passwd".to_owned(), false),
        (nar.clone(), false),
        (String::new(), false),
    ] {
        for status in [301, 302, 303, 307, 308] {
            let cache = FakeCache::with("none", &[&party], &[&package]);
            cache.script("/moved.nar", Script::Bytes(package.nar.clone()));
            cache.script(&nar, Script::Redirect(status, to.clone()));
            assert_eq!(serve(&party, &cache, "").nar(&package).status == 200, followed, "{status} to {to:?}");
            assert!(cache.times_asked(&nar) <= 4, "a loop ends");
        }
    }
    assert!(elsewhere.asked().is_empty());
}

#[test]
fn what_is_no_claim_is_no_answer() {
    let (party, package) = package();
    let narinfo = package.narinfo("none", &[&party]).into_bytes();
    let head = |head: &str| [head.as_bytes(), b"\r\n\r\n", &narinfo].concat();
    let encoded = vec![("Content-Encoding".to_owned(), "gzip".to_owned())];
    for (script, verdict) in [
        (Script::Status(404), "absent"),
        (Script::Status(410), "absent"),
        (Script::Status(403), "defer"),
        (Script::Status(401), "defer"),
        (Script::Status(500), "defer"),
        (Script::Status(204), "defer"),
        (Script::Status(304), "defer"),
        (Script::Status(206), "defer"),
        (Script::Bytes(Vec::new()), "defer"),
        (Script::Bytes(b"<html>It works!</html>".to_vec()), "defer"),
        (Script::Bytes(String::from_utf8_lossy(&narinfo).replace('\n', "\r\n").into_bytes()), "defer"),
        (Script::Bytes([&narinfo[..], b"StorePath: x\n"].concat()), "defer"),
        (Script::Bytes(vec![b'a'; 2 << 20]), "defer"),
        (Script::With(encoded, narinfo.clone()), "defer"),
        (Script::Cut(narinfo.clone(), 40), "defer"),
        (Script::Raw(Vec::new()), "defer"),
        (Script::Raw(head("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 900")), "defer"),
        (Script::Raw(head("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked")), "defer"),
        (Script::Raw(b"\0\0\0\0\r\n\r\n".to_vec()), "defer"),
    ] {
        let cache = FakeCache::start();
        cache.script(&format!("/{}.narinfo", package.hash()), script.clone());
        let reply = serve(&party, &cache, "").narinfo(&package);
        assert_eq!((reply.status, reply.verdict()), (404, verdict), "{script:?}");
    }
}

#[test]
fn a_403_of_s3_means_not_found() {
    let (party, package) = package();
    let cache = FakeCache::start();
    let said = b"HTTP/1.1 403 Forbidden\r\nx-amz-request-id: 1\r\nContent-Length: 0\r\n\r\n".to_vec();
    cache.script(&format!("/{}.narinfo", package.hash()), Script::Raw(said));
    assert_eq!(serve(&party, &cache, "").narinfo(&package).verdict(), "absent");
}

#[test]
fn credentials_go_to_the_caches_own_origin_alone() {
    let (party, package) = package();
    let dir = Dir::new();
    for (text, expected) in [
        ("Bearer sesame\n", "Bearer sesame"),
        ("machine 127.0.0.1 login me password sesame\n", "Basic bWU6c2VzYW1l"),
    ] {
        let secret = dir.write("secret", text);
        std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
        let elsewhere = FakeCache::start();
        elsewhere.script("/x.nar", Script::Bytes(package.nar.clone()));
        let cache = pointing_to(&party, &package, &format!("{}/x.nar", elsewhere.url()));
        let host = format!("nar-hosts = [\"127.0.0.1:{}\"]", elsewhere.port());
        let settings = format!("credentials-file = \"{}\"\n{host}", secret.display());
        assert!(serve(&party, &cache, &settings).serves(&package));
        let sent = |cache: &FakeCache| {
            let all = cache.asked().into_iter().flat_map(|a| a.headers);
            all.filter(|(n, _)| n == "authorization").map(|(_, v)| v).collect::<Vec<_>>()
        };
        assert_eq!(sent(&cache), [expected]);
        assert!(sent(&elsewhere).is_empty());
    }
}

#[test]
fn a_cache_behind_tls_is_asked_over_http_2_if_its_certificate_is_trusted() {
    let (party, package) = package();
    let files = HashMap::from([
        (format!("/{}.narinfo", package.hash()), package.narinfo("zstd", &[&party]).into_bytes()),
        (format!("/{}", package.url("zstd")), package.compressed("zstd")),
    ]);
    let cache = TlsCache::serve(files);
    let text = |ca: &str| {
        format!(
            "{}[caches.a]\nurl = \"{}\"\n{ca}\n[[rules]]\nname = \"all\"\nsignatures = [{{ at-least = 1, of = [\"a-1\"] }}]\n",
            signers(&[&party]),
            cache.url()
        )
    };
    let trusting = Served::with(&text(&format!("ca-file = \"{}\"", cache.ca_file().display())));
    assert!(trusting.serves(&package));
    assert!(cache.versions().iter().all(|v| *v == http::Version::HTTP_2) && !cache.versions().is_empty());
    let distrusting = Served::with(&text(""));
    let reply = distrusting.narinfo(&package);
    assert_eq!((reply.status, reply.verdict()), (404, "defer"));
}

#[test]
fn a_cache_on_a_path_of_its_own_is_asked_there() {
    let (party, package) = package();
    let cache = FakeCache::start();
    cache.script(
        &format!("/sub/{}.narinfo", package.hash()),
        Script::Bytes(package.narinfo("none", &[&party]).into_bytes()),
    );
    cache.script(&format!("/sub/{}", package.url("none")), Script::Bytes(package.nar.clone()));
    for url in [format!("{}/sub", cache.url()), format!("{}/sub/", cache.url())] {
        let text = format!(
            "{}[caches.a]\nurl = \"{url}\"\n[[rules]]\nname = \"all\"\nsignatures = [{{ at-least = 1, of = [\"a-1\"] }}]\n",
            signers(&[&party])
        );
        assert!(Served::with(&text).serves(&package), "{url}");
    }
}

#[test]
fn connections_are_used_again() {
    let party = Party::new("a-1");
    let packages: Vec<Package> =
        (0..20).map(|i| Package::new(&format!("thing-{i}"), &noise(i, 500))).collect();
    let cache = FakeCache::with("zstd", &[&party], &packages.iter().collect::<Vec<_>>());
    let served = serve(&party, &cache, "");
    for package in &packages {
        assert!(served.serves(package));
    }
    assert_eq!(cache.asked().len(), 40);
    assert!(cache.connections() <= 3, "{} connections for 40 requests", cache.connections());
}

#[test]
fn a_cache_that_is_down_is_not_waited_for_and_found_again_when_it_returns() {
    let (party, package) = package();
    let placeholder = FakeCache::start();
    let port = placeholder.port();
    drop(placeholder);
    let rule = "[[rules]]\nname = \"all\"\nsignatures = [{ at-least = 1, of = [\"a-1\"] }]\n";
    let text = format!("{}[caches.a]\nurl = \"http://127.0.0.1:{port}\"\n{rule}", signers(&[&party]));
    let served = Served::with(&text);
    for _ in 0..20 {
        assert_eq!(served.narinfo(&package).verdict(), "defer");
    }
    assert_eq!(get(served.port(), "/nix-cache-info").status, 200);
    let returned = FakeCache::start_at(([127, 0, 0, 1], port).into());
    returned.put("zstd", &[&party], &package);
    let since = std::time::Instant::now();
    while served.narinfo(&package).verdict() != "endorse" {
        assert!(since.elapsed().as_secs() < 20, "it is never asked again");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(served.serves(&package));
}
