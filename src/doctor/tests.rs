//! Every finding beside its honest twin: a machine without a fault, and the same one with it.

use super::*;
use crate::config::Mode;
use crate::format::{KeyName, SigningKey, VerifyingKey};
use crate::init::NixConf;
use Label as L;
use Severity::{Note, Unknown, WayAround, Weakness};
use std::path::Path;

mod installed;

fn key(name: &str, seed: u8) -> VerifyingKey {
    SigningKey::from_seed(KeyName::parse(name).unwrap(), &[seed; 32]).verifying_key()
}

fn machine() -> VerifyingKey {
    key("countersign-machine-00", 1)
}

fn observe() -> VerifyingKey {
    key("countersign-observe-00", 2)
}

fn retired() -> VerifyingKey {
    key("countersign-machine-99", 3)
}

const US: &str = "http://127.0.0.1:8419";

/// A machine on which everything goes through the policy, with these lines at the end of nix.conf.
fn machine_with(lines: &str) -> Facts {
    let text = format!(
        "substituters = {US}\ntrusted-public-keys = {}\nrequire-sigs = true\nnarinfo-cache-negative-ttl = 0\n\
         narinfo-cache-positive-ttl = 300\n{lines}",
        machine()
    );
    let conf = NixConf::read(Path::new("/n/nix.conf"), &|_| Ok(text.as_bytes().to_vec())).unwrap();
    Facts {
        nix: Some(NixSettings::from_files(conf, "/n/machines")),
        machines: Vec::new(),
        own: Vec::new(),
        ours: Ours {
            mode: Mode::Enforce,
            machine: Some(machine()),
            all: vec![machine(), observe(), retired()],
            places: vec!["127.0.0.1:8419".parse().unwrap()],
            hosts: vec!["proxy.example".to_owned()],
            state_directory: "/state".to_owned(),
            service: Some(Service::Running { mode: "enforce".to_owned(), key: machine().to_string() }),
            destinations: Vec::new(),
            take_everything: Vec::new(),
        },
        proxies: vec![ProxyEnvironment { whose: "the daemon".to_owned(), variables: Vec::new() }],
        hook: Some(Hook::Unset),
        spool: SpoolState::NotKnown,
        installed: None,
        daemon: Some(StartedDaemon {
            process: 7,
            started: 1000,
            files: vec![("/n/nix.conf".to_owned(), 1002)],
        }),
        unknown: Vec::new(),
    }
}

fn labels(facts: &Facts) -> Vec<(Label, Severity)> {
    examine(facts).into_iter().map(|finding| (finding.label, finding.severity)).collect()
}

/// One finding's line.
fn line(facts: &Facts, label: Label) -> String {
    let found = examine(facts).into_iter().find(|finding| finding.label == label).unwrap();
    format!("{}: {}. {}", found.what, found.why, found.mend)
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    let clean = machine_with("");
    assert_eq!(labels(&clean), []);
    // The same, set in other ways.
    for lines in [
        "trusted-users = root\nsubstituters = http://localhost:8419/ http://127.0.0.1:8419?priority=10",
        "builders =\nfallback = true\naccept-flake-config = no\ntrusted-substituters = http://127.0.0.1:8419",
        "post-build-hook =\npost-build-hook =\nsecret-key-files =",
        "substituters = http://proxy.example:8419",
    ] {
        assert_eq!(labels(&machine_with(lines)), [], "{lines}");
    }
}

