//! What publishing promises, at every kind of place: a directory, a server with conditions, and nginx, which
//! takes PUT and knows none.

use crate::support::dirs::Dir;
use crate::support::fault_server::FaultServer;
use crate::support::nix::Nginx;
use crate::support::party::{Package, Party, noise};
use crate::uploads::{LEISURE, claim, directory, narinfo_name, packed, server, signature};
use countersign::config::Compression;
use countersign::destination::{
    Body, Condition, ContentType, NarFile, Place, PlaceErrorKind as Kind, Published, publish_nar,
    publish_narinfo,
};
use countersign::format::StoreDir;
use countersign::format::narinfo::{Limits, NarInfo};

/// A place of each kind, and what keeps it alive.
struct Site {
    what: &'static str,
    place: Place,
    _alive: (Option<Dir>, Option<FaultServer>, Option<Nginx>),
}

fn sites() -> Vec<Site> {
    let (dir, root, faulty) = (Dir::new(), Dir::new(), FaultServer::start());
    let nginx = Nginx::take_uploads(root.path());
    vec![
        Site { what: "directory", place: directory(dir.path()), _alive: (Some(dir), None, None) },
        Site { what: "server", place: server(&faulty.url(), LEISURE), _alive: (None, Some(faulty), None) },
        Site {
            what: "nginx",
            place: server(&format!("{}/", nginx.url(0)), LEISURE),
            _alive: (Some(root), None, Some(nginx)),
        },
    ]
}

impl Site {
    async fn text(&self, package: &Package) -> String {
        let found = self.place.get(&narinfo_name(package), 1 << 20).await.unwrap().unwrap();
        String::from_utf8(found.bytes.to_vec()).unwrap()
    }

    async fn narinfo(&self, package: &Package) -> NarInfo {
        parse(&self.text(package).await)
    }

    /// Somebody else puts something.
    async fn put(&self, name: &str, bytes: Vec<u8>) {
        let body = Body::Bytes(bytes.into());
        self.place.put(name, body, ContentType::Nar, Condition::Always).await.unwrap();
    }

    /// Somebody else publishes a package in their way.
    async fn publish_as_others(&self, package: &Package, narinfo: &str) {
        self.put(&package.url("xz"), package.compressed("xz")).await;
        self.put(&narinfo_name(package), narinfo.as_bytes().to_vec()).await;
    }

    /// We publish a package.
    async fn publish(&self, package: &Package, party: &Party) -> Published {
        let dir = Dir::new();
        let (packed, file) = packed(&dir, package, Compression::Zstd(3));
        let nar = publish_nar(&self.place, &packed, &file).await.unwrap();
        publish_narinfo(&self.place, &claim(package, nar, &[party])).await.unwrap()
    }
}

fn parse(text: &str) -> NarInfo {
    NarInfo::parse(text.as_bytes(), &StoreDir::default(), &Limits::default()).unwrap()
}

fn package() -> Package {
    Package::new("hello-1.0", &noise(1, 100_000))
}

#[tokio::test]
async fn what_is_new_is_created_nar_first() {
    for site in sites() {
        site.place.prepare(true).await.unwrap();
        let (package, ours) = (package(), Party::new("ours-1"));
        assert_eq!(site.publish(&package, &ours).await, Published::Created, "{}", site.what);
        let narinfo = site.narinfo(&package).await;
        assert_eq!(narinfo.core, package.core, "{}", site.what);
        assert_eq!(narinfo.signatures, [signature(&package, &ours)], "{}", site.what);
        assert!(narinfo.quirks.is_empty(), "{}", site.what);
        let size = site.place.size(&narinfo.hints.url).await.unwrap();
        assert_eq!(size, narinfo.hints.file_size, "{}", site.what);
        assert!(narinfo.hints.url.ends_with(".nar.zst"), "{}", site.what);
        assert_eq!(site.publish(&package, &ours).await, Published::AlreadyThere, "{}", site.what);
    }
}

