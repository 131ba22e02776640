//! From a build to another machine that installs it.

use crate::support::nix::{GENERATIONS, Machine};
use crate::support::nix_daemon::full;
use crate::support::uploads::{Uploads, chain, narinfo};
use countersign::format::{Limits, NarInfo, StoreDir, fingerprint};
use std::path::Path;

const DIRECTORY: &str = "[destinations.acme]\nurl = \"file://DIR/cache\"\npackages = [\"*\"]\n";

/// Everything built here, a chain of three, is pushed by one command; every narinfo is signed, and another
/// machine that trusts our key alone installs it.
#[test]
fn what_was_built_here_is_installed_elsewhere_under_our_key_alone() {
    for generation in GENERATIONS {
        let uploads = Uploads::new(generation, DIRECTORY);
        let built = uploads.daemon.build(&chain(3, 4000));
        let said = uploads.ok(&["push", &full(&built[2])]);
        assert!(said.contains("1 sent, 0 skipped, 0 held back, 0 given up"), "{said}");
        let cache = uploads.dir.join("cache");
        for path in &built {
            let text = narinfo(&cache, path).unwrap();
            let info = NarInfo::parse(text.as_bytes(), &StoreDir::default(), &Limits::default()).unwrap();
            let signed = fingerprint(&StoreDir::default(), &info.core);
            assert!(info.signatures.iter().any(|s| uploads.key().verify(signed.as_bytes(), s)), "{text}");
        }
        installs(generation, &cache, &built[2], &uploads);
    }
}

fn installs(generation: &'static str, cache: &Path, path: &countersign::format::StorePath, from: &Uploads) {
    let other = Machine::new(generation);
    let output = other
        .command("nix-store")
        .args(["-r", &full(path), "--option", "substituters", &format!("file://{}", cache.display())])
        .args(["--option", "trusted-public-keys", &from.key().to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Each compression is one that every version of Nix reads.
#[test]
fn every_compression_is_read_by_every_nix() {
    for (generation, compression) in
        GENERATIONS.iter().flat_map(|g| [("none", g), ("xz", g), ("zstd", g)].map(|(c, g)| (*g, c)))
    {
        let destination = format!("{DIRECTORY}compression = \"{compression}\"\n");
        let uploads = Uploads::new(generation, &destination);
        let path = uploads.daemon.build_one("shell \"acme-big\" \"seq 1 100000 > $out\" {}");
        uploads.ok(&["push", &full(&path)]);
        installs(generation, &uploads.dir.join("cache"), &path, &uploads);
    }
}

/// `queue wait` covers the queue, `list` and `show` say how it is, a second push sends nothing again.
#[test]
fn the_uploader_takes_what_is_pushed_while_it_runs() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    let uploader = uploads.start();
    let built = uploads.daemon.build(&chain(2, 100));
    uploads.ok(&["push", &full(&built[1])]);
    uploads.wait();
    assert_eq!(uploads.state_of("acme", &built[0]).unwrap().0, "done");
    let cache = uploads.dir.join("cache");
    let file = cache.join(format!("{}.narinfo", built[1].hash_part()));
    let before = std::fs::metadata(&file).unwrap().modified().unwrap();
    uploads.ok(&["push", &full(&built[1])]);
    assert_eq!(std::fs::metadata(&file).unwrap().modified().unwrap(), before, "nothing is sent again");
    assert!(uploads.ok(&["queue", "show", &full(&built[1])]).contains("done"));
    assert_eq!(uploads.ok(&["queue", "list"]), "nothing waits\n");
    assert_eq!(uploader.stop(), Some(0), "{}", uploads.log());
}

/// Of a chain whose end alone is pushed, what refers to nothing goes first, so that narinfos do not all wait for the
/// last NAR; and nothing is asked for that lies behind what is at the destination already.
#[test]
fn what_a_path_refers_to_is_asked_for_from_the_deepest_on() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    let built = uploads.daemon.build(&chain(8, 10));
    let asked = || -> Vec<String> {
        let queue = uploads.queue();
        let entries = queue["entries"].as_array().unwrap();
        entries.iter().map(|entry| entry["path"].as_str().unwrap().to_owned()).collect()
    };
    let names = |numbers: &[usize]| numbers.iter().map(|&n| built[n].to_string()).collect::<Vec<_>>();
    uploads.ok(&["push", &full(&built[4])]);
    assert_eq!(asked(), names(&[4, 0, 1, 2, 3]));

    std::fs::remove_dir_all(uploads.state()).unwrap();
    uploads.ok(&["push", &full(&built[7])]);
    assert_eq!(asked(), names(&[7, 4, 5, 6]));
}

/// The same core signed by others: their signatures stay, in their place, and ours is added.
#[test]
fn our_signature_is_added_to_what_is_there() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    let path = uploads.daemon.build_one("shell \"acme-tool\" \"echo tool > $out\" {}");
    let cache = uploads.dir.join("cache");
    // Nix itself publishes it first, under another key.
    let machine = &uploads.daemon.machine;
    let secret = uploads.dir.join("other.sec");
    let public = uploads.dir.join("other.pub");
    let made = uploads
        .daemon
        .command("nix-store")
        .args(["--generate-binary-cache-key", "other-1", secret.to_str().unwrap(), public.to_str().unwrap()])
        .status();
    assert!(made.unwrap().success());
    let to = format!("file://{}?compression=zstd&secret-key={}", cache.display(), secret.display());
    let copied = machine.command("nix").args(["copy", "--to", &to, &full(&path)]).output().unwrap();
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    let theirs = narinfo(&cache, &path).unwrap();
    uploads.ok(&["push", &full(&path)]);
    let both = narinfo(&cache, &path).unwrap();
    let names = |text: &str| {
        let sigs = text.lines().filter_map(|line| line.strip_prefix("Sig: "));
        sigs.map(|sig| sig.split(':').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&theirs), ["other-1"]);
    assert_eq!(names(&both), ["other-1", "acme-1"]);
    let url = |text: &str| text.lines().find(|line| line.starts_with("URL: ")).unwrap().to_owned();
    assert_eq!(url(&theirs), url(&both));
}

