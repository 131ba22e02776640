//! `countersign key rotate FILE`: the successor of a signing key, and how to go over to it.
//!
//! The successor counts on in name and file: `acme-1` in `acme-1.sec` is followed by `acme-2` in `acme-2.sec`. Run again,
//! the command makes no other, and says the same once more.

use crate::cli::key::print_public;
use crate::cli::{Exit, fail};
use crate::format::{KeyName, SigningKey, VerifyingKey};
use crate::state::{StateError, generate_key, read_secret_key, write_successor};
use crate::trust::Timestamp;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Makes the successor of a signing key, beside it and under the next name; one that is there already stays.
pub(in crate::cli) fn succeed(file: &Path) -> Exit {
    let old = match read_secret_key(file) {
        Ok(old) => old,
        Err(error) => return fail(Exit::Io, &error),
    };
    let name = match KeyName::parse(&next_name(old.name().as_str())) {
        Ok(name) => name,
        Err(error) => return fail(Exit::Config, &error),
    };
    let place = next_file(file, old.name().as_str());
    match make(&place, name, file) {
        Ok((key, is_new)) => {
            if let Some(what) = misfit(&key, &old) {
                eprintln!("countersign: {} {what}; move it away, and run this again", place.display());
                return Exit::Config;
            }
            let files = (file, place.as_path());
            let keys = (&old.verifying_key(), &key.verifying_key());
            eprint!("{}", instructions(files, keys, is_new, &end(crate::clock::now())));
            print_public(&key)
        }
        Err(error) => fail(Exit::Io, &error),
    }
}

/// The key at a place, made if there is none; whether it was.
fn make(place: &Path, name: KeyName, before: &Path) -> Result<(SigningKey, bool), StateError> {
    match read_secret_key(place) {
        Err(StateError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            let key = generate_key(name)?;
            write_successor(place, &key, before)?;
            Ok((key, true))
        }
        read => read.map(|key| (key, false)),
    }
}

/// What is wrong with a key that was there already.
fn misfit(key: &SigningKey, old: &SigningKey) -> Option<String> {
    let expected = next_name(old.name().as_str());
    if key.name().as_str() != expected {
        return Some(format!("holds a key named {}, which is not {expected}", key.name()));
    }
    key.verifying_key()
        .same_key(&old.verifying_key())
        .then(|| "holds the old key under the new name".to_owned())
}

/// What is to be done, in its order.
fn instructions(
    (old_file, new_file): (&Path, &Path),
    (old, new): (&VerifyingKey, &VerifyingKey),
    is_new: bool,
    end: &str,
) -> String {
    let (old_file, new_file) = (absolute(old_file), absolute(new_file));
    let (old_name, new_name) = (old.name(), new.name());
    let made = if is_new { "made" } else { "has been made already; nothing was changed:" };
    let place = new_file.display();
    format!(
        "{made} {new_name}, the successor of {old_name}, in {place}; keep it from others, and a copy of it safe

  1. Let both sign for a while, in [upload], and restart the uploader:
       signing-key-files = [\"{}\", \"{place}\"]
  2. Have readers trust the new key beside the old one. In nix.conf:
       extra-trusted-public-keys = {new}
     For Countersign under the signer that has the old key; two keys of one signer are one voice:
       keys = [\"{old}\", \"{new}\"]
  3. Sign with the new key what is published already; no bytes are sent again:
       countersign push --since 1970-01-01
  4. When all readers have the new key, take the old file out of `signing-key-files`.
  5. When step 3 is done and 30 days have gone by, readers may drop the old key: for so long Nix may keep a narinfo that
     the old key alone has signed (narinfo-cache-positive-ttl). In Countersign it gets an end, past which all that it
     ever signed stops counting:
       {{ key = \"{old}\", not-after = {end} }}

  If the old key was stolen, do not wait: let the new one sign alone, and revoke the old one at every reader.
",
        old_file.display()
    )
}

/// A day two months from now, as an example of when it may be over.
fn end(now: Timestamp) -> String {
    let day = now.seconds().div_euclid(86_400).saturating_add(60).saturating_mul(86_400);
    jiff::Timestamp::from_second(day).map_or_else(|_| "DATE".to_owned(), |end| end.to_string())
}

/// As the configuration wants paths.
fn absolute(file: &Path) -> PathBuf {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned())
}

/// `acme-1` is followed by `acme-2`, and a name without a number by its second.
fn next_name(name: &str) -> String {
    match number(name) {
        Some((stem, number)) => format!("{stem}{}", number.saturating_add(1)),
        None => format!("{name}-2"),
    }
}

/// A file that is named with the number of its key is followed by one that has the next; any other by one that ends in
/// `.next`.
fn next_file(file: &Path, name: &str) -> PathBuf {
    let stem = file.file_stem().and_then(OsStr::to_str);
    let counted =
        stem.and_then(number).zip(number(name)).filter(|((_, of_file), (_, of_key))| of_file == of_key);
    match counted {
        Some(((stem, number), _)) => {
            let mut next = format!("{stem}{}", number.saturating_add(1));
            if let Some(extension) = file.extension().and_then(OsStr::to_str) {
                next.push('.');
                next.push_str(extension);
            }
            file.with_file_name(next)
        }
        None => {
            let mut next = file.as_os_str().to_owned();
            next.push(".next");
            PathBuf::from(next)
        }
    }
}

/// The number at the end of a name, and what stands before it.
fn number(name: &str) -> Option<(&str, u64)> {
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (stem, number) = name.split_at_checked(name.len() - digits)?;
    Some((stem, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_counts_on() {
        for (name, next) in
            [("acme-1", "acme-2"), ("acme-9", "acme-10"), ("acme", "acme-2"), ("a1b", "a1b-2")]
        {
            assert_eq!(next_name(name), next);
        }
    }

    #[test]
    fn its_file_counts_on_where_it_counts() {
        for (file, name, next) in [
            ("/k/acme-1.sec", "acme-1", "/k/acme-2.sec"),
            ("/k/acme-9", "cache.acme.example-9", "/k/acme-10"),
            ("acme-1.v2.sec", "acme-2", "acme-1.v3.sec"),
            ("/k/acme.sec", "acme-1", "/k/acme.sec.next"),
            ("/k/acme-3.sec", "acme-1", "/k/acme-3.sec.next"),
            ("/k/acme-3.sec", "acme", "/k/acme-3.sec.next"),
        ] {
            assert_eq!(next_file(Path::new(file), name), Path::new(next), "{file} with {name}");
        }
    }

    #[test]
    fn what_is_to_be_done_names_both_keys_and_files() {
        let key = |name: &str, seed| {
            SigningKey::from_seed(KeyName::parse(name).unwrap(), &[seed; 32]).verifying_key()
        };
        let (old, new) = (key("acme-1", 1), key("acme-2", 2));
        let files = (Path::new("/k/acme-1.sec"), Path::new("/k/acme-2.sec"));
        let said = instructions(files, (&old, &new), true, &end(Timestamp::from_seconds(86_400 + 7)));
        for line in [
            "made acme-2, the successor of acme-1, in /k/acme-2.sec".to_owned(),
            "signing-key-files = [\"/k/acme-1.sec\", \"/k/acme-2.sec\"]".to_owned(),
            format!("extra-trusted-public-keys = {new}\n"),
            format!("keys = [\"{old}\", \"{new}\"]"),
            "countersign push --since 1970-01-01".to_owned(),
            format!("{{ key = \"{old}\", not-after = 1970-03-03T00:00:00Z }}"),
        ] {
            assert!(said.contains(&line), "{line}\n{said}");
        }
    }
}
