//! `file://`: files that are there whole or not at all, for all to read, and nothing left of earlier crashes.

use crate::support::dirs::Dir;
use crate::uploads::directory;
use countersign::destination::{Body, Condition, ContentType, Place, PlaceErrorKind, Put};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

fn bytes(text: &'static str) -> Body {
    Body::Bytes(text.into())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

async fn put(place: &Place, name: &str, body: Body, condition: Condition) -> Put {
    place.put(name, body, ContentType::NarInfo, condition).await.unwrap()
}

#[tokio::test]
async fn it_is_laid_out_and_readable_as_nix_has_it() {
    let dir = Dir::new();
    let root = dir.join("a/cache");
    let place = directory(&root);
    assert!(!root.exists(), "opening makes nothing");
    place.prepare(true).await.unwrap();
    assert_eq!(
        fs::read_to_string(root.join("nix-cache-info")).unwrap(),
        "StoreDir: /nix/store\nWantMassQuery: 1\n"
    );
    let file = dir.write("packed", "packed");
    let body = Body::File { path: file.clone(), length: 6 };
    assert_eq!(put(&place, "nar/x.nar.zst", body, Condition::Always).await, Put::Stored);
    assert_eq!(names(&root), ["nar", "nix-cache-info"]);
    assert_eq!(names(&root.join("nar")), ["x.nar.zst"]);
    for folder in [&dir.join("a"), &root, &root.join("nar")] {
        assert_eq!(mode(folder), 0o755);
    }
    assert_eq!(mode(&root.join("nix-cache-info")), 0o644);
    assert_eq!(mode(&root.join("nar/x.nar.zst")), 0o644);
    assert_eq!(place.size("nar/x.nar.zst").await.unwrap(), Some(6));
    // On one file system it is the same file, and nothing was copied.
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    assert_eq!(inode(&file), inode(&root.join("nar/x.nar.zst")));
}

#[tokio::test]
async fn what_is_there_is_replaced_whole_also_by_a_file() {
    let dir = Dir::new();
    let place = directory(dir.path());
    put(&place, "nar/x.nar", bytes("a truncated one"), Condition::Always).await;
    let file = dir.write("packed", "whole");
    let body = Body::File { path: file.clone(), length: 5 };
    assert_eq!(put(&place, "nar/x.nar", body.clone(), Condition::IfAbsent).await, Put::Conflict);
    assert_eq!(put(&place, "nar/x.nar", body, Condition::Always).await, Put::Stored);
    assert_eq!(fs::read(dir.join("nar/x.nar")).unwrap(), b"whole");
    assert_eq!(names(&dir.join("nar")), ["x.nar"]);
}

#[tokio::test]
async fn conditions_hold() {
    let dir = Dir::new();
    let place = directory(dir.path());
    assert_eq!(put(&place, "x", bytes("1"), Condition::IfAbsent).await, Put::Stored);
    assert_eq!(put(&place, "x", bytes("2"), Condition::IfAbsent).await, Put::Conflict);
    let tag = place.get("x", 10).await.unwrap().unwrap().tag.unwrap();
    assert_eq!(put(&place, "x", bytes("3"), Condition::IfMatches(tag.clone())).await, Put::Stored);
    assert_eq!(put(&place, "x", bytes("4"), Condition::IfMatches(tag.clone())).await, Put::Conflict);
    assert_eq!(put(&place, "y", bytes("4"), Condition::IfMatches(tag)).await, Put::Conflict);
    assert_eq!(fs::read(dir.join("x")).unwrap(), b"3");
    assert_eq!(names(dir.path()), ["x"]);
}

/// Of many that saw the same, one writes.
#[tokio::test]
async fn of_several_writers_at_once_one_wins() {
    let dir = Dir::new();
    let place = std::sync::Arc::new(directory(dir.path()));
    for round in 0..5 {
        let condition = match place.get("x", 100).await.unwrap() {
            Some(found) => Condition::IfMatches(found.tag.unwrap()),
            None => Condition::IfAbsent,
        };
        let writers: Vec<_> = (0..8)
            .map(|n| {
                let (place, condition) = (std::sync::Arc::clone(&place), condition.clone());
                let body = Body::Bytes(format!("{round} {n}").into());
                tokio::spawn(async move { put(&place, "x", body, condition).await })
            })
            .collect();
        let mut stored = 0;
        for writer in writers {
            stored += usize::from(writer.await.unwrap() == Put::Stored);
        }
        assert_eq!(stored, 1, "round {round}");
    }
}

#[tokio::test]
async fn what_a_crash_left_is_removed_when_it_is_opened() {
    let dir = Dir::new();
    for name in ["x.narinfo.tmp.99.c0", "nar/y.nar.zst.tmp.99.c1", "nar/y.nar.zst", "nix.narinfo.tmp.99.0"] {
        dir.write(name, "half");
    }
    let place = directory(dir.path());
    assert_eq!(names(dir.path()), ["nar", "nix.narinfo.tmp.99.0"], "what Nix writes is its own");
    assert_eq!(names(&dir.join("nar")), ["y.nar.zst"]);
    assert_eq!(place.size("nar/y.nar.zst").await.unwrap(), Some(4));
}

#[tokio::test]
async fn what_is_not_there_is_none_and_what_is_too_long_an_error() {
    let dir = Dir::new();
    let place = directory(&dir.join("none"));
    assert!(place.get("x", 10).await.unwrap().is_none());
    assert_eq!(place.size("nar/x").await.unwrap(), None);
    put(&place, "x", bytes("12345"), Condition::Always).await;
    assert_eq!(place.get("x", 5).await.unwrap().unwrap().bytes, "12345");
    let error = place.get("x", 4).await.unwrap_err();
    assert_eq!(error.kind(), PlaceErrorKind::Malformed);
    assert_eq!(place.size("nar").await.unwrap(), None);
}

#[tokio::test]
async fn a_name_does_not_lead_out() {
    let dir = Dir::new();
    let place = directory(&dir.join("cache"));
    for name in ["../x", "/etc/x", "nar/../../x", ""] {
        let error = place.put(name, bytes("x"), ContentType::Nar, Condition::Always).await.unwrap_err();
        assert_eq!(error.kind(), PlaceErrorKind::Local(io::ErrorKind::InvalidInput), "{name:?}");
        assert!(place.get(name, 10).await.is_err(), "{name:?}");
    }
    assert!(!dir.join("x").exists());
}

#[tokio::test]
async fn a_file_of_another_length_than_said_is_not_stored() {
    let dir = Dir::new();
    let place = directory(&dir.join("cache"));
    let body = Body::File { path: dir.write("packed", "short"), length: 6 };
    let error = place.put("nar/x", body, ContentType::Nar, Condition::Always).await.unwrap_err();
    assert!(error.to_string().contains("has 5 bytes instead of 6"), "{error}");
    assert!(names(&dir.join("cache/nar")).is_empty());
}

#[tokio::test]
async fn a_cache_of_another_store_is_not_used() {
    let dir = Dir::new();
    dir.write("nix-cache-info", "StoreDir: /gnu/store\n");
    let error = directory(dir.path()).prepare(false).await.unwrap_err();
    assert_eq!(error.kind(), PlaceErrorKind::OtherStore);
    assert_eq!(
        error.to_string(),
        "destination acme: cannot use nix-cache-info: it is a cache of /gnu/store, not of /nix/store; \
         choose another destination, or `store-directory`"
    );
    dir.write("nix-cache-info", "StoreDir: /nix/store\nPriority: 7\n");
    directory(dir.path()).prepare(true).await.unwrap();
    assert_eq!(
        fs::read_to_string(dir.join("nix-cache-info")).unwrap(),
        "StoreDir: /nix/store\nPriority: 7\n"
    );
}

#[tokio::test]
async fn a_file_where_a_folder_should_be_is_told() {
    let dir = Dir::new();
    dir.write("nar", "no folder");
    let place = directory(dir.path());
    let error = place.put("nar/x", bytes("x"), ContentType::Nar, Condition::Always).await.unwrap_err();
    assert!(matches!(error.kind(), PlaceErrorKind::Local(_)), "{error}");
    assert!(error.to_string().starts_with("destination acme: cannot store nar/x: "), "{error}");
}