/// Another core there is dissent: said, listed, and nothing is overwritten.
#[test]
fn what_is_there_under_another_core_is_left_alone() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    let path = uploads.daemon.build_one("shell \"acme-tool\" \"echo tool > $out\" {}");
    let cache = uploads.dir.join("cache");
    uploads.ok(&["push", &full(&path)]);
    let file = cache.join(format!("{}.narinfo", path.hash_part()));
    let forged = narinfo(&cache, &path).unwrap().replace("NarSize: ", "NarSize: 1");
    std::fs::write(&file, &forged).unwrap();
    let (code, said, _) = uploads.run(&["push", &full(&path)]);
    assert_eq!(code, Some(1));
    assert!(said.contains("given up") && said.contains("dissent"), "{said}");
    assert_eq!(narinfo(&cache, &path).unwrap(), forged);
    assert_eq!(uploads.state_of("acme", &path).unwrap().0, "dead");
    let (code, _, said) = uploads.run(&["queue", "wait"]);
    assert_eq!(code, Some(1), "{said}");
}

/// Only what `packages` matches leaves; a reference that may not go holds back what refers to it, by name.
#[test]
fn nothing_leaves_that_packages_does_not_match() {
    let destination = "[destinations.acme]\nurl = \"file://DIR/cache\"\npackages = [\"acme-p1\"]\n";
    let uploads = Uploads::new("2.34", destination);
    let built = uploads.daemon.build(&chain(3, 10));
    let (code, said, _) = uploads.run(&["push", &full(&built[0]), &full(&built[1])]);
    assert_eq!(code, Some(1));
    assert!(said.contains("no `packages` of [destinations.acme] matches it"), "{said}");
    assert!(said.contains(&format!("it waits for {}", built[0])), "{said}");
    let cache = uploads.dir.join("cache");
    assert!(built.iter().all(|path| narinfo(&cache, path).is_none()));
}

/// Two destinations are sent the same path at the same time, several times over: each gets all of it.
#[test]
fn two_destinations_do_not_take_each_others_packed_files() {
    let two = format!("{DIRECTORY}[destinations.other]\nurl = \"file://DIR/other\"\npackages = [\"*\"]\n");
    let uploads = Uploads::new("2.34", &two);
    let same = |n| format!("(shell \"acme-same-{n}\" \"seq 1 20000 > $out\" {{}})");
    let built = uploads.daemon.build(&format!("[ {} ]", (0..8).map(same).collect::<Vec<_>>().join(" ")));
    let mut arguments = vec!["push".to_owned()];
    arguments.extend(built.iter().map(full));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    for _ in 0..3 {
        let said = uploads.ok(&arguments);
        assert!(said.contains("16 sent, 0 skipped, 0 held back, 0 given up"), "{said}");
        for name in ["cache", "other", "state"] {
            std::fs::remove_dir_all(uploads.dir.join(name)).unwrap();
        }
    }
}
