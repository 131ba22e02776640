//! `countersign witness` with real Nix: what it rebuilds, what it need not, and what it says of the rest.

use super::{CLAIMS, OTHER, SAME, Witness};
use crate::support::nix::GENERATIONS;
use crate::support::nix_daemon::full;
use countersign::evidence::BuildKind;
use std::io::Write;
use std::process::Stdio;

#[test]
fn what_was_downloaded_is_rebuilt_and_claimed() {
    for generation in GENERATIONS {
        let witness = Witness::new(generation);
        let path = witness.download_one(SAME);
        let done = witness.witness(&[&path]);
        assert_eq!(done.code, Some(0), "{generation}: {}\n{}", done.report, done.said);
        assert_eq!(done.outcome(&path), "rebuilt");
        assert!(witness.is_ultimate(&path), "Nix itself has noted it");
        let claimed = witness.claimed(&path).expect("it is claimed");
        assert_eq!(
            claimed.hints.deriver,
            witness.daemon().connect().path_info(&path).unwrap().unwrap().deriver
        );
        assert_eq!(
            witness.builds(&path),
            [BuildKind::RebuiltEqual],
            "and nothing says that Nix built it of its own"
        );
        assert!(done.said.contains("rebuilding 1 of 1"), "{}", done.said);
        // Once more: nothing is built, and nothing is put.
        let before = std::fs::metadata(witness.uploads.dir.join("claims")).unwrap().modified().unwrap();
        let again = witness.witness(&[&path]);
        assert_eq!((again.code, again.outcome(&path)), (Some(0), "built-here"), "{}", again.said);
        assert!(!again.said.contains("rebuilding"), "{}", again.said);
        assert_eq!(
            std::fs::metadata(witness.uploads.dir.join("claims")).unwrap().modified().unwrap(),
            before
        );
    }
}

#[test]
fn what_differs_is_shown_with_both_hashes_and_not_claimed() {
    for generation in GENERATIONS {
        let witness = Witness::new(generation);
        let [other, same] = [witness.download_one(OTHER), witness.download_one(SAME)];
        let done = witness.witness(&[&other, &same]);
        assert_eq!(done.code, Some(1), "{generation}: {}\n{}", done.report, done.said);
        let of = done.of(&other);
        assert_eq!(of["outcome"], "differs");
        let installed = witness.daemon().connect().path_info(&other).unwrap().unwrap().core.nar_hash;
        assert_eq!(of["installed"], installed.to_string());
        assert!(of["rebuilt"].as_str().unwrap() != installed.to_string());
        assert!(witness.claimed(&same).is_some(), "it goes on after what differs");
        assert!(witness.claimed(&other).is_none());
        assert!(!witness.is_ultimate(&other));
        assert_eq!(witness.builds(&other), [BuildKind::RebuiltOther]);
        let text = witness.command(&["witness", &full(&other)]).output().unwrap();
        let text = String::from_utf8(text.stdout).unwrap();
        assert!(text.contains(&format!("installed   {installed}")), "{text}");
        assert!(
            text.contains("  rebuilt     sha256:") && text.contains("nothing is claimed of it"),
            "{text}"
        );
        assert!(text.contains("1 differ, 0 not rebuilt\n0 claimed"), "{text}");
    }
}

/// A chain: with `--closure` all of it, without it one, although what it refers to is not claimed.
#[test]
fn a_closure_or_one_of_it() {
    const CHAIN: &str = r#"rec {
        a = shell "acme-a" "echo a > $out" {};
        b = shell "acme-b" "echo ${a} > $out" {};
        c = shell "acme-c" "echo ${b} > $out" {};
    }"#;
    let witness = Witness::new("2.34");
    let [a, b, c] = witness.download(CHAIN).try_into().unwrap();
    let one = witness.witness(&[&c]);
    assert_eq!(one.code, Some(0), "{}\n{}", one.report, one.said);
    assert!(witness.claimed(&c).is_some() && witness.claimed(&b).is_none() && witness.claimed(&a).is_none());
    let all = witness.run(&["--closure", &full(&c)]);
    assert_eq!(all.code, Some(0), "{}\n{}", all.report, all.said);
    assert_eq!([&a, &b, &c].map(|path| all.outcome(path)), ["rebuilt", "rebuilt", "built-here"]);
    assert!([&a, &b, &c].iter().all(|path| witness.claimed(path).is_some()));
}

