//! What a client may ask, and that nothing else is answered than design §4 and §10 list.

use crate::support::client::{get, get_with, parse, raw, request};
use crate::support::fake_cache::{FakeCache, Script};
use crate::support::party::{Package, Party};
use crate::support::service::{Served, caches, nar_url, signers};

fn serving(more: &str) -> (Served, Package, FakeCache) {
    let party = Party::new("a-1");
    let package = Package::new("thing-1.0", b"contents");
    let cache = FakeCache::with("zstd", &[&party], &[&package]);
    let rule = "[[rules]]\nname = \"all\"\nsignatures = [{ at-least = 1, of = [\"a-1\"] }]\n";
    let text = format!("{more}\n{}{}{rule}", signers(&[&party]), caches(&[("a", &cache)]));
    (Served::with(&text), package, cache)
}

#[test]
fn the_cache_describes_itself() {
    let (served, ..) = serving("");
    let reply = get(served.port(), "/nix-cache-info");
    assert_eq!(
        (reply.status, reply.text().as_str()),
        (200, "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n")
    );
    assert_eq!(reply.header("content-type"), Some("text/x-nix-cache-info"));
    assert_eq!(get(served.port(), "/healthz").text(), "ok\n");
}

#[test]
fn head_equals_get_without_the_body() {
    let (served, package, _cache) = serving("");
    for path in ["/nix-cache-info".to_owned(), format!("/{}.narinfo", package.hash()), nar_url(&package)] {
        let (got, head) = (get(served.port(), &path), request(served.port(), "HEAD", &path, &[]));
        assert_eq!(got.status, 200);
        assert_eq!(head.status, 200);
        assert_eq!(head.header("content-length"), got.header("content-length"), "{path}");
        assert_eq!(head.header("content-type"), got.header("content-type"), "{path}");
        assert!(head.body.is_empty());
    }
}

#[test]
fn only_get_and_head_are_allowed() {
    let (served, package, _cache) = serving("");
    for method in ["PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        let reply = request(served.port(), method, &format!("/{}.narinfo", package.hash()), &[]);
        assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
}

#[test]
fn odd_paths_are_not_found() {
    let (served, package, cache) = serving("");
    let hash = package.hash();
    for path in [
        "/".to_owned(),
        "//nix-cache-info".to_owned(),
        format!("/{hash}.narinfo?x=1"),
        format!("/{}.narinfo", hash.to_uppercase()),
        format!("/{hash}.ls"),
        format!("/./{hash}.narinfo"),
        format!("/%2e/{hash}.narinfo"),
        format!("/nar/{hash}.nar"),
        format!("/nar/..%2f{hash}.narinfo"),
        format!("{}?hash=x", nar_url(&package)),
        format!("/{}.narinfo", "e".repeat(32)),
        "/realisations/x.doi".to_owned(),
    ] {
        assert_eq!(get(served.port(), &path).status, 404, "{path}");
    }
    assert!(cache.asked().is_empty(), "nobody was asked for any of it");
}

#[test]
fn logs_are_passed_on_as_text_and_marked() {
    let (served, package, cache) = serving("");
    let name = format!("{}-thing-1.0.drv", package.hash());
    assert_eq!(get(served.port(), &format!("/log/{name}")).status, 404);
    let hostile = b"<script>alert(1)</script>\n".to_vec();
    for encoding in [None, Some("br")] {
        let mut headers = vec![("Content-Type".to_owned(), "text/html".to_owned())];
        headers.extend(encoding.map(|e| ("Content-Encoding".to_owned(), e.to_owned())));
        cache.script(&format!("/log/{name}"), Script::With(headers, hostile.clone()));
        let reply = get(served.port(), &format!("/log/{name}"));
        assert_eq!((reply.status, &reply.body), (200, &hostile));
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(reply.header("countersign-unverified"), Some("log"));
        assert_eq!(reply.header("content-encoding"), encoding);
    }
    let odd = vec![("Content-Encoding".to_owned(), "exotic".to_owned())];
    cache.script(&format!("/log/{name}"), Script::With(odd, hostile));
    assert_eq!(get(served.port(), &format!("/log/{name}")).status, 404);
}

#[test]
fn a_host_that_is_not_ours_is_misdirected() {
    let (served, package, _cache) = serving("hosts = [\"cache.example\"]");
    let path = format!("/{}.narinfo", package.hash());
    for host in ["evil.example", "127.0.0.1.evil.example", "", "192.0.2.1"] {
        assert_eq!(get_with(served.port(), &path, &[("Host", host)]).status, 421, "{host}");
    }
    for host in ["localhost", "127.0.0.1", "cache.example:1", "[::1]:8419"] {
        assert_eq!(get_with(served.port(), &path, &[("Host", host)]).status, 200, "{host}");
    }
    let absolute = format!("http://evil.example{path}");
    assert_eq!(get(served.port(), &absolute).status, 421);
    let two = get_with(served.port(), &path, &[("Host", "localhost"), ("Host", "evil.example")]);
    assert!(matches!(two.status, 400 | 421));
}

#[test]
fn malformed_requests_end_with_what_the_http_layer_says() {
    let (served, ..) = serving("");
    for (bytes, expected) in [
        (b"GET\r\n\r\n".to_vec(), &[400][..]),
        (b"GET / HTTP/9.9\r\n\r\n".to_vec(), &[400]),
        (b"\x16\x03\x01\x00\x00\r\n\r\n".to_vec(), &[400]),
        (
            format!("GET /{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "a".repeat(100_000))
                .into_bytes(),
            &[414],
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: {}\r\n\r\n",
                "a".repeat(900_000)
            )
            .into_bytes(),
            &[431],
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}\r\n",
                "X: y\r\n".repeat(200)
            )
            .into_bytes(),
            &[431],
        ),
        (
            b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_vec(),
            &[400],
        ),
    ] {
        let said = raw(served.port(), &bytes);
        // A server may also just close on what is no HTTP.
        if !said.is_empty() {
            let status = parse(&said).status;
            assert!(
                expected.contains(&status),
                "{status} to {:?}",
                String::from_utf8_lossy(&bytes[..bytes.len().min(60)])
            );
        }
    }
    assert_eq!(get(served.port(), "/healthz").status, 200);
}

#[test]
fn a_body_on_a_get_is_not_read_as_a_request() {
    let (served, ..) = serving("");
    let smuggled = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 44\r\n\r\nGET /nix-cache-info HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let said = String::from_utf8_lossy(&raw(served.port(), smuggled)).into_owned();
    assert_eq!(said.matches("HTTP/1.1 200").count(), 1, "{said}");
}

#[test]
fn a_question_that_came_through_another_countersign_asks_nobody() {
    let (served, package, cache) = serving("");
    let path = format!("/{}.narinfo", package.hash());
    let through = get_with(served.port(), &path, &[("Countersign-Via", "1")]);
    assert_eq!((through.status, through.verdict()), (404, "defer"));
    assert!(cache.asked().is_empty());
    assert_eq!(get(served.port(), &path).status, 200);
    assert_eq!(get_with(served.port(), &path, &[("Countersign-Via", "1")]).status, 200, "it is known now");
}
