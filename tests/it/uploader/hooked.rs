//! The whole way: a real build, the real hook, the uploader, and another machine that installs what came of it.

use crate::support::daemon::Daemon;
use crate::support::dirs::Dir;
use crate::support::nix::{GENERATIONS, Machine, Nginx};
use crate::support::nix_daemon::full;
use crate::support::uploads::{Uploads, chain, hooked, narinfo};

const DIRECTORY: &str = "[destinations.acme]\nurl = \"file://DIR/cache\"\npackages = [\"*\"]\n";

/// Built, reported, signed, uploaded; then installed by another machine, directly and through Countersign.
#[test]
fn a_build_stands_signed_in_the_destination_a_moment_later() {
    for generation in GENERATIONS {
        let uploads = hooked(generation, DIRECTORY);
        let _uploader = uploads.start();
        let built = uploads.daemon.build(&chain(3, 1000));
        uploads.wait();
        let cache = uploads.dir.join("cache");
        assert!(
            built.iter().all(|path| narinfo(&cache, path).unwrap().contains("Sig: acme-1:")),
            "{generation}"
        );
        let nginx = Nginx::serve(&[&cache]);
        let (url, key) = (nginx.url(0), uploads.key().to_string());
        installs(generation, &url, &key, &full(&built[2]));
        // And through Countersign, which trusts this one signer.
        let dir = Dir::new();
        let text = format!(
            "listen = [\"127.0.0.1:0\"]\nstate-directory = \"{}/state\"\n[signers.acme]\nkeys = [\"{key}\"]\n\
             [caches.acme]\nurl = \"{url}\"\n[[rules]]\nname = \"all\"\n\
             signatures = [{{ at-least = 1, of = [\"acme\"] }}]\n",
            dir.path().display()
        );
        let config = dir.write("config.toml", text);
        let mut service = Daemon::start(&dir, config.to_str().unwrap());
        service.forget_log();
        let machine = std::fs::read_to_string(dir.join("state/machine.pub")).unwrap();
        let through = format!("http://127.0.0.1:{}", service.port);
        installs(generation, &through, machine.trim_end(), &full(&built[2]));
        assert_eq!(service.stop(), Some(0));
    }
}

fn installs(generation: &'static str, substituter: &str, key: &str, path: &str) {
    let other = Machine::new(generation);
    let options = ["--option", "substituters", substituter, "--option", "trusted-public-keys", key];
    let output = other.command("nix-store").args(["-r", path]).args(options).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Nobody runs: builds wait in the spool, safe from the collector, and go when an uploader comes.
#[test]
fn builds_wait_for_an_uploader_and_survive_the_collector() {
    let uploads = hooked("2.34", DIRECTORY);
    let built = uploads.daemon.build(&chain(2, 100));
    uploads.daemon.gc();
    assert!(built.iter().all(|path| uploads.daemon.is_valid(path)), "the hook's roots keep them");
    let (code, _, said) = uploads.run(&["queue", "wait", "--timeout", "1s"]);
    assert_eq!(code, Some(3));
    assert!(said.contains("2 builds in the spool"), "{said}");
    let _uploader = uploads.start();
    uploads.wait();
    assert!(built.iter().all(|path| narinfo(&uploads.dir.join("cache"), path).is_some()));
}

/// Bytes that a signer of `skip-vouched-by` vouches for in a source cache are not sent; what refers to them is.
#[test]
fn what_others_vouch_for_is_not_sent() {
    // Another party built and published the same base, under its own key.
    let party = Uploads::new("2.34", DIRECTORY);
    let base = party.daemon.build(&chain(1, 500)).remove(0);
    party.ok(&["push", &full(&base)]);
    let nginx = Nginx::serve(&[&party.dir.join("cache")]);
    let uploads = hooked("2.34", "");
    let sections = format!(
        "[signers.party]\nkeys = [\"{}\"]\n[caches.party]\nurl = \"{}\"\n\
         [[rules]]\nname = \"all\"\nsignatures = [{{ at-least = 1, of = [\"party\"] }}]\n",
        party.key(),
        nginx.url(0)
    );
    uploads.configure(&sections, "", &format!("{DIRECTORY}skip-vouched-by = [\"party\"]\n"));
    let _uploader = uploads.start();
    let built = uploads.daemon.build(&chain(2, 500));
    assert_eq!(built[0], base);
    uploads.wait();
    let (state, why) = uploads.state_of("acme", &base).unwrap();
    assert_eq!((state.as_str(), why.as_str()), ("skipped", "party vouches for it in the cache party"));
    let cache = uploads.dir.join("cache");
    assert_eq!(narinfo(&cache, &base), None);
    assert!(narinfo(&cache, &built[1]).is_some());
}
