//! The network's surroundings of destinations: a name that takes for ever, and no certificates to trust. What can
//! be uploaded is, and the rest says why not.

use crate::support::fault_server::FaultServer;
use crate::support::namespace;
use crate::support::nix_daemon::full;
use crate::support::uploads::{Uploads, chain, narinfo};

/// What `push` of a path to every destination says, in a namespace that `prepare` has arranged.
fn push(uploads: &Uploads, path: &str, prepare: &str) -> String {
    let mut command = namespace::script(&uploads.dir, &format!("{prepare}\nexec $countersign push {path}"));
    command.env("COUNTERSIGN_CONFIG", uploads.dir.join("config.toml"));
    let output = command.env("NIX_REMOTE", uploads.daemon.remote()).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

/// The resolver hangs on every name: /etc/hosts is a pipe. The other destination is served, and the command ends
/// although the lookup does not.
#[test]
fn a_name_that_hangs_holds_up_its_own_destination_alone() {
    let uploads = Uploads::new(
        "2.34",
        "[destinations.away]\nurl = \"http://cache.test\"\npackages = [\"*\"]\n\
         [destinations.here]\nurl = \"file://DIR/cache\"\npackages = [\"*\"]\n",
    );
    let built = uploads.daemon.build(&chain(1, 10));
    let hanging = "mkfifo hosts; printf 'hosts: files\\n' > nsswitch
mount --bind nsswitch /etc/nsswitch.conf; mount --bind hosts /etc/hosts";
    let said = push(&uploads, &full(&built[0]), hanging);
    assert!(said.contains("1 sent, 0 skipped, 1 held back"), "{said}");
    assert!(said.contains("the lookup of the name cache.test has not ended"), "{said}");
    assert!(said.contains("check the network"), "{said}");
    assert!(narinfo(&uploads.dir.join("cache"), &built[0]).is_some());
}

#[test]
fn without_certificates_https_says_what_to_install_and_http_goes_on() {
    let server = FaultServer::start();
    let uploads = Uploads::new(
        "2.34",
        &format!(
            "[destinations.secure]\nurl = \"https://127.0.0.1:1\"\npackages = [\"*\"]\n\
             [destinations.plain]\nurl = \"{}\"\npackages = [\"*\"]\n",
            server.url()
        ),
    );
    let built = uploads.daemon.build(&chain(1, 10));
    let none = "export SSL_CERT_FILE=/nonexistent.pem SSL_CERT_DIR=/nonexistent";
    let said = push(&uploads, &full(&built[0]), none);
    assert!(said.contains("1 sent, 0 skipped, 1 held back"), "{said}");
    assert!(said.contains("secure: cannot open it: no trusted certificates"), "{said}");
    assert!(said.contains("install the package ca-certificates"), "{said}");
}
