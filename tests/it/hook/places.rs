//! Where the hook writes, and where it does not.

use super::{DEV, DRV, HOOK, OUT, STRANGER, Scene, said};
use crate::support::namespace;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};

/// The hook writes nothing there and says why.
fn refused(scene: &Scene, spool: impl AsRef<Path>, why: &str) {
    let line = said(scene.told().env("COUNTERSIGN_SPOOL", spool.as_ref()));
    assert!(line.contains("s66mzxpvicwk07gjbjfw9izjfa797vsw-hello.drv was not reported"), "{line}");
    assert!(line.contains(why) && line.contains("countersign upload"), "{line}");
}

#[test]
fn a_spool_that_is_none_is_told() {
    let scene = Scene::new();
    refused(&scene, scene.dir.join("missing"), "No such file");
    refused(&scene, scene.dir.write("file", ""), "is no directory");
    refused(&scene, scene.dir.join("file/spool"), "is no directory");
    refused(&scene, "spool", "must be an absolute path");
    refused(&scene, "/tmp/../spool", "must be an absolute path");
    refused(&scene, "/", "must be an absolute path");
    refused(&scene, format!("/{}", "x".repeat(600)), "longer than 512 bytes");
    refused(&scene, "/line\nbreak", "line\\nbreak");
    let link = scene.dir.join("link");
    symlink(scene.dir.join("spool"), &link).unwrap();
    refused(&scene, &link, "is a symlink");
    assert_eq!(scene.records(), []);
}

/// Where the machine's own uploader would look; it may have one, and is to hear nothing of a test.
#[test]
fn a_spool_that_is_not_named_is_the_usual_one() {
    let scene = Scene::new();
    let mut hook = scene.program("/usr/bin/unshare");
    if !namespace::is_root() {
        hook.args(["--user", "--map-root-user"]);
    }
    hook.args(["--mount", "sh", "-euc", "mount -t tmpfs none /var/spool; exec \"$0\"", HOOK]);
    hook.env("DRV_PATH", DRV).env("OUT_PATHS", OUT).env_remove("COUNTERSIGN_SPOOL");
    let line = said(&mut hook);
    assert!(line.contains("\"/var/spool/countersign\"") && line.contains("No such file"), "{line}");
}

#[test]
fn a_spool_that_others_may_write_to_is_refused() {
    let scene = Scene::new();
    let spool = scene.dir.join("spool");
    for mode in [0o777, 0o770, 0o707, 0o1777, 0o2775] {
        fs::set_permissions(&spool, fs::Permissions::from_mode(mode)).unwrap();
        refused(&scene, &spool, "so others may write to it");
    }
    fs::set_permissions(&spool, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(scene.dir.path(), fs::Permissions::from_mode(0o775)).unwrap();
    refused(&scene, &spool, "on the way to");
    fs::set_permissions(scene.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(scene.records(), []);
    assert_eq!(said(&mut scene.told()), "");
    assert_eq!(scene.records().len(), 1);
}

/// Under the daemon the hook is root, and the uploader somebody else, who must be able to read and to remove.
#[test]
fn root_gives_its_files_to_the_spools_owner_and_nobody_else_writes_there() {
    let scene = Scene::new();
    let spool = scene.dir.join("spool");
    if rustix::process::geteuid().is_root() {
        for place in ["spool", "spool/roots", "spool/refused"] {
            chown(scene.dir.join(place), Some(STRANGER), None).unwrap();
        }
        assert_eq!(said(&mut scene.told()), "");
        let files = fs::read_dir(&spool).unwrap().map(|entry| entry.unwrap());
        let owners: Vec<_> = files.map(|file| file.metadata().unwrap().uid()).collect();
        assert_eq!(owners, [STRANGER; 3]);
        assert_eq!(scene.links("spool/roots"), [DEV, OUT].map(PathBuf::from));
        // In somebody else's spool root makes no folder: it would be of no use to them.
        fs::remove_dir_all(spool.join("roots")).unwrap();
        let line = said(&mut scene.told());
        assert!(line.contains("is reported for upload, but") && line.contains("roots"), "{line}");
        // And follows nobody's link in one where everybody may put one.
        let hall = scene.dir.join("hall");
        fs::create_dir(&hall).unwrap();
        fs::set_permissions(&hall, fs::Permissions::from_mode(0o1777)).unwrap();
        symlink(scene.dir.path(), hall.join("link")).unwrap();
        lchown(hall.join("link"), Some(STRANGER + 1), None).unwrap();
        refused(&scene, hall.join("link/spool"), "on the way to");
    } else {
        refused(&scene, "/usr", "belongs to user 0");
    }
}

#[test]
fn links_that_cannot_be_made_are_told_and_the_build_is_still_reported() {
    let scene = Scene::new();
    let roots = scene.dir.join("spool/roots");
    let told = |why: &str| {
        let line = said(&mut scene.told());
        assert!(line.contains("is reported for upload, but until then the garbage collector"), "{line}");
        assert!(line.contains(why), "{line}");
    };
    fs::set_permissions(&roots, fs::Permissions::from_mode(0o777)).unwrap();
    told("others may write to");
    fs::remove_dir(&roots).unwrap();
    symlink(scene.dir.path(), &roots).unwrap();
    told("cannot open");
    fs::remove_file(&roots).unwrap();
    fs::write(&roots, "").unwrap();
    told("cannot open");
    fs::remove_file(&roots).unwrap();
    // Missing in one's own spool: made.
    assert_eq!(said(&mut scene.told()), "");
    assert_eq!(fs::metadata(&roots).unwrap().mode() & 0o7777, 0o755);
    // One that is something else.
    fs::remove_file(roots.join(&OUT["/nix/store/".len()..])).unwrap();
    fs::write(roots.join(&OUT["/nix/store/".len()..]), "").unwrap();
    told("cannot make");
    assert_eq!(scene.records().len(), 5);
    assert!(scene.records().iter().all(|record| record.drv() == Some(&super::path(DRV))));
}
