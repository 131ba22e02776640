//! Publishing at servers that lie, forget and race: nothing is taken for done that is not.

use crate::support::dirs::Dir;
use crate::support::fault_server::{Fault, FaultServer};
use crate::support::party::{Package, Party, noise};
use crate::uploads::{LEISURE, claim, narinfo_name, packed, server, signature};
use countersign::config::Compression;
use countersign::destination::{
    OurClaim, Place, PlaceErrorKind as Kind, Published, publish_nar, publish_narinfo,
};
use countersign::format::StoreDir;
use countersign::format::narinfo::{Limits, NarInfo};
use countersign::pack::Packed;
use std::path::PathBuf;

/// A package, ready to be published at a server that does as it is told.
struct Stage {
    faulty: FaultServer,
    place: Place,
    package: Package,
    packed: Packed,
    file: PathBuf,
    _dir: Dir,
}

impl Stage {
    fn new() -> Self {
        let (faulty, dir) = (FaultServer::start(), Dir::new());
        let package = Package::new("hello-1.0", &noise(1, 100_000));
        let (packed, file) = packed(&dir, &package, Compression::Zstd(3));
        let place = server(&faulty.url(), LEISURE);
        Self { faulty, place, package, packed, file, _dir: dir }
    }

    /// Our claim, its NAR published.
    async fn claim(&self) -> OurClaim {
        let nar = publish_nar(&self.place, &self.packed, &self.file).await.unwrap();
        claim(&self.package, nar, &[&Party::new("ours-1")])
    }

    /// What others would have written.
    fn theirs(&self) -> Vec<u8> {
        self.package.narinfo("zstd", &[&Party::new("theirs-1")]).into_bytes()
    }

    fn signers(&self) -> Vec<String> {
        let text = self.faulty.object(&narinfo_name(&self.package)).unwrap();
        let narinfo = NarInfo::parse(&text, &StoreDir::default(), &Limits::default()).unwrap();
        narinfo.signatures.iter().map(|s| s.key_name().as_str().to_owned()).collect()
    }
}

#[tokio::test]
async fn a_nar_that_was_not_stored_is_lost() {
    let stage = Stage::new();
    let publish = || publish_nar(&stage.place, &stage.packed, &stage.file);
    stage.faulty.when("PUT", "nar/", Fault::Forget);
    let error = publish().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Lost);
    assert!(
        error.to_string().contains("it was stored, and is not there; check the server's storage"),
        "{error}"
    );
    stage.faulty.when("PUT", "nar/", Fault::Swap(vec![0; 10]));
    let error = publish().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Lost);
    let length = stage.packed.file_size;
    assert!(error.to_string().contains(&format!("has 10 bytes instead of {length}")), "{error}");
    stage.faulty.heal();
    stage.faulty.when("HEAD", "nar/", Fault::WrongLength(3));
    assert_eq!(publish().await.unwrap_err().kind(), Kind::Lost);
    stage.faulty.heal();
    publish().await.unwrap();
}

#[tokio::test]
async fn a_narinfo_that_was_not_stored_is_lost() {
    let stage = Stage::new();
    let ours = stage.claim().await;
    stage.faulty.when("PUT", "narinfo", Fault::Forget);
    let error = publish_narinfo(&stage.place, &ours).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Lost, "{error}");
    for other in [b"<html>\n".to_vec(), stage.package.forged(b"x").narinfo("xz", &[]).into_bytes()] {
        stage.faulty.remove(&narinfo_name(&stage.package));
        stage.faulty.when("PUT", "narinfo", Fault::Swap(other));
        let error = publish_narinfo(&stage.place, &ours).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Lost, "{error}");
    }
}

#[tokio::test]
async fn who_comes_in_between_is_not_overwritten() {
    let stage = Stage::new();
    let ours = stage.claim().await;
    stage.faulty.next(1, "PUT", "narinfo", Fault::Raced(stage.theirs()));
    assert_eq!(publish_narinfo(&stage.place, &ours).await.unwrap(), Published::SignaturesAdded);
    assert_eq!(stage.signers(), ["theirs-1", "ours-1"]);
}

