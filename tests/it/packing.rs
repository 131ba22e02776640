//! Packing: one pass, one member, the same file every time, and nothing left behind by a failure.

use crate::support::dirs::Dir;
use crate::support::party::noise;
use countersign::aside::Durability;
use countersign::config::Compression;
use countersign::pack::{PackError, Packed, pack, pack_in};
use countersign::transfer::decode::{Codec, Decoder};
use sha2::{Digest, Sha256};
use std::convert::Infallible;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

static RUN: AtomicBool = AtomicBool::new(false);

const KINDS: [Compression; 7] = [
    Compression::None,
    Compression::Zstd(1),
    Compression::Zstd(3),
    Compression::Zstd(19),
    Compression::Xz(0),
    Compression::Xz(6),
    Compression::Xz(9),
];

/// Writes bytes in pieces of odd lengths, as a dump does.
fn in_pieces(bytes: &[u8]) -> impl FnOnce(&mut dyn Write) -> io::Result<()> {
    move |out| {
        let mut left = bytes;
        for length in (1..).map(|n| n * n % 70_001 + 1) {
            if left.is_empty() {
                return Ok(());
            }
            let (now, later) = left.split_at(length.min(left.len()));
            out.write_all(now)?;
            left = later;
        }
        Ok(())
    }
}

