//! `countersign key public|generate|rotate`.

use crate::cli::{Exit, fail, state};
use crate::config::{Config, Mode};
use crate::format::{KeyName, SigningKey};
use crate::state::{generate_key, read_secret_key, write_new_secret_key};
use std::path::{Path, PathBuf};

/// Prints the key that the configured mode countersigns with.
pub(super) fn public(config: &Config) -> Exit {
    match state(config).existing_key(config.mode) {
        Ok(key) => print_public(&key),
        Err(error) => fail(Exit::from(&error), &error),
    }
}

/// Prints the public half of a key file.
pub(super) fn public_of(file: &Path) -> Exit {
    match read_secret_key(file) {
        Ok(key) => print_public(&key),
        Err(error) => fail(Exit::Io, &error),
    }
}

/// Makes a signing key.
pub(super) fn generate(name: &str, file: &Path) -> Exit {
    let name = match KeyName::parse(name) {
        Ok(name) => name,
        Err(error) => return fail(Exit::Config, &error),
    };
    match generate_key(name).and_then(|key| write_new_secret_key(file, &key).map(|()| key)) {
        Ok(key) => {
            eprintln!(
                "wrote the secret key to {}; keep it from others, and a copy of it safe",
                file.display()
            );
            eprintln!(
                "who installs what it signs needs in nix.conf: extra-trusted-public-keys = {}",
                key.verifying_key()
            );
            print_public(&key)
        }
        Err(error) => fail(Exit::Io, &error),
    }
}

/// Replaces the key that the configured mode countersigns with.
pub(super) fn rotate(config: &Config) -> Exit {
    match state(config).rotate(config.mode) {
        Ok(key) => {
            eprintln!("replaced the {} key; now", kind(config.mode));
            eprintln!("  1. reload the service (SIGHUP): until then it countersigns with the old key");
            eprintln!("  2. put this key into trusted-public-keys of nix.conf in place of the old one");
            eprintln!("  3. restart nix-daemon");
            print_public(&key)
        }
        Err(error) => fail(Exit::from(&error), &error),
    }
}

/// Makes the successor of a signing key, beside it and under the next name.
pub(super) fn succeed(file: &Path) -> Exit {
    let old = match read_secret_key(file) {
        Ok(old) => old,
        Err(error) => return fail(Exit::Io, &error),
    };
    let name = successor(old.name().as_str());
    let place = PathBuf::from(format!("{}.next", file.display()));
    let made = KeyName::parse(&name).map_err(|error| fail(Exit::Config, &error)).and_then(|name| {
        generate_key(name)
            .and_then(|key| write_new_secret_key(&place, &key).map(|()| key))
            .map_err(|error| fail(Exit::Io, &error))
    });
    match made {
        Ok(key) => {
            eprintln!("wrote the successor of {} to {}; now", old.name(), place.display());
            eprintln!("  1. list both files in `upload.signing-key-files`, so that both sign");
            eprintln!("  2. have readers trust the new key beside the old one");
            eprintln!(
                "  3. when all do, drop the old file, and give the old key a `not-after` where it is a signer"
            );
            print_public(&key)
        }
        Err(exit) => exit,
    }
}

/// `acme-1` is followed by `acme-2`, and a name without a number by its second.
fn successor(name: &str) -> String {
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (stem, number) = name.split_at(name.len() - digits);
    match number.parse::<u64>() {
        Ok(number) => format!("{stem}{}", number.saturating_add(1)),
        Err(_) => format!("{name}-2"),
    }
}

fn kind(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "machine",
        Mode::Observe => "observe",
    }
}

fn print_public(key: &SigningKey) -> Exit {
    println!("{}", key.verifying_key());
    Exit::Ok
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_counts_on() {
        for (name, next) in
            [("acme-1", "acme-2"), ("acme-9", "acme-10"), ("acme", "acme-2"), ("a1b", "a1b-2")]
        {
            assert_eq!(successor(name), next);
        }
    }
}
