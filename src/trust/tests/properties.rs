//! Properties of the rule over random policies and answers.

use super::random::{
    About, Content, Except, FRESH, KeyState, Law, Mask, NAMES, Party, Reply, Settle, Shop, Word, World, bits,
    set, word, world,
};
use crate::trust::{Basis, Reason, ReasonKind, Verdict};
use proptest::prelude::*;

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 150,
        failure_persistence: None,
        max_global_rejects: 1_000_000,
        ..ProptestConfig::default()
    }
}

fn replying(world: &World, cache: usize, reply: Reply) -> World {
    let mut world = world.clone();
    world.replies[cache] = reply;
    world
}

fn claiming(core: usize, keys: Mask) -> Reply {
    Reply::Word(Word { core, keys, address: false, junk: false })
}

/// Label, endorsed core and reason: everything but which signatures and offers come along.
fn gist(verdict: &Verdict) -> (&'static str, Option<&crate::format::Core>, Option<&Reason>) {
    let core = match verdict {
        Verdict::Endorse(endorsed) => Some(endorsed.core()),
        Verdict::Absent | Verdict::Defer(_) | Verdict::Refuse(_) => None,
    };
    (verdict.label(), core, verdict.reason())
}

fn label(verdict: &Verdict) -> &'static str {
    verdict.reason().map(Reason::label).unwrap_or_default()
}

/// Whether no claim given now is credible.
fn nobody_speaks_credibly(world: &World) -> bool {
    let live_only = World { memories: vec![Vec::new(); 4], ..world.clone() }.verdict();
    matches!(live_only, Verdict::Absent) || matches!(label(&live_only), "no-claim" | "not-credible")
}

/// Every signer that some rule names.
fn named(world: &World) -> Mask {
    let laws = world.laws.iter();
    laws.fold(0, |set, law| {
        let listed: &[usize] = if let Settle::Prefer(list) = &law.dissent { list } else { &[] };
        let voters = law.clauses.iter().fold(set, |set, (_, of)| set | of);
        listed.iter().fold(voters, |set, s| set | 1 << s)
    })
}

