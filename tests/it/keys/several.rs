//! Several keys sign together; one that comes later signs what is there, one that goes takes nothing with it.

use super::{DIRECTORY, nars, sign_with, signers, written};
use crate::support::dirs::Dir;
use crate::support::nix::Nginx;
use crate::support::nix_daemon::full;
use crate::support::uploads::{Uploads, chain};

/// In a directory.
#[test]
fn keys_come_and_go_in_a_directory() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    let cache = uploads.dir.join("cache");
    keys_come_and_go(&uploads, &cache);
}

/// And on a server that takes PUT.
#[test]
fn keys_come_and_go_on_a_server() {
    let dir = Dir::new();
    let nginx = Nginx::take_uploads(dir.path());
    let destination = format!("[destinations.acme]\nurl = \"{}/\"\npackages = [\"*\"]\n", nginx.url(0));
    let uploads = Uploads::new("2.34", &destination);
    keys_come_and_go(&uploads, dir.path());
}

fn keys_come_and_go(uploads: &Uploads, cache: &std::path::Path) {
    let second = written(uploads, "acme-2.sec", "acme-2", 2);
    let third = written(uploads, "third.sec", "third-1", 3);
    let first = uploads.key().clone();
    let keys = [&first, &second, &third];
    let built = uploads.daemon.build(&chain(2, 300));
    sign_with(uploads, &["acme-1.sec", "acme-2.sec"]);
    uploads.ok(&["push", &full(&built[1])]);
    for path in &built {
        assert_eq!(signers(cache, path, &keys), ["acme-1", "acme-2"]);
    }
    let before = nars(cache);
    // Once more: nothing is added twice.
    uploads.ok(&["push", &full(&built[0]), &full(&built[1])]);
    assert_eq!(signers(cache, &built[1], &keys), ["acme-1", "acme-2"]);
    // A key that comes later signs what is there, without the bytes being sent again.
    sign_with(uploads, &["acme-1.sec", "acme-2.sec", "third.sec"]);
    uploads.ok(&["push", &full(&built[0]), &full(&built[1])]);
    for path in &built {
        assert_eq!(signers(cache, path, &keys), ["acme-1", "acme-2", "third-1"]);
    }
    // One that goes leaves its signatures where they are, and signs no more.
    sign_with(uploads, &["third.sec"]);
    let new = uploads.daemon.build(&chain(3, 300));
    let said = uploads.ok(&["push", "--since", "1970-01-01"]);
    assert!(said.contains("3 sent"), "{said}");
    for path in &built {
        assert_eq!(signers(cache, path, &keys), ["acme-1", "acme-2", "third-1"]);
    }
    assert_eq!(signers(cache, &new[2], &keys), ["third-1"]);
    let after = nars(cache);
    assert!(before.iter().all(|nar| after.contains(nar)), "{before:?}\n{after:?}");
    assert_eq!(after.len(), before.len() + 1);
}
