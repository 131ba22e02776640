//! Writes signed narinfos of the size that published ones have, for `tests/bench/run memory`.
//!
//! `narinfos FOLDER COUNT` fills a folder with COUNT of them and with `paths`, one hash part a line, and
//! `key.pub`. Every path refers to itself or to earlier ones, ten in all, a few of them to what everything refers to.
//! Nothing is random: the same COUNT gives the same files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a tool of the benchmarks: what fails ends it")]

use countersign::format::fingerprint::fingerprint;
use countersign::format::narinfo::Core;
use countersign::format::{HashPart, KeyName, NarHash, SigningKey, StoreDir, StorePath};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(count)) = (arguments.next(), arguments.next()) else {
        panic!("usage: narinfos FOLDER COUNT");
    };
    let folder = Path::new(&folder);
    let key = SigningKey::from_seed(KeyName::parse("cache.bench.example-1").unwrap(), &[7; 32]);
    let paths: Vec<StorePath> = (0..count.parse().unwrap()).map(path).collect();
    let mut listed = String::new();
    for n in 0..paths.len() {
        let text = narinfo(&paths, n, &key);
        fs::write(folder.join(format!("{}.narinfo", paths[n].hash_part())), text).unwrap();
        writeln!(listed, "{}", paths[n].hash_part()).unwrap();
    }
    fs::write(folder.join("paths"), listed).unwrap();
    fs::write(folder.join("key.pub"), format!("{}\n", key.verifying_key())).unwrap();
    fs::write(folder.join("nix-cache-info"), "StoreDir: /nix/store\n").unwrap();
}

fn path(n: usize) -> StorePath {
    let digest = hash("path", n);
    let stem = STEMS[usize::from(digest[20]) % STEMS.len()];
    let name = format!("{stem}-{n}.{}.{}", digest[21] % 20, digest[22] % 10);
    let hash_part = HashPart::from_digest(digest[..HashPart::DIGEST_LEN].try_into().unwrap());
    StorePath::from_parts(hash_part, &name).unwrap()
}

fn narinfo(paths: &[StorePath], n: usize, key: &SigningKey) -> String {
    let digest = hash("nar", n);
    let picked = |i: usize| if i < 3 { i % (n + 1) } else { n - (usize::from(digest[i]) * 31 + i) % (n + 1) };
    let core = Core {
        store_path: paths[n].clone(),
        nar_hash: NarHash::from_digest(digest),
        nar_size: 1000 + (u64::from(digest[30]) << 12),
        references: (0..REFERENCES).map(|i| paths[picked(i)].clone()).collect(),
    };
    let file = NarHash::from_digest(hash("file", n));
    let references: Vec<String> = core.references.iter().map(ToString::to_string).collect();
    let deriver = HashPart::from_digest(hash("drv", n)[..HashPart::DIGEST_LEN].try_into().unwrap());
    let signature = key.sign(fingerprint(&StoreDir::default(), &core).as_bytes());
    format!(
        "StorePath: {}\nURL: nar/{}.nar.xz\nCompression: xz\nFileHash: {file}\nFileSize: {}\nNarHash: {}\n\
         NarSize: {}\nReferences: {}\nDeriver: {deriver}-{}.drv\nSig: {signature}\n",
        core.store_path.to_absolute_path(&StoreDir::default()),
        file.nixbase32(),
        core.nar_size / 4,
        core.nar_hash,
        core.nar_size,
        references.join(" "),
        core.store_path.name(),
    )
}

fn hash(what: &str, n: usize) -> [u8; 32] {
    Sha256::digest(format!("{what} {n}").as_bytes()).into()
}

/// What a path of nixpkgs refers to on average.
const REFERENCES: usize = 10;

const STEMS: &[&str] = &[
    "bash",
    "boost",
    "gcc-wrapper",
    "ghc-lens-lib",
    "glibc-locales",
    "hook",
    "libX11",
    "linux-headers",
    "perl5-HTTP-Message",
    "python3.13-cryptography",
    "rust_windows-sys",
    "texlive-collection-fontsextra",
];