fn keys_of(signers: Mask) -> Mask {
    bits(signers).map(|s| 0b11 << (2 * s)).sum()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_order_of_answers_is_irrelevant(
        world in world(),
        order in Just([0, 1, 2, 3, 4, 5, 6, 7]).prop_shuffle(),
    ) {
        let shuffled = world.ballot(&order).verdict(crate::trust::Timestamp::default());
        prop_assert_eq!(format!("{:?}", shuffled), format!("{:?}", world.verdict()));
    }

    /// A claim for the endorsed core, with any signatures, by a cache that had none: still endorsed. Two
    /// things may come instead. The bytes may have to be looked at, where the cache's last claim stood against a rival
    /// certificate that it now no longer speaks of, and then they may agree with neither; and another pinned
    /// build may be endorsed, where the claim is the second core that a preferred signer vouches for.
    #[test]
    fn one_more_supporting_claim_never_turns_endorse_into_refuse(
        world in world(),
        cache in 0_usize..4,
        keys: Mask,
    ) {
        let verdict = world.verdict();
        let Verdict::Endorse(endorsed) = &verdict else { return Err(TestCaseError::reject("not endorsed")) };
        prop_assume!(!matches!(world.replies[cache], Reply::Word(_)));
        let core = (0..3).find(|&core| world.core(core) == *endorsed.core()).unwrap();
        let world = replying(&world, cache, claiming(core, keys));
        let verdict = world.verdict();
        match &verdict {
            Verdict::Endorse(again) if world.exceptions.is_empty() => {
                prop_assert_eq!(again.core(), endorsed.core());
            }
            Verdict::Endorse(_) => {}
            _ => {
                let unlooked = World { bytes: None, ..world.clone() }.verdict();
                prop_assert_eq!((unlooked.label(), label(&unlooked)), ("defer", "bytes-unchecked"), "{:?}", verdict);
                if world.bytes.is_some() {
                    prop_assert_eq!(world.bytes, Some(None), "{:?}", verdict);
                    prop_assert_eq!((verdict.label(), label(&verdict)), ("refuse", "not-credible"));
                }
            }
        }
    }

    /// A claim that no counting signature of a named signer carries, for a core that nobody else claims, in
    /// place of a "not found". Everything stays, except that
    /// - a refusal or deferral for want of a credible claim lists the cache, and may be told of the other
    ///   name;
    /// - where nobody speaks credibly now, absence becomes a refusal, and what was deferred for want of any
    ///   claim may be refused: the noise has told a name, and with it a rule that the missing caches cannot
    ///   meet.
    #[test]
    fn noise_changes_nothing(
        world in world(),
        cache in 0_usize..4,
        mut noise in word(),
        name in 0_usize..2,
    ) {
        prop_assume!(matches!(world.replies[cache], Reply::NotFound));
        noise.core = FRESH[name];
        noise.keys &= !keys_of(named(&world));
        noise.address = false;
        let (before, after) = (world.verdict(), replying(&world, cache, Reply::Word(noise)).verdict());
        let nobody = nobody_speaks_credibly(&world);
        match (&before, &after) {
            (Verdict::Absent, Verdict::Refuse(_)) => prop_assert_eq!(label(&after), "not-credible"),
            (Verdict::Refuse(_) | Verdict::Defer(_), Verdict::Refuse(_) | Verdict::Defer(_)) if nobody => {}
            // The same where somebody would, had he not vouched for another core before.
            (Verdict::Refuse(_) | Verdict::Defer(_), Verdict::Refuse(_) | Verdict::Defer(_))
                if matches!(label(&before), "no-claim" | "not-credible") => {}
            _ => prop_assert_eq!(gist(&before), gist(&after)),
        }
    }

    #[test]
    fn nothing_is_endorsed_by_a_rule_without_a_counting_signature(mut world in world()) {
        if let Verdict::Endorse(endorsed) = world.verdict() && endorsed.basis() == Basis::Rule {
            let text = crate::format::fingerprint(&crate::format::StoreDir::default(), endorsed.core());
            let good = |s: &crate::format::Signature| {
                super::sheet::secret(s.key_name().as_str()).verifying_key().verify(text.as_bytes(), s)
            };
            prop_assert!(!endorsed.signatures().is_empty() && endorsed.signatures().iter().all(good));
        }
        let valid = |world: &World, key: usize| world.parties[key / 2].keys[key % 2] == KeyState::Valid;
        let bad: Mask = (0..8).filter(|&key| !valid(&world, key)).map(|key| 1 << key).sum();
        for reply in &mut world.replies {
            if let Reply::Word(word) = reply {
                word.keys &= bad;
                word.junk = true;
            }
        }
        if let Verdict::Endorse(endorsed) = world.verdict() {
            prop_assert_eq!(endorsed.basis(), Basis::Content);
        }
    }

    /// Where one of a party's keys counts, the signature of its other key changes nothing.
    #[test]
    fn two_keys_of_one_party_never_count_twice(world in world(), signer in 0_usize..4) {
        let mut twice = world.clone();
        let (first, second) = (1 << (2 * signer), 2 << (2 * signer));
        prop_assume!(world.parties[signer].keys[0] == KeyState::Valid);
        for reply in &mut twice.replies {
            if let Reply::Word(word) = reply && word.keys & first != 0 {
                word.keys |= second;
            }
        }
        let (once, twice) = (world.verdict(), twice.verdict());
        prop_assert_eq!(gist(&once), gist(&twice));
    }

    /// Nor does the signature of a re-signer beside its source's, where the rule names both.
    #[test]
    fn a_resigner_and_its_source_never_count_twice(mut world in world(), source in 0_usize..3) {
        for party in &mut world.parties {
            (party.limited_to, party.suspended) = (None, false);
        }
        world.parties[3].derives_from = 1 << source;
        for law in &mut world.laws {
            law.clauses.iter_mut().for_each(|(_, of)| *of |= 1 << 3 | 1 << source);
            law.dissent = Settle::Refuse;
        }
        world.shops.iter_mut().for_each(|shop| shop.accepts = None);
        let mut twice = world.clone();
        let is_valid = |k: usize| world.parties[source].keys[k] == KeyState::Valid;
        let counts = |keys: Mask| (0..2).any(|k| keys >> (2 * source + k) & 1 == 1 && is_valid(k));
        for reply in &mut twice.replies {
            if let Reply::Word(word) = reply && counts(word.keys) {
                word.keys |= 0b11 << 6;
            }
        }
        let unlisted = |reason: &Reason| match &reason.kind {
            // The reason names who vouches; who vouches is all that may change in it.
            ReasonKind::Short(_) | ReasonKind::Contradiction { .. } | ReasonKind::Dissent { .. } => {
                reason.label().to_owned()
            }
            _ => format!("{reason:?}"),
        };
        let told = |verdict: &Verdict| {
            let (label, core, reason) = gist(verdict);
            (label, core.cloned(), reason.map(unlisted))
        };
        prop_assert_eq!(told(&world.verdict()), told(&twice.verdict()));
    }

    #[test]
    fn a_source_and_its_resigners_are_as_many_voices_as_the_source(world in world(), signers in 0_u8..16) {
        let policy = world.policy();
        for s in bits(signers) {
            let copies = (0..4).filter(|&r| world.parties[r].derives_from == 1 << s);
            let copies: Mask = copies.map(|r| 1 << r).sum();
            prop_assert_eq!(policy.voices(set(signers | copies)), policy.voices(set(signers)));
        }
    }

    /// Where signatures are what is missing, some answers of the missing caches endorse.
    #[test]
    fn a_deferral_can_be_lifted(mut world in world()) {
        // Whether the missing caches have the bytes too is not asked.
        world.shops.iter_mut().for_each(|shop| shop.witness = false);
        // Nor, beside a pinned build, whether what they have certifies itself.
        world.laws.iter_mut().for_each(|law| law.verify &= world.exceptions.is_empty());
        let verdict = world.verdict();
        let Verdict::Defer(reason) = &verdict else { return Err(TestCaseError::reject("not deferred")) };
        prop_assume!(matches!(reason.label(), "shortfall" | "dissent" | "names-differ"));
        // Where nobody speaks credibly now, a missing cache is given the benefit of the doubt (no name is
        // known).
        prop_assume!(!nobody_speaks_credibly(&world));
        let unread = World { bytes: None, ..world.clone() };
        let all_missing = |core: Option<usize>| {
            let reply = core.map_or(Reply::NotFound, |core| claiming(core, 0xff));
            let missing = world.missing().into_iter();
            missing.fold(unread.clone(), |world, cache| replying(&world, cache, reply.clone()))
        };
        let lifted = |core| {
            let verdict = all_missing(core).verdict();
            // Bytes that were not looked at yet are another matter.
            matches!(verdict, Verdict::Endorse(_)) || label(&verdict) == "bytes-unchecked"
        };
        prop_assert!(lifted(None) || (0..5).any(|core| lifted(Some(core))), "{:?}", verdict);
    }

    /// What is refused stays refused, whatever the missing caches sign.
    #[test]
    fn a_refusal_cannot_be_lifted(
        mut world in world(),
        said in prop::collection::vec(prop::option::of((0_usize..5, any::<Mask>())), 4),
    ) {
        // A pinned build that lacks nothing but a source is refused like any other, behind whatever reason the rest has.
        let is_pinned = !world.exceptions.is_empty();
        world.shops.iter_mut().for_each(|shop| shop.witness &= !is_pinned);
        let verdict = world.verdict();
        let Verdict::Refuse(reason) = &verdict else { return Err(TestCaseError::reject("not refused")) };
        prop_assume!(!world.missing().is_empty() && reason.kind != ReasonKind::NoSource);
        prop_assume!(world.content == Content::None);
        let names: Vec<&str> = match (&reason.kind, &reason.name) {
            (ReasonKind::Names(names), _) => names.iter().map(|name| &**name).collect(),
            (_, Some(name)) => vec![&**name],
            (_, None) => Vec::new(),
        };
        let completed = world.missing().into_iter().fold(world.clone(), |world, cache| {
            // Only names that were claimed are imagined (design §3.8, the code's reading).
            let word = said[cache].filter(|(core, _)| names.contains(&NAMES[world.name_of(*core)]));
            replying(&world, cache, word.map_or(Reply::NotFound, |(core, keys)| claiming(core, keys)))
        });
        let after = completed.verdict();
        prop_assert!(!matches!(after, Verdict::Endorse(_)), "{:?}", after);
    }
}

