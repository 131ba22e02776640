//! Verdicts over the wire: what Nix is told, how long it holds, and what brings it down.

use crate::support::client::{get, get_with};
use crate::support::fake_cache::{FakeCache, Script};
use crate::support::party::{Package, Party, noise};
use crate::support::service::{Served, caches, is_countersigned, nar_url, signers};
use std::time::{Duration, Instant};

const MODERN: (&str, &str) = ("User-Agent", "curl/8 Nix/2.34.8");
const OLD: (&str, &str) = ("User-Agent", "curl/7 Nix/2.8.0");

/// A rule that needs so many of the parties and of the operators.
fn rule(at_least: u8, parties: &[&Party], more: &str) -> String {
    let names: Vec<String> = parties.iter().map(|p| format!("\"{}\"", p.0.name())).collect();
    let of = names.join(", ");
    format!("[[rules]]\nname = \"all\"\nsignatures = [{{ at-least = {at_least}, of = [{of}] }}]\n{more}\n")
}

struct Two {
    a: Party,
    b: Party,
    package: Package,
    first: FakeCache,
    second: FakeCache,
}

impl Two {
    /// Two caches of two parties that agree on one package.
    fn agreeing() -> Self {
        let (a, b) = (Party::new("a-1"), Party::new("b-1"));
        let package = Package::new("thing-1.0", &noise(1, 3000));
        let first = FakeCache::with("xz", &[&a], &[&package]);
        let second = FakeCache::with("zstd", &[&b], &[&package]);
        Self { a, b, package, first, second }
    }

    /// The second cache claims something else under its own valid signature.
    fn dissenting() -> Self {
        let two = Self::agreeing();
        two.second.claim(&two.package, &two.package.forged(b"evil").narinfo("zstd", &[&two.b]));
        two
    }

    fn serve(&self, top: &str, rule: &str) -> Served {
        let caches = caches(&[("first", &self.first), ("second", &self.second)]);
        Served::with(&format!("{top}\n{}{caches}{rule}", signers(&[&self.a, &self.b])))
    }

    fn both(&self) -> String {
        rule(2, &[&self.a, &self.b], "operators = 2")
    }

    fn either(&self) -> String {
        rule(1, &[&self.a, &self.b], "")
    }
}

#[test]
fn two_parties_that_agree_are_endorsed() {
    let two = Two::agreeing();
    let served = two.serve("", &two.both());
    assert!(served.serves(&two.package));
    let reply = served.narinfo(&two.package);
    assert_eq!((reply.verdict(), reply.header("countersign-reason")), ("endorse", None));
    let text = reply.text();
    assert!(text.contains("Compression: none\n") && text.contains("URL: nar/"), "{text}");
    assert!(text.contains(&two.a.sign(&two.package.core)) && text.contains(&two.b.sign(&two.package.core)));
    assert_eq!(text.matches("Sig: ").count(), 3);
}

#[test]
fn dissent_is_refused_and_says_who_says_what() {
    let two = Two::dissenting();
    let served = two.serve("", &two.either());
    assert!(!served.serves(&two.package));
    let reply = served.narinfo(&two.package);
    assert_eq!((reply.status, reply.verdict()), (404, "refuse"));
    for word in ["rule \"all\"", "first", "second", "a-1", "b-1"] {
        assert!(reply.reason().contains(word), "{}", reply.reason());
    }
}

#[test]
fn a_refusal_fails_the_build_only_where_that_is_asked_for_and_survived() {
    let two = Two::dissenting();
    let served = two.serve("when-refused = \"fail\"", &two.either());
    let path = format!("/{}.narinfo", two.package.hash());
    let modern = get_with(served.port(), &path, &[MODERN]);
    assert_eq!(modern.status, 503);
    assert!(
        modern.text().starts_with("countersign: rule \"all\": credible claims differ"),
        "{}",
        modern.text()
    );
    assert_eq!(modern.text().lines().count(), 1);
    assert_eq!(get_with(served.port(), &path, &[OLD]).status, 404);
}

#[test]
fn an_undecided_path_fails_only_beside_a_credible_claim() {
    let two = Two::agreeing();
    two.second.script(&format!("/{}.narinfo", two.package.hash()), Script::Status(500));
    let served = two.serve("when-undecided = \"fail\"", &two.both());
    let path = format!("/{}.narinfo", two.package.hash());
    let reply = get_with(served.port(), &path, &[MODERN]);
    assert_eq!((reply.status, reply.verdict()), (503, "defer"));
    assert_eq!(get_with(served.port(), &path, &[OLD]).status, 404);
    let unknown = Package::new("unknown-1", b"");
    two.second.script(&format!("/{}.narinfo", unknown.hash()), Script::Status(500));
    let reply = get_with(served.port(), &format!("/{}.narinfo", unknown.hash()), &[MODERN]);
    assert_eq!((reply.status, reply.verdict()), (404, "defer"), "no cache claims it");
}

