//! Claims that are none: floods, drips, texts that two readers read in two ways, and other paths' claims.

use super::{goes_on, in_time, is_no_claim, is_served};
use crate::support::fake_cache::{FakeCache, Script};
use crate::support::party::{Package, Party};
use crate::support::scene::{RULE, SMALL, Scene};
use crate::support::service::{Served, caches, signers};
use std::time::Duration;

/// The honest narinfo with one text replaced is no claim.
fn each_is_no_claim(changes: &[(&str, &str)]) {
    let scene = Scene::small();
    is_served(&scene, "a narinfo");
    for (from, to) in changes {
        scene.says(&scene.narinfo_with(from, to));
        is_no_claim(&scene, &format!("{from:?} becomes {to:?}"));
    }
}

/// A body without an end: honest fields first, then more of them. `limits.narinfo` ends it. Without it, the process
/// grows by gigabytes and the client waits.
#[test]
fn a_flood() {
    let scene = Scene::small();
    is_served(&scene, "a flood");
    let honest = [b"HTTP/1.1 200 OK\r\n\r\n", scene.narinfo().as_bytes()].concat();
    scene.answers(Script::Raw(honest.clone()));
    is_served(&scene, "a narinfo that ends with its connection");
    for again in [b"X: y\n".repeat(10_000), b"Sig: a:b\n".repeat(10_000), vec![b'a'; 100_000]] {
        scene.answers(Script::Endless(honest.clone(), again));
        is_no_claim(&scene, "a flood");
    }
}

/// One byte a second, so that no read ever times out. `claim-timeout` ends it. Without it, the client waits for as
/// long as the cache likes.
#[test]
fn a_drip() {
    let scene = Scene::small();
    scene.answers(Script::Slow(scene.narinfo().into_bytes(), Duration::from_millis(300)));
    is_served(&scene, "a slow narinfo");
    scene.answers(Script::Drip(scene.narinfo().into_bytes(), Duration::from_secs(1)));
    is_no_claim(&scene, "a drip");
}

/// A page with status 200, as captive portals and error handlers send it.
#[test]
fn a_page_with_status_200() {
    let scene = Scene::small();
    is_served(&scene, "a page");
    for page in ["<!DOCTYPE html>\n<title>Log in</title>\n", "", "\n", "404 page not found\n", "{\"a\": 1}\n"]
    {
        scene.says(page);
        is_no_claim(&scene, page);
    }
}

/// Values glued to their names: Nix skips the byte after the colon unseen and reads another value. Without the demand
/// for a space, `URL:nar/x` is a claim.
#[test]
fn glued_values() {
    each_is_no_claim(&[
        ("URL: nar/", "URL:nar/"),
        ("URL: nar/", "URL:xnar/"),
        ("NarSize: ", "NarSize:1"),
        ("References: \n", "References:\n"),
        ("StorePath: ", "StorePath:\t"),
        ("Sig: ", "Sig:"),
    ]);
}

/// Line ends of another system, no last line end, blank lines, lines that are no field.
#[test]
fn lines_that_are_none() {
    each_is_no_claim(&[
        ("\nURL", "\r\nURL"),
        ("\nURL", "\rURL"),
        ("\nURL", "\n\nURL"),
        ("\nURL", "\nno field\nURL"),
        ("\nURL", "\n: empty\nURL"),
        ("\nURL", "\n URL"),
        ("\nURL", "\nURL \nURL"),
    ]);
    let scene = Scene::small();
    let whole = scene.narinfo();
    scene.says(whole.trim_end());
    is_no_claim(&scene, "no last line end");
    scene.says(&format!("{whole}\n"));
    is_no_claim(&scene, "a blank line at the end");
}

/// A field twice: Nix takes the last, others the first. Where the last one wins, it is a claim.
#[test]
fn doubled_fields() {
    let scene = Scene::small();
    is_served(&scene, "doubled fields");
    for line in scene.narinfo().lines().filter(|line| !line.starts_with("Sig: ")) {
        scene.says(&format!("{}{line}\n", scene.narinfo()));
        is_no_claim(&scene, &format!("twice {line}"));
        let (name, _) = line.split_once(':').unwrap();
        scene.says(&scene.narinfo_with(&format!("{line}\n"), &format!("{line}\n{name}: \n")));
        is_no_claim(&scene, &format!("{name} again, empty"));
    }
}

/// Names in another case: unknown to Nix, known to a lax reader. Where case is ignored, it is a claim.
#[test]
fn names_in_another_case() {
    each_is_no_claim(&[
        ("URL: ", "Url: "),
        ("StorePath: ", "storepath: "),
        ("NarHash: ", "NARHASH: "),
        ("Sig: ", "sig: "),
        ("References: ", "references: "),
    ]);
}

