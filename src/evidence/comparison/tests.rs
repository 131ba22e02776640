//! The comparison of a build with claims: what counts, what is compared, what is said.

use super::{Claimed, compare, counting};
use crate::evidence::{BuildKind, BuildRow, ClaimRow, EventKind};
use crate::format::narinfo::Limits;
use crate::format::{Core, KeyName, NarHash, References, SigningKey, StoreDir, StorePath, fingerprint};
use crate::trust::{
    Cache, Clause, Dissent, OperatorId, Parts, Policy, Role, Rule, Scope, Signer, SignerId, SignerKey,
    SignerSet, Timestamp,
};
use std::num::NonZeroU8;
use std::sync::Arc;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn key(name: &str) -> SigningKey {
    let seed = [name.as_bytes()[0]; 32];
    SigningKey::from_seed(KeyName::parse(name).unwrap(), &seed)
}

fn signer(name: &str) -> Signer {
    let key = SignerKey {
        key: key(&format!("{name}-1")).verifying_key(),
        not_before: None,
        not_after: None,
        revoked: None,
    };
    Signer {
        name: name.into(),
        keys: vec![key],
        scope: Scope::Everything,
        derives_from: SignerSet::EMPTY,
        suspended: None,
    }
}

fn policy(change: impl FnOnce(&mut Parts)) -> Policy {
    let cache = |name: &str| Cache {
        name: name.into(),
        operator: OperatorId(0),
        role: Role::Source,
        priority: 50,
        accept_signers: None,
        counts_as_operator: true,
    };
    let one = NonZeroU8::new(1).unwrap();
    let mut parts = Parts {
        store_dir: StoreDir::default(),
        signers: vec![signer("a"), signer("b")],
        operators: vec!["x".into()],
        caches: vec![cache("x"), cache("y")],
        rules: vec![Rule {
            name: "all".into(),
            packages: None,
            clauses: vec![Clause { at_least: one, of: SignerSet::only(SignerId::new(0).unwrap()) }],
            operators: one,
            dissent: Dissent::Refuse,
            must_answer: Vec::new(),
            verify_content_addressed: true,
        }],
        exceptions: Vec::new(),
    };
    change(&mut parts);
    Policy::new(parts).unwrap()
}

fn path(name: &str) -> StorePath {
    StorePath::from_base_name(&format!("0c7c96gikmzv87i7lv3vq5s1cmfjd6zf-{name}")).unwrap()
}

fn core(content: u8) -> Core {
    Core {
        store_path: path("hello-1"),
        nar_hash: NarHash::from_digest([content; 32]),
        nar_size: 1000,
        references: References::default(),
    }
}

fn row(cache: &str, core: &Core, signers: &[&str]) -> ClaimRow {
    let text = fingerprint(&StoreDir::default(), core);
    ClaimRow {
        cache: cache.into(),
        core: Arc::new(core.clone()),
        signatures: signers.iter().map(|name| key(name).sign(text.as_bytes())).collect(),
        deriver: None,
        content_address: None,
        first_seen: NOW,
        last_seen: NOW,
        credible_at: Some(NOW),
        count: 1,
    }
}

fn built(content: u8) -> BuildRow {
    BuildRow {
        path: path("hello-1"),
        nar_hash: Some(NarHash::from_digest([content; 32])),
        nar_size: Some(1000),
        derivation: None,
        kind: BuildKind::Built,
        at: NOW,
    }
}

fn count(rows: &[ClaimRow], policy: &Policy) -> Vec<Claimed> {
    counting(rows, policy, &Limits::default(), NOW)
}

fn claimed(cache: &str, core: &Core) -> Claimed {
    count(&[row(cache, core, &["a-1"])], &policy(|_| {})).remove(0)
}

