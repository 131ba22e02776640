//! The same against moto: what is published, large files, the list of uploads, and real Nix.

use crate::s3::real::{fill_place, some_paths};
use crate::s3::sweeping::name as nar;
use crate::s3::{KEYS, open, secret, section};
use crate::support::dirs::Dir;
use crate::support::moto::Moto;
use crate::support::nix::{Closure, Machine};
use crate::support::nix_daemon::{NixDaemon, full};
use crate::support::party::noise;
use crate::support::s3_server::{KEY_ID, SECRET};
use crate::support::service::Served;
use crate::support::uploads::{Uploads, chain};
use countersign::config::Bucket;
use countersign::destination::{Body, Condition, ContentType, Place, Put};
use std::time::Duration;
use url::Url;

fn bucket(moto: &Moto) -> Bucket {
    let endpoint = Some(Url::parse(&format!("{}/", moto.endpoint())).unwrap());
    Bucket { endpoint, ..Bucket::named(Moto::BUCKET) }
}

async fn put(place: &Place, text: &str, condition: Condition) -> Put {
    place.put("x", Body::Bytes(text.to_owned().into()), ContentType::NarInfo, condition).await.unwrap()
}

#[tokio::test]
async fn conditions_hold() {
    let moto = Moto::start();
    let place = open(bucket(&moto), None, KEYS).unwrap();
    assert!(place.get("x", 10).await.unwrap().is_none());
    assert_eq!(place.size("x").await.unwrap(), None);
    assert_eq!(put(&place, "one", Condition::IfAbsent).await, Put::Stored);
    assert_eq!(put(&place, "two", Condition::IfAbsent).await, Put::Conflict);
    let tag = place.get("x", 10).await.unwrap().unwrap().tag.unwrap();
    assert_eq!(put(&place, "three", Condition::IfMatches(tag.clone())).await, Put::Stored);
    assert_eq!(put(&place, "four", Condition::IfMatches(tag)).await, Put::Conflict);
    assert_eq!(place.get("x", 10).await.unwrap().unwrap().bytes, "three");
    let elsewhere = Bucket { name: "another-bucket".into(), ..bucket(&moto) };
    let error = open(elsewhere, None, KEYS).unwrap().prepare(true).await.unwrap_err();
    assert!(error.to_string().contains("NoSuchBucket"), "{error}");
}

#[tokio::test]
async fn a_large_file_is_put_together_and_what_was_begun_is_found_by_its_age() {
    let (moto, dir) = (Moto::start(), Dir::new());
    let place = open(Bucket { prefix: "a/b/".into(), ..bucket(&moto) }, None, KEYS).unwrap();
    let bytes = noise(5, (2 << 23) + 5);
    let body = Body::File { path: dir.write("packed", &bytes), length: bytes.len() as u64 };
    let name = "nar/x.nar.zst";
    assert_eq!(place.put(name, body, ContentType::Nar, Condition::Always).await.unwrap(), Put::Stored);
    let reply = moto.ask("GET", &format!("a/b/{name}"), "");
    assert!(reply.body == bytes, "other bytes were stored");
    assert_eq!(reply.header("content-type"), Some("application/x-nix-nar"));
    for begun in
        [format!("a/b/{}", nar(1)), format!("a/b/{}", nar(2)), nar(3), "a/b/nar/of-others.nar".to_owned()]
    {
        moto.ask("POST", &format!("{begun}?uploads="), "");
    }
    let listed = || moto.ask("GET", "?uploads=", "").text().matches("<Upload>").count();
    assert_eq!(listed(), 4);
    // It says of all of them that they were begun in November 2010.
    let years = |count: u64| Duration::from_secs(count * 365 * 24 * 3600);
    assert_eq!(place.sweep(years(50)).await.unwrap(), 0, "they are younger");
    assert_eq!(place.sweep(years(1)).await.unwrap(), 2);
    assert_eq!(listed(), 2, "what is not below the prefix, or has another name, is not ours");
}

/// A bucket that everybody may read: Debian's Nix sends no credentials.
#[test]
fn nix_installs_from_a_bucket_that_we_filled() {
    let (moto, closure) = (Moto::start(), Closure::get());
    let policy = format!(
        "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"s3:*\",\
         \"Resource\":[\"arn:aws:s3:::{0}\",\"arn:aws:s3:::{0}/*\"]}}]}}",
        Moto::BUCKET
    );
    moto.ask("PUT", "?policy=", &policy);
    let paths = some_paths(closure);
    fill_place(&open(bucket(&moto), None, KEYS).unwrap(), closure, &paths);
    let served = Served::with(&format!(
        "[signers.one]\nkeys = [\"{}\"]\n[caches.bucket]\nurl = \"{}/{}\"\n\
         [[rules]]\nname = \"all\"\nsignatures = [{{ at-least = 1, of = [\"one\"] }}]\n",
        closure.read("one.pub"),
        moto.endpoint(),
        Moto::BUCKET
    ));
    let own = format!("s3://{}?region=us-east-1&endpoint={}", Moto::BUCKET, moto.endpoint());
    for (url, key) in [(own, closure.read("one.pub")), (served.url(), served.key())] {
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

/// The whole uploader, every NAR in parts; what was begun there long ago and is named as ours goes, the rest stays.
#[test]
fn the_uploader_fills_a_bucket_and_sweeps_it() {
    let (moto, dir) = (Moto::start(), Dir::new());
    secret(&dir, "s3", &section("default", KEY_ID, SECRET));
    let destination = format!(
        "[destinations.acme]\nurl = \"s3://{}/a?region=us-east-1&endpoint={}&multipart-threshold=1\"\n\
         packages = [\"*\"]\ncredentials-file = \"DIR/s3\"\n",
        Moto::BUCKET,
        moto.endpoint()
    );
    let uploads = Uploads::with(NixDaemon::start("2.34"), dir, "", &destination);
    let built = uploads.daemon.build(&chain(4, 200));
    for begun in [format!("a/{}", nar(1)), nar(2), "backups/x.tar".to_owned()] {
        moto.ask("POST", &format!("{begun}?uploads="), "");
    }
    let _uploader = uploads.start();
    uploads.ok(&["push", &full(&built[3])]);
    uploads.wait();
    for path in &built {
        let info = moto.ask("GET", &format!("a/{}.narinfo", path.hash_part()), "").text();
        assert_eq!(info.matches("Sig: acme-1:").count(), 1, "{info}");
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        let nar = moto.ask("GET", &format!("a/{}", field("URL: ")), "");
        assert_eq!(nar.body.len().to_string(), field("FileSize: "));
    }
    let listed = moto.ask("GET", "?uploads=", "").text();
    assert_eq!(listed.matches("<Upload>").count(), 2, "{listed}");
    assert!(listed.contains("backups/x.tar") && listed.contains(&format!("<Key>{}", nar(2))), "{listed}");
}
