//! HTTP tricks of a cache: framing that two readers see in two ways, statuses that nobody asked for, heads
//! without an end, silence.

use super::{delivers_nothing, goes_on, in_time, is_no_claim, is_served, never_completes};
use crate::support::fake_cache::Script;
use crate::support::party::{Package, compress, noise};
use crate::support::scene::{LARGE, SMALL, Scene};
use crate::support::service::caches;
use std::time::Duration;

/// A response on the wire.
fn wire(head: &str, body: &[u8]) -> Vec<u8> {
    [head.as_bytes(), b"\r\n\r\n", body].concat()
}

/// The honest bytes of claim and NAR under this head are nothing.
fn nothing_under(head: &str) {
    for size in [SMALL, LARGE] {
        let scene = Scene::new("none", size);
        let length = scene.package.nar.len();
        scene.delivers(Script::Wire(wire(&head.replace("LENGTH", &length.to_string()), &scene.package.nar)));
        delivers_nothing(&scene, head);
    }
    let scene = Scene::small();
    let narinfo = scene.narinfo();
    let said = wire(&head.replace("LENGTH", &narinfo.len().to_string()), narinfo.as_bytes());
    scene.answers(Script::Wire(said));
    is_no_claim(&scene, head);
}

/// The twin of all of these: the same bytes under a plain head.
#[test]
fn a_plain_head_is_served() {
    for size in [SMALL, LARGE] {
        let scene = Scene::new("none", size);
        let head = |bytes: &[u8]| format!("HTTP/1.1 200 OK\r\nContent-Length: {}", bytes.len());
        scene.delivers(Script::Wire(wire(&head(&scene.package.nar), &scene.package.nar)));
        scene.answers(Script::Wire(wire(&head(scene.narinfo().as_bytes()), scene.narinfo().as_bytes())));
        is_served(&scene, "every HTTP trick");
    }
}

/// Two lengths, of which each reader takes another.
#[test]
fn two_lengths() {
    nothing_under("HTTP/1.1 200 OK\r\nContent-Length: LENGTH\r\nContent-Length: 5");
    nothing_under("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: LENGTH");
    nothing_under("HTTP/1.1 200 OK\r\nContent-Length: LENGTH, 5");
}

/// A length that is none.
#[test]
fn lengths_that_are_none() {
    for length in ["-1", "+LENGTH", "0x10", "LENGTH;", "99999999999999999999", ""] {
        nothing_under(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}"));
    }
}

/// A length and chunks at once: the beginning of every smuggling.
#[test]
fn a_length_with_chunks() {
    nothing_under("HTTP/1.1 200 OK\r\nContent-Length: LENGTH\r\nTransfer-Encoding: chunked");
    nothing_under("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: LENGTH");
}

/// Chunks of impossible sizes, and transfer codings that nobody offered.
#[test]
fn chunks_that_are_none() {
    let scene = Scene::small();
    let good =
        [format!("{:x}\r\n", scene.package.nar.len()).as_bytes(), &scene.package.nar, b"\r\n0\r\n\r\n"]
            .concat();
    scene.delivers(Script::Wire(wire("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", &good)));
    is_served(&scene, "chunks");
    for size in ["ffffffffffffffff1", "-5", "0x5", "g", "", " "] {
        let chunk = [format!("{size}\r\n").as_bytes(), &scene.package.nar, b"\r\n0\r\n\r\n"].concat();
        scene.delivers(Script::Raw(wire("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", &chunk)));
        delivers_nothing(&scene, size);
    }
    for coding in ["gzip, chunked", "gzip", "chunked, identity", "xchunked"] {
        let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}");
        scene.delivers(Script::Raw(wire(&head, &compress(&good, "gzip"))));
        delivers_nothing(&scene, coding);
    }
}

/// Extensions of chunks and trailers without an end: bytes that count for nothing.
#[test]
fn endless_chunk_extensions_and_trailers() {
    let scene = Scene::small();
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    is_served(&scene, "extensions");
    scene.delivers(Script::Endless([&head[..], b"5;x="].concat(), vec![b'x'; 10_000]));
    delivers_nothing(&scene, "an endless extension");
    scene.delivers(Script::Endless([&head[..], b"0\r\n"].concat(), b"X: y\r\n".repeat(1000)));
    delivers_nothing(&scene, "endless trailers");
}