#[test]
fn only_claims_whose_signatures_count_now_are_compared() {
    let usual = policy(|_| {});
    let names = |rows: &[ClaimRow], policy: &Policy| -> Vec<Box<str>> {
        count(rows, policy).into_iter().flat_map(|claim| claim.signers).collect()
    };
    let honest = row("x", &core(1), &["a-1", "b-1"]);
    assert_eq!(names(std::slice::from_ref(&honest), &usual), ["a".into(), "b".into()]);
    assert_eq!(names(&[row("x", &core(1), &[])], &usual), [], "nobody signed it");
    assert_eq!(names(&[row("x", &core(1), &["c-1"])], &usual), [], "a stranger signed it");
    let mut forged = row("x", &core(1), &["a-1"]);
    forged.core = Arc::new(core(2));
    assert_eq!(names(&[forged], &usual), [], "the signature is of another core");
    assert_eq!(names(&[row("z", &core(1), &["a-1"])], &usual), [], "a cache that nobody configured");
    let revoked = policy(|parts| parts.signers[0].keys[0].revoked = Some("stolen".into()));
    assert_eq!(names(std::slice::from_ref(&honest), &revoked), ["b".into()], "revoked since");
    let narrow = policy(|parts| {
        parts.caches[0].accept_signers = Some(SignerSet::only(SignerId::new(1).unwrap()));
    });
    assert_eq!(names(&[honest], &narrow), ["b".into()], "the cache may not show a");
}

#[test]
fn the_last_word_of_a_cache_that_counts_is_compared() {
    let usual = policy(|_| {});
    let rows = [
        row("x", &core(1), &[]),
        row("x", &core(2), &["a-1"]),
        row("x", &core(3), &["a-1"]),
        row("y", &core(4), &["b-1"]),
    ];
    let said: Vec<_> = count(&rows, &usual).into_iter().map(|c| (c.cache, c.nar_hash)).collect();
    let hash = |content| NarHash::from_digest([content; 32]);
    assert_eq!(said, [("x".into(), hash(2)), ("y".into(), hash(4))]);
}

#[test]
fn each_claim_agrees_or_differs() {
    let claims = [claimed("x", &core(1)), claimed("y", &core(2))];
    let events = compare(&built(1), None, &claims);
    let kinds: Vec<_> = events.iter().map(|e| (&*e.party, e.kind)).collect();
    assert_eq!(kinds, [("x", EventKind::BuildAgrees), ("y", EventKind::BuildDiffers)]);
    let differs = &events[1];
    assert_eq!(differs.path, path("hello-1").hash_part());
    assert_eq!(differs.name.as_deref(), Some("hello-1"));
    let said = |content| format!("{}, 1000 bytes", NarHash::from_digest([content; 32]));
    assert_eq!(*differs.before, *format!("claimed as {}, vouched for by a", said(2)));
    assert_eq!(*differs.after, *format!("built here as {}", said(1)));
    assert_eq!((differs.first_seen, differs.last_seen, differs.count), (NOW, NOW, 1));
}

#[test]
fn a_size_that_differs_is_a_difference() {
    let longer = Core { nar_size: 1001, ..core(1) };
    assert_eq!(compare(&built(1), None, &[claimed("x", &longer)])[0].kind, EventKind::BuildDiffers);
    let unknown = BuildRow { nar_size: None, ..built(1) };
    assert_eq!(compare(&unknown, None, &[claimed("x", &longer)])[0].kind, EventKind::BuildAgrees);
}

#[test]
fn references_are_compared_where_the_builds_are_known() {
    let glibc = path("glibc-2");
    let referring = Core { references: References::from_unsorted(vec![glibc.clone()]), ..core(1) };
    let claims = [claimed("x", &referring)];
    let compared = |references| compare(&built(1), references, &claims).remove(0);
    assert_eq!(compared(None).kind, EventKind::BuildAgrees);
    assert_eq!(compared(Some(&referring.references)).kind, EventKind::BuildAgrees);
    let differs = compared(Some(&References::default()));
    assert_eq!(differs.kind, EventKind::BuildDiffers);
    assert!(differs.before.contains(&format!("refers to {glibc}")), "{}", differs.before);
    assert!(differs.after.ends_with("without references"), "{}", differs.after);
}

#[test]
fn a_build_without_a_result_says_nothing() {
    let failed = BuildRow { nar_hash: None, kind: BuildKind::Failed, ..built(1) };
    assert_eq!(compare(&failed, None, &[claimed("x", &core(1))]), []);
}
