//! The attack book over HTTP: one test for each attack, beside its honest twin.
//!
//! The twin is the same set-up without the attack, and it is served. The attack is not served, ends in bounded
//! time, and the service goes on. The comment of a test says what the attacker does and which defence stops it;
//! "Without" says what was seen when that defence was taken out.

mod bytes;
mod grammar;
mod http;
mod narinfos;
mod redirects;
mod requests;

use crate::support::client::get;
use crate::support::scene::{Scene, is_harmless};
use crate::support::service::Served;
use std::time::{Duration, Instant};

/// How long an attack may keep a client: the claim-timeout of two seconds, and room for a busy machine.
const SOON: Duration = Duration::from_secs(8);

/// The honest twin: narinfo and NAR are served, right to the last byte and countersigned.
fn is_served(scene: &Scene, what: &str) {
    assert!(scene.serve().serves(&scene.package), "the honest twin of {what} is not served");
}

/// The attack: not even a narinfo is served.
fn is_no_claim(scene: &Scene, what: &str) {
    let served = scene.serve();
    in_time(&served, what, || {
        let reply = served.narinfo(&scene.package);
        assert_eq!(reply.status, 404, "{what}: {}", reply.text());
        assert_eq!(served.nar(&scene.package).status, 404, "{what}");
    });
}

/// The attack: the claim is honest, but not one byte of the NAR is served.
fn delivers_nothing(scene: &Scene, what: &str) {
    let served = scene.serve();
    in_time(&served, what, || {
        assert_eq!(served.narinfo(&scene.package).status, 200, "{what}");
        assert_eq!(served.nar(&scene.package).status, 404, "{what}");
    });
}

/// The attack: the claim is honest, but the NAR is never complete. Gives how much was sent of it.
fn never_completes(scene: &Scene, what: &str) -> usize {
    let served = scene.serve();
    in_time(&served, what, || {
        assert_eq!(served.narinfo(&scene.package).status, 200, "{what}");
        let reply = served.nar(&scene.package);
        assert!(is_harmless(&reply), "{what}: {} bytes with status {}", reply.body.len(), reply.status);
        reply.body.len()
    })
}

/// Does something, which must end soon and leave the service as it was.
fn in_time<T>(served: &Served, what: &str, act: impl FnOnce() -> T) -> T {
    let since = Instant::now();
    let result = act();
    let took = since.elapsed();
    assert!(took < SOON, "{what} took {took:?}");
    goes_on(served, what);
    result
}

/// The service still answers.
fn goes_on(served: &Served, what: &str) {
    assert_eq!(get(served.port(), "/nix-cache-info").status, 200, "the service ended: {what}");
}
