//! Under a real systemd, on a machine that `tests/nix/systemd` boots in namespaces. The script asserts; that it got to
//! its end, and that nothing of the machine is left, is looked at here.

use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn a_machine_is_installed_lived_on_attacked_and_left() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let programs = Path::new(env!("CARGO_BIN_EXE_countersign")).parent().unwrap();
    let script = Command::new(root.join("tests/nix/systemd"))
        .arg(programs)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let group = format!("countersign-test-{}", script.id());
    let output = script.wait_with_output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert_eq!(last, "systemd: all of it holds, and nothing is left of the machine", "{said}");
    // The group is named after the script's process, which is this child.
    let hierarchies = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    for line in hierarchies.lines().filter(|line| line.contains(" - cgroup2 ")) {
        let place = Path::new(line.split(' ').nth(4).unwrap());
        assert!(!place.join(&group).exists(), "{group} is left in {}", place.display());
    }
}