#[test]
fn each_setting_of_nix_is_found() {
    let foreign = key("cache.example-1", 9);
    let other_key = (L::OtherKey, WayAround);
    for (lines, expected, words) in [
        ("require-sigs = false", vec![(L::SignaturesOff, WayAround)], "require-sigs is off (/n/nix.conf:6)"),
        (
            "trusted-users = root @wheel",
            vec![(L::TrustedUser, WayAround)],
            "@wheel (/n/nix.conf:6): like root, they",
        ),
        ("trusted-users = *", vec![(L::TrustedUser, WayAround)], "like root, everybody"),
        ("secret-key-files = /k", vec![(L::SecretKeyFile, WayAround)], "names /k (/n/nix.conf:6)"),
        ("accept-flake-config = true", vec![(L::FlakeSettings, WayAround)], "accept-flake-config is on"),
        (
            "narinfo-cache-negative-ttl = 1",
            vec![(L::LongTtl, Weakness)],
            "negative-ttl is 1 s (/n/nix.conf:6)",
        ),
        ("narinfo-cache-positive-ttl = 301", vec![(L::LongTtl, Weakness)], "positive-ttl = 300"),
        ("substitute = false", vec![(L::NotAsked, Weakness)], "substitute is off (/n/nix.conf:6)"),
        ("substituters =", vec![(L::NotAsked, Weakness)], "not among the substituters"),
        // Who does not ask remembers no answers.
        (
            "substitute = false\nnarinfo-cache-negative-ttl = 9",
            vec![(L::NotAsked, Weakness)],
            "substitute is off",
        ),
        ("substituters =\nnarinfo-cache-negative-ttl = 9", vec![(L::NotAsked, Weakness)], "not among"),
        (
            "trusted-public-keys =",
            vec![(L::MachineKeyNotTrusted, Weakness)],
            "countersign-machine-00 is not among the trusted-public-keys",
        ),
        (
            "extra-substituters = https://u:secret@x.example?token=secret",
            vec![(L::OtherSubstituter, Note)],
            "https://***@x.example (/n/nix.conf:6)",
        ),
        ("extra-substituters = /var/x", vec![(L::OtherSubstituter, Note)], "only content-addressed"),
        // Another port, or another machine's, is not ours.
        ("extra-substituters = http://127.0.0.1:8418", vec![(L::OtherSubstituter, Note)], "8418"),
        ("extra-substituters = http://other.example:8419", vec![(L::OtherSubstituter, Note)], "other"),
        (
            "extra-substituters = https://x.example?priority=1&trusted=true",
            vec![(L::UnsignedSubstituter, WayAround)],
            "without any signature",
        ),
        (
            "extra-substituters = /x?%74rusted=yes",
            vec![(L::UnsignedSubstituter, WayAround)],
            "/x (/n/nix.conf:6)",
        ),
        (
            "substituters = http://127.0.0.1:8419?trusted=1",
            vec![(L::UnsignedSubstituter, Weakness)],
            "whoever takes the port",
        ),
        ("trusted-substituters = https://x.example", vec![(L::UserSubstituter, Note)], "any user"),
        (
            "trusted-substituters = https://x.example?trusted=1",
            vec![(L::UnsignedSubstituter, WayAround)],
            "remove it from trusted-substituters",
        ),
        (
            &format!("extra-trusted-public-keys = {foreign}"),
            vec![other_key],
            "cache.example-1 is trusted (/n/nix.conf:6)",
        ),
        // The machine key's name under other bytes.
        ("extra-trusted-public-keys = no/name:AAAA", vec![other_key], "the key no/name"),
        // Something without a name may be a secret.
        ("extra-trusted-public-keys = hush", vec![other_key], "the key number 2 is"),
    ] {
        let facts = machine_with(lines);
        assert_eq!(labels(&facts), expected, "{lines}");
        let line = line(&facts, expected[0].0);
        assert!(line.contains(words), "{words} is not in {line}");
        assert!(!line.contains("secret@") && !line.contains("hush") && !line.contains("token"), "{line}");
    }
}

/// With a key beside ours, another substituter is a way around; without, it is none.
#[test]
fn what_another_substituter_is_depends_on_the_keys() {
    let others = "extra-substituters = https://x.example\ntrusted-substituters = https://y.example\n";
    assert_eq!(labels(&machine_with(others)), [(L::OtherSubstituter, Note), (L::UserSubstituter, Note)]);
    let foreign = format!("extra-trusted-public-keys = {}", key("x-1", 9));
    for (opening, label) in [
        (foreign, L::OtherKey),
        ("require-sigs = false".to_owned(), L::SignaturesOff),
        ("secret-key-files = /k".to_owned(), L::SecretKeyFile),
        (format!("extra-trusted-public-keys = {}", observe()), L::ObserveKeyTrusted),
        (format!("extra-trusted-public-keys = {}", retired()), L::RetiredKeyTrusted),
    ] {
        let expected =
            [(label, WayAround), (L::OtherSubstituter, WayAround), (L::UserSubstituter, WayAround)];
        assert_eq!(labels(&machine_with(&format!("{others}{opening}"))), expected);
    }
}

