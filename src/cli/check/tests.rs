//! What `check` prints, to the letter, and how it exits.

use super::*;
use std::path::PathBuf;

const NOW: Timestamp = Timestamp::from_seconds(1_767_225_600);

fn environment() -> Environment {
    Environment {
        home: Some("/home/me".into()),
        usual_file: Some("/nonexistent/x".into()),
        ..Environment::default()
    }
}

/// Exit, output and error output.
fn run(location: &Location) -> (Exit, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = check(location, &environment(), NOW, Style::Plain, &mut out, &mut err);
    (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn repository(path: &str) -> (PathBuf, Location) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    (path.clone(), Location::File(path))
}

#[test]
fn the_built_in_policy_in_words() {
    let (exit, out, err) = run(&Location::Usual);
    assert_eq!((exit, &*err), (Exit::Ok, ""));
    assert_eq!(
        out,
        "no configuration file, built-in policy: no faults\n\
         policy: 1 cache of 1 operator, 1 signer, 1 rule; enforced\n  \
           \"everything\", for everything else: 1 voice of nixos\n\
         listening on 127.0.0.1:8419; state in /home/me/.local/state/countersign\n"
    );
}

#[test]
fn the_example_in_words() {
    let (path, location) = repository("examples/countersign.toml");
    let (exit, out, err) = run(&location);
    assert_eq!((exit, &*err), (Exit::Ok, ""));
    let expected = format!(
        "{}: no faults\n\
         policy: 3 caches of 3 operators, 4 signers, 4 rules, 2 exceptions; enforced\n  \
           \"ours\", for acme-*: 1 voice of acme\n  \
           \"boot chain\", for linux-*, systemd-*, openssh-*, openssl-*, nix-*: 2 voices of nixos, rebuilder; \
         2 operators; nixos must answer\n  \
           \"documentation\", for *-doc, *-man: 1 voice of nixos, rebuilder, mirror; on dissent, nixos, then rebuilder\n  \
           \"everything else\", for everything else: 1 voice of nixos\n\
         listening on 127.0.0.1:8419; state in /var/lib/countersign\n\
         uploads: 1 destination, signed by 1 key\n",
        path.display()
    );
    assert_eq!(out, expected);
}

#[test]
fn warnings_do_not_fail() {
    let (_, location) = repository("tests/data/config/warn/observe.toml");
    let (exit, out, err) = run(&location);
    assert_eq!(exit, Exit::Ok);
    assert!(err.starts_with("warning: `mode`: the policy is only observed"), "{err}");
    assert!(
        out.contains("observe.toml: no errors, 1 warning\n") && out.contains("; observed only\n"),
        "{out}"
    );
}

#[test]
fn faults_and_missing_files_exit_differently() {
    let (_, location) = repository("tests/data/config/bad/mode.toml");
    let (exit, out, err) = run(&location);
    assert_eq!((exit, exit.code(), &*out), (Exit::Config, 2, ""));
    assert!(err.ends_with("\n1 error\n"), "{err}");
    let (exit, out, err) = run(&Location::File("/nonexistent/x".into()));
    assert_eq!((exit, exit.code(), &*out), (Exit::Io, 3, ""));
    assert!(err.starts_with("error: cannot read the configuration /nonexistent/x: No such file"), "{err}");
}

#[test]
fn a_closed_pipe_is_no_success() {
    let mut closed: &mut [u8] = &mut [];
    let exit = check(&Location::Usual, &environment(), NOW, Style::Plain, &mut closed, &mut Vec::new());
    assert_eq!(exit, Exit::Io);
}
