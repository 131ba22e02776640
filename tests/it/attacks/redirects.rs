//! URLs and redirects that lead elsewhere: to another host, to this machine, to a file, round in circles.

use super::{delivers_nothing, goes_on, in_time, is_no_claim, is_served};
use crate::support::fake_cache::{FakeCache, Script};
use crate::support::scene::{SMALL, Scene};
use crate::support::service::Served;

/// A host that has the right bytes under every name that is used here.
fn elsewhere(scene: &Scene) -> FakeCache {
    let host = FakeCache::start();
    host.script("/x.nar", Script::Bytes(scene.package.nar.clone()));
    host.script(&scene.narinfo_path(), Script::Bytes(scene.narinfo().into_bytes()));
    host
}

/// Redirects that end in the cache are followed three times and not four, on narinfos and NARs. With more allowed,
/// the fourth is followed.
#[test]
fn chains_and_loops() {
    let chain = |length: usize| {
        let scene = Scene::small();
        for (path, kind) in [(scene.narinfo_path(), "claim"), (scene.nar_path(), "nar")] {
            scene.cache.script(&path, Script::Redirect(302, format!("/{kind}/1")));
            for n in 1..length {
                scene.cache.script(&format!("/{kind}/{n}"), Script::Redirect(302, format!("{}", n + 1)));
            }
        }
        scene.cache.script(&format!("/claim/{length}"), Script::Bytes(scene.narinfo().into_bytes()));
        scene.cache.script(&format!("/nar/{length}"), Script::Bytes(scene.bytes()));
        scene
    };
    is_served(&chain(3), "three redirects");
    is_no_claim(&chain(4), "four redirects");
    let scene = Scene::small();
    scene.answers(Script::Redirect(301, scene.narinfo_path()));
    is_no_claim(&scene, "a loop of one");
    assert!(scene.cache.asked().len() <= 8, "it ends: {}", scene.cache.asked().len());
}

/// Redirects the question itself to another host, whose claim would then be this cache's word. Without the look at
/// the origin, its claim is served.
#[test]
fn a_claim_from_another_host() {
    let scene = Scene::small();
    let other = elsewhere(&scene);
    scene.cache.script("/moved", Script::Bytes(scene.narinfo().into_bytes()));
    for to in [
        format!("{}{}", other.url(), scene.narinfo_path()),
        format!("//127.0.0.1:{}{}", other.port(), scene.narinfo_path()),
        format!("http://localhost:{}{}", other.port(), scene.narinfo_path()),
        format!("http://[::ffff:127.0.0.1]:{}{}", other.port(), scene.narinfo_path()),
        format!("http://2130706433:{}{}", other.port(), scene.narinfo_path()),
        format!("http://user:secret@127.0.0.1:{}/moved", scene.cache.port()),
        format!("http://127.0.0.1:{}@127.0.0.1:{}/", scene.cache.port(), other.port()),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "https://127.0.0.1/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "gopher://127.0.0.1/".to_owned(),
        "data:text/plain,StorePath:".to_owned(),
        "javascript:1".to_owned(),
        "http://".to_owned(),
        "\u{1}".to_owned(),
    ] {
        for status in [301, 307] {
            scene.answers(Script::Redirect(status, to.clone()));
            is_no_claim(&scene, &to);
        }
    }
    assert!(other.asked().is_empty(), "nobody else was asked");
    scene.answers(Script::Redirect(302, "/moved".to_owned()));
    is_served(&scene, "a redirect to another host");
}

/// Points to ourselves: a request that makes us ask us. Without the look at the origin, it is followed.
#[test]
fn a_redirect_to_ourselves() {
    let scene = Scene::small();
    let served = scene.serve();
    let ours = format!("{}/nix-cache-info", served.url());
    scene.answers(Script::Redirect(302, ours.clone()));
    in_time(&served, "a redirect to ourselves", || assert!(!served.serves(&scene.package)));
    scene.says(&scene.narinfo_with(&scene.package.url("none"), &ours));
    is_no_claim(&scene, "a URL of ours");
}