/// Nix takes the first key of a name, and looks up a key by its name.
#[test]
fn keys_count_as_nix_counts_them() {
    let impostor = key("countersign-machine-00", 9);
    let replaced = machine_with(&format!("trusted-public-keys = {impostor} {}", machine()));
    assert_eq!(labels(&replaced), [(L::OtherKey, WayAround), (L::MachineKeyNotTrusted, Weakness)]);
    let ignored = machine_with(&format!("extra-trusted-public-keys = {impostor}"));
    assert_eq!(labels(&ignored), []);
    let renamed = machine().to_string().replace("-00:", "-01:");
    let renamed = machine_with(&format!("trusted-public-keys = {renamed}"));
    assert_eq!(labels(&renamed), [(L::MachineKeyNotTrusted, Weakness)]);
}

#[test]
fn modes_keys_and_service() {
    let with = |change: &dyn Fn(&mut Facts)| {
        let mut facts = machine_with("");
        change(&mut facts);
        labels(&facts)
    };
    let silent = with(&|facts| facts.ours.service = Some(Service::Silent));
    assert_eq!(silent, [(L::ServiceSilent, Weakness)]);
    assert_eq!(with(&|facts| facts.ours.service = None), []);
    let observing = Service::Running { mode: "observe".to_owned(), key: observe().to_string() };
    let other = with(&|facts| facts.ours.service = Some(observing.clone()));
    assert_eq!(other, [(L::OtherService, Weakness)]);
    let rotated = Service::Running { mode: "enforce".to_owned(), key: retired().to_string() };
    assert_eq!(with(&|facts| facts.ours.service = Some(rotated.clone())), [(L::OtherService, Weakness)]);
    // It is another also where no key of the configured mode is known.
    let unkeyed = with(&|facts| {
        facts.ours.machine = None;
        facts.ours.all = Vec::new();
        facts.ours.service = Some(observing.clone());
    });
    let expected = [(L::OtherKey, WayAround), (L::OtherService, Weakness), (L::NoMachineKey, Weakness)];
    assert_eq!(unkeyed, expected);
    // Without the state directory, the service's word says which key is ours.
    let unread = with(&|facts| {
        facts.ours.machine = None;
        facts.ours.all = Vec::new();
    });
    assert_eq!(unread, []);
    let keyless = with(&|facts| {
        facts.ours.machine = None;
        facts.ours.all = Vec::new();
        facts.ours.service = Some(Service::Silent);
    });
    let expected = [(L::OtherKey, WayAround), (L::ServiceSilent, Weakness), (L::NoMachineKey, Weakness)];
    assert_eq!(keyless, expected);
}

#[test]
fn while_observing_the_observe_key_is_the_right_one() {
    let observing = |lines: &str| {
        let mut facts = machine_with(lines);
        facts.ours.mode = Mode::Observe;
        facts.ours.service =
            Some(Service::Running { mode: "observe".to_owned(), key: observe().to_string() });
        labels(&facts)
    };
    let here = (L::Observing, WayAround);
    assert_eq!(observing(&format!("trusted-public-keys = {}", observe())), [here]);
    assert_eq!(observing(&format!("trusted-public-keys = {} {}", observe(), machine())), [here]);
    assert_eq!(observing(""), [here, (L::MachineKeyNotTrusted, Weakness)]);
    let old = observing(&format!("trusted-public-keys = {} {}", observe(), retired()));
    assert_eq!(old, [here, (L::RetiredKeyTrusted, WayAround)]);
}

#[test]
fn an_address_for_all_is_reached_by_loopback() {
    let listening = |place: &str, substituter: &str| {
        let mut facts = machine_with(&format!("substituters = {substituter}"));
        facts.ours.places = vec![place.parse().unwrap()];
        labels(&facts).is_empty()
    };
    for (place, substituter, is_ours) in [
        ("0.0.0.0:80", "http://127.0.0.1", true),
        ("0.0.0.0:80", "http://localhost/", true),
        ("0.0.0.0:80", "http://192.0.2.1", false),
        ("[::]:8419", "http://[::1]:8419", true),
        ("[::1]:8419", "http://localhost:8419", true),
        ("192.0.2.1:8419", "http://192.0.2.1:8419", true),
        ("192.0.2.1:8419", "http://localhost:8419", false),
        ("127.0.0.1:8419", "ftp://127.0.0.1:8419", false),
    ] {
        assert_eq!(listening(place, substituter), is_ours, "{place} {substituter}");
    }
}

