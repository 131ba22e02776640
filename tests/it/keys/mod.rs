//! Several signing keys, and going over from one to the next.

mod faults;
mod reading;
mod rotation;
mod several;

use crate::support::uploads::Uploads;
use countersign::format::{
    KeyName, Limits, NarInfo, SigningKey, StoreDir, StorePath, VerifyingKey, fingerprint,
};
use countersign::state::write_new_secret_key;
use std::path::Path;

const DIRECTORY: &str = "[destinations.acme]\nurl = \"file://DIR/cache\"\npackages = [\"*\"]\n";

/// Has these files of the machine's directory sign from now on.
fn sign_with(uploads: &Uploads, files: &[&str]) {
    let config = uploads.dir.join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let files: Vec<String> =
        files.iter().map(|file| format!("\"{}\"", uploads.dir.join(file).display())).collect();
    let with = |line: &str| match line.starts_with("signing-key-files") {
        true => format!("signing-key-files = [{}]", files.join(", ")),
        false => line.to_owned(),
    };
    std::fs::write(&config, text.lines().map(with).collect::<Vec<_>>().join("\n")).unwrap();
}

/// Writes a key into the machine's directory; its public half.
fn written(uploads: &Uploads, file: &str, name: &str, seed: u8) -> VerifyingKey {
    let key = SigningKey::from_seed(KeyName::parse(name).unwrap(), &[seed; 32]);
    write_new_secret_key(&uploads.dir.join(file), &key).unwrap();
    key.verifying_key()
}

/// The names under which a narinfo is signed, in its order; every signature of these keys must verify.
fn signers(cache: &Path, path: &StorePath, keys: &[&VerifyingKey]) -> Vec<String> {
    let text = std::fs::read(cache.join(format!("{}.narinfo", path.hash_part()))).unwrap();
    let info = NarInfo::parse(&text, &StoreDir::default(), &Limits::default()).unwrap();
    let signed = fingerprint(&StoreDir::default(), &info.core);
    for signature in &info.signatures {
        for key in keys.iter().filter(|key| key.name() == signature.key_name()) {
            assert!(key.verify(signed.as_bytes(), signature), "{signature}");
        }
    }
    info.signatures.iter().map(|signature| signature.key_name().to_string()).collect()
}

/// Every NAR of a destination: its name, its inode and when it was written.
fn nars(cache: &Path) -> Vec<(String, u64, std::time::SystemTime)> {
    use std::os::unix::fs::MetadataExt;
    let of = |entry: std::fs::DirEntry| {
        let about = entry.metadata().unwrap();
        (entry.file_name().into_string().unwrap(), about.ino(), about.modified().unwrap())
    };
    let mut nars: Vec<_> =
        std::fs::read_dir(cache.join("nar")).unwrap().map(|entry| of(entry.unwrap())).collect();
    nars.sort();
    nars
}
