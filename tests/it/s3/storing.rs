//! What is sent to a bucket, and what is published there.

use crate::s3::{KEYS, bucket, open, place};
use crate::support::dirs::Dir;
use crate::support::party::{Package, Party, noise};
use crate::support::s3_server::{BUCKET, S3Fault, S3Server};
use countersign::aside::Durability;
use countersign::config::{Bucket, Compression};
use countersign::destination::{
    Body, Condition, ContentType, OurClaim, Place, PlaceErrorKind as Kind, Published, Put, publish_nar,
    publish_narinfo,
};
use countersign::format::StoreDir;
use countersign::format::fingerprint::fingerprint;
use countersign::pack::{Packed, pack_in};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

async fn put(place: &Place, name: &str, text: &str, condition: Condition) -> Put {
    place.put(name, Body::Bytes(text.to_owned().into()), ContentType::NarInfo, condition).await.unwrap()
}

fn packed(dir: &Dir, package: &Package) -> (Packed, PathBuf) {
    let run = AtomicBool::new(false);
    let dump = |out: &mut dyn Write| out.write_all(&package.nar);
    pack_in(dir.path(), dump, Compression::Zstd(3), 1, Durability::Unsynced, &run).unwrap()
}

async fn claim(place: &Place, package: &Package, signers: &[&Party]) -> OurClaim {
    let dir = Dir::new();
    let (packed, file) = packed(&dir, package);
    let nar = publish_nar(place, &packed, &file).await.unwrap();
    let text = fingerprint(&StoreDir::default(), &package.core);
    let signatures = signers.iter().map(|party| party.0.sign(text.as_bytes())).collect();
    OurClaim { core: package.core.clone(), nar, deriver: None, content_address: None, signatures }
}

#[tokio::test]
async fn names_and_types_are_those_of_nix() {
    let server = S3Server::start();
    let place = place(&server);
    place.prepare(true).await.unwrap();
    let package = Package::new("hello-1.0", &noise(1, 1000));
    let ours = claim(&place, &package, &[&Party::new("ours-1")]).await;
    assert_eq!(publish_narinfo(&place, &ours).await.unwrap(), Published::Created);
    assert_eq!(server.object("nix-cache-info").unwrap(), b"StoreDir: /nix/store\nWantMassQuery: 1\n");
    assert!(server.object(ours.nar.url()).is_some());
    let put: Vec<_> = server
        .log()
        .iter()
        .filter(|r| r.method == "PUT")
        .map(|r| {
            assert!(r.header("user-agent").unwrap().starts_with("countersign/"), "{r:?}");
            assert!(r.header("authorization").unwrap().contains("AWS4-HMAC-SHA256"), "{r:?}");
            (r.uri.clone(), r.header("content-type").unwrap().to_owned())
        })
        .collect();
    let name = |name: &str| format!("{BUCKET}/{name}");
    let expected = [
        (name("nix-cache-info"), "text/x-nix-cache-info".to_owned()),
        (name(ours.nar.url()), "application/x-nix-nar".to_owned()),
        (name(&format!("{}.narinfo", package.hash())), "text/x-nix-narinfo".to_owned()),
    ];
    assert_eq!(put, expected);
    assert!(ours.nar.url().starts_with("nar/") && ours.nar.url().ends_with(".nar.zst"), "{}", ours.nar.url());
}

#[tokio::test]
async fn below_a_prefix() {
    let server = S3Server::start();
    let place = open(Bucket { prefix: "some/cache/".into(), ..bucket(&server) }, None, KEYS).unwrap();
    put(&place, "nar/x.nar", "text", Condition::Always).await;
    assert_eq!(server.object("some/cache/nar/x.nar").unwrap(), b"text");
    assert_eq!(place.size("nar/x.nar").await.unwrap(), Some(4));
}

#[tokio::test]
async fn what_is_there_is_read_and_what_is_not_is_none() {
    let server = S3Server::start();
    let place = place(&server);
    server.store("x", b"12345");
    let found = place.get("x", 5).await.unwrap().unwrap();
    assert_eq!(found.bytes, "12345");
    assert_eq!(place.get("x", 4).await.unwrap_err().kind(), Kind::Malformed);
    assert_eq!(place.size("x").await.unwrap(), Some(5));
    assert!(place.get("none", 10).await.unwrap().is_none());
    assert_eq!(place.size("none").await.unwrap(), None);
    assert_eq!(place.get("../x", 10).await.unwrap_err().kind(), Kind::Malformed);
}

