//! The uploader killed with -9 at a bucket, at every point of a large upload too, and what is left of it a day later.

use crate::s3::uploader::{is_whole, uploads};
use crate::support::s3_server::{S3Fault, S3Server};
use crate::uploader::crashes::{
    ask, check_complete, check_readable, kill_again_and_again, points, run_until_crash,
};
use countersign::queue::State;
use std::time::Duration;

/// More than a day: a clock may be set back meanwhile.
const LATER: Duration = Duration::from_secs(25 * 3600);

/// The points of an upload in parts.
const PARTS: [&str; 3] = ["part stored", "parts put together", "upload begun"];

/// As with a directory: nothing is lost, nothing is put again, no reader sees a narinfo without what belongs to it.
#[test]
fn killed_at_a_hundred_points_nothing_is_lost() {
    let server = S3Server::start();
    kill_again_and_again(&uploads(&server, ""), &server.bucket(), 100, &[]);
    assert_eq!(server.orphans(), [""; 0]);
}

/// The same where every NAR goes in parts; what the killed have left is gone a day later.
#[test]
fn killed_at_a_hundred_and_fifty_points_of_uploads_in_parts_nothing_is_lost() {
    let server = S3Server::start();
    let uploads = uploads(&server, "&multipart-threshold=1");
    kill_again_and_again(&uploads, &server.bucket(), 150, &PARTS);
    assert!(!server.orphans().is_empty(), "nobody was killed with an upload open");
    server.age_orphans(LATER);
    let uploader = uploads.start();
    uploads.wait_for("it is swept up", |_| server.orphans().is_empty());
    assert_eq!(uploader.stop(), Some(0));
    check_readable(&server.bucket());
}

/// A file of three parts, killed at every point there is, one after the other, each on a machine and a bucket that are new.
#[test]
fn killed_at_every_point_of_a_large_file() {
    let server = S3Server::start();
    let uploads = uploads(&server, "&multipart-chunk-size=5M");
    let script = "dd if=/dev/urandom of=$out bs=1M count=12 2>/dev/null";
    let built = uploads.daemon.build_one(&format!("shell \"acme-large\" \"{script}\" {{}}"));
    let log = uploads.dir.join("crashes");
    for after in 1.. {
        assert!(after < 60, "it never ends: {:?}", points(&log));
        std::fs::remove_dir_all(uploads.state()).unwrap_or_default();
        std::fs::create_dir_all(uploads.state()).unwrap();
        std::fs::rename(server.bucket(), uploads.dir.join(&format!("bucket-{after}"))).unwrap();
        std::fs::create_dir(server.bucket()).unwrap();
        let queue = ask(&uploads, std::slice::from_ref(&built));
        let is_killed = run_until_crash(&uploads, &queue, &log, after);
        check_readable(&server.bucket());
        if is_killed {
            let uploader = uploads.start();
            uploads.wait();
            assert_eq!(uploader.stop(), Some(0));
        }
        assert!(queue.rows(false).unwrap().iter().all(|row| row.entry.state == State::Done));
        check_readable(&server.bucket());
        check_complete(&server.bucket(), std::slice::from_ref(&built));
        if !is_killed {
            break;
        }
    }
    // The parts go side by side, and the ledger is written meanwhile, so the same count is not the same point each time.
    let met = points(&log);
    assert!(met.len() >= 10 && met.iter().any(|point| point.starts_with("part stored")), "{met:?}");
    server.age_orphans(LATER);
    let _uploader = uploads.start();
    uploads.wait_for("it is swept up", |_| server.orphans().is_empty());
    assert!(is_whole(&server, &built));
}

/// Killed in the middle of a large file: the next run sends it, and what the first one left is aborted a day later.
#[test]
fn killed_in_the_middle_of_a_large_file() {
    let server = S3Server::start();
    let uploads = uploads(&server, "");
    let script = "dd if=/dev/urandom of=$out bs=1M count=30 2>/dev/null";
    let built = uploads.daemon.build_one(&format!("shell \"acme-large\" \"{script}\" {{}}"));
    server.when("PUT", "partNumber=2", S3Fault::Wait(Duration::from_secs(600)));
    std::fs::create_dir_all(uploads.state()).unwrap();
    let uploader = uploads.start();
    ask(&uploads, std::slice::from_ref(&built));
    uploads.wait_for("the second part is under way", |_| server.count("PUT", "partNumber=2") > 0);
    uploads.wait_for("the others are there", |_| server.orphans().len() >= 4);
    uploader.kill();
    server.heal();
    let begun = server.orphans();
    let uploader = uploads.start();
    uploads.wait();
    assert!(is_whole(&server, &built), "{}", uploads.log());
    assert_eq!(server.orphans(), begun, "what the killed one left is not yet old");
    assert_eq!(uploader.stop(), Some(0), "{}", uploads.log());
    server.age_orphans(LATER);
    let _uploader = uploads.start();
    uploads.wait_for("it is swept up", |_| server.orphans().is_empty());
    assert!(is_whole(&server, &built));
}
