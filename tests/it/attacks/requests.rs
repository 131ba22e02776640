//! Clients that misbehave: slow, many, confused, or speaking another protocol.

use super::{goes_on, in_time};
use crate::support::client::{get, open, parse, raw, request};
use crate::support::daemon::Daemon;
use crate::support::dirs::Dir;
use crate::support::scene::{LARGE, RULE, SMALL, Scene};
use crate::support::service::{Served, caches, nar_url, signers};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

fn serving(size: usize) -> (Scene, Served) {
    let scene = Scene::new("zstd", size);
    let served = scene.serve();
    assert!(served.serves(&scene.package), "the honest twin");
    (scene, served)
}

/// The head of a request, the last line end included.
fn head(target: &str, more: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n").into_bytes()
}

/// The statuses of all responses in what came back.
fn statuses(said: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(said);
    text.match_indices("HTTP/1.1 ").filter_map(|(at, _)| text[at + 9..].get(..3)?.parse().ok()).collect()
}

/// Heads that never end: they hold their own connections and nobody else's.
#[test]
fn slow_heads() {
    let (scene, served) = serving(SMALL);
    let mut slow: Vec<TcpStream> =
        (0..100).map(|_| open(served.port(), b"GET /nix-cache-info HTTP/1.1\r\nHost: loc")).collect();
    in_time(&served, "slow heads", || {
        for _ in 0..3 {
            slow.iter_mut().for_each(|stream| stream.write_all(b"a").unwrap());
            assert!(served.serves(&scene.package));
        }
    });
    let mut last = slow.pop().unwrap();
    last.write_all(b"\r\n\r\n").unwrap();
    let mut said = [0; 12];
    last.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"HTTP/1.1 421", "a head that ends is answered");
}

/// Requests one after another without waiting: each is answered, in order.
#[test]
fn pipelined_requests() {
    let (scene, served) = serving(SMALL);
    let mut all = Vec::new();
    for n in 0..200 {
        all.extend(head(if n % 2 == 0 { "/healthz" } else { "/nowhere" }, ""));
    }
    all.extend(head(&nar_url(&scene.package), "Connection: close\r\n"));
    let said = in_time(&served, "pipelined requests", || raw(served.port(), &all));
    assert_eq!(statuses(&said), [[200, 404].repeat(100), vec![200]].concat());
    assert!(said.ends_with(&scene.package.nar));
}

/// Asks for a hundred NARs and reads none: what is not read is not fetched, and others are served.
#[test]
fn clients_that_do_not_read() {
    let (scene, served) = serving(LARGE);
    let asking = head(&nar_url(&scene.package), "").repeat(4);
    let held: Vec<TcpStream> = (0..25).map(|_| open(served.port(), &asking)).collect();
    in_time(&served, "clients that do not read", || assert!(served.serves(&scene.package)));
    drop(held);
}

/// Connections that go away in the middle of an answer.
#[test]
fn clients_that_go_away() {
    let (scene, served) = serving(LARGE);
    for _ in 0..50 {
        let mut stream = open(served.port(), &head(&nar_url(&scene.package), ""));
        stream.read_exact(&mut [0; 100]).unwrap();
    }
    in_time(&served, "clients that go away", || assert!(served.serves(&scene.package)));
}

/// More connections than `limits.connections`: the rest waits, and is served when there is room.
#[test]
fn more_connections_than_the_limit() {
    let scene = Scene::small();
    let dir = Dir::new();
    let (signers, caches) = (signers(&[&scene.party]), caches(&[("a", &scene.cache)]));
    let text = format!("listen = [\"127.0.0.1:0\"]\n{signers}{caches}{RULE}[limits]\nconnections = 512\n");
    let mut daemon = Daemon::start(&dir, dir.write("c.toml", text).to_str().unwrap());
    daemon.forget_log();
    let mut all: Vec<TcpStream> = (0..600).map(|_| open(daemon.port, b"")).collect();
    let asking = head("/healthz", "Connection: close\r\n");
    let mut answered = 0;
    let mut waiting = Vec::new();
    for mut stream in all.drain(..) {
        stream.write_all(&asking).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        waiting.push(stream);
    }
    for mut stream in waiting {
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        answered += usize::from(parse(&said).status == 200);
    }
    assert_eq!(answered, 600);
    assert_eq!(get(daemon.port, "/nix-cache-info").status, 200);
    assert_eq!(daemon.stop(), Some(0));
}

