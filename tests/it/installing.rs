//! Installing on other distributions, and taking it out again: by `examples/systemd/install`, and as a Debian package.
//! What was there before is there afterwards, byte for byte.

use crate::support::dirs::Dir;
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Everything below a directory: kind and mode, and what is in it.
fn tree(root: &Path) -> BTreeMap<PathBuf, (u32, String)> {
    let (mut found, mut ahead) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(path) = ahead.pop() {
        let about = path.symlink_metadata().unwrap();
        let contents = if about.is_dir() {
            ahead.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            Vec::new()
        } else if about.is_symlink() {
            std::fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
        } else {
            std::fs::read(&path).unwrap()
        };
        // Bytes that are no text, as of archives, are compared as numbers.
        let contents = String::from_utf8(contents).unwrap_or_else(|e| format!("{:?}", e.into_bytes()));
        found.insert(path.strip_prefix(root).unwrap().to_owned(), (about.mode(), contents));
    }
    found
}

/// Programs in place of ours: what is installed is not looked at, and two of 30 MB take their time to be packed.
fn programs(dir: &Dir) -> PathBuf {
    let programs = dir.join("programs");
    let page = "#!/bin/sh\n# GLIBC_2.34\ncase $1 in --version) echo countersign 9.8.7 ;; man) echo .TH >\"$2/countersign.1\" ;; esac\n";
    for name in ["countersign", "countersign-hook"] {
        let file = dir.write(&format!("programs/{name}"), page);
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    programs
}

fn systemd(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/systemd").join(name)
}

fn run(command: &mut Command) -> (bool, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.success(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}

fn install(action: &str, dir: &Dir, root: &Path, more: &[&str]) -> (bool, String) {
    let mut command = Command::new(systemd("install"));
    command.arg(action).arg("--root").arg(root).arg("--programs").arg(programs(dir)).args(more);
    run(&mut command)
}

fn ok((succeeded, said): (bool, String)) -> String {
    assert!(succeeded, "{said}");
    said
}

/// Machines as they may be before: name and nix.conf, where there is one.
const MACHINES: [(&str, Option<&str>); 4] = [
    ("plain", Some("substituters = https://cache.nixos.org\n\n# the end\n\n")),
    ("without-end", Some("substituters = https://cache.nixos.org\n# no end")),
    ("empty", Some("")),
    ("bare", None),
];

fn machine(dir: &Dir, name: &str, nix_conf: Option<&str>) -> PathBuf {
    let root = dir.join(name);
    std::fs::create_dir_all(&root).unwrap();
    if let Some(text) = nix_conf {
        let file = dir.write(&format!("{name}/etc/nix/nix.conf"), text);
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o640)).unwrap();
        dir.write(&format!("{name}/usr/lib/systemd/system/other.service"), "[Service]\n");
        dir.write(&format!("{name}/usr/bin/other"), "other");
    }
    root
}

#[test]
fn what_is_installed_is_taken_out_without_a_trace() {
    let dir = Dir::new();
    for (name, nix_conf) in MACHINES {
        let root = machine(&dir, name, nix_conf);
        let before = tree(&root);
        ok(install("install", &dir, &root, &[]));
        let installed = tree(&root);
        let text = std::fs::read_to_string(root.join("etc/nix/nix.conf")).unwrap();
        assert!(text.starts_with(nix_conf.unwrap_or_default()), "{text}");
        let behind =
            "!include /run/countersign-trust/nix.conf\n!include /run/countersign-trust/break-glass.conf\n";
        assert!(text.contains(behind), "{text}");
        for file in
            ["usr/bin/countersign", "usr/bin/countersign-hook", "usr/lib/systemd/system/countersign.socket"]
        {
            assert!(installed.contains_key(Path::new(file)), "{file}");
        }
        // A second time is the same as once.
        ok(install("install", &dir, &root, &[]));
        assert_eq!(tree(&root), installed, "{name}");
        let said = ok(install("uninstall", &dir, &root, &[]));
        assert_eq!(said, "");
        assert_eq!(tree(&root), before, "{name}");
    }
}

/// What somebody wrote since stays: his lines in nix.conf, and his configuration, unless it is to go as well.
#[test]
fn what_others_wrote_stays() {
    let dir = Dir::new();
    for (purge, name) in [(false, "without-end"), (true, "plain")] {
        let root = machine(&dir, name, MACHINES.iter().find(|m| m.0 == name).unwrap().1);
        ok(install("install", &dir, &root, &[]));
        let conf = root.join("etc/nix/nix.conf");
        let mut text = std::fs::read_to_string(&conf).unwrap();
        text.push_str("cores = 4\n");
        std::fs::write(&conf, text).unwrap();
        let config = root.join("etc/countersign/config.toml");
        std::fs::write(&config, "mode = \"enforce\"\n").unwrap();
        // An upgrade leaves it alone.
        ok(install("install", &dir, &root, &[]));
        assert_eq!(std::fs::read_to_string(&config).unwrap(), "mode = \"enforce\"\n");
        std::fs::create_dir_all(root.join("var/lib/countersign")).unwrap();
        let said = ok(install("uninstall", &dir, &root, if purge { &["--purge"] } else { &[] }));
        assert_eq!(said.contains("left, since it was changed"), !purge, "{said}");
        assert_eq!(config.exists(), !purge);
        assert_eq!(root.join("var/lib/countersign").exists(), !purge);
        let text = std::fs::read_to_string(&conf).unwrap();
        assert!(text.ends_with("\ncores = 4\n") && !text.contains("countersign"), "{text}");
    }
}

