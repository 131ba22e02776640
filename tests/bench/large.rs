//! Makes one large NAR that several store paths have, for `tests/bench/run parallel`.
//!
//! `bench-large FOLDER MIB COUNT` makes `zstd/` and `xz/`, each a cache of COUNT paths with that NAR, `paths` with a
//! hash part a line, `size` with the NarSize, and `key.pub`. The NAR is one file of MIB MiB: three quarters lines of
//! text, one quarter bytes that do not compress. It repeats itself at a distance that no dictionary here reaches. xz
//! has a dictionary of 64 MiB, as with `xz -9`, so that each decoder needs as much. Nothing is random.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a tool of the benchmarks: what fails ends it")]

use countersign::format::fingerprint::fingerprint;
use countersign::format::narinfo::Core;
use countersign::format::{HashPart, KeyName, NarHash, SigningKey, StoreDir, StorePath};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

fn main() {
    let [folder, mib, count] = &std::env::args().skip(1).collect::<Vec<_>>()[..] else {
        panic!("usage: bench-large FOLDER MIB COUNT")
    };
    let (folder, mib): (&Path, usize) = (folder.as_ref(), mib.parse().expect("MIB is a number"));
    let pattern = pattern(96 << 20);
    let mut counted = Counted { hash: Sha256::new(), size: 0 };
    nar(&mut counted, &pattern, mib << 20).unwrap();
    let (hash, size) = (NarHash::from_digest(counted.hash.finalize().into()), counted.size);
    for kind in ["zstd", "xz"] {
        fs::create_dir_all(folder.join(kind).join("nar")).unwrap();
        fs::write(folder.join(kind).join("nix-cache-info"), "StoreDir: /nix/store\n").unwrap();
        let file = File::create(folder.join(kind).join(url(kind))).unwrap();
        let file_size = compress(kind, file, |out| nar(out, &pattern, mib << 20)).unwrap();
        claims(&folder.join(kind), kind, hash, size, file_size, count.parse().expect("COUNT is a number"));
    }
    fs::rename(folder.join("xz/paths"), folder.join("paths")).unwrap();
    fs::remove_file(folder.join("zstd/paths")).unwrap();
    fs::write(folder.join("size"), format!("{size}\n")).unwrap();
    fs::write(folder.join("key.pub"), format!("{}\n", key().verifying_key())).unwrap();
}

fn key() -> SigningKey {
    SigningKey::from_seed(KeyName::parse("large.bench.example-1").unwrap(), &[8; 32])
}

fn url(kind: &str) -> &'static str {
    if kind == "xz" { "nar/large.nar.xz" } else { "nar/large.nar.zst" }
}

fn pattern(size: usize) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(size + 4096);
    let mut x: u64 = 1;
    while pattern.len() < size {
        for _ in 0..110 {
            x = x * 16807 % 2_147_483_647;
            writeln!(pattern, "the field {x:08x} = {};", x % 999_983).unwrap();
        }
        for n in 0..32 {
            pattern.extend_from_slice(&Sha256::digest((x * 32 + n).to_le_bytes()));
        }
    }
    pattern.truncate(size);
    pattern
}

/// A NAR of one regular file.
fn nar(out: &mut dyn Write, pattern: &[u8], size: usize) -> io::Result<()> {
    for word in ["nix-archive-1", "(", "type", "regular", "contents"] {
        text(out, word)?;
    }
    out.write_all(&(size as u64).to_le_bytes())?;
    let mut left = size;
    while left > 0 {
        let some = left.min(pattern.len());
        out.write_all(&pattern[..some])?;
        left -= some;
    }
    out.write_all(&[0; 8][..size.wrapping_neg() % 8])?;
    text(out, ")")
}

fn text(out: &mut dyn Write, word: &str) -> io::Result<()> {
    out.write_all(&(word.len() as u64).to_le_bytes())?;
    out.write_all(word.as_bytes())?;
    out.write_all(&[0; 8][..word.len().wrapping_neg() % 8])
}

struct Counted {
    hash: Sha256,
    size: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The size of the compressed file.
fn compress(kind: &str, file: File, fill: impl Fn(&mut dyn Write) -> io::Result<()>) -> io::Result<u64> {
    let done = if kind == "xz" {
        let mut options = liblzma::stream::LzmaOptions::new_preset(0).unwrap();
        options.dict_size(64 << 20);
        let mut filters = liblzma::stream::Filters::new();
        filters.lzma2(&options);
        let check = liblzma::stream::Check::Crc64;
        let stream = liblzma::stream::Stream::new_stream_encoder(&filters, check).unwrap();
        let mut encoder = liblzma::write::XzEncoder::new_stream(file, stream);
        fill(&mut encoder)?;
        encoder.finish()?
    } else {
        let mut encoder = zstd::Encoder::new(file, 3)?;
        fill(&mut encoder)?;
        encoder.finish()?
    };
    Ok(done.metadata()?.len())
}

fn claims(folder: &Path, kind: &str, nar_hash: NarHash, nar_size: u64, file_size: u64, count: usize) {
    let mut listed = String::new();
    for n in 0..count {
        let digest: [u8; 32] = Sha256::digest(format!("large {n}").as_bytes()).into();
        let hash_part = HashPart::from_digest(digest[..HashPart::DIGEST_LEN].try_into().unwrap());
        let store_path = StorePath::from_parts(hash_part, &format!("large-{n}")).unwrap();
        let core = Core { store_path, nar_hash, nar_size, references: [].into_iter().collect() };
        let path = core.store_path.to_absolute_path(&StoreDir::default());
        let signature = key().sign(fingerprint(&StoreDir::default(), &core).as_bytes());
        let narinfo = format!(
            "StorePath: {path}\nURL: {}\nCompression: {kind}\nFileSize: {file_size}\nNarHash: {nar_hash}\n\
             NarSize: {nar_size}\nReferences: \nSig: {signature}\n",
            url(kind),
        );
        fs::write(folder.join(format!("{hash_part}.narinfo")), narinfo).unwrap();
        writeln!(listed, "{hash_part}").unwrap();
    }
    fs::write(folder.join("paths"), listed).unwrap();
}
