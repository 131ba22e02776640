//! What does not answer, answers too much, or would write to the terminal.

use super::world::{World, json, labels};
use crate::commands::{run, stderr, stdout};
use crate::support::dirs::Dir;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// A program in place of `nix`.
fn program(dir: &Dir, script: &str) -> String {
    let file = dir.write("bin/nix", format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    file.display().to_string()
}

/// Whether a process is gone, or soon is.
fn ends(process: &str) -> bool {
    let is_gone = || {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z")
    };
    (0..500).any(|_| {
        is_gone() || {
            std::thread::sleep(Duration::from_millis(20));
            false
        }
    })
}

#[test]
fn a_nix_that_is_none_leaves_the_files() {
    let world = World::new("2.34");
    world.conf("trusted-users = u");
    let pid = world.dir.join("pid");
    for (script, why) in [
        ("sleep 1000 & echo $! >PID; wait", "did not answer within"),
        ("sleep 1000 & echo $! >PID; echo '{'; exit 0", "did not answer within"),
        ("echo $$ >PID; exec /bin/sh -c 'while :; do echo 0123456789abcdef; done'", "more than 4 MiB"),
        ("echo $$ >PID; exit 1", "ended with"),
        ("echo $$ >PID; echo '{}'", "has no substituters"),
        ("echo $$ >PID; echo 'hush'", "no JSON"),
    ] {
        let nix = program(&world.dir, &script.replace("PID", pid.to_str().unwrap()));
        let output = world.command(&["doctor", "--json", "--nix", &nix]).output().unwrap();
        assert_eq!(labels(&output), ["way-around trusted-user", "unknown not-found-out"], "{script}");
        let told = json(&output).to_string();
        assert!(told.contains(why) && !told.contains("hush"), "{told}");
        assert_eq!(output.status.code(), Some(1));
        // Nothing that was started runs on.
        let started = std::fs::read_to_string(&pid).unwrap();
        assert!(ends(started.trim()), "{script} runs on");
    }
    // With nothing else found, that it could not be found out is the answer.
    world.conf("");
    let output = world.command(&["doctor", "--json", "--nix", "/none"]).output().unwrap();
    assert_eq!((labels(&output), output.status.code()), (vec!["unknown not-found-out".to_owned()], Some(3)));
}

#[test]
fn without_a_nix_the_files_are_read() {
    let world = World::new("2.26");
    let output = world.command(&["doctor"]).env("PATH", "/none").output().unwrap();
    let said = stdout(&output);
    if Path::new("/run/current-system/sw/bin/nix").exists()
        || Path::new("/nix/var/nix/profiles/default/bin/nix").exists()
    {
        // This machine's own is found where $PATH does not lead; it is asked for the same settings.
        assert_eq!(output.status.code(), Some(0), "{said}");
        return;
    }
    assert_eq!(output.status.code(), Some(0), "{said}");
    let file = world.machine.dir.join("nix.conf");
    for words in
        ["Nix itself was not asked", "read: ", file.to_str().unwrap(), "no way around was found; 1 note"]
    {
        assert!(said.contains(words), "{words} is not in\n{said}");
    }
    world.conf("include none.conf");
    let output = world.command(&["doctor", "--json"]).env("PATH", "/none").output().unwrap();
    assert_eq!(labels(&output), ["unknown not-found-out", "note not-found-out"]);
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn what_stands_in_nix_conf_comes_out_escaped_and_without_secrets() {
    let world = World::new("2.34");
    world.conf(
        "trusted-users = root \u{1b}[2J<b>\u{202e}\nextra-substituters = https://u:hush@x.example?trusted=1&token=hush\n\
         secret-key-files = /k\u{7}\naccess-tokens = github.com=hush\nbuilders = ssh://u:hush@\u{1b}b\n\
         extra-trusted-public-keys = hush",
    );
    for arguments in [&[][..], &["--nix-conf", world.machine.dir.join("nix.conf").to_str().unwrap()]] {
        let mut command = world.command(&[&["doctor"], arguments].concat());
        if arguments.is_empty() {
            command.args(["--nix", world.nix().to_str().unwrap()]);
        }
        let output = command.output().unwrap();
        let said = format!("{}{}", stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.chars().all(|c| c == '\n' || c == ' ' || c.is_ascii_graphic()), "{said}");
        assert!(said.contains("\\u{1b}[2J<b>\\u{202e}") && said.contains("https://***@x.example"), "{said}");
        assert!(!said.contains("hush"), "{said}");
    }
}

#[test]
fn a_named_file_is_read_alone() {
    let dir = Dir::new();
    let conf = dir.write("some.conf", "trusted-users = u\n");
    let name = conf.to_str().unwrap();
    let remote = ["doctor", "--json", "--nix-conf", name];
    let output = run(&dir, &remote);
    let found = labels(&output);
    assert!(found.contains(&"way-around trusted-user".to_owned()), "{found:?}");
    assert_eq!(output.status.code(), Some(1));
    // Nothing is said of who would read that file here.
    assert!(!found.iter().any(|finding| finding.ends_with("proxied") || finding.ends_with("own-settings")));
    let read = json(&output)["read"].as_str().unwrap().to_owned();
    assert_eq!(read, format!("{name}, and not what else Nix reads"));
    dir.write("some.conf", "nonsense\n");
    let output = run(&dir, &remote);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("some.conf:1"), "{}", stderr(&output));
    let missing = run(&dir, &["doctor", "--nix-conf", "/none/nix.conf"]);
    assert_eq!(missing.status.code(), Some(3), "{}", stderr(&missing));
}