#[tokio::test]
async fn beside_others_all_signatures_stay_and_their_nar_too() {
    for site in sites() {
        let (package, ours) = (package(), Party::new("ours-1"));
        let [one, two] = ["one-1", "two-1"].map(Party::new);
        // The second signature is of somebody we do not know over something else: it is kept all the same.
        let deriver = "Deriver: 5rwxzi7pal3qhpsyfc16gzkh939q1np6-hello.drv\n";
        let mut theirs = package.narinfo("xz", &[]);
        theirs.push_str(deriver);
        theirs.push_str(&format!("Sig: {}\n", signature(&package, &one)));
        theirs.push_str(&format!("Sig: {}\n", signature(&self::package().forged(b"x"), &two)));
        site.publish_as_others(&package, &theirs).await;
        assert_eq!(site.publish(&package, &ours).await, Published::SignaturesAdded, "{}", site.what);
        let expected = format!("{theirs}Sig: {}\n", signature(&package, &ours));
        assert_eq!(site.text(&package).await, expected, "{}", site.what);
        assert_eq!(site.publish(&package, &ours).await, Published::AlreadyThere, "{}", site.what);
        let third = Party::new("third-1");
        assert_eq!(site.publish(&package, &third).await, Published::SignaturesAdded, "{}", site.what);
        assert_eq!(site.narinfo(&package).await.signatures.len(), 4, "{}", site.what);
    }
}

#[tokio::test]
async fn where_their_nar_is_gone_ours_takes_its_place() {
    for site in sites() {
        let (package, ours, theirs) = (package(), Party::new("ours-1"), Party::new("theirs-1"));
        let text = package.narinfo("xz", &[&theirs, &ours]);
        site.put(&narinfo_name(&package), text.into_bytes()).await;
        assert_eq!(site.publish(&package, &ours).await, Published::Repointed, "{}", site.what);
        let narinfo = site.narinfo(&package).await;
        assert!(narinfo.hints.url.ends_with(".nar.zst"), "{}", site.what);
        assert_eq!(narinfo.signatures, [&theirs, &ours].map(|p| signature(&package, p)), "{}", site.what);
    }
}

/// An URL that we cannot look behind is as good as none, whoever it may lead to.
#[tokio::test]
async fn an_url_that_leaves_the_place_is_not_kept() {
    let site = &sites()[0];
    let (package, ours) = (package(), Party::new("ours-1"));
    for url in
        ["http://other.example/x.nar", "../x.nar", "/etc/passwd", "nar//x", "nar/x?hash=y", "file:///x"]
    {
        let text = package.narinfo("none", &[]).replace(&package.url("none"), url);
        site.put(&narinfo_name(&package), text.into_bytes()).await;
        assert_eq!(site.publish(&package, &ours).await, Published::SignaturesAdded, "{url}");
        assert!(site.narinfo(&package).await.hints.url.starts_with("nar/"), "{url}");
    }
}

#[tokio::test]
async fn another_core_is_dissent_and_nothing_is_written() {
    for site in sites() {
        let (package, ours, theirs) = (package(), Party::new("ours-1"), Party::new("theirs-1"));
        let forged = package.forged(b"something else");
        let text = forged.narinfo("xz", &[&theirs]);
        site.publish_as_others(&forged, &text).await;
        let expected =
            Published::Dissent { theirs: forged.core.clone(), signatures: vec![signature(&forged, &theirs)] };
        assert_eq!(site.publish(&package, &ours).await, expected, "{}", site.what);
        assert_eq!(site.text(&package).await, text, "{}", site.what);
    }
}

