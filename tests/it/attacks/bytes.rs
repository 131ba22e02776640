//! Bytes that lie about an honestly claimed NAR: too many, too few, too large, packed otherwise.

use super::{delivers_nothing, is_served, never_completes};
use crate::support::client::open;
use crate::support::fake_cache::Script;
use crate::support::party::{Package, compress, noise};
use crate::support::scene::{LARGE, SMALL, Scene};
use crate::support::service::nar_url;
use std::io::Write;

const COMPRESSED: [&str; 5] = ["zstd", "xz", "bzip2", "gzip", "br"];
const ALL: [&str; 6] = ["none", "zstd", "xz", "bzip2", "gzip", "br"];

/// Delivers these bytes for an honest claim, small and large, and expects that they never pass.
fn never_passes(compression: &'static str, what: &str, forge: impl Fn(&Scene) -> Vec<u8>) {
    for size in [SMALL, LARGE] {
        let scene = Scene::new(compression, size);
        scene.delivers(Script::Bytes(forge(&scene)));
        let what = format!("{what}, {compression}, {size} bytes");
        if size == SMALL {
            delivers_nothing(&scene, &what);
        } else {
            never_completes(&scene, &what);
        }
    }
}

/// Appends bytes to an uncompressed NAR: Nix 2.8 takes the NAR and ignores them. The count of bytes stops it.
#[test]
fn bytes_after_the_nar() {
    is_served(&Scene::new("none", LARGE), "bytes after the NAR");
    for more in [1, 8, 100_000] {
        never_passes("none", "bytes after the NAR", |scene| [scene.bytes(), vec![0; more]].concat());
    }
}

/// Appends bytes inside the compressed data: a longer NAR than was signed. The count of bytes stops it.
#[test]
fn bytes_after_the_nar_inside_the_compressed_data() {
    for compression in COMPRESSED {
        is_served(&Scene::new(compression, SMALL), "bytes inside the compressed data");
        never_passes(compression, "bytes inside", |scene| {
            compress(&[&scene.package.nar[..], &[0; 8]].concat(), compression)
        });
    }
}

/// Appends bytes to the compressed data, where readers stop that know only the first stream. The decoder stops
/// it: nothing may follow the last member.
#[test]
fn bytes_after_the_compressed_data() {
    for compression in COMPRESSED {
        is_served(&Scene::new(compression, SMALL), "bytes after the compressed data");
        never_passes(compression, "bytes after", |scene| [&scene.bytes()[..], b"garbage!"].concat());
    }
}

/// Appends a second member that adds bytes to the NAR. The count of bytes stops it, since members are read on.
/// The twin: the NAR itself in two members.
#[test]
fn a_second_member_that_adds_bytes() {
    for compression in ["zstd", "xz", "bzip2", "gzip"] {
        let scene = Scene::new(compression, SMALL);
        let (first, second) = scene.package.nar.split_at(5000);
        let members = [compress(first, compression), compress(second, compression)].concat();
        scene.delivers(Script::Bytes(members));
        is_served(&scene, "a second member");
        never_passes(compression, "a second member", |scene| {
            [scene.bytes(), compress(b"more", compression)].concat()
        });
    }
    never_passes("br", "a second stream", |scene| [scene.bytes(), compress(b"", "br")].concat());
}

/// Endless members that hold nothing: input without output. The cap on compressed bytes stops it. The twin: a few
/// empty members. Without it, the transfer never ends.
#[test]
fn endless_empty_members() {
    for compression in ["zstd", "xz", "gzip"] {
        let scene = Scene::new(compression, SMALL);
        let nothing = compress(b"", compression);
        scene.delivers(Script::Bytes([scene.bytes(), nothing.repeat(3)].concat()));
        is_served(&scene, "empty members");
        let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        scene.delivers(Script::Endless(head, nothing.repeat(1000)));
        delivers_nothing(&scene, compression);
    }
}

/// A gigabyte of zeros after an honest NAR, in as little as each format can. Output is bounded by NarSize, so
/// the bomb costs one buffer.
#[test]
fn bombs() {
    for compression in COMPRESSED {
        let scene = Scene::new(compression, SMALL);
        is_served(&scene, "a bomb");
        let bomb = match compression {
            "br" => {
                let mut bomb = Vec::new();
                let mut encoder = brotli::CompressorWriter::new(&mut bomb, 1 << 20, 1, 22);
                encoder.write_all(&scene.package.nar).unwrap();
                for _ in 0..256 {
                    encoder.write_all(&[0; 1 << 20]).unwrap();
                }
                drop(encoder);
                bomb
            }
            _ => [scene.bytes(), compress(&vec![0; 16 << 20], compression).repeat(64)].concat(),
        };
        assert!(bomb.len() < 11_000_000, "{compression}: {}", bomb.len());
        scene.delivers(Script::Bytes(bomb));
        delivers_nothing(&scene, compression);
    }
}

/// A zstd frame that asks for a window of 1 GiB. The limit for decoders stops it. The twin asks for 128 MiB. Without
/// it, the gigabyte is granted and the NAR served.
#[test]
fn a_huge_zstd_window() {
    let scene = Scene::new("zstd", SMALL);
    let raw_block = |window: u8| {
        let nar = &scene.package.nar;
        let header = u32::try_from(nar.len() << 3 | 1).unwrap().to_le_bytes();
        [&0xFD2F_B528_u32.to_le_bytes()[..], &[0, window], &header[..3], nar].concat()
    };
    scene.delivers(Script::Bytes(raw_block(17 << 3)));
    is_served(&scene, "a window of 128 MiB");
    for log in [28, 30, 41] {
        scene.delivers(Script::Bytes(raw_block((log - 10) << 3)));
        delivers_nothing(&scene, "a huge window");
    }
}