#[test]
fn builders_proxies_and_users() {
    let mut facts = machine_with("builders = @/m\nbuilders-use-substitutes = true");
    assert_eq!(labels(&facts), []);
    facts.machines = vec!["ssh://b".to_owned(); 10];
    assert_eq!(labels(&facts), [(L::RemoteBuilder, WayAround)]);
    let told = line(&facts, L::RemoteBuilder);
    assert!(told.contains("ssh://b, 2 more (/n/nix.conf:6)") && told.contains("their own caches"), "{told}");

    let mut facts = machine_with("");
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    facts.proxies[0].variables = vec![set("http_proxy", "http://u:secret@p")];
    assert_eq!(labels(&facts), [(L::Proxied, Weakness)]);
    let told = line(&facts, L::Proxied);
    assert!(
        told.contains("http_proxy in the environment of the daemon") && !told.contains("secret"),
        "{told}"
    );
    facts.proxies[0].variables.push(set("no_proxy", "127.0.0.1"));
    assert_eq!(labels(&facts), []);

    for (settings, is_heeded, expected) in [
        (vec!["substituters"], true, vec![(L::OwnSettings, WayAround)]),
        (vec!["narinfo-cache-positive-ttl"], true, vec![(L::OwnSettings, Weakness)]),
        (vec!["post-build-hook"], true, vec![(L::OwnSettings, Weakness)]),
        (vec!["substituters"], false, vec![(L::OwnSettings, Note)]),
        (vec!["netrc-file"], true, vec![]),
        (vec![], true, vec![]),
    ] {
        let mut facts = machine_with("");
        let (place, user) = ("/home/u/\u{1b}nix.conf".to_owned(), "u".to_owned());
        facts.own = vec![OwnSettings { place, settings, user, is_heeded }];
        assert_eq!(labels(&facts), expected);
        assert!(examine(&facts).iter().all(|finding| !finding.what.contains('\u{1b}')));
    }
}

#[test]
fn a_daemon_that_has_not_read_its_files_is_found() {
    let mut facts = machine_with("");
    let (old, new) = (("/old".to_owned(), 10), ("/new\u{7}".to_owned(), 1003));
    facts.daemon = Some(StartedDaemon { process: 7, started: 1000, files: vec![old, new] });
    assert_eq!(labels(&facts), [(L::DaemonOutdated, Weakness)]);
    assert!(
        line(&facts, L::DaemonOutdated)
            .starts_with("/new\\u{7} changed after the Nix daemon started (process 7)")
    );
}

#[test]
fn hooks_spools_and_uploads() {
    let hooked = |hook: Hook, change: &dyn Fn(&mut Facts)| {
        let mut facts = machine_with("post-build-hook = /h");
        (facts.hook, facts.spool) = (Some(hook), SpoolState::Fine);
        change(&mut facts);
        labels(&facts)
    };
    let other = |calls_ours, sends_by| Hook::Other { calls_ours, sends_by };
    let (elsewhere, missing) = ((L::HookElsewhere, Weakness), (L::HookMissing, Weakness));
    let destined = |facts: &mut Facts| facts.ours.destinations = vec!["acme".to_owned()];
    for (hook, alone, with_destinations) in [
        (Hook::Unset, vec![], vec![missing]),
        (Hook::Ours, vec![], vec![]),
        (Hook::Missing, vec![(L::HookBroken, Weakness)], vec![(L::HookBroken, Weakness), missing]),
        (other(0, None), vec![elsewhere], vec![elsewhere, missing]),
        (other(1, None), vec![], vec![]),
        (other(1, Some("nix copy")), vec![elsewhere], vec![elsewhere]),
        (other(2, None), vec![(L::HookTwice, Weakness)], vec![(L::HookTwice, Weakness)]),
    ] {
        assert_eq!(hooked(hook.clone(), &|_| {}), alone, "{hook:?}");
        assert_eq!(hooked(hook.clone(), &destined), with_destinations, "{hook:?}");
    }
    let unusable = |facts: &mut Facts| facts.spool = SpoolState::Unusable("it is not there".to_owned());
    assert_eq!(hooked(Hook::Ours, &unusable), [(L::SpoolUnusable, Weakness)]);
    assert_eq!(hooked(other(1, None), &unusable), [(L::SpoolUnusable, Weakness)]);
    assert_eq!(hooked(Hook::Unset, &unusable), []);
    let open = |facts: &mut Facts| facts.ours.take_everything = vec!["acme".to_owned()];
    assert_eq!(hooked(Hook::Ours, &open), [(L::UploadsEverything, Note)]);

    let mut twice = machine_with("post-build-hook = /first\npost-build-hook = /h");
    twice.hook = Some(Hook::Ours);
    assert_eq!(labels(&twice), [(L::HookTwice, Weakness)]);
    assert!(line(&twice, L::HookTwice).contains("/first (/n/nix.conf:6) and to /h (/n/nix.conf:7)"));
    let mut same = machine_with("post-build-hook = /h\npost-build-hook = /h");
    same.hook = Some(Hook::Ours);
    assert_eq!(labels(&same), []);
}