/// A listed host may hold NARs, but it may not send on to a third. Without the look at every hop, the third host
/// delivers.
#[test]
fn a_listed_host_that_sends_on() {
    let scene = Scene::small();
    let (listed, third) = (elsewhere(&scene), elsewhere(&scene));
    let hosts = format!("nar-hosts = [\"127.0.0.1:{}\"]", listed.port());
    scene.delivers(Script::Redirect(302, format!("{}/x.nar", listed.url())));
    assert!(scene.serve_with(&hosts).serves(&scene.package));
    for to in [format!("{}/x.nar", third.url()), "file:///x.nar".to_owned()] {
        listed.script("/x.nar", Script::Redirect(302, to.clone()));
        let served: Served = scene.serve_with(&hosts);
        in_time(&served, &to, || assert_eq!(served.nar(&scene.package).status, 404));
    }
    assert!(third.asked().is_empty());
}

/// Redirects that say nothing, or nothing that is a place.
#[test]
fn redirects_that_lead_nowhere() {
    let scene = Scene::small();
    is_served(&scene, "a redirect to nowhere");
    for head in
        ["", "Location:\r\n", "Location: \u{fffd}\r\n", "Location: http://a b/\r\n", "Location: //\r\n"]
    {
        let wire = format!("HTTP/1.1 302 Found\r\n{head}Content-Length: 0\r\n\r\n");
        scene.delivers(Script::Wire(wire.into_bytes()));
        delivers_nothing(&scene, head);
    }
    let two = format!(
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2:1/\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
        scene.nar_path()
    );
    scene.delivers(Script::Wire(two.into_bytes()));
    delivers_nothing(&scene, "two places");
    scene.delivers(Script::Redirect(300, "/x".to_owned()));
    delivers_nothing(&scene, "a choice");
}

/// URLs that other readers take for another host or a file. Without the look at the origin, backslashes lead there.
#[test]
fn urls_that_lead_elsewhere() {
    let scene = Scene::new("none", SMALL);
    let other = elsewhere(&scene);
    let at = format!("127.0.0.1:{}", other.port());
    for url in [
        format!("http:\\\\{at}\\x.nar"),
        format!("\\\\{at}\\x.nar"),
        format!("/\\{at}/x.nar"),
        format!("///{at}/x.nar"),
        format!("HTTP://{at}/x.nar"),
        format!("http://127.0.0.1:{}@{at}/x.nar", scene.cache.port()),
        format!("http://{at}#@127.0.0.1:{}/x.nar", scene.cache.port()),
        format!("http://{at}?@127.0.0.1:{}/x.nar", scene.cache.port()),
        "file:/etc/passwd".to_owned(),
        "FILE:///etc/passwd".to_owned(),
        "s3://bucket/x.nar".to_owned(),
        "data:,x".to_owned(),
        "http://[::1".to_owned(),
        "http://127.0.0.1:99999/x.nar".to_owned(),
        "x".repeat(5000),
    ] {
        scene.says(&scene.narinfo_with(&scene.package.url("none"), &url));
        is_no_claim(&scene, &url);
    }
    assert!(other.asked().is_empty(), "nobody else was asked");
    scene.says(&scene.narinfo());
    is_served(&scene, "a URL that leads elsewhere");
}

/// URLs that climb out of the cache's own path stay on its host, and escapes are sent as they are: no file of this
/// machine is ever meant.
#[test]
fn urls_that_climb() {
    for (url, asked) in [
        ("http:etc/passwd", "/etc/passwd"),
        ("../../../../etc/passwd", "/etc/passwd"),
        ("nar/%2e%2e/%2e%2e/etc/passwd", "/etc/passwd"),
        ("nar/..%2f..%2fetc%2fpasswd", "/nar/..%2f..%2fetc%2fpasswd"),
        ("nar/x%00.nar", "/nar/x%00.nar"),
        ("nar/x%0d%0aHost:%20evil", "/nar/x%0d%0aHost:%20evil"),
    ] {
        let scene = Scene::small();
        scene.says(&scene.narinfo_with(&scene.package.url("none"), url));
        delivers_nothing(&scene, url);
        let last = scene.cache.asked().into_iter().rev().find(|a| !a.path.ends_with(".narinfo")).unwrap();
        assert_eq!(last.path, asked);
        scene.cache.script(asked, Script::Bytes(scene.bytes()));
        let served = scene.serve();
        assert!(served.serves(&scene.package), "the bytes decide, not their place: {url}");
        goes_on(&served, url);
    }
}