/// Statuses that were not asked for, with the right bytes in their body. Where every 2xx is taken, 206 is served.
#[test]
fn unasked_statuses() {
    for status in
        ["206 Partial Content", "203 Mirrored", "201 Created", "226 IM Used", "299 Odd", "300 Choice"]
    {
        nothing_under(&format!("HTTP/1.1 {status}\r\nContent-Length: LENGTH"));
    }
    nothing_under("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-5/6\r\nContent-Length: LENGTH");
    for status in ["401 Who", "403 No", "500 Oops", "503 Later", "999 What", "000 What", "20 Short"] {
        nothing_under(&format!("HTTP/1.1 {status}\r\nContent-Length: LENGTH"));
    }
}

/// Statuses that have no body, with one: it must not become the answer to the next request. Where every 2xx is taken,
/// 205 is served.
#[test]
fn bodies_where_none_can_be() {
    for status in ["204 No Content", "304 Not Modified", "205 Reset"] {
        nothing_under(&format!("HTTP/1.1 {status}\r\nContent-Length: LENGTH"));
        nothing_under(&format!("HTTP/1.1 {status}"));
    }
}

/// A Content-Encoding that was not asked for, true or not: old clients unpack it, and so a bomb. Without the look at
/// the header, it is served.
#[test]
fn unasked_content_encodings() {
    for encoding in ["gzip", "br", "deflate", "zstd", "gzip, gzip"] {
        nothing_under(&format!("HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: LENGTH"));
        let scene = Scene::small();
        let head = vec![("content-encoding".to_owned(), encoding.to_owned())];
        scene.delivers(Script::With(head, compress(&scene.package.nar, "gzip")));
        delivers_nothing(&scene, encoding);
    }
}

/// Headers that are split, folded or no headers.
#[test]
fn headers_that_are_none() {
    for line in [
        "X: a\r\n Content-Length: 5",
        "X: a\r\n\tb",
        "X : a",
        "X\0: a",
        "X: a\0b",
        "no header",
        ": empty",
        "X: a\rContent-Length: 5",
    ] {
        nothing_under(&format!("HTTP/1.1 200 OK\r\n{line}\r\nContent-Length: LENGTH"));
    }
    for start in
        ["HTTP/2 200 OK", "HTTP/0.9 200 OK", "HTTP/1.1", "HTTP/1.1 2xx", "ICY 200 OK", "\0\0\0\0", "220 FTP"]
    {
        nothing_under(&format!("{start}\r\nContent-Length: LENGTH"));
    }
}

/// Interim answers without an end: each one is progress to a lax client. The time-out of the claim ends it for a
/// narinfo. The twin sends three. Without it, the client waits.
#[test]
fn interim_answers_without_an_end() {
    let scene = Scene::small();
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}", scene.narinfo().len());
    let honest = wire(&head, scene.narinfo().as_bytes());
    scene.answers(Script::Wire([&interim.repeat(3), &honest[..]].concat()));
    is_served(&scene, "three interim answers");
    scene.answers(Script::Endless(Vec::new(), interim.repeat(1000)));
    is_no_claim(&scene, "100 for ever");
    scene
        .answers(Script::Endless(Vec::new(), b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(1000)));
    is_no_claim(&scene, "103 for ever");
    scene.answers(Script::Wire(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n".to_vec(),
    ));
    is_no_claim(&scene, "101");
}

/// Heads of ten megabytes and without an end, in one header, in many, in the reason. The client's bounds end it.
#[test]
fn heads_without_an_end() {
    let scene = Scene::small();
    is_served(&scene, "a head");
    for (start, again) in [
        ("HTTP/1.1 200 OK\r\nX: ", "a".repeat(10_000)),
        ("HTTP/1.1 200 OK\r\n", "X: y\r\n".repeat(1000)),
        ("HTTP/1.1 200 ", "a".repeat(10_000)),
        ("HTTP/1.1 ", "2".repeat(10_000)),
        ("", "\r\n".repeat(10_000)),
    ] {
        let endless = Script::Endless(start.into(), again.clone().into_bytes());
        scene.answers(endless.clone());
        is_no_claim(&scene, start);
        scene.answers(Script::Bytes(scene.narinfo().into_bytes()));
        if !start.is_empty() {
            scene.delivers(endless);
            delivers_nothing(&scene, start);
        }
        let large = wire(&format!("{start}{}", again.repeat(10_000_000 / again.len())), b"");
        scene.answers(Script::Raw(large));
        is_no_claim(&scene, "ten megabytes of head");
        scene.answers(Script::Bytes(scene.narinfo().into_bytes()));
    }
}

