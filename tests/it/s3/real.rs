//! Real Nix 2.34 at a bucket: it takes what we put there, by itself and through Countersign, and what it puts there
//! has the names and the types of ours. Debian's build of it sends no credentials, so the server asks for none.

use crate::s3::{bucket, open};
use crate::support::nix::{Closure, Machine};
use crate::support::s3_server::{BUCKET, S3Server};
use crate::support::service::Served;
use crate::uploads::real::{local, publish};
use countersign::config::{Bucket, Compression};
use countersign::destination::Place;
use countersign::format::SigningKey;
use std::collections::BTreeSet;

/// The bucket as Nix has it.
fn url_for_nix(server: &S3Server) -> String {
    format!(
        "s3://{BUCKET}?region=us-east-1&scheme=http&endpoint={}",
        server.endpoint().trim_start_matches("http://")
    )
}

/// Publishes these paths of the closure in an open server's bucket.
fn fill(server: &S3Server, closure: &Closure, paths: &[String]) {
    fill_place(&open(Bucket { is_unsigned: true, ..bucket(server) }, None, &[]).unwrap(), closure, paths);
}

/// Publishes these paths of the closure, signed by `one-1`.
pub(super) fn fill_place(place: &Place, closure: &Closure, paths: &[String]) {
    let key = SigningKey::parse(closure.read("one.sec").as_bytes()).unwrap();
    let machine = Machine::new("2.34");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        place.prepare(true).await.unwrap();
        for path in paths {
            publish(place, &local(&machine, closure, path), Compression::Zstd(3), &key).await;
        }
    });
}

pub(super) fn some_paths(closure: &Closure) -> Vec<String> {
    let mut paths: Vec<_> = closure.paths().into_iter().take(10).collect();
    paths.push(closure.leaf());
    paths.dedup();
    paths
}

#[test]
fn nix_takes_what_we_put_into_a_bucket() {
    let (server, closure) = (S3Server::open(), Closure::get());
    let paths = some_paths(closure);
    fill(&server, closure, &paths);
    let served = Served::with(&format!(
        "[signers.one]\nkeys = [\"{}\"]\n[caches.bucket]\nurl = \"{}/{BUCKET}\"\n\
         [[rules]]\nname = \"all\"\nsignatures = [{{ at-least = 1, of = [\"one\"] }}]\n",
        closure.read("one.pub"),
        server.endpoint()
    ));
    for (url, key) in [(url_for_nix(&server), closure.read("one.pub")), (served.url(), served.key())] {
        let client = Machine::new("2.34");
        let store = client.store();
        let mut copy = vec!["copy", "--from", &url, "--to", &store, "--option", "trusted-public-keys", &key];
        copy.extend(paths.iter().map(String::as_str));
        client.ok("nix", &copy);
        for path in &paths {
            assert!(client.has(path), "{url} {path}");
        }
    }
}

/// What was put, as the end of each name and its type.
fn types(server: &S3Server) -> BTreeSet<(String, String)> {
    let log = server.log();
    let put = log.iter().filter(|r| r.method == "PUT").map(|r| {
        let name = r.uri.split('?').next().unwrap().strip_prefix(&format!("{BUCKET}/")).unwrap().to_owned();
        let kind = match name.split_once('.') {
            Some((hash, rest)) => format!("{}.{rest}", "x".repeat(hash.len())),
            None => name,
        };
        (kind, r.header("content-type").unwrap_or_default().to_owned())
    });
    put.collect()
}

#[test]
fn we_write_the_names_and_types_that_nix_writes() {
    let closure = Closure::get();
    let (ours, theirs) = (S3Server::open(), S3Server::open());
    fill(&ours, closure, &[closure.leaf()]);
    let machine = Machine::new("2.34");
    let from = closure.dir.join("store").display().to_string();
    let to = format!("{}&compression=zstd", url_for_nix(&theirs));
    machine.ok("nix", &["copy", "--from", &from, "--to", &to, "--no-check-sigs", &closure.leaf()]);
    assert_eq!(types(&ours), types(&theirs));
    assert_eq!(types(&ours).len(), 3, "{:?}", types(&ours));
}
