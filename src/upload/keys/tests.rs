use super::*;
use crate::config::{Environment, Location};
use crate::format::{KeyName, NarHash, References, SigningKey, StorePath};
use crate::state::write_new_secret_key;
use crate::trust::Timestamp;
use std::os::unix::fs::PermissionsExt;

#[test]
fn every_key_signs_and_the_signatures_verify() {
    let dir = tempfile::tempdir().unwrap();
    let files = [written(dir.path(), "one-1", 1), written(dir.path(), "two-1", 2)];
    let keys = Keys::load(&files, &policy(dir.path(), ""), &[]).unwrap();
    let signatures = keys.sign(&StoreDir::default(), &core()).unwrap();
    let text = fingerprint(&StoreDir::default(), &core());
    assert_eq!(signatures.len(), 2);
    for (signature, key) in signatures.iter().zip(keys.public()) {
        assert!(key.verify(text.as_bytes(), signature));
    }
}

#[test]
fn a_key_that_others_can_read_signs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = written(dir.path(), "one-1", 1);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = Keys::load(&[file], &policy(dir.path(), ""), &[]).unwrap_err().to_string();
    assert!(error.contains("mode 0640"), "{error}");
}

#[test]
fn a_key_that_the_configuration_revokes_signs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = written(dir.path(), "one-1", 1);
    let public = key("one-1", 1).verifying_key();
    let revoked = format!("{{ key = \"{public}\", revoked = \"stolen\" }}");
    let error = Keys::load(&[file], &policy(dir.path(), &revoked), &[]).unwrap_err().to_string();
    assert!(error.contains("revoked under [signers.ours] (stolen)"), "{error}");
}

#[test]
fn the_machine_key_signs_no_upload() {
    let dir = tempfile::tempdir().unwrap();
    let file = written(dir.path(), "one-1", 1);
    let machine = key("another-name", 1).verifying_key();
    let error = Keys::load(&[file], &policy(dir.path(), ""), &[machine]).unwrap_err().to_string();
    assert!(error.contains("machine key"), "{error}");
}

#[test]
fn a_file_that_was_exchanged_signs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = written(dir.path(), "one-1", 1);
    let keys = Keys::load(std::slice::from_ref(&file), &policy(dir.path(), ""), &[]).unwrap();
    std::fs::remove_file(&file).unwrap();
    written(dir.path(), "one-1", 2);
    let error = keys.sign(&StoreDir::default(), &core()).unwrap_err();
    assert!(matches!(error, KeysError::Exchanged { .. }), "{error}");
}

#[test]
fn two_files_with_one_name_or_one_key_sign_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let first = written(dir.path(), "one-1", 1);
    let namesake = dir.path().join("namesake.sec");
    write_new_secret_key(&namesake, &key("one-1", 2)).unwrap();
    let load = |second: &PathBuf| {
        Keys::load(&[first.clone(), second.clone()], &policy(dir.path(), ""), &[]).map(|_| ())
    };
    let error = load(&namesake).unwrap_err().to_string();
    assert!(error.contains("namesake.sec and ") && error.contains("both hold a key named one-1"), "{error}");
    let again = written(dir.path(), "two-1", 1);
    let error = load(&again).unwrap_err().to_string();
    assert!(error.contains("hold the same key, named two-1 and one-1"), "{error}");
    assert!(load(&first).is_err(), "listed twice");
    assert!(load(&written(dir.path(), "one-2", 3)).is_ok());
}

#[test]
fn no_error_and_no_debug_shows_a_secret() {
    let dir = tempfile::tempdir().unwrap();
    let file = written(dir.path(), "one-1", 1);
    let secret = key("one-1", 1).to_secret_text();
    let keys = Keys::load(std::slice::from_ref(&file), &policy(dir.path(), ""), &[]).unwrap();
    let base64 = secret.split_once(':').unwrap().1;
    assert!(!format!("{keys:?}").contains(base64));
    std::fs::write(&file, format!("{}AA", &**secret)).unwrap();
    let error = keys.sign(&StoreDir::default(), &core()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(&base64[..20]), "{error:?}");
}

fn written(dir: &Path, name: &str, seed: u8) -> PathBuf {
    let file = dir.join(format!("{name}.sec"));
    write_new_secret_key(&file, &key(name, seed)).unwrap();
    file
}

fn key(name: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(KeyName::parse(name).unwrap(), &[seed; 32])
}

/// A policy whose signer `ours` has, beside another key, this one.
fn policy(dir: &Path, further: &str) -> std::sync::Arc<Policy> {
    let other = key("other-1", 77).verifying_key();
    let text = format!(
        "[signers.ours]\nkeys = [\"{other}\", {further}]\n[caches.a]\nurl = \"http://127.0.0.1:1\"\n\
         [[rules]]\nname = \"all\"\nsignatures = [{{ at-least = 1, of = [\"ours\"] }}]\n"
    );
    let file = dir.join("config.toml");
    std::fs::write(&file, text).unwrap();
    let loaded = crate::config::load(
        &Location::File(file),
        &Environment::of_process(),
        Timestamp::from_seconds(1_000),
    );
    loaded.unwrap().config.policy
}

fn core() -> Core {
    Core {
        store_path: StorePath::from_base_name("00000000000000000000000000000000-x").unwrap(),
        nar_hash: NarHash::from_digest([1; 32]),
        nar_size: 120,
        references: References::default(),
    }
}