#[test]
fn absent_is_absent() {
    let two = Two::agreeing();
    let served = two.serve("when-refused = \"fail\"\nwhen-undecided = \"fail\"", &two.both());
    let reply = get(served.port(), &format!("/{}.narinfo", Package::new("other-1", b"").hash()));
    assert_eq!((reply.status, reply.verdict()), (404, "absent"));
}

#[test]
fn a_defer_is_not_remembered_and_asks_only_who_was_silent() {
    let two = Two::agreeing();
    let path = format!("/{}.narinfo", two.package.hash());
    two.second.script(&path, Script::Status(500));
    let served = two.serve("", &two.both());
    assert_eq!(served.narinfo(&two.package).verdict(), "defer");
    two.second.claim(&two.package, &two.package.narinfo("zstd", &[&two.b]));
    assert_eq!(served.narinfo(&two.package).verdict(), "endorse");
    assert_eq!((two.first.times_asked(&path), two.second.times_asked(&path)), (1, 2));
}

#[test]
fn a_hundred_clients_make_one_question() {
    let two = Two::agreeing();
    let path = format!("/{}.narinfo", two.package.hash());
    let text = two.package.narinfo("zstd", &[&two.b]);
    two.second.script(&path, Script::Late(Duration::from_millis(300), text.into_bytes()));
    let served = two.serve("", &two.both());
    let port = served.port();
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..100).map(|_| scope.spawn(|| get(port, &path).status)).collect();
        for client in asking {
            assert_eq!(client.join().unwrap(), 200);
        }
    });
    assert_eq!((two.first.times_asked(&path), two.second.times_asked(&path)), (1, 1));
}

#[test]
fn a_nar_is_judged_by_its_url_alone_after_a_restart() {
    let two = Two::agreeing();
    let served = two.serve("", &two.both());
    assert!(served.serves(&two.package));
    let key = served.key();
    let dir = served.stop();
    let caches = caches(&[("first", &two.first), ("second", &two.second)]);
    let again = Served::in_dir(dir, &format!("{}{caches}{}", signers(&[&two.a, &two.b]), two.both()));
    assert_eq!(again.key(), key, "the machine key is made once");
    let reply = again.nar(&two.package);
    assert!(reply.status == 200 && reply.body == two.package.nar);
}

#[test]
fn a_nar_url_replayed_after_a_new_dissent_is_refused() {
    let two = Two::agreeing();
    let served = two.serve("", &two.either());
    assert!(served.serves(&two.package));
    let dir = served.stop();
    two.second.claim(&two.package, &two.package.forged(b"evil").narinfo("zstd", &[&two.b]));
    let caches = caches(&[("first", &two.first), ("second", &two.second)]);
    let again = Served::in_dir(dir, &format!("{}{caches}{}", signers(&[&two.a, &two.b]), two.either()));
    assert_eq!(again.nar(&two.package).status, 404);
}

#[test]
fn a_nar_url_with_another_hash_is_not_found() {
    let two = Two::agreeing();
    let served = two.serve("", &two.both());
    assert!(served.serves(&two.package));
    assert_eq!(get(served.port(), &nar_url(&two.package.forged(b"evil"))).status, 404);
}

#[test]
fn a_late_dissent_withdraws_the_verdict() {
    let two = Two::dissenting();
    let path = format!("/{}.narinfo", two.package.hash());
    let evil = two.package.forged(b"evil").narinfo("zstd", &[&two.b]).into_bytes();
    two.second.script(&path, Script::Late(Duration::from_millis(1500), evil));
    let served = two.serve("decision-timeout = \"500ms\"", &two.either());
    assert_eq!(served.narinfo(&two.package).verdict(), "endorse", "the second cache was too slow");
    let since = Instant::now();
    while served.narinfo(&two.package).verdict() != "refuse" {
        assert!(since.elapsed() < Duration::from_secs(60), "the late answer changed nothing");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!served.serves(&two.package));
}

