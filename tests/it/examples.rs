//! The examples do what they say.

use std::path::Path;
use std::process::Command;

#[test]
fn the_tour_runs_to_its_end_and_leaves_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scratch = crate::support::dirs::Dir::new();
    let output = Command::new(root.join("examples/tour.sh"))
        .env("COUNTERSIGN", env!("CARGO_BIN_EXE_countersign"))
        .env("TMPDIR", scratch.path())
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    for words in [
        "countersign-machine-",
        "countersign-verdict: refuse",
        "credible claims differ",
        "building '",
        "That was the tour",
    ] {
        assert!(said.contains(words), "{words:?} is not in\n{said}");
    }
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[test]
fn every_configuration_is_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut checked = 0;
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
                .arg("check")
                .arg("--config")
                .arg(&path)
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{}: {}",
                path.display(),
                String::from_utf8_lossy(&output.stderr)
            );
            checked += 1;
        }
    }
    assert!(checked >= 2);
}