#[tokio::test]
async fn what_is_no_narinfo_is_left_alone_and_told() {
    for site in sites() {
        let package = package();
        let other = Package::new("other-1.0", b"x").narinfo("xz", &[]);
        let odd = format!("{}Later: something of tomorrow\n", package.narinfo("xz", &[]));
        for (text, word) in [
            ("<html>not found</html>\n".to_owned(), "left alone: narinfo line 1"),
            (other, "it is about "),
            (odd, "lines that are not understood"),
        ] {
            site.put(&narinfo_name(&package), text.clone().into_bytes()).await;
            let ours = claim(&package, NarFile::withheld(&package.core), &[&Party::new("ours-1")]);
            let error = publish_narinfo(&site.place, &ours).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Malformed, "{}: {error}", site.what);
            assert!(error.to_string().contains(word), "{}: {error}", site.what);
            assert_eq!(site.text(&package).await, text, "{}", site.what);
        }
    }
}

/// A witness sends no bytes: it says where they would be, and takes nobody's NAR away.
#[tokio::test]
async fn a_claim_alone_keeps_the_nar_of_others() {
    for site in sites() {
        let (package, ours) = (package(), Party::new("ours-1"));
        let claimed = claim(&package, NarFile::withheld(&package.core), &[&ours]);
        let published = publish_narinfo(&site.place, &claimed).await.unwrap();
        assert_eq!(published, Published::Created, "{}", site.what);
        assert_eq!(site.narinfo(&package).await.hints.url, package.url("none"), "{}", site.what);
        let text = package.narinfo("xz", &[]).replace("nar/", "http://elsewhere.example/nar/");
        site.put(&narinfo_name(&package), text.into_bytes()).await;
        let published = publish_narinfo(&site.place, &claimed).await.unwrap();
        assert_eq!(published, Published::SignaturesAdded, "{}", site.what);
        assert!(
            site.narinfo(&package).await.hints.url.starts_with("http://elsewhere.example/"),
            "{}",
            site.what
        );
    }
}

/// Four signers at once: whoever is late starts again, and all are there in the end.
#[tokio::test]
async fn signers_that_meet_do_not_lose_each_other() {
    for site in sites().into_iter().filter(|site| site.what != "nginx") {
        let (package, dir) = (package(), Dir::new());
        let (packed, file) = packed(&dir, &package, Compression::Zstd(3));
        let nar = publish_nar(&site.place, &packed, &file).await.unwrap();
        let place = std::sync::Arc::new(site.place);
        let signers: Vec<_> = (0..4).map(|n| Party::new(&format!("signer-{n}"))).collect();
        let publishing: Vec<_> = signers
            .iter()
            .map(|party| {
                let (place, claim) = (std::sync::Arc::clone(&place), claim(&package, nar.clone(), &[party]));
                tokio::spawn(async move {
                    // Of four, the last meets three others at most, each of them once.
                    publish_narinfo(&place, &claim).await.unwrap()
                })
            })
            .collect();
        let mut created = 0;
        for publishing in publishing {
            created += usize::from(publishing.await.unwrap() == Published::Created);
        }
        assert_eq!(created, 1, "{}", site.what);
        let found = place.get(&narinfo_name(&package), 1 << 20).await.unwrap().unwrap();
        let mut there = parse(std::str::from_utf8(&found.bytes).unwrap()).signatures;
        there.sort();
        let mut expected: Vec<_> = signers.iter().map(|party| signature(&package, party)).collect();
        expected.sort();
        assert_eq!(there, expected, "{}", site.what);
    }
}

/// A NAR that is there by name and length is not sent again; one of another length is.
#[tokio::test]
async fn a_nar_is_sent_once() {
    let faulty = FaultServer::start();
    let place = server(&faulty.url(), LEISURE);
    let (package, dir) = (package(), Dir::new());
    let (packed, file) = packed(&dir, &package, Compression::Xz(1));
    for _ in 0..2 {
        publish_nar(&place, &packed, &file).await.unwrap();
        assert_eq!(faulty.count("PUT", "nar/"), 1);
    }
    faulty.store(&packed.name(), b"cut off");
    publish_nar(&place, &packed, &file).await.unwrap();
    assert_eq!(faulty.object(&packed.name()).unwrap(), std::fs::read(file).unwrap());
}