#[test]
fn a_late_dissent_breaks_off_a_transfer_before_its_last_byte() {
    let (a, b) = (Party::new("a-1"), Party::new("b-1"));
    let package = Package::new("large-1.0", &noise(2, 8_000_000));
    let first = FakeCache::with("none", &[&a], &[&package]);
    let second = FakeCache::start();
    let evil = package.forged(b"evil").narinfo("zstd", &[&b]).into_bytes();
    let narinfo = format!("/{}.narinfo", package.hash());
    second.script(&narinfo, Script::Late(Duration::from_millis(1200), evil));
    first.script(
        &format!("/{}", package.url("none")),
        Script::Slow(package.nar.clone(), Duration::from_millis(2500)),
    );
    let fakes = caches(&[("first", &first), ("second", &second)]);
    let text =
        format!("decision-timeout = \"300ms\"\n{}{fakes}{}", signers(&[&a, &b]), rule(1, &[&a, &b], ""));
    let served = Served::with(&text);
    assert_eq!(served.narinfo(&package).verdict(), "endorse");
    let reply = served.nar(&package);
    assert!(reply.status == 200 && !reply.is_whole(), "status {}, {} bytes", reply.status, reply.body.len());
}

#[test]
fn the_last_claim_of_a_cache_that_went_silent_still_dissents() {
    let two = Two::dissenting();
    let path = format!("/{}.narinfo", two.package.hash());
    let slow = two.package.narinfo("xz", &[&two.a]).into_bytes();
    two.first.script(&path, Script::Status(500));
    let served = two.serve("", &two.both());
    assert_eq!(served.narinfo(&two.package).verdict(), "defer");
    two.first.script(&path, Script::Bytes(slow));
    assert_eq!(served.narinfo(&two.package).verdict(), "refuse");
}

#[test]
fn observing_serves_what_one_signature_admits_under_a_key_of_its_own() {
    let two = Two::dissenting();
    let enforcing = two.serve("", &two.either());
    let machine_key = enforcing.key();
    let dir = enforcing.stop();
    let caches = caches(&[("first", &two.first), ("second", &two.second)]);
    let text = format!("mode = \"observe\"\n{}{caches}{}", signers(&[&two.a, &two.b]), two.either());
    let observing = Served::in_dir(dir, &text);
    let reply = observing.narinfo(&two.package);
    assert_eq!((reply.status, reply.verdict()), (200, "refuse"), "it says what enforce would have said");
    assert!(is_countersigned(&reply.text(), &observing.key(), &two.package));
    assert_ne!(observing.key(), machine_key);
    assert!(
        !is_countersigned(&reply.text(), &machine_key, &two.package),
        "an enforced store takes none of it"
    );
    assert!(observing.nar(&two.package).body == two.package.nar);
}

#[test]
fn a_reload_changes_the_verdict_of_remembered_paths() {
    let two = Two::agreeing();
    let served = two.serve("", &two.both());
    assert!(served.serves(&two.package));
    let fakes = caches(&[("first", &two.first), ("second", &two.second)]);
    let revoked = signers(&[&two.a, &two.b]).replace(
        &format!("keys = [\"{}\"]", two.b.key()),
        &format!(
            "keys = [{{ key = \"{}\", revoked = \"stolen\" }}, \"{}\"]",
            two.b.key(),
            Party::new("b-2").key()
        ),
    );
    served.reload(&format!("{revoked}{fakes}{}", two.both()));
    assert!(!served.serves(&two.package));
    served.reload(&format!("{}{fakes}{}", signers(&[&two.a, &two.b]), two.both()));
    assert!(served.serves(&two.package));
}

#[test]
fn a_cache_that_is_black_holed_delays_a_question_once_its_time_and_no_more() {
    let two = Two::agreeing();
    let path = format!("/{}.narinfo", two.package.hash());
    two.second.script(&path, Script::Late(Duration::from_secs(30), Vec::new()));
    let caches = caches(&[("first", &two.first), ("second", &two.second)]).replace("\"2s\"", "\"3s\"");
    let text = format!("{}{caches}{}", signers(&[&two.a, &two.b]), two.either());
    let served = Served::with(&text);
    let since = Instant::now();
    assert_eq!(served.narinfo(&two.package).verdict(), "endorse");
    assert!(since.elapsed() < Duration::from_secs(20), "it waited for what never comes");
    let since = Instant::now();
    assert_eq!(served.narinfo(&two.package).verdict(), "endorse");
    assert!(since.elapsed() < Duration::from_millis(2900), "it waited again");
    assert_eq!(two.second.times_asked(&path), 1, "it is asked again");
}