#[tokio::test]
async fn who_comes_in_between_with_another_core_is_dissent() {
    let stage = Stage::new();
    let ours = stage.claim().await;
    let forged = stage.package.forged(b"x");
    let text = forged.narinfo("xz", &[]).into_bytes();
    stage.faulty.next(1, "PUT", "narinfo", Fault::Raced(text.clone()));
    let published = publish_narinfo(&stage.place, &ours).await.unwrap();
    assert!(matches!(published, Published::Dissent { theirs, .. } if theirs == forged.core));
    assert_eq!(stage.faulty.object(&narinfo_name(&stage.package)).unwrap(), text);
}

/// A server without conditions lets one signer overwrite another: it is noticed, and made good.
#[tokio::test]
async fn who_overwrites_us_is_joined() {
    let stage = Stage::new();
    let ours = stage.claim().await;
    stage.faulty.next(1, "PUT", "narinfo", Fault::Overwritten(stage.theirs()));
    publish_narinfo(&stage.place, &ours).await.unwrap();
    assert_eq!(stage.signers(), ["theirs-1", "ours-1"]);
}

#[tokio::test]
async fn further_signatures_that_come_at_once_are_no_loss() {
    let stage = Stage::new();
    let ours = stage.claim().await;
    let both = [Party::new("ours-1"), Party::new("theirs-1")];
    let text = stage.package.narinfo("zstd", &both.each_ref()).into_bytes();
    stage.faulty.next(1, "PUT", "narinfo", Fault::Overwritten(text));
    assert_eq!(publish_narinfo(&stage.place, &ours).await.unwrap(), Published::Created);
    assert_eq!(stage.faulty.count("PUT", "narinfo"), 1);
}

#[tokio::test]
async fn whoever_always_wins_is_not_fought_for_ever() {
    let stage = Stage::new();
    let ours = stage.claim().await;
    stage.faulty.store(&narinfo_name(&stage.package), &stage.theirs());
    stage.faulty.when("PUT", "narinfo", Fault::Status(412, vec![], ""));
    let error = publish_narinfo(&stage.place, &ours).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Contested);
    assert_eq!(stage.faulty.count("PUT", "narinfo"), 5);
    stage.faulty.when("PUT", "narinfo", Fault::Overwritten(stage.theirs()));
    stage.faulty.when("PUT", "narinfo", Fault::Swap(stage.theirs()));
    let error = publish_narinfo(&stage.place, &ours).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Lost, "{error}");
    assert_eq!(stage.faulty.count("PUT", "narinfo"), 10);
}

#[tokio::test]
async fn without_conditions_and_without_tags_it_is_published_as_well() {
    for fault in [Fault::NoConditions(501), Fault::IgnoreConditions] {
        let stage = Stage::new();
        stage.faulty.when("PUT", "narinfo", fault);
        stage.faulty.when("GET", "narinfo", Fault::WeakTags);
        let ours = stage.claim().await;
        assert_eq!(publish_narinfo(&stage.place, &ours).await.unwrap(), Published::Created);
        let second = claim(&stage.package, ours.nar.clone(), &[&Party::new("second-1")]);
        assert_eq!(publish_narinfo(&stage.place, &second).await.unwrap(), Published::SignaturesAdded);
        assert_eq!(stage.signers(), ["ours-1", "second-1"]);
    }
}

/// The order of requests, and that what we wrote is looked at.
#[tokio::test]
async fn a_narinfo_goes_up_after_its_nar_was_read_back_and_is_read_back_itself() {
    let stage = Stage::new();
    let ours = stage.claim().await;
    publish_narinfo(&stage.place, &ours).await.unwrap();
    let log: Vec<_> = stage
        .faulty
        .log()
        .iter()
        .map(|r| format!("{} {}", r.method, if r.name.ends_with("narinfo") { "narinfo" } else { "nar" }))
        .collect();
    assert_eq!(log, ["HEAD nar", "PUT nar", "HEAD nar", "GET narinfo", "PUT narinfo", "GET narinfo"]);
    assert_eq!(ours.signatures, [signature(&stage.package, &Party::new("ours-1"))]);
}
