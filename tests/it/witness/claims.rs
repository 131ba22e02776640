//! Destinations that take claims alone, of all three kinds: what is put there, and what real Nix makes of it.

use super::{CLAIMS, SAME, Witness};
use crate::support::dirs::Dir;
use crate::support::nix::{GENERATIONS, Machine, Nginx};
use crate::support::nix_daemon::{NixDaemon, full};
use crate::support::s3_server::{KEY_ID, S3Server, SECRET};
use crate::support::uploads::{Uploads, chain, hooked, narinfo};
use countersign::format::{Limits, NarInfo, StoreDir};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The names of what is there, all folders deep.
fn names(root: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            names.extend(
                super::claims::names(&entry.path()).into_iter().map(|below| format!("{name}/{below}")),
            );
        } else {
            names.push(name);
        }
    }
    names.sort();
    names
}

/// The same files in a directory, at a server that takes PUT, and in a bucket: narinfos and nix-cache-info, no NAR.
#[test]
fn every_kind_of_destination_takes_claims() {
    let (server, dir, put) = (S3Server::start(), Dir::new(), Dir::new());
    let nginx = Nginx::take_uploads(put.path());
    let credentials = dir
        .write("s3", format!("[default]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n"));
    std::fs::set_permissions(credentials, std::fs::Permissions::from_mode(0o600)).unwrap();
    let one = |name: &str, url: &str, more: &str| {
        format!("[destinations.{name}]\nurl = \"{url}\"\npackages = [\"*\"]\npublish = \"claims\"\n{more}")
    };
    let all = one("claims", "file://DIR/claims", "")
        + &one("put", &nginx.url(0), "")
        + &one("bucket", &server.url(), "credentials-file = \"DIR/s3\"\n");
    let uploads = Uploads::with(NixDaemon::start("2.34"), dir, "", &all);
    let built = uploads.daemon.build(&chain(3, 200));
    let witness: Vec<String> = built.iter().map(full).collect();
    let arguments = [&["witness"], &witness.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat();
    uploads.ok(&arguments);
    let claims = uploads.dir.join("claims");
    let mut expected: Vec<String> = built.iter().map(|p| format!("{}.narinfo", p.hash_part())).collect();
    expected.push("nix-cache-info".to_owned());
    expected.sort();
    for root in [&claims, put.path(), &server.bucket()] {
        assert_eq!(names(root), expected, "{}", root.display());
        for name in &expected {
            assert_eq!(std::fs::read(root.join(name)).unwrap(), std::fs::read(claims.join(name)).unwrap());
        }
    }
    let about = std::fs::read_to_string(claims.join("nix-cache-info")).unwrap();
    assert!(about.contains("StoreDir: /nix/store\nWantMassQuery: 0\nPriority: 1000"), "{about}");
    let text = narinfo(&claims, &built[2]).unwrap();
    let claim = NarInfo::parse(text.as_bytes(), &StoreDir::default(), &Limits::default()).unwrap();
    assert_eq!(claim.hints.url, format!("nar/{}.nar", claim.core.nar_hash.nixbase32()));
    assert_eq!(claim.hints.file_size, Some(claim.core.nar_size));
    assert!(text.contains("Compression: none\nFileHash: ") && text.len() < 1000, "{text}");
}

/// Real Nix reads the claims, and where it asks for bytes by mistake it takes them from elsewhere, or says that there are
/// none.
#[test]
fn nix_reads_claims_and_finds_no_bytes() {
    for generation in GENERATIONS {
        let both = format!("{CLAIMS}[destinations.nars]\nurl = \"file://DIR/nars\"\npackages = [\"*\"]\n");
        let uploads = Uploads::with(NixDaemon::start(generation), Dir::new(), "", &both);
        let path = uploads.daemon.build_one(SAME);
        uploads.ok(&["push", &full(&path)]);
        let place = |name: &str| format!("file://{}", uploads.dir.join(name).display());
        let machine = Machine::new(generation);
        let told = machine.ok("nix", &["path-info", "--store", &place("claims"), "--sigs", &full(&path)]);
        assert!(told.contains("acme-1:"), "{told}");
        let key = uploads.key().to_string();
        let install = |from: &str| {
            let store = machine.store();
            let from = ["--option", "substituters", from, "--option", "trusted-public-keys", &key];
            machine.run("nix-store", &[&["--store", &store, "-r", &full(&path)], &from[..]].concat())
        };
        let alone = install(&place("claims"));
        let said = String::from_utf8_lossy(&alone.stderr).into_owned();
        assert!(!alone.status.success() && said.contains("does not exist in binary cache"), "{said}");
        let beside = install(&format!("{} {}", place("claims"), place("nars")));
        assert!(beside.status.success(), "{}", String::from_utf8_lossy(&beside.stderr));
    }
}

/// What the hook reports is claimed as it is built; what it refers to need not be, and no NAR goes.
#[test]
fn builds_are_claimed_as_they_come() {
    let uploads = hooked("2.34", &CLAIMS.replace("[\"*\"]", "[\"acme-p1\"]"));
    let _uploader = uploads.start();
    let built = uploads.daemon.build(&chain(2, 200));
    uploads.wait_for("it is claimed", |u| {
        u.state_of("claims", &built[1]).is_some_and(|(state, _)| state == "done")
    });
    assert_eq!(names(&uploads.dir.join("claims")), {
        let mut names = vec![format!("{}.narinfo", built[1].hash_part()), "nix-cache-info".to_owned()];
        names.sort();
        names
    });
    assert_eq!(uploads.state_of("claims", &built[0]), None, "nobody asks for what it refers to");
}

/// Another signer's claim of the same core stays beside ours; one of another core is dissent, and stays alone.
#[test]
fn what_others_claim_there_is_kept() {
    let witness = Witness::new("2.34");
    let [same, other] =
        [SAME, "shell \"acme-more\" \"echo b > $out\" {}"].map(|e| witness.daemon().build_one(e));
    let place = witness.uploads.dir.join("claims");
    std::fs::create_dir(&place).unwrap();
    let stranger = crate::support::party::Party::new("stranger-1");
    let mut texts = Vec::new();
    for (path, forged) in [(&same, false), (&other, true)] {
        let mut core = witness.daemon().connect().path_info(path).unwrap().unwrap().core;
        if forged {
            core.nar_hash = countersign::format::NarHash::from_digest([7; 32]);
        }
        let text = format!(
            "StorePath: {}\nURL: nar/x.nar\nCompression: none\nNarHash: {}\nNarSize: {}\nReferences: \nSig: {}\n",
            full(path),
            core.nar_hash,
            core.nar_size,
            stranger.sign(&core)
        );
        std::fs::write(place.join(format!("{}.narinfo", path.hash_part())), &text).unwrap();
        texts.push(text);
    }
    let done = witness.witness(&[&same, &other]);
    assert_eq!(done.code, Some(1), "{}\n{}", done.report, done.said);
    let text = narinfo(&place, &same).unwrap();
    assert!(text.contains("Sig: stranger-1:") && text.contains("Sig: acme-1:"), "{text}");
    assert_eq!(narinfo(&place, &other).unwrap(), texts[1]);
    let why = done.report["claims"]["given_up"][0]["why"].as_str().unwrap();
    assert!(why.contains("dissent: the destination has it as"), "{why}");
}
