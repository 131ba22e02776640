//! Paths counted by the way that they came.

use super::*;
use crate::format::fingerprint::fingerprint;
use crate::format::{ContentAddress, Core, NarHash, NixHash, References, Signature, StoreDir, StorePath};

fn core(name: &str) -> Core {
    Core {
        store_path: StorePath::from_base_name(&format!("{}-{name}", "0".repeat(32))).unwrap(),
        nar_hash: NarHash::from_digest([7; 32]),
        nar_size: 120,
        references: References::default(),
    }
}

fn signed(core: &Core, name: &str, seed: u8) -> Signature {
    let key = SigningKey::from_seed(KeyName::parse(name).unwrap(), &[seed; 32]);
    key.sign(fingerprint(&StoreDir::default(), core).as_bytes())
}

/// A record as a substituted path has it.
fn record<'a>(core: &'a Core, signatures: &'a [Signature]) -> Record<'a> {
    Record { core, ultimate: false, signatures, content_address: None, registered: 1000 }
}

fn none() -> Installed {
    Installed::new(StoreDir::default(), vec![machine(), observe(), retired()], Some(500), 1)
}

/// What one record counts as.
fn counted(record: Record<'_>) -> &'static str {
    let mut installed = none();
    installed.count(record);
    let counts = [
        (installed.countersigned, "countersigned"),
        (installed.observed, "observed"),
        (installed.built, "built"),
        (installed.content_addressed, "content-addressed"),
        (installed.other_before, "before"),
        (installed.other_since, "since"),
    ];
    assert_eq!(counts.iter().map(|(count, _)| count).sum::<u64>(), 1);
    counts.iter().find(|(count, _)| *count == 1).unwrap().1
}

#[test]
fn each_path_counts_by_what_is_proved_of_it() {
    let (core, other) = (core("a"), core("b"));
    let ours = signed(&core, "countersign-machine-00", 1);
    assert_eq!(counted(record(&core, std::slice::from_ref(&ours))), "countersigned");
    let rotated = signed(&core, "countersign-machine-99", 3);
    assert_eq!(counted(record(&core, &[signed(&core, "x-1", 9), rotated])), "countersigned");
    let observed = signed(&core, "countersign-observe-00", 2);
    assert_eq!(counted(record(&core, std::slice::from_ref(&observed))), "observed");
    assert_eq!(counted(record(&core, &[observed, ours])), "countersigned");
    assert_eq!(counted(record(&core, &[])), "since");
    assert_eq!(counted(Record { registered: 500, ..record(&core, &[]) }), "before");
    assert_eq!(counted(Record { ultimate: true, ..record(&core, &[]) }), "built");
    // Our key's name, over something else, or by another key, proves nothing.
    assert_eq!(counted(record(&core, &[signed(&other, "countersign-machine-00", 1)])), "since");
    assert_eq!(counted(record(&core, &[signed(&core, "countersign-machine-00", 9)])), "since");
    // Our key under another name is looked up by nobody.
    assert_eq!(counted(record(&core, &[signed(&core, "x-1", 1)])), "since");
}

#[test]
fn a_content_address_counts_if_the_path_follows_from_it() {
    let mut certified = core("a");
    let address = ContentAddress::Recursive(NixHash::Sha256([7; 32]));
    certified.store_path = address.store_path(&StoreDir::default(), "a", &References::default()).unwrap();
    let with = |core| Record { content_address: Some(&address), ..record(core, &[]) };
    assert_eq!(counted(with(&certified)), "content-addressed");
    assert_eq!(counted(with(&core("a"))), "since");
}

#[test]
fn the_others_are_named_those_since_then_first() {
    let mut installed = none();
    for number in 0..1500 {
        let core = core(&format!("old-{number}"));
        let signatures = [signed(&core, "x-1", 9), signed(&core, "y-1", 8)];
        let registered = 10;
        installed.count(Record { registered, ..record(&core, &signatures) });
    }
    installed.count(record(&core("new"), &[]));
    assert_eq!((installed.other_before, installed.other_since, installed.others.len()), (1500, 1, 1000));
    let keys: Vec<_> = installed.by_key.iter().map(|(key, count)| (key.as_str(), *count)).collect();
    assert_eq!(keys, [("unsigned", 1), ("x-1", 1500), ("y-1", 1500)]);

    let mut facts = machine_with("");
    facts.installed = Some(installed);
    assert_eq!(labels(&facts), [(L::CameAnotherWay, Weakness), (L::CameAnotherWay, Note)]);
    let findings = examine(&facts);
    let new = format!(
        "1 path came by another way since the machine key was made (1970-01-01): /nix/store/{}-new (unsigned)",
        "0".repeat(32)
    );
    assert_eq!(findings[0].what, new);
    assert!(findings[1].what.ends_with("(x-1, y-1) and 1497 more"), "{}", findings[1].what);
    let told = text(&facts, &findings, "x");
    assert!(told.contains("1501 by another way (unsigned 1, x-1 1500, y-1 1500)"), "{told}");
    let told = json(&facts, &findings, "x");
    assert_eq!(told["installed"]["another-way"].as_array().unwrap().len(), 1000);
    assert_eq!(told["installed"]["another-way-since"], 1);
}

#[test]
fn what_was_not_looked_at_is_unknown() {
    let mut facts = machine_with("");
    for (left, unreadable) in [(1, 0), (0, 1)] {
        let mut installed = none();
        (installed.left, installed.unreadable) = (left, unreadable);
        facts.installed = Some(installed);
        assert_eq!(labels(&facts), [(L::NotFoundOut, Unknown)]);
    }
    facts.installed = Some(none());
    assert_eq!(labels(&facts), []);
    // Without a key nobody can tell what came since.
    let mut unkeyed = Installed::new(StoreDir::default(), Vec::new(), None, 1);
    unkeyed.count(record(&core("a"), &[]));
    facts.installed = Some(unkeyed);
    assert_eq!(labels(&facts), [(L::CameAnotherWay, Note)]);
}
