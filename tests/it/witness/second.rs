//! A second Countersign, which asks a cache for claims and bytes and the witness for claims, and wants both.

use super::Witness;
use crate::support::nix::{Machine, Nginx};
use crate::support::nix_daemon::full;
use crate::support::service::Served;
use countersign::format::StorePath;

/// What the witness makes of each path: it rebuilt it alike, built another of its own, or says nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Equal,
    Another,
    Unclaimed,
}

/// Deterministic or not; one in three refers to the one before, which is equal.
fn expression(n: usize, kind: Kind) -> String {
    let content = match kind {
        Kind::Equal | Kind::Unclaimed => format!("echo {n}"),
        Kind::Another => "read -r l < /proc/sys/kernel/random/uuid; echo $l".to_owned(),
    };
    let below = if n % 3 == 1 { " ${equal}" } else { "" };
    format!(
        "let equal = shell \"acme-0\" \"echo 0 > $out\" {{}}; in shell \"acme-{n}\" \"{content}{below} > $out\" {{}}"
    )
}

/// Of paths that the cache has, those are installed by real Nix whose cores both signed, and no others.
#[test]
fn exactly_what_both_say_alike_is_endorsed() {
    let witness = Witness::new("2.34");
    let kinds = [Kind::Equal, Kind::Equal, Kind::Another, Kind::Unclaimed];
    let all: Vec<(usize, Kind)> = (0..16).map(|n| (n, kinds[n % 4])).collect();
    // The cache, which signs all that it has.
    let other = &witness.other.machine;
    let [secret, public] = ["one.sec", "one.pub"].map(|name| other.dir.join(name).display().to_string());
    other.ok("nix-store", &["--generate-binary-cache-key", "one-1", &secret, &public]);
    let cache = format!("file://{}?secret-key={secret}&compression=zstd", witness.binary().display());
    let mut paths: Vec<(StorePath, Kind)> = Vec::new();
    for (n, kind) in &all {
        let path = witness.other.build_one(&expression(*n, *kind));
        witness.other.ok("nix", &["copy", "--to", &cache, &full(&path)]);
        paths.push((path, *kind));
    }
    // The witness downloads what it rebuilds, and builds what the cache has otherwise.
    for ((path, kind), (n, _)) in paths.iter().zip(&all) {
        witness.daemon().instantiate(&expression(*n, *kind));
        match kind {
            Kind::Equal | Kind::Unclaimed => {
                witness.daemon().ok("nix-store", &["--realise", &full(path)]);
            }
            Kind::Another => {
                let mut build = witness.daemon().command("nix-store");
                let derivation = witness.daemon().instantiate(&expression(*n, *kind)).remove(0);
                build.args(["--realise", &full(&derivation), "--option", "substitute", "false"]);
                assert!(build.output().unwrap().status.success());
            }
        }
    }
    let claimed: Vec<&StorePath> =
        paths.iter().filter(|(_, k)| *k != Kind::Unclaimed).map(|(p, _)| p).collect();
    let done = witness.witness(&claimed);
    assert_eq!(done.code, Some(0), "{}\n{}", done.report, done.said);
    assert_eq!(done.report["claims"]["sent"].as_array().unwrap().len(), claimed.len());
    // The second one.
    let nginx = Nginx::serve(&[&witness.binary(), &witness.uploads.dir.join("claims")]);
    let served = Served::with(&format!(
        "[signers.one]\nkeys = [\"{}\"]\n[signers.friend]\nkeys = [\"{}\"]\n\
         [caches.one]\nurl = \"{}\"\n[caches.friend]\nurl = \"{}\"\nrole = \"witness\"\n\
         [[rules]]\nname = \"both\"\nsignatures = [{{ at-least = 2, of = [\"one\", \"friend\"] }}]\noperators = 2\n",
        std::fs::read_to_string(&public).unwrap().trim(),
        witness.uploads.key(),
        nginx.url(0),
        nginx.url(1),
    ));
    let machine = Machine::new("2.34");
    let (store, url, key) = (machine.store(), served.url(), served.key());
    let mut install = vec!["--store", &store, "-r", "-k"];
    let texts: Vec<String> = paths.iter().map(|(path, _)| full(path)).collect();
    install.extend(texts.iter().map(String::as_str));
    install.extend(["--option", "substituters", &url, "--option", "trusted-public-keys", &key]);
    let output = machine.run("nix-store", &install);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "some are refused");
    for (path, kind) in &paths {
        assert_eq!(machine.has(&full(path)), *kind == Kind::Equal, "{path}\n{said}");
        let reply = crate::support::client::get(served.port(), &format!("/{}.narinfo", path.hash_part()));
        let verdict = reply.header("countersign-verdict").unwrap_or_default().to_owned();
        let reason = reply.header("countersign-reason").unwrap_or_default().to_owned();
        match kind {
            Kind::Equal => assert_eq!((reply.status, verdict.as_str()), (200, "endorse")),
            Kind::Another => {
                assert!(verdict == "refuse" && reason.contains("claims differ"), "{verdict}: {reason}")
            }
            Kind::Unclaimed => assert_eq!(verdict, "refuse", "{reason}"),
        }
    }
}