/// Ten thousand connections, one after another: nothing is kept of any.
#[test]
fn ten_thousand_connections() {
    let (_scene, served) = serving(SMALL);
    for _ in 0..10_000 {
        let mut stream = open(served.port(), &head("/healthz", ""));
        stream.read_exact(&mut [0; 12]).unwrap();
    }
    goes_on(&served, "ten thousand connections");
}

/// HTTP/1.0 needs no Host; HTTP/1.1 does, or a web page could leave it out. Without the look at Host, both are
/// answered.
#[test]
fn requests_without_a_host() {
    let (_scene, served) = serving(SMALL);
    assert_eq!(parse(&raw(served.port(), b"GET /healthz HTTP/1.0\r\n\r\n")).status, 200);
    let evil = b"GET /healthz HTTP/1.0\r\nHost: evil.example\r\n\r\n";
    assert_eq!(parse(&raw(served.port(), evil)).status, 421);
    let none = b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n";
    assert_eq!(parse(&raw(served.port(), none)).status, 421);
    goes_on(&served, "no host");
}

/// A Host twice, a Host that only looks like ours, a target that names another host than Host does. Without the look
/// at Host, they are answered.
#[test]
fn hosts_that_are_not_ours() {
    let (_scene, served) = serving(SMALL);
    for more in ["Host: localhost\r\n", "Host: evil.example\r\n"] {
        let said = raw(served.port(), &head("/healthz", &format!("{more}Connection: close\r\n")));
        assert!(matches!(parse(&said).status, 400 | 421), "{more}");
    }
    for host in
        ["localhost.evil.example", "localhost@evil.example", "evil.example#localhost", "localhost:x", "[::1"]
    {
        let status = request(served.port(), "GET", "/healthz", &[("Host", host)]).status;
        assert!(matches!(status, 400 | 421), "{host}: {status}");
    }
    let close = "Connection: close\r\n";
    assert_eq!(parse(&raw(served.port(), &head("http://localhost/healthz", close))).status, 200);
    for target in
        ["http://evil.example/healthz", "http://localhost@evil.example/healthz", "https://evil.example/"]
    {
        let status = parse(&raw(served.port(), &head(target, close))).status;
        assert!(matches!(status, 400 | 421), "{target}: {status}");
    }
    goes_on(&served, "hosts");
}

/// Asks for a tunnel, an upgrade or another protocol: none is spoken here.
#[test]
fn other_protocols() {
    let (_scene, served) = serving(SMALL);
    let upgrade =
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    let twice = [head("/healthz", upgrade), head("/healthz", "Connection: close\r\n")].concat();
    assert_eq!(statuses(&raw(served.port(), &twice)), [200, 200], "an upgrade is not taken up");
    let socket = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AA==\r\n";
    let twice = [head("/healthz", socket), head("/healthz", "Connection: close\r\n")].concat();
    assert_eq!(statuses(&raw(served.port(), &twice)), [200, 200]);
    for bytes in [
        &b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\nConnection: close\r\n\r\n"[..],
        b"CONNECT evil.example:80 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /healthz\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n",
        b"EHLO mail.example\r\nMAIL FROM:<a@b>\r\n\r\n",
    ] {
        let said = in_time(&served, "another protocol", || raw(served.port(), bytes));
        let all = statuses(&said);
        assert!(
            all.iter().all(|s| matches!(s, 400 | 405 | 421)),
            "{all:?}: {}",
            String::from_utf8_lossy(bytes)
        );
        assert!(all.len() <= 1);
    }
}