#[test]
fn hooks_are_known_by_name_and_by_their_lines() {
    let of = |name: &str, contents: &str| Hook::of_program(name, contents.as_bytes());
    assert_eq!(of("countersign-hook", "\u{7f}ELF"), Hook::Ours);
    let other = |calls_ours, sends_by| Hook::Other { calls_ours, sends_by };
    assert_eq!(of("hook", "\u{7f}ELF nix copy countersign-hook"), other(0, None));
    assert_eq!(of("h", "#!/bin/sh\nexec /nix/store/x/bin/countersign-hook\n"), other(1, None));
    assert_eq!(of("h", "#!/bin/sh\n# countersign-hook and nix copy, once\n"), other(0, None));
    let both = "#!/bin/sh\ncountersign-hook\nnix copy --to s3://x $OUT_PATHS\ncountersign-hook\n";
    assert_eq!(of("h", both), other(2, Some("nix copy")));
}

#[test]
fn what_is_not_known_is_told_and_hides_nothing() {
    let mut facts = machine_with("trusted-users = u");
    facts.unknown = vec![Finding::unknown("a", "b", "c")];
    assert_eq!(labels(&facts), [(L::TrustedUser, WayAround), (L::NotFoundOut, Unknown)]);
    facts.nix = None;
    assert_eq!(labels(&facts), [(L::NotFoundOut, Unknown)]);
    let told = text(&facts, &examine(&facts), "nothing");
    assert!(told.contains("unknown     a: b. To mend: c."), "{told}");
    assert!(told.ends_with("no way around was found; 1 thing could not be found out\n"), "{told}");
}

#[test]
fn what_stands_in_nix_conf_comes_out_escaped() {
    let hostile = "x\u{1b}[2Jy\u{202e}z";
    for lines in [
        format!("trusted-users = {hostile}"),
        format!("secret-key-files = /{hostile}"),
        format!("extra-trusted-public-keys = {hostile}:AAAA"),
        format!("extra-substituters = https://{hostile}"),
        format!("trusted-substituters = {hostile}"),
        format!("post-build-hook = /{hostile}\npost-build-hook = /{hostile}2"),
    ] {
        let mut facts = machine_with(&lines);
        facts.hook = Some(Hook::Missing);
        let findings = examine(&facts);
        let told = text(&facts, &findings, "nothing");
        assert!(told.chars().all(|c| c == '\n' || c == ' ' || c.is_ascii_graphic()), "{told}");
        assert!(told.contains("\\u{1b}"), "{told}");
    }
}

#[test]
fn programs_are_told_the_same() {
    let facts = machine_with("trusted-users = u");
    let told = json(&facts, &examine(&facts), "a file");
    assert_eq!(told["findings"][0]["label"], "trusted-user");
    assert_eq!(told["findings"][0]["severity"], "way-around");
    for part in ["what", "why", "mend"] {
        assert!(told["findings"][0][part].as_str().is_some_and(|text| !text.is_empty()));
    }
    assert_eq!((told["installed"].is_null(), &told["read"]), (true, &"a file".into()));
    assert!(text(&machine_with(""), &[], "x").ends_with("no way around was found\n"));
}
