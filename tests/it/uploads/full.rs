//! A disk that is really full: a small tmpfs in a mount namespace, where this test starts itself again.

use crate::support::dirs::Dir;
use crate::uploads::directory;
use countersign::destination::{Body, Condition, ContentType, PlaceErrorKind, Put};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Names the small disk, in the second process.
const DISK: &str = "COUNTERSIGN_TEST_SMALL_DISK";

#[test]
fn a_full_disk_keeps_what_was_there_and_leaves_nothing_half_written() {
    if let Some(disk) = std::env::var_os(DISK) {
        return on_a_small_disk(disk.into());
    }
    let dir = Dir::new();
    let script = "mount -t tmpfs -o size=256k none \"$1\" && exec \"$0\" --exact --nocapture \"$2\"";
    let name = "uploads::full::a_full_disk_keeps_what_was_there_and_leaves_nothing_half_written";
    // As root no user namespace is needed, and some machines allow none.
    let mut unshare = Command::new("unshare");
    if !rustix::process::getuid().is_root() {
        unshare.arg("--map-root-user");
    }
    let output = unshare
        .args(["--mount", "--", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg(dir.path())
        .arg(name)
        .env(DISK, dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{said}");
}

fn on_a_small_disk(disk: PathBuf) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let place = directory(&disk);
        let small = Body::Bytes("here".into());
        place.put("nar/x", small, ContentType::Nar, Condition::Always).await.unwrap();
        let elsewhere = Dir::new();
        let path = elsewhere.write("packed", vec![1; 1 << 20]);
        let large = [Body::Bytes(vec![1; 1 << 20].into()), Body::File { path, length: 1 << 20 }];
        for body in large {
            for condition in [Condition::Always, Condition::IfAbsent] {
                let name = if condition == Condition::Always { "nar/x" } else { "nar/y" };
                let error = place.put(name, body.clone(), ContentType::Nar, condition).await.unwrap_err();
                assert_eq!(error.kind(), PlaceErrorKind::Full, "{error}");
                assert!(error.to_string().ends_with("; make room there, or raise the limit"), "{error}");
            }
        }
        let names: Vec<_> = fs::read_dir(disk.join("nar")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["x"]);
        assert_eq!(fs::read(disk.join("nar/x")).unwrap(), b"here");
        let small = Body::Bytes("there is room for this".into());
        let put = place.put("nar/x", small, ContentType::Nar, Condition::Always).await;
        assert_eq!(put.unwrap(), Put::Stored);
    });
}