#[tokio::test]
async fn conditions_are_sent_and_heeded() {
    let server = S3Server::start();
    let place = place(&server);
    assert_eq!(put(&place, "x", "one", Condition::IfAbsent).await, Put::Stored);
    assert_eq!(put(&place, "x", "two", Condition::IfAbsent).await, Put::Conflict);
    let tag = place.get("x", 10).await.unwrap().unwrap().tag.unwrap();
    assert_eq!(put(&place, "x", "three", Condition::IfMatches(tag.clone())).await, Put::Stored);
    assert_eq!(put(&place, "x", "four", Condition::IfMatches(tag.clone())).await, Put::Conflict);
    assert_eq!(put(&place, "none", "five", Condition::IfMatches(tag)).await, Put::Conflict);
    assert_eq!(server.object("x").unwrap(), b"three");
    // Amazon's words for two that meet.
    server.when("PUT", "", S3Fault::error(409, "ConditionalRequestConflict"));
    assert_eq!(put(&place, "x", "six", Condition::IfAbsent).await, Put::Conflict);
    assert_eq!(server.count("PUT", "/x"), 5, "nothing was tried again");
}

#[tokio::test]
async fn a_server_that_knows_no_conditions_is_asked_without_from_then_on() {
    for (status, code) in [(501, "NotImplemented"), (400, "InvalidArgument")] {
        let server = S3Server::start();
        server.when("PUT", "", S3Fault::NoConditions(status, code));
        let place = place(&server);
        for name in ["x", "y"] {
            assert_eq!(put(&place, name, "text", Condition::IfAbsent).await, Put::Stored);
        }
        let log = server.log();
        let conditional: Vec<_> = log.iter().map(|r| r.header("if-none-match").is_some()).collect();
        assert_eq!(conditional, [true, false, false]);
    }
}

#[tokio::test]
async fn signatures_are_added_and_another_core_is_left_alone() {
    let server = S3Server::start();
    let place = place(&server);
    let package = Package::new("hello-1.0", b"hello");
    let (one, two) = (Party::new("one-1"), Party::new("two-1"));
    let ours = claim(&place, &package, &[&one]).await;
    assert_eq!(publish_narinfo(&place, &ours).await.unwrap(), Published::Created);
    assert_eq!(publish_narinfo(&place, &ours).await.unwrap(), Published::AlreadyThere);
    let theirs = claim(&place, &package, &[&two]).await;
    assert_eq!(publish_narinfo(&place, &theirs).await.unwrap(), Published::SignaturesAdded);
    let name = format!("{}.narinfo", package.hash());
    let text = String::from_utf8(server.object(&name).unwrap()).unwrap();
    assert!(text.contains("Sig: one-1:") && text.contains("Sig: two-1:"), "{text}");
    let forged = claim(&place, &package.forged(b"evil"), &[&two]).await;
    let published = publish_narinfo(&place, &forged).await.unwrap();
    assert!(matches!(published, Published::Dissent { .. }), "{published:?}");
    assert_eq!(server.object(&name).unwrap(), text.as_bytes());
}

/// Twenty who sign the same path at the same time: every signature is there in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_signers_at_once_lose_nothing() {
    let server = S3Server::start();
    let package = Package::new("hello-1.0", b"hello");
    let place = std::sync::Arc::new(place(&server));
    let parties: Vec<_> = (0..4).map(|n| Party::new(&format!("party-{n}"))).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for party in parties {
        let (place, package) = (std::sync::Arc::clone(&place), package.clone());
        tasks.spawn(async move {
            let ours = claim(&place, &package, &[&party]).await;
            publish_narinfo(&place, &ours).await.unwrap()
        });
    }
    while let Some(published) = tasks.join_next().await {
        assert!(matches!(published.unwrap(), Published::Created | Published::SignaturesAdded));
    }
    let text = server.object(&format!("{}.narinfo", package.hash())).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.matches("Sig: party-").count(), 4, "{text}");
}
