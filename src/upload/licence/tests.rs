use super::*;
use crate::format::{Core, KeyName, NarHash, References, SigningKey, StorePath};
use crate::trust::{
    Cache, Clause, Dissent, Glob, OperatorId, Parts, Role, Rule, Scope, Signer, SignerId, SignerKey,
    SignerSet,
};
use std::num::NonZeroU8;

#[test]
fn what_was_built_here_is_signed() {
    let world = World::new();
    assert_eq!(world.licence(&built()), Licence::Sign(Vec::new()));
}

#[test]
fn what_was_not_built_here_goes_with_the_signatures_that_count() {
    let world = World::new();
    let good = world.signed(&substituted(), &world.nixos);
    assert_eq!(world.licence(&good), Licence::Forward(good.signatures.clone()));
}

#[test]
fn a_substituted_sibling_output_is_not_signed_whoever_reported_the_build() {
    let world = World { sign_remote_builds: true, reported: true, ..World::new() };
    let vouched = world.signed(&substituted(), &world.nixos);
    assert!(matches!(world.licence(&vouched), Licence::Forward(_)));
    let countersigned = world.signed(&substituted(), &world.machine);
    assert!(matches!(world.licence(&countersigned), Licence::Withheld(_)));
}

#[test]
fn an_unsigned_import_is_held() {
    let world = World::new();
    assert!(matches!(world.licence(&substituted()), Licence::Withheld(_)));
}

#[test]
fn a_signature_that_does_not_count_is_none() {
    let world = World::new();
    let strangers = world.signed(&substituted(), &key("stranger-1", 9));
    let forged =
        PathInfo { signatures: world.signed(&built_as("other"), &world.nixos).signatures, ..substituted() };
    let outside = world.signed(&built_as("kernel"), &world.limited);
    let outside = PathInfo { ultimate: false, ..outside };
    let revoked = world.signed(&substituted(), &world.revoked);
    for info in [strangers, forged, outside, revoked] {
        assert!(matches!(world.licence(&info), Licence::Withheld(_)), "{info:?}");
    }
    let inside = world.signed(&substituted_as("acme-tool"), &world.limited);
    assert!(matches!(world.licence(&inside), Licence::Forward(_)), "its honest twin");
}

#[test]
fn the_countersignature_never_leaves() {
    let world = World::new();
    let both = world.signed(&world.signed(&built(), &world.nixos), &world.machine);
    let Licence::Sign(others) = world.licence(&both) else { panic!("it was built here") };
    assert_eq!(others.iter().map(|s| s.key_name().as_str()).collect::<Vec<_>>(), ["nixos-1"]);
}

#[test]
fn a_remote_build_is_signed_if_that_is_wished_and_the_hook_reported_it() {
    for (sign_remote_builds, reported, signs) in
        [(true, true, true), (true, false, false), (false, true, false)]
    {
        let world = World { sign_remote_builds, reported, ..World::new() };
        assert_eq!(matches!(world.licence(&substituted()), Licence::Sign(_)), signs);
    }
}

#[test]
fn a_content_address_must_recompute() {
    let world = World::new();
    let contents = crate::format::ContentAddress::Text([7; 32]);
    let path = contents.store_path(&StoreDir::default(), "text", &References::default()).unwrap();
    let certified = PathInfo { content_address: Some(contents), ..info(path, false) };
    assert_eq!(world.licence(&certified), Licence::Forward(Vec::new()), "it needs no signature");
    let fetched = PathInfo { ultimate: true, ..certified };
    assert_eq!(
        world.licence(&fetched),
        Licence::Forward(Vec::new()),
        "it was fetched, whoever ran the fetcher"
    );
    let vouched = world.signed(&fetched, &world.nixos);
    assert_eq!(world.licence(&vouched), Licence::Forward(vouched.signatures.clone()));
    let lying = PathInfo { content_address: Some(contents), ..built() };
    assert!(matches!(world.licence(&lying), Licence::Withheld(_)));
    let unknown = PathInfo { unusable_content_address: true, ..built() };
    assert!(matches!(world.licence(&unknown), Licence::Withheld(_)));
    let vouched = world.signed(&unknown, &world.nixos);
    assert!(matches!(world.licence(&vouched), Licence::Forward(_)));
}