/// Two certificates of one path stand against each other. What a silent cache said last settles it; once the cache says
/// something that does not count, the bytes must, and here they agree with neither.
#[test]
fn rival_certificates_are_left_to_the_bytes_when_nobody_who_counts_speaks_of_them() {
    let keys = [KeyState::Valid; 2];
    let party = Party { keys, limited_to: None, derives_from: 0, suspended: false };
    let shop = |accepts| Shop { operator: 0, witness: false, accepts, plain_http: false };
    let certified = |core, keys| Word { core, keys, address: true, junk: false };
    let law = |dissent, verify| Law { clauses: vec![(1, 1)], operators: 1, dissent, must_answer: 0, verify };
    let world = World {
        parties: vec![party; 4],
        shops: vec![shop(None), shop(None), shop(None), shop(Some(0b1000))],
        laws: vec![law(Settle::Refuse, false), law(Settle::Prefer(vec![3]), true)],
        exceptions: vec![Except { subject: About::Name(0), law: 1, holds: true }],
        replies: vec![
            Reply::Silent,
            Reply::NotFound,
            Reply::Word(certified(1, 0b11_0100)),
            Reply::Word(certified(0, 0)),
        ],
        memories: vec![vec![Word { core: 0, keys: 1, address: false, junk: false }], vec![], vec![], vec![]],
        content: Content::Bound,
        names: [0, 0, 1],
        same_hash: false,
        bytes: None,
    };
    let told = |world: &World| (world.verdict().label(), label(&world.verdict()));
    assert!(matches!(world.verdict(), Verdict::Endorse(endorsed) if *endorsed.core() == world.core(0)));
    let world = replying(&world, 0, claiming(0, 0b1100));
    assert_eq!(told(&world), ("defer", "bytes-unchecked"));
    assert_eq!(told(&World { bytes: Some(None), ..world.clone() }), ("refuse", "not-credible"));
    let agreed = World { bytes: Some(Some(0)), ..world };
    assert!(matches!(agreed.verdict(), Verdict::Endorse(endorsed) if *endorsed.core() == agreed.core(0)));
}
