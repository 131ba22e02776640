//! The uploader as a process: who starts it, and with whom it ends.

use crate::support::nix_daemon::full;
use crate::support::uploads::{Uploads, chain};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const DIRECTORY: &str = "[destinations.acme]\nurl = \"file://DIR/cache\"\npackages = [\"*\"]\n";

/// `serve` starts an uploader where destinations are configured; it uploads, and it ends with `serve`, however
/// that ends.
#[test]
fn serve_starts_an_uploader_that_ends_with_it() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    let built = uploads.daemon.build(&chain(2, 10));
    for signal in ["-KILL", "-TERM"] {
        let mut serve = serve(&uploads);
        uploads.wait_for("the child uploads", |_| child_of(serve.id()).is_some());
        let child = child_of(serve.id()).unwrap();
        uploads.ok(&["push", &full(&built[1])]);
        uploads.wait();
        assert!(Command::new("kill").args([signal, &serve.id().to_string()]).status().unwrap().success());
        serve.wait().unwrap();
        uploads.wait_for("the child ended", |_| !is_running(child));
    }
}

/// Two uploaders never work on one queue: the second says so; the child of `serve` stands back.
#[test]
fn there_is_one_uploader_at_a_time() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    let built = uploads.daemon.build(&chain(1, 10));
    let uploader = uploads.start();
    uploads.wait_for("it runs", |u| u.log().contains("uploading"));
    let (code, _, said) = uploads.run(&["upload"]);
    assert_eq!(code, Some(3));
    assert!(said.contains("another uploader runs"), "{said}");
    let mut serve = serve(&uploads);
    std::thread::sleep(Duration::from_millis(500));
    uploads.ok(&["push", &full(&built[0])]);
    uploads.wait();
    serve.kill().unwrap();
    serve.wait().unwrap();
    assert_eq!(uploader.stop(), Some(0));
}

/// Nothing runs, and something waits: `queue wait` says so instead of waiting for ever.
#[test]
fn waiting_without_an_uploader_is_refused() {
    let uploads =
        Uploads::new("2.34", "[destinations.acme]\nurl = \"http://127.0.0.1:1\"\npackages = [\"*\"]\n");
    assert_eq!(uploads.run(&["queue", "wait"]).0, Some(0), "nothing waits");
    let built = uploads.daemon.build(&chain(1, 10));
    let (code, said, _) = uploads.run(&["push", &full(&built[0])]);
    assert_eq!(code, Some(1));
    assert!(said.contains("Connection refused") && said.contains("held back"), "{said}");
    let (code, _, said) = uploads.run(&["queue", "wait"]);
    assert_eq!(code, Some(3));
    assert!(said.contains("no uploader runs"), "{said}");
    assert!(uploads.ok(&["queue", "list"]).starts_with("destination acme: "));
    uploads.ok(&["queue", "drop", &full(&built[0])]);
    assert_eq!(uploads.run(&["queue", "wait"]).0, Some(0));
}

fn serve(uploads: &Uploads) -> Child {
    let log =
        std::fs::OpenOptions::new().append(true).create(true).open(uploads.dir.join("upload.log")).unwrap();
    uploads.command(&["serve"]).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

/// The process that this one started.
fn child_of(process: u32) -> Option<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let children =
        tasks.flatten().map(|t| std::fs::read_to_string(t.path().join("children")).unwrap_or_default());
    children
        .flat_map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .next()?
        .parse()
        .ok()
}

fn is_running(process: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