/// Closes at once, before or after it has read the question.
#[test]
fn a_cache_that_closes_at_once() {
    let scene = Scene::small();
    is_served(&scene, "closing");
    scene.delivers(Script::Raw(Vec::new()));
    delivers_nothing(&scene, "closing on the NAR");
    scene.answers(Script::Raw(Vec::new()));
    is_no_claim(&scene, "closing on the narinfo");
    for part in ["H", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n"] {
        scene.answers(Script::Raw(part.into()));
        is_no_claim(&scene, part);
    }
}

/// Never answers the question. `claim-timeout` ends it; where another cache is enough, that one is served. Without
/// it, the client waits.
#[test]
fn a_cache_that_never_answers() {
    let (silent, honest) = (Scene::small(), Scene::small());
    silent.answers(Script::Late(Duration::from_secs(60), Vec::new()));
    is_no_claim(&silent, "silence");
    let served = silent.serve_from(&caches(&[("a", &silent.cache), ("b", &honest.cache)]));
    in_time(&served, "silence beside an honest cache", || assert!(served.serves(&silent.package)));
}

/// Claims honestly, then never answers for the NAR, or with interim answers for ever. The time for which a source may
/// be silent ends it, and the next source delivers. Without it, the client waits as long as the cache likes.
#[test]
fn a_source_that_never_answers() {
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000);
    let scripts = [Script::Late(Duration::from_secs(60), Vec::new()), Script::Endless(Vec::new(), interim)];
    std::thread::scope(|scope| {
        // Both at once: each waits for the 20 seconds that a source may be silent.
        for script in scripts {
            scope.spawn(move || {
                let (silent, honest) = (Scene::small(), Scene::small());
                silent.delivers(script);
                let served = silent.serve_from(&caches(&[("a", &silent.cache), ("b", &honest.cache)]));
                assert!(served.serves(&silent.package));
            });
        }
    });
}

/// Answers once and a half: a whole second response follows the first on the kept connection, for the next
/// request to take as its own. What was not asked for closes the connection.
#[test]
fn an_answer_to_the_next_request() {
    let scene = Scene::small();
    let next = Package::new("next-1.0", &noise(3, SMALL));
    scene.cache.put("none", &[&scene.party], &next);
    let answer = |body: &[u8]| wire(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}", body.len()), body);
    let missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec();
    let forged = next.forged(b"evil");
    for second in
        [answer(forged.narinfo("none", &[]).as_bytes()), answer(&forged.nar), missing, b"garbage".to_vec()]
    {
        scene.answers(Script::Wire([answer(scene.narinfo().as_bytes()), second.clone()].concat()));
        scene.delivers(Script::Wire([answer(&scene.package.nar), second].concat()));
        let served = scene.serve();
        in_time(&served, "an answer ahead", || {
            for _ in 0..3 {
                assert!(served.serves(&scene.package), "the first answer is honest");
                assert!(served.serves(&next), "the second is its own");
            }
        });
    }
}

/// Promises one length and sends more, so that the rest becomes the next answer. What is over is not read as the
/// NAR, and the next request has its own answer.
#[test]
fn more_than_the_promised_length() {
    let scene = Scene::new("none", LARGE);
    let next = Package::new("next-1.0", &noise(3, SMALL));
    scene.cache.put("none", &[&scene.party], &next);
    let body = &scene.package.nar;
    let short = format!("HTTP/1.1 200 OK\r\nContent-Length: {}", body.len() - 8);
    scene.delivers(Script::Wire(wire(&short, body)));
    never_completes(&scene, "a length that is too small");
    let served = scene.serve();
    assert_eq!(served.narinfo(&scene.package).status, 200);
    served.nar(&scene.package);
    assert!(served.serves(&next));
    goes_on(&served, "a length that is too small");
}