#[test]
fn without_a_key_nothing_is_signed() {
    let world = World { own: Vec::new(), ..World::new() };
    assert!(matches!(world.licence(&built()), Licence::Withheld(_)));
}

/// A policy with an unlimited signer, a limited one, and a revoked key.
struct World {
    policy: Policy,
    nixos: SigningKey,
    limited: SigningKey,
    revoked: SigningKey,
    machine: SigningKey,
    own: Vec<VerifyingKey>,
    reported: bool,
    sign_remote_builds: bool,
}

impl World {
    fn new() -> Self {
        let [nixos, limited, revoked] = [key("nixos-1", 1), key("limited-1", 2), key("old-1", 3)];
        let signer = |name: &str, key: &SigningKey, scope, revoked: Option<&str>| Signer {
            name: name.into(),
            keys: vec![SignerKey {
                key: key.verifying_key(),
                not_before: None,
                not_after: None,
                revoked: revoked.map(Into::into),
            }],
            scope,
            derives_from: SignerSet::EMPTY,
            suspended: None,
        };
        let acme = Scope::of(vec![Glob::parse("acme-*").unwrap()]);
        let signers = vec![
            signer("nixos", &nixos, Scope::Everything, None),
            signer("limited", &limited, acme, None),
            signer("old", &revoked, Scope::Everything, Some("stolen")),
        ];
        let of = SignerSet::only(SignerId::new(0).unwrap());
        let rules = vec![Rule {
            name: "all".into(),
            packages: None,
            clauses: vec![Clause { at_least: NonZeroU8::MIN, of }],
            operators: NonZeroU8::MIN,
            dissent: Dissent::Refuse,
            must_answer: Vec::new(),
            verify_content_addressed: true,
        }];
        let parts = Parts {
            store_dir: StoreDir::default(),
            signers,
            operators: vec!["nobody".into()],
            caches: vec![Cache {
                name: "none".into(),
                operator: OperatorId(0),
                role: Role::Source,
                priority: 50,
                accept_signers: None,
                counts_as_operator: true,
            }],
            rules,
            exceptions: Vec::new(),
        };
        let policy = Policy::new(parts).unwrap();
        let machine = key("machine-1", 4);
        let own = vec![key("own-1", 5).verifying_key()];
        Self { policy, nixos, limited, revoked, machine, own, reported: false, sign_remote_builds: false }
    }

    fn licence(&self, info: &PathInfo) -> Licence {
        let dir = StoreDir::default();
        let circumstances = Circumstances {
            store_dir: &dir,
            policy: &self.policy,
            own: &self.own,
            machine: &[self.machine.verifying_key()],
            reported: self.reported,
            sign_remote_builds: self.sign_remote_builds,
            now: Timestamp::from_seconds(1_000),
        };
        licence(info, &circumstances)
    }

    fn signed(&self, info: &PathInfo, key: &SigningKey) -> PathInfo {
        let mut info = info.clone();
        info.signatures.push(key.sign(fingerprint(&StoreDir::default(), &info.core).as_bytes()));
        info
    }
}

fn key(name: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(KeyName::parse(name).unwrap(), &[seed; 32])
}

fn built() -> PathInfo {
    built_as("tool")
}

fn built_as(name: &str) -> PathInfo {
    info(StorePath::from_base_name(&format!("00000000000000000000000000000000-{name}")).unwrap(), true)
}

fn substituted() -> PathInfo {
    substituted_as("tool")
}

fn substituted_as(name: &str) -> PathInfo {
    PathInfo { ultimate: false, ..built_as(name) }
}

fn info(store_path: StorePath, ultimate: bool) -> PathInfo {
    PathInfo {
        core: Core {
            store_path,
            nar_hash: NarHash::from_digest([1; 32]),
            nar_size: 120,
            references: References::default(),
        },
        deriver: None,
        registered: 1,
        ultimate,
        signatures: Vec::new(),
        malformed_signatures: 0,
        content_address: None,
        unusable_content_address: false,
    }
}
