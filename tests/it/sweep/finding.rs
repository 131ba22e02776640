//! What is found, when, and that it is found once.

use super::{DIRECTORY, install, installed_long_ago, origins, sweep};
use crate::support::nix::GENERATIONS;
use crate::support::nix_daemon::full;
use crate::support::uploads::{Uploads, chain, hooked, narinfo};
use countersign::evidence::{Sqlite, Storage, Terms};

/// No hook is there: what was built is in the destination, signed, after the next start; and it is said how it came
/// there.
#[test]
fn a_build_that_no_hook_reported_is_found_at_the_next_start() {
    for generation in GENERATIONS {
        let uploads = installed_long_ago(generation, "", DIRECTORY);
        let built = uploads.daemon.build(&chain(3, 500));
        let _uploader = sweep(&uploads);
        uploads.wait();
        let cache = uploads.dir.join("cache");
        for path in &built {
            assert!(narinfo(&cache, path).unwrap().contains("Sig: acme-1:"), "{generation}");
            assert_eq!(origins(&uploads, path), [("done".to_owned(), "swept".to_owned())]);
        }
        let listed = uploads.ok(&["queue", "list", "--all"]);
        assert_eq!(listed.matches("(found by the sweep)").count(), 3, "{listed}");
        let log = uploads.log();
        assert_eq!(log.matches("found by the sweep: built here").count(), 3, "{log}");
        assert!(log.contains("builds that no hook reported are uploaded now"), "{log}");
    }
}

/// An uploader that runs finds what is built after its start.
#[test]
fn a_running_uploader_sweeps_again() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    let _uploader = uploads.start_with(&[("COUNTERSIGN_SWEEP_EVERY", "1")]);
    uploads.wait_for("it swept", |uploads| uploads.log().contains("swept: "));
    let built = uploads.daemon.build_one("shell \"acme-late\" \"echo late > $out\" {}");
    uploads.wait_for("the build is found", |uploads| {
        origins(uploads, &built) == [("done".to_owned(), "swept".to_owned())]
    });
    let second = uploads.daemon.build_one("shell \"acme-later\" \"echo later > $out\" {}");
    uploads.wait_for("the next one as well", |uploads| !origins(uploads, &second).is_empty());
}

/// Where the hook works, the sweep finds nothing: entries stay the hook's.
#[test]
fn what_the_hook_reported_is_not_found() {
    let uploads = hooked("2.34", DIRECTORY);
    install(&uploads, 1_000_000_000);
    let waiting = uploads.daemon.build(&chain(2, 100));
    let uploader = sweep(&uploads);
    uploads.wait();
    assert_eq!(uploader.stop(), Some(0), "{}", uploads.log());
    let _uploader = sweep(&uploads);
    for path in &waiting {
        assert_eq!(origins(&uploads, path), [("done".to_owned(), "built".to_owned())]);
    }
    assert!(!uploads.log().contains("found by the sweep"), "{}", uploads.log());
    assert!(uploads.log().contains("swept: every build was reported"));
}

/// What is done, was given up or was dropped by a person is not queued again, by any later sweep.
#[test]
fn what_is_known_is_not_queued_again() {
    let uploads = installed_long_ago("2.34", "", DIRECTORY);
    let built = uploads.daemon.build(&format!(
        "[ {} {} {} ]",
        "(shell \"acme-done\" \"echo done > $out\" {})",
        "(shell \"acme-dead\" \"echo dead > $out\" {})",
        "(shell \"acme-dropped\" \"echo dropped > $out\" {})"
    ));
    // Another core is at the destination already: dissent.
    uploads.ok(&["push", &full(&built[1])]);
    let cache = uploads.dir.join("cache");
    let forged = narinfo(&cache, &built[1]).unwrap().replace("NarSize: ", "NarSize: 1");
    std::fs::write(cache.join(format!("{}.narinfo", built[1].hash_part())), forged).unwrap();
    assert_eq!(uploads.run(&["push", &full(&built[1])]).0, Some(1));
    let uploader = sweep(&uploads);
    uploads.wait_for("two are done", |u| {
        [0, 2].iter().all(|n| origins(u, &built[*n]) == [("done".to_owned(), "swept".to_owned())])
    });
    assert_eq!(uploader.stop(), Some(0));
    uploads.ok(&["queue", "drop", &full(&built[2])]);
    let before = uploads.queue();
    let _uploader = sweep(&uploads);
    assert_eq!(uploads.queue(), before);
    assert_eq!(origins(&uploads, &built[1])[0].0, "dead");
    assert_eq!(origins(&uploads, &built[2]), []);
    // A person asks for it again: it goes.
    uploads.ok(&["push", &full(&built[2])]);
    assert_eq!(origins(&uploads, &built[2]), [("done".to_owned(), "pushed".to_owned())]);
}

/// A build that is found is this machine's opinion as well, destination or not.
#[test]
fn what_is_found_is_written_into_the_ledger() {
    let uploads = installed_long_ago("2.34", "", "");
    countersign::spool::Spool::create(&uploads.dir.join("spool")).unwrap();
    let built = uploads.daemon.build(&chain(2, 100));
    let _uploader = sweep(&uploads);
    let mut ledger = Sqlite::open_existing(&uploads.state(), &Terms::default()).unwrap().unwrap();
    for path in &built {
        let builds = ledger.earlier(path.hash_part()).unwrap().builds;
        assert_eq!(builds.len(), 1, "{builds:?}");
        assert_eq!(builds[0].path, *path);
        assert!(builds[0].derivation.is_some());
    }
}

/// Killed between every two things that a sweep does, it finds everything at a later start.
#[test]
fn a_sweep_that_is_killed_loses_nothing() {
    let uploads = installed_long_ago("2.34", "", DIRECTORY);
    let built = uploads.daemon.build(&chain(4, 10));
    let log = uploads.dir.join("crashes");
    let done = |path| origins(&uploads, path).first().is_some_and(|(state, _)| state == "done");
    for n in 1.. {
        assert!(n < 100, "it never ends: {:?}", std::fs::read_to_string(&log));
        // The most is more than there are points before one of three threads has noted a step.
        let after = n % 20 + 1;
        let environment = [
            ("COUNTERSIGN_CRASH_AFTER", after.to_string()),
            ("COUNTERSIGN_CRASH_LOG", log.display().to_string()),
        ];
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let uploader = std::cell::RefCell::new(uploads.start_with(&environment));
        uploads.wait_for("it ends or all is done", |_| {
            uploader.borrow_mut().try_wait().is_some() || built.iter().all(done)
        });
        if built.iter().all(done) {
            break;
        }
    }
    let crashes = std::fs::read_to_string(&log).unwrap();
    assert!(crashes.contains("swept kept") && crashes.contains("swept queued"), "{crashes}");
    let _uploader = sweep(&uploads);
    uploads.wait();
    let cache = uploads.dir.join("cache");
    assert!(built.iter().all(|path| narinfo(&cache, path).unwrap().contains("Sig: acme-1:")));
}