#[test]
fn paths_come_from_a_file_or_standard_input() {
    let witness = Witness::new("2.34");
    let [same, more] = [
        witness.daemon().build_one(SAME),
        witness.daemon().build_one("shell \"acme-more\" \"echo b > $out\" {}"),
    ];
    let file = witness.uploads.dir.write("paths", format!("{}\n\n", full(&same)));
    let done = witness.run(&["--store-paths", file.to_str().unwrap()]);
    assert_eq!((done.code, done.outcome(&same)), (Some(0), "built-here"), "{}", done.said);
    let mut command = witness.command(&["witness", "--json", "--store-paths", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{more}").unwrap();
    let done = witness.end(child.wait_with_output().unwrap());
    assert_eq!((done.code, done.outcome(&more)), (Some(0), "built-here"), "{}", done.said);
    assert!(witness.claimed(&same).is_some() && witness.claimed(&more).is_some());
    let file = witness.uploads.dir.write("paths", "/nix/store/nonsense\n");
    assert_eq!(witness.run(&["--store-paths", file.to_str().unwrap()]).code, Some(2));
    assert_eq!(witness.run(&["--store-paths", "/nowhere"]).code, Some(3));
    assert_eq!(witness.run(&[]).code, Some(2));
}

/// What has a name that follows from its contents needs nobody's word, whoever made it.
#[test]
fn what_certifies_itself_is_not_claimed() {
    let witness = Witness::new("2.34");
    let fixed = "shell \"acme-fixed\" \"echo a > $out\" { outputHashAlgo = \"sha256\"; outputHashMode = \"flat\"; \
                 outputHash = \"87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7\"; }";
    let (fixed, file) = (witness.download_fixed(fixed), witness.daemon().add("acme-file", b"a"));
    let done = witness.witness(&[&fixed, &file]);
    assert_eq!(done.code, Some(0), "{}\n{}", done.report, done.said);
    assert_eq!([&fixed, &file].map(|path| done.outcome(path)), ["by-content"; 2]);
    assert!(!done.said.contains("rebuilding"), "{}", done.said);
    assert!([&fixed, &file].iter().all(|path| witness.claimed(path).is_none()));
}

/// What is not installed is built from source, and then it was built here.
#[test]
fn what_is_not_installed_is_built_from_source() {
    let witness = Witness::new("2.34");
    let derivation = witness.daemon().instantiate(OTHER).remove(0);
    let done = witness.witness(&[&derivation]);
    assert_eq!(done.code, Some(0), "{}\n{}", done.report, done.said);
    let outputs = witness.daemon().connect().derivation_outputs(&derivation).unwrap();
    let path = outputs[0].1.clone().unwrap();
    assert_eq!(done.outcome(&path), "built");
    assert!(witness.claimed(&path).is_some());
}

/// What no destination takes is not even rebuilt; what it refers to is left out without a word for each.
#[test]
fn what_may_not_leave_is_not_rebuilt() {
    let witness = Witness::with("2.34", "", &CLAIMS.replace("[\"*\"]", "[\"acme-*\"]"));
    let paths = witness.download(
        "rec { a = shell \"secret\" \"echo a > $out\" {}; b = shell \"acme-b\" \"echo ${a} > $out\" {}; }",
    );
    let done = witness.witness(&[&paths[0]]);
    assert_eq!(done.code, Some(1), "{}", done.said);
    let why = done.report["claims"]["held_back"][0]["why"].as_str().unwrap();
    assert!(why.contains("no `packages` of [destinations.claims] matches it"), "{why}");
    assert!(!witness.is_ultimate(&paths[0]));
    let done = witness.run(&["--closure", &full(&paths[1])]);
    assert_eq!((done.code, &done.report["left_out"]), (Some(0), &1.into()), "{}\n{}", done.report, done.said);
    assert!(!witness.is_ultimate(&paths[0]) && witness.claimed(&paths[1]).is_some());
}

#[test]
fn where_it_cannot_begin_it_is_said_what_to_do() {
    let witness = Witness::with("2.34", "keep-derivations = false", CLAIMS);
    let path = witness.download_alone(SAME).remove(0);
    let done = witness.witness(&[&path]);
    assert_eq!((done.code, done.outcome(&path)), (Some(3), "not-built"), "{}\n{}", done.report, done.said);
    assert!(done.why(&path).contains("nix copy --derivation"), "{}", done.why(&path));
    assert!(witness.claimed(&path).is_none());
    let missing = "11111111111111111111111111111111-acme-missing";
    assert_eq!(witness.run(&[missing]).code, Some(3));
    // No destination that takes claims; one that takes NARs; none of that name; no key.
    let nars = "[destinations.nars]\nurl = \"file://DIR/nars\"\npackages = [\"*\"]\n";
    witness.uploads.configure("", "", nars);
    let done = witness.witness(&[&path]);
    assert_eq!(done.code, Some(2));
    assert!(done.said.contains("no destination that takes claims: add"), "{}", done.said);
    let done = witness.run(&["--to", "nars", &full(&path)]);
    assert_eq!(done.code, Some(2));
    assert!(done.said.contains("[destinations.nars] takes NARs"), "{}", done.said);
    let done = witness.run(&["--to", "other", &full(&path)]);
    assert!(done.said.contains("has no [destinations.other]"), "{}", done.said);
    assert!(!witness.is_signed(&path));
}

/// Broken off in the middle: what was rebuilt before is not rebuilt again.
#[test]
fn what_was_broken_off_goes_on_where_it_stopped() {
    let witness = Witness::with("2.34", "extra-sandbox-paths = /seen=DIR/seen", CLAIMS);
    let seen = witness.uploads.dir.join("seen");
    std::fs::create_dir(&seen).unwrap();
    let first = witness.download_one(SAME);
    // It waits here, and nowhere else, until it may go on.
    let second = witness.download_one(
        "shell \"acme-waits\" \"test ! -e /seen || { : > /seen/waits; while test ! -e /seen/go-on; do :; done; }; \
         echo a > $out\" {}",
    );
    let arguments = ["witness", "--json", &full(&first), &full(&second)];
    let mut child = witness.command(&arguments).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    while !seen.join("waits").exists() {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let is_known = witness.is_ultimate(&first);
    std::fs::write(seen.join("go-on"), "").unwrap();
    let done = witness.witness(&[&first, &second]);
    assert_eq!(done.code, Some(0), "{}\n{}", done.report, done.said);
    assert_eq!(done.outcome(&first), if is_known { "built-here" } else { "rebuilt" });
    assert!(witness.claimed(&first).is_some() && witness.claimed(&second).is_some());
}