fn packed(bytes: &[u8], kind: Compression, threads: u32) -> (Packed, Vec<u8>) {
    let dir = Dir::new();
    let made = pack_in(dir.path(), in_pieces(bytes), kind, threads, Durability::Unsynced, &RUN);
    let (packed, path) = made.unwrap();
    assert_eq!(path.file_name().unwrap().to_str().unwrap(), packed.name().strip_prefix("nar/").unwrap());
    (packed, fs::read(path).unwrap())
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Decodes with our own decoder in 16 MiB: windows stay small.
fn unpacked(packed: &Packed, file: &[u8]) -> Vec<u8> {
    let mut decoder = Decoder::new(Codec::of(&packed.stated()).unwrap(), 16 << 20).unwrap();
    let (mut input, mut all, mut buffer) = (file, Vec::new(), vec![0; 1 << 20]);
    loop {
        let moved = decoder.step(input, &mut buffer).unwrap();
        input = &input[moved.consumed..];
        all.extend_from_slice(&buffer[..moved.produced]);
        if moved.produced < buffer.len() {
            decoder.finish().unwrap();
            return all;
        }
    }
}

fn round_trip(kind: Compression, length: usize) {
    let bytes = noise(7, length);
    let (packed, file) = packed(&bytes, kind, 2);
    assert_eq!(*packed.nar_hash.digest(), sha256(&bytes), "{kind:?} {length}");
    assert_eq!(packed.nar_size, length as u64, "{kind:?} {length}");
    assert_eq!(*packed.file_hash.digest(), sha256(&file), "{kind:?} {length}");
    assert_eq!(packed.file_size, file.len() as u64, "{kind:?} {length}");
    assert_eq!(packed.compression, kind);
    assert!(unpacked(&packed, &file) == bytes, "{kind:?} {length}");
}

#[test]
fn what_is_packed_is_decoded_whole() {
    for kind in KINDS {
        // Around what is compressed at once, here and below.
        for length in [0, 1, 120, (1 << 20) - 1, 1 << 20, (1 << 20) + 1] {
            round_trip(kind, length);
        }
    }
    for kind in [Compression::Zstd(3), Compression::Zstd(12)] {
        for length in [(4 << 20) - 1, 4 << 20, (4 << 20) + 1] {
            round_trip(kind, length);
        }
    }
    for kind in [Compression::None, Compression::Zstd(3), Compression::Xz(0)] {
        round_trip(kind, 9_000_001);
    }
}

#[test]
fn a_file_is_one_frame_or_one_stream() {
    let bytes = noise(3, 7_000_000);
    let (_, file) = packed(&bytes, Compression::Zstd(3), 4);
    assert_eq!(zstd::zstd_safe::find_frame_compressed_size(&file), Ok(file.len()));
    let (_, file) = packed(&bytes, Compression::Xz(0), 4);
    let mut one = liblzma::stream::Stream::new_stream_decoder(u64::MAX, 0).unwrap();
    let mut out = vec![0; bytes.len() + 1];
    let status = one.process(&file, &mut out, liblzma::stream::Action::Finish).unwrap();
    assert_eq!(status, liblzma::stream::Status::StreamEnd);
    assert_eq!(one.total_in(), file.len() as u64);
}

#[test]
fn a_small_frame_says_its_size() {
    let (_, file) = packed(&noise(3, 5000), Compression::Zstd(3), 1);
    assert_eq!(zstd::zstd_safe::get_frame_content_size(&file).unwrap(), Some(5000));
}

#[test]
fn the_same_nar_gives_the_same_file_whatever_the_threads_and_pieces() {
    for length in [4000, 7_000_000] {
        let bytes = noise(5, length);
        for kind in [Compression::Zstd(3), Compression::Zstd(1)] {
            let first = packed(&bytes, kind, 1);
            for threads in [0, 2, 5] {
                assert!(packed(&bytes, kind, threads) == first, "{kind:?} {threads}");
            }
            let mut file = tempfile::tempfile().unwrap();
            let whole = |out: &mut dyn Write| out.write_all(&bytes);
            assert_eq!(pack(whole, kind, 1, &mut file, &RUN).unwrap(), first.0);
        }
    }
}

#[test]
fn names_are_those_of_nix() {
    let name = |kind| packed(b"x", kind, 1).0.name();
    let hash = countersign::format::base32::encode(&sha256(b"x"));
    assert_eq!(name(Compression::None), format!("nar/{hash}.nar"));
    assert!(name(Compression::Zstd(3)).ends_with(".nar.zst"));
    assert!(name(Compression::Xz(3)).ends_with(".nar.xz"));
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn a_dump_that_fails_leaves_nothing() {
    let dir = Dir::new();
    let broken = |out: &mut dyn Write| {
        out.write_all(&noise(1, 3 << 20))?;
        Err::<(), _>(io::Error::other("the path went away"))
    };
    let made = pack_in(dir.path(), broken, Compression::Zstd(3), 1, Durability::Synced, &RUN);
    assert!(matches!(&made, Err(PackError::Dump(e)) if e.to_string() == "the path went away"), "{made:?}");
    assert!(is_empty(dir.path()));
}

/// A dump may make of our error what it likes: what failed is still told.
#[test]
fn a_full_disk_is_told_even_if_the_dump_does_not() {
    for kind in [Compression::None, Compression::Zstd(3), Compression::Xz(0)] {
        let mut full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let deaf = |out: &mut dyn Write| {
            for _ in 0..8 {
                out.write_all(&noise(1, 1 << 20)).unwrap_or_default();
            }
            Ok::<(), Infallible>(())
        };
        let made = pack(deaf, kind, 1, &mut full, &RUN).unwrap_err();
        assert!(made.is_full(), "{kind:?} {made}");
    }
}

#[test]
fn a_disk_that_is_full_at_the_end_is_told_too() {
    let mut full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let made = pack(in_pieces(b"small"), Compression::Zstd(3), 1, &mut full, &RUN).unwrap_err();
    assert!(made.is_full(), "{made}");
}

#[test]
fn a_cancelled_packing_stops_at_its_next_write_and_leaves_nothing() {
    let dir = Dir::new();
    let cancel = AtomicBool::new(false);
    let mut writes = 0;
    let long = |out: &mut dyn Write| {
        loop {
            writes += 1;
            cancel.store(writes == 5, Ordering::Relaxed);
            out.write_all(&[0; 100_000])?;
        }
        #[allow(unreachable_code, reason = "names the type")]
        Ok::<(), io::Error>(())
    };
    let made = pack_in(dir.path(), long, Compression::Zstd(3), 2, Durability::Unsynced, &cancel);
    assert!(matches!(made, Err(PackError::Cancelled)), "{made:?}");
    assert_eq!(writes, 5);
    assert!(is_empty(dir.path()));
}

#[test]
fn what_was_packed_is_the_uploaders_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Dir::new();
    let made = pack_in(dir.path(), in_pieces(b"x"), Compression::None, 1, Durability::Synced, &RUN);
    let file = File::open(made.unwrap().1).unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}