/// Nothing is changed where something is in the way.
#[test]
fn nothing_of_others_is_replaced() {
    let dir = Dir::new();
    let root = machine(&dir, "other", Some("cores = 4\n"));
    let foreign =
        dir.write("other/usr/lib/systemd/system/countersign.service", "[Service]\nExecStart=/bin/mine\n");
    let before = tree(&root);
    let (succeeded, said) = install("install", &dir, &root, &[]);
    assert!(!succeeded && said.contains("countersign.service is there already"), "{said}");
    assert_eq!(tree(&root), before);
    std::fs::remove_file(foreign).unwrap();
    // As on NixOS and under other tools that write nix.conf.
    let conf = root.join("etc/nix/nix.conf");
    std::fs::rename(&conf, root.join("etc/nix/made.conf")).unwrap();
    std::os::unix::fs::symlink("made.conf", &conf).unwrap();
    let before = tree(&root);
    let (succeeded, said) = install("install", &dir, &root, &[]);
    assert!(!succeeded && said.contains("is a link"), "{said}");
    assert_eq!(tree(&root), before);
    let (succeeded, said) = install("uninstall", &dir, &root, &[]);
    assert!(!succeeded && said.contains("nothing is installed"), "{said}");
}

#[test]
fn a_debian_package_is_taken_out_without_a_trace() {
    let dir = Dir::new();
    let pack = |out: &str| {
        let mut command = Command::new(systemd("pack"));
        ok(run(command.arg(dir.join(out)).arg(programs(&dir)).env("SOURCE_DATE_EPOCH", "1700000000")));
        tree(&dir.join(out))
    };
    let files = pack("out");
    assert_eq!(files, pack("again"), "the same programs give the same bytes");
    let deb =
        dir.join("out").join(files.keys().find(|name| name.extension().is_some_and(|e| e == "deb")).unwrap());
    for (name, nix_conf) in MACHINES {
        let root = machine(&dir, name, nix_conf);
        for folder in ["info", "updates", "triggers"] {
            std::fs::create_dir_all(root.join("var/lib/dpkg").join(folder)).unwrap();
        }
        dir.write(&format!("{name}/var/lib/dpkg/status"), "");
        let others = |root: &Path| {
            let mut tree = tree(root);
            tree.retain(|path, _| !path.starts_with("var/lib/dpkg"));
            tree
        };
        let dpkg = |arguments: &[&std::ffi::OsStr]| {
            let mut command = Command::new("dpkg");
            command.arg("--root").arg(&root).args([
                "--log=/dev/null",
                "--force-script-chrootless",
                "--force-not-root",
            ]);
            ok(run(command.args(["--force-depends", "--force-bad-path"]).args(arguments)))
        };
        let before = others(&root);
        dpkg(&["--install".as_ref(), deb.as_os_str()]);
        let text = std::fs::read_to_string(root.join("etc/nix/nix.conf")).unwrap();
        assert!(text.contains("!include /run/countersign-trust/nix.conf\n"), "{text}");
        let unit = root.join("usr/lib/systemd/system/countersign.service");
        assert_eq!(std::fs::read(unit).unwrap(), std::fs::read(systemd("countersign.service")).unwrap());
        // Again, as an upgrade.
        dpkg(&["--install".as_ref(), deb.as_os_str()]);
        dpkg(&["--purge".as_ref(), "countersign".as_ref()]);
        assert_eq!(others(&root), before, "{name}");
    }
}

/// The archive installs itself, with what is in it.
#[test]
fn the_archive_installs_itself() {
    let dir = Dir::new();
    let mut command = Command::new(systemd("pack"));
    ok(run(command.arg(dir.join("out")).arg(programs(&dir)).env("SOURCE_DATE_EPOCH", "1700000000")));
    let files = tree(&dir.join("out"));
    let archive = files.keys().find(|name| name.extension().is_some_and(|e| e == "xz")).unwrap();
    let mut tar = Command::new("tar");
    ok(run(tar.arg("-xf").arg(dir.join("out").join(archive)).arg("-C").arg(dir.path())));
    let unpacked = dir.join(archive.to_str().unwrap().trim_end_matches(".tar.xz"));
    let root = machine(&dir, "root", Some("cores = 4\n"));
    let before = tree(&root);
    ok(run(Command::new(unpacked.join("install")).args(["install", "--root"]).arg(&root)));
    assert!(root.join("usr/share/man/man1/countersign.1").exists());
    // The way out does not need the archive.
    std::fs::remove_dir_all(unpacked).unwrap();
    ok(run(Command::new(root.join("usr/lib/countersign/install")).args(["uninstall", "--root"]).arg(&root)));
    assert_eq!(tree(&root), before);
}