/// 9,000 signatures before the good one: `limits.signatures` are looked at. The twin has them behind it. Without the
/// limit, all 9,001 are verified and the last is found.
#[test]
fn nine_thousand_signatures() {
    let scene = Scene::small();
    let stranger = Party::new("b-1").sign(&scene.package.core);
    let many = format!("Sig: {stranger}\n").repeat(9_000);
    scene.says(&format!("{}{many}", scene.narinfo()));
    is_served(&scene, "9,000 signatures behind a good one");
    scene.says(&scene.narinfo_with("Sig: ", &format!("{many}Sig: ")));
    is_no_claim(&scene, "9,000 signatures before a good one");
    let forged = Party::new("a-1").sign(&scene.package.forged(b"x").core);
    let mine = format!("Sig: {forged}\n").repeat(9_000);
    scene.says(&scene.narinfo_with("Sig: ", &format!("{mine}Sig: ")));
    is_no_claim(&scene, "9,000 false ones of a known key");
}

/// More references than `limits.references`. The twins have as many as the longest published narinfo (37 kB), and as
/// many as are allowed. Without the limit, it is served.
#[test]
fn too_many_references() {
    let with = |count: usize| {
        let all: Vec<Package> = (0..count).map(|n| Package::new(&format!("d{n}"), b"")).collect();
        Scene::of("none", Package::with_references("thing-1.0", b"x", &all.iter().collect::<Vec<_>>()))
    };
    let published = with(980);
    assert!(published.narinfo().len() > 37_000, "{}", published.narinfo().len());
    is_served(&published, "37 kB of references");
    is_served(&with(20_000), "20,000 references");
    is_no_claim(&with(20_001), "20,001 references");
    let scene = Scene::small();
    let own = scene.package.core.store_path.to_string();
    let repeated = [own.as_str()].repeat(20_001).join(" ");
    scene.says(&scene.narinfo_with("References: ", &format!("References: {repeated}")));
    is_no_claim(&scene, "one reference 20,001 times");
}

/// The claim of another path, honestly signed: an old or vulnerable package for the asked one. Two checks stop it, of
/// the claim and of the ballot: without the first alone, the second does.
#[test]
fn another_paths_claim() {
    let scene = Scene::small();
    is_served(&scene, "another path's claim");
    let other = Package::new("vulnerable-0.9", b"old");
    scene.cache.put("none", &[&scene.party], &other);
    scene.says(&other.narinfo("none", &[&scene.party]));
    is_no_claim(&scene, "another path's claim");
    scene.delivers(Script::Bytes(other.nar));
    is_no_claim(&scene, "another path's claim and bytes");
}

/// The path under another name: no signature holds, for names are signed.
#[test]
fn another_name() {
    each_is_no_claim(&[("-thing-1.0\n", "-thing-2.0\n"), ("-thing-1.0\n", "-thing-1.0-bin\n")]);
}

/// Two parties sign two names for one hash part: one of them lies, so neither is served.
#[test]
fn two_names_for_one_path() {
    let (a, b) = (Party::new("a-1"), Party::new("b-1"));
    let package = Package::new("thing-1.0", b"contents");
    let mut renamed = package.clone();
    renamed.core.store_path =
        countersign::format::StorePath::from_base_name(&format!("{}-sudo-1.0", package.hash())).unwrap();
    for (second, what) in [(&package, true), (&renamed, false)] {
        let first = FakeCache::with("none", &[&a], &[&package]);
        let other = FakeCache::with("none", &[&b], &[second]);
        let rule = RULE.replace("[\"a-1\"]", "[\"a-1\", \"b-1\"]");
        let rest = caches(&[("first", &first), ("other", &other)]);
        let served = Served::with(&format!("{}{rest}{rule}", signers(&[&a, &b])));
        assert_eq!(served.serves(&package), what);
        goes_on(&served, "two names");
    }
}

/// Paths outside the store, or written so that another reader ends up elsewhere.
#[test]
fn paths_that_are_none() {
    each_is_no_claim(&[
        ("StorePath: /nix/store/", "StorePath: /gnu/store/"),
        ("StorePath: /nix/store/", "StorePath: /nix/store/../store/"),
        ("StorePath: /nix/store/", "StorePath: /nix//store/"),
        ("StorePath: /nix/store/", "StorePath: "),
        ("-thing-1.0\n", "-thing-1.0/\n"),
        ("-thing-1.0\n", "-thing-1.0/etc\n"),
        ("-thing-1.0\n", "-\n"),
        ("-thing-1.0\n", ".thing-1.0\n"),
        ("-thing-1.0\n", "-thing 1.0\n"),
    ]);
}