/// Bodies on requests that have none: what is in them is never taken for a request. Without closing after the answer,
/// the connection hangs.
#[test]
fn bodies_on_a_get() {
    let (_scene, served) = serving(SMALL);
    let inner = String::from_utf8(head("/nix-cache-info", "")).unwrap();
    let chunked = format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len());
    for (more, body) in [
        (format!("Content-Length: {}\r\n", inner.len()), &inner),
        (format!("Expect: 100-continue\r\nContent-Length: {}\r\n", inner.len()), &inner),
        ("Transfer-Encoding: chunked\r\n".to_owned(), &chunked),
        (format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", inner.len()), &chunked),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n".to_owned(), &chunked),
        ("Transfer-Encoding: gzip, chunked\r\n".to_owned(), &chunked),
        ("Transfer-Encoding: chunked, identity\r\n".to_owned(), &chunked),
        ("Content-Length: 99999999999\r\n".to_owned(), &inner),
    ] {
        let bytes = [head("/healthz", &more), body.clone().into_bytes()].concat();
        let said = in_time(&served, &more, || raw(served.port(), &bytes));
        let all = statuses(&said);
        assert!(all.len() == 1 && matches!(all[0], 200 | 400), "{more}: {all:?}");
        assert!(!String::from_utf8_lossy(&said).contains("StoreDir"), "{more}");
    }
    let expecting = head("/healthz", "Expect: 100-continue\r\nConnection: close\r\n");
    assert_eq!(statuses(&raw(served.port(), &expecting)), [200], "an expectation without a body");
}

/// Targets and headers at and above the bounds, and bytes that are none of either. Without the bounds, 40 kB of
/// headers are read.
#[test]
fn heads_that_are_none() {
    let (_scene, served) = serving(SMALL);
    let close = "Connection: close\r\n";
    for (target, more, expected) in [
        ("/healthz", format!("X: {}\r\n", "a".repeat(30_000)), 200),
        ("/healthz", format!("X: {}\r\n", "a".repeat(40_000)), 431),
        ("/healthz", "X: y\r\n".repeat(101), 431),
        ("/healthz", "X: a\r\n folded\r\n".to_owned(), 400),
        ("/healthz", "X : a\r\n".to_owned(), 400),
        ("/healthz", "X: a\0b\r\n".to_owned(), 400),
        ("healthz", String::new(), 421),
        ("/health z", String::new(), 400),
        ("/healthz\0", String::new(), 400),
        ("*", String::new(), 404),
    ] {
        let status = parse(&raw(served.port(), &head(target, &format!("{more}{close}")))).status;
        assert!(status == expected || (expected >= 400 && status == 400), "{target} {more:.20}: {status}");
    }
    goes_on(&served, "heads that are none");
}

/// Ranges of every kind: the whole NAR or the right part of it, never anything else.
#[test]
fn ranges_of_every_kind() {
    let (scene, served) = serving(SMALL);
    let length = scene.package.nar.len();
    for range in [
        "bytes=0-",
        "bytes=5-10",
        "bytes=-5",
        "bytes=5-2",
        "bytes=99999999-",
        "bytes=0-18446744073709551615",
        "bytes=18446744073709551615-",
        "bytes=--1",
        "bytes=a-b",
        "items=0-5",
        "bytes=0-1,3-4",
        "bytes=",
    ] {
        let reply = request(served.port(), "GET", &nar_url(&scene.package), &[("Range", range)]);
        match reply.status {
            200 => assert_eq!(reply.body, scene.package.nar, "{range}"),
            206 => {
                let part = reply.header("content-range").and_then(|r| r.strip_prefix("bytes ")).unwrap();
                let (from, rest) = part.split_once('-').unwrap();
                let (to, all) = rest.split_once('/').unwrap();
                let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
                assert_eq!(all, length.to_string(), "{range}");
                assert_eq!(reply.body, scene.package.nar[from..=to], "{range}");
            }
            status => assert_eq!(status, 416, "{range}"),
        }
    }
    goes_on(&served, "ranges");
}