/// An xz stream that asks for a dictionary of 1 GiB. The limit for decoders stops it. The twin asks for 64 MiB, as
/// `xz -9` does. Without it, the gigabyte is granted and the NAR served.
#[test]
fn a_huge_xz_dictionary() {
    let scene = Scene::new("xz", SMALL);
    let asking_for = |bits: u8| {
        let mut stream = scene.bytes();
        let header = 12..12 + 4 * (usize::from(stream[12]) + 1);
        let found = stream[header.clone()].windows(2).position(|pair| pair == [0x21, 1]).unwrap();
        stream[header.start + found + 2] = bits;
        let mut crc = flate2::Crc::new();
        crc.update(&stream[header.start..header.end - 4]);
        stream[header.end - 4..header.end].copy_from_slice(&crc.sum().to_le_bytes());
        stream
    };
    scene.delivers(Script::Bytes(asking_for(28)));
    is_served(&scene, "a dictionary of 64 MiB");
    for bits in [36, 40] {
        scene.delivers(Script::Bytes(asking_for(bits)));
        delivers_nothing(&scene, "a huge dictionary");
    }
}

/// Cuts the body and says so honestly in Content-Length. The size, and the end of the compressed data, stop it.
#[test]
fn bytes_that_end_too_early() {
    for compression in ALL {
        for from_the_end in [1, 9, 5000] {
            never_passes(compression, "cut", |scene| {
                let bytes = scene.bytes();
                bytes[..bytes.len() - from_the_end.min(bytes.len() / 2)].to_vec()
            });
        }
        never_passes(compression, "empty", |_| Vec::new());
        never_passes(compression, "an empty NAR", |_| compress(b"", compression));
    }
}

/// Breaks the connection off before Content-Length is reached, in a place where the data might end.
#[test]
fn a_connection_that_ends_too_early() {
    for compression in ALL {
        for size in [SMALL, LARGE] {
            let scene = Scene::new(compression, size);
            scene.delivers(Script::Cut(scene.bytes(), scene.bytes().len() - 1));
            never_completes(&scene, compression);
            let chunk = [format!("{:x}\r\n", scene.bytes().len()).as_bytes(), &scene.bytes()].concat();
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            scene.delivers(Script::Raw([&head[..], &chunk, b"\r\n0\r\n\r\n"].concat()));
            is_served(&scene, "chunks that end");
            scene.delivers(Script::Raw([&head[..], &chunk, b"\r\n"].concat()));
            never_completes(&scene, "chunks without an end");
        }
    }
}

/// Delivers another well-formed NAR, shorter or longer or as long as the signed one. Size and hash stop it. Without
/// the hash, the one that is as long is served.
#[test]
fn another_nar() {
    for compression in ALL {
        for (what, change) in [("shorter", -8_isize), ("longer", 8), ("as long", 0)] {
            never_passes(compression, what, |scene| {
                let size = scene.package.nar.len().strict_add_signed(change) - 112;
                compress(&Package::new("other", &noise(99, size)).nar, compression)
            });
        }
    }
}

/// Names another compression than the bytes have, which old clients detect by themselves. Bytes decode as
/// declared or not at all.
#[test]
fn a_wrong_compression() {
    for told in ALL {
        for packed in ALL.into_iter().filter(|packed| *packed != told) {
            let scene = Scene::new(told, SMALL);
            scene.delivers(Script::Bytes(compress(&scene.package.nar, packed)));
            delivers_nothing(&scene, &format!("{packed} called {told}"));
        }
    }
}

/// The lie comes after many megabytes, in the last byte that counts. The end is withheld until the hash agrees.
/// Without it, the whole NAR is sent and only Nix notices.
#[test]
fn a_lie_after_many_megabytes() {
    for compression in ["none", "zstd"] {
        let scene = Scene::new(compression, 24_000_000);
        let at = scene.package.nar.len() - 100;
        let mut lie = scene.package.nar.clone();
        lie[at] ^= 1;
        scene.delivers(Script::Bytes(compress(&lie, compression)));
        let sent = never_completes(&scene, compression);
        assert!(sent > 20_000_000, "it was streamed: {sent}");
        assert!(scene.package.nar.len() - sent >= 64 << 10, "the end was withheld: {sent}");
        scene.delivers(Script::Bytes(scene.bytes()));
        is_served(&scene, "a late lie");
    }
}

/// Sends the rest only after the verdict could have been used: a body that stalls holds one client, not the
/// service. The twin is slow, and served.
#[test]
fn a_body_that_stalls_holds_nobody_else() {
    let scene = Scene::new("none", LARGE);
    scene.delivers(Script::Slow(scene.bytes(), std::time::Duration::from_millis(500)));
    is_served(&scene, "a slow body");
    let other = Package::new("other-1.0", &noise(2, LARGE));
    scene.cache.put("none", &[&scene.party], &other);
    let wire = [
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", scene.package.nar.len()).as_bytes(),
        &scene.package.nar[..1_200_000],
    ]
    .concat();
    scene.delivers(Script::Wire(wire));
    let served = scene.serve();
    let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", nar_url(&scene.package));
    let held: Vec<_> = (0..40).map(|_| open(served.port(), request.as_bytes())).collect();
    super::in_time(&served, "stalled bodies", || assert!(served.serves(&other)));
    drop(held);
}