/// Sizes that are none, none that can be, or not the signed one.
#[test]
fn sizes_that_are_none() {
    let size = format!("NarSize: {}\n", Scene::small().package.nar.len());
    let signed = size.trim_end();
    let plus = signed.replace(": ", ": +");
    let padded = signed.replace(": ", ": 00");
    for to in [
        "NarSize: 0",
        "NarSize: -1",
        "NarSize: 0x78",
        "NarSize: 1e4",
        "NarSize: ",
        "NarSize: 18446744073709551616",
        "NarSize: 18446744073709551615",
        "NarSize: 99999999999999",
        "NarSize: 10113",
        &plus,
        &padded,
        &format!("{signed} "),
    ] {
        each_is_no_claim(&[(&size, &format!("{to}\n"))]);
    }
    each_is_no_claim(&[(&size, "")]);
}

/// Hashes of weak algorithms, or none. Only sha256 is ever signed.
#[test]
fn hashes_that_are_none() {
    let hash = format!("NarHash: {}\n", Scene::small().package.core.nar_hash);
    for to in [
        "NarHash: md5:d41d8cd98f00b204e9800998ecf8427e\n",
        "NarHash: sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709\n",
        "NarHash: sha256:\n",
        "NarHash: \n",
        "NarHash: sha256:0000000000000000000000000000000000000000000000000000\n",
        "",
    ] {
        each_is_no_claim(&[(&hash, to)]);
    }
    each_is_no_claim(&[(&hash, &hash.replace("sha256:", "")), (&hash, &hash.replace("sha256:", "SHA256:"))]);
}

/// Derivers that are paths, and hints that would break the client that reads them.
#[test]
fn hints_that_are_none() {
    let scene = Scene::small();
    let honest = "Deriver: 5rwxzi7pal3qhpsyfc16gzkh939q1np6-thing-1.0.drv\n";
    scene.says(&format!("{}{honest}", scene.narinfo()));
    is_served(&scene, "a deriver");
    for hint in [
        "Deriver: /nix/store/5rwxzi7pal3qhpsyfc16gzkh939q1np6-thing-1.0.drv\n",
        "Deriver: ../../etc/passwd\n",
        "Deriver: \n",
        "FileSize: -1\n",
        "FileSize: many\n",
        "FileHash: sha256:short\n",
    ] {
        scene.says(&format!("{}{hint}", scene.narinfo()));
        is_no_claim(&scene, hint);
    }
}

/// Content addresses that do not make the path: forwarded, they kill the client. They are dropped.
#[test]
fn a_false_content_address_is_never_passed_on() {
    let scene = Scene::small();
    let hash = scene.package.core.nar_hash;
    for address in
        [format!("fixed:r:{hash}"), format!("text:{hash}"), "fixed:git:sha1:00".to_owned(), "x".to_owned()]
    {
        scene.says(&format!("{}CA: {address}\n", scene.narinfo()));
        let served = scene.serve();
        in_time(&served, &address, || assert!(served.serves(&scene.package), "{address}"));
        assert!(!served.narinfo(&scene.package).text().contains("CA:"), "{address}");
    }
}

/// Bytes that terminals and C strings take for something else. Where any byte is text, it is a claim.
#[test]
fn control_characters() {
    for byte in ['\0', '\t', '\x1b', '\x7f', 'ä', '\u{feff}', '\u{202e}'] {
        each_is_no_claim(&[("Compression", &format!("X: {byte}\nCompression"))]);
    }
    let scene = Scene::small();
    scene.answers(Script::Bytes([scene.narinfo().as_bytes(), b"X: \xff\xfe\n"].concat()));
    is_no_claim(&scene, "bytes that are no text");
    scene.says(&format!("{}X: ~!\n", scene.narinfo()));
    is_served(&scene, "printable characters");
}

/// Compressions whose readers start other programs, or names that only look like one: there is no source then.
#[test]
fn exotic_compressions() {
    for name in
        ["lrzip", "lzip", "grzip", "lzop", "lz4", "compress", "none ", " none", "NONE", "xz,zstd", "../x"]
    {
        each_is_no_claim(&[("Compression: none\n", &format!("Compression: {name}\n"))]);
    }
}

/// References that are signed away or added: what a path pulls in is signed.
#[test]
fn altered_references() {
    let library = Package::new("library-1.0", b"");
    let scene = Scene::of("none", Package::with_references("thing-1.0", &[0; SMALL], &[&library]));
    is_served(&scene, "references");
    let listed = format!("References: {}", library.core.store_path);
    let evil = Package::new("evil-1.0", b"").core.store_path;
    for to in ["References: ".to_owned(), format!("References: {evil}"), format!("{listed} {evil}")] {
        scene.says(&scene.narinfo_with(&listed, &to));
        is_no_claim(&scene, &to);
    }
}