#[test]
fn the_claims_of_references_are_asked_for_ahead_by_one_level_and_no_nars() {
    let party = Party::new("a-1");
    let bottom = Package::new("bottom-1", b"b");
    let middle = Package::with_references("middle-1", b"m", &[&bottom]);
    let top = Package::with_references("top-1", b"t", &[&middle]);
    let cache = FakeCache::with("none", &[&party], &[&bottom, &middle, &top]);
    let rule = rule(1, &[&party], "");
    let text = |more: &str| format!("{}{}{rule}{more}", signers(&[&party]), caches(&[("a", &cache)]));
    let served = Served::with(&text(""));
    assert_eq!(served.narinfo(&top).status, 200);
    let asked = |package: &Package| cache.times_asked(&format!("/{}.narinfo", package.hash()));
    let since = Instant::now();
    while asked(&middle) == 0 {
        assert!(since.elapsed() < Duration::from_secs(60), "the reference was not asked for");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(asked(&bottom), 0, "one level ahead");
    assert!(!cache.asked().iter().any(|a| a.path.starts_with("/nar/")));
    assert_eq!(served.narinfo(&middle).status, 200);
    while asked(&bottom) == 0 {
        assert!(since.elapsed() < Duration::from_secs(60), "a remembered verdict looks ahead too");
        std::thread::sleep(Duration::from_millis(10));
    }
    let times = asked(&middle);
    let without = Served::with(&text("[serving]\nprefetch = false\n"));
    assert_eq!(without.narinfo(&top).status, 200);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(asked(&middle), times);
}

#[test]
fn a_path_that_certifies_itself_needs_no_signer_and_gets_no_countersignature() {
    let two = Two::agreeing();
    for (kind, compression) in [("recursive", "xz"), ("flat", "none"), ("text", "zstd")] {
        let honest = Package::content_addressed(kind, "source", &noise(9, 5000));
        two.first.put_unsigned(compression, &honest);
        let served = two.serve("", &two.both());
        let reply = served.narinfo(&honest.package);
        assert_eq!((reply.status, reply.verdict()), (200, "endorse"), "{kind}: {}", reply.reason());
        assert!(!reply.text().contains("Sig: "), "{}", reply.text());
        assert!(reply.text().ends_with(&format!("CA: {}\n", honest.address)), "{}", reply.text());
        assert!(served.nar(&honest.package).body == honest.package.nar);
    }
}

#[test]
fn a_source_that_lies_does_not_unmake_a_path_that_certifies_itself() {
    let two = Two::agreeing();
    let honest = Package::content_addressed("flat", "source", &noise(14, 5000));
    two.first.put_unsigned("none", &honest);
    let lie = honest.package.forged(&noise(15, 5000)).nar;
    two.first.script(&format!("/{}", honest.package.url("none")), Script::Bytes(lie));
    let served = two.serve("", &two.both());
    assert_eq!(served.narinfo(&honest.package).status, 404, "nobody delivers the bytes");
    two.second.put_unsigned("zstd", &honest);
    let served = two.serve("", &two.both());
    let reply = served.narinfo(&honest.package);
    assert_eq!((reply.status, reply.verdict()), (200, "endorse"), "{}", reply.reason());
    assert!(served.nar(&honest.package).body == honest.package.nar);
}

#[test]
fn a_true_content_address_with_a_false_nar_hash_is_never_served() {
    let two = Two::agreeing();
    for kind in ["recursive", "flat", "text"] {
        let mut lie = Package::content_addressed(kind, "source", &noise(10, 5000));
        lie.package = lie.package.forged(&noise(11, 5000));
        two.first.put_unsigned("none", &lie);
        let served = two.serve("", &two.both());
        let reply = served.narinfo(&lie.package);
        assert_eq!(reply.status, 404, "{kind}: {}", reply.text());
        assert!(!served.serves(&lie.package));
    }
}

#[test]
fn a_false_self_certificate_never_stands_against_a_signed_claim() {
    let two = Two::agreeing();
    let mut signed = Package::content_addressed("flat", "source", &noise(12, 5000)).package;
    signed = signed.forged(&noise(13, 5000));
    two.first.put("xz", &[&two.a], &signed);
    two.second.put("zstd", &[&two.b], &signed);
    let certificate = Package::content_addressed("flat", "source", &noise(12, 5000));
    two.second.put_unsigned("none", &certificate);
    let served = two.serve("", &two.both());
    assert!(
        !served.serves(&certificate.package),
        "the signed claim differs, so the certificate counts for nothing"
    );
}
