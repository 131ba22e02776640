//! Small random policies with answers to one question: four signers with two keys each, four caches, three
//! cores under two names. Sets are bit masks, so that the reference can count without the code it is to
//! judge.

use super::sheet::{Sheet, certified, flat, hello, recursive, secret};
use crate::format::narinfo::Core;
use crate::format::{KeyName, StoreDir, VerifyingKey};
use crate::trust::{
    Answer, Ballot, Cache, CacheId, Clause, Dissent, Exception, Glob, OperatorId, Parts, Policy, Role, Rule,
    RuleId, Scope, Signer, SignerId, SignerKey, SignerSet, Silence, Subject, Timestamp, Verdict,
};
use proptest::prelude::*;
use std::num::NonZeroU8;
use std::sync::Arc;

/// A set of signers, caches or keys (key `k` of signer `s` is bit `2 * s + k`).
pub(super) type Mask = u8;

pub(super) const NAMES: [&str; 2] = ["hello-2.12", "bye-1"];
/// A core that nobody has claimed, for each name.
pub(super) const FRESH: [usize; 2] = [3, 4];

#[derive(Clone, Debug)]
pub(super) struct Party {
    /// Whether each key's signatures count now, by its state: revoked, ended, not begun, or valid.
    pub(super) keys: [KeyState; 2],
    /// The one name that it may vouch for.
    pub(super) limited_to: Option<usize>,
    /// Of signers with lower numbers.
    pub(super) derives_from: Mask,
    pub(super) suspended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyState {
    Valid,
    Revoked,
    Ended,
    NotBegun,
}

#[derive(Clone, Debug)]
pub(super) struct Shop {
    pub(super) operator: u16,
    pub(super) witness: bool,
    pub(super) accepts: Option<Mask>,
    pub(super) plain_http: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Law {
    pub(super) clauses: Vec<(u8, Mask)>,
    pub(super) operators: u8,
    pub(super) dissent: Settle,
    pub(super) must_answer: Mask,
    pub(super) verify: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Settle {
    Refuse,
    Outvote,
    Prefer(Vec<usize>),
}

#[derive(Clone, Debug)]
pub(super) struct Except {
    pub(super) subject: About,
    pub(super) law: usize,
    pub(super) holds: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum About {
    Name(usize),
    Core(usize),
}

/// What a cache says of the path.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub(super) core: usize,
    /// The keys that signed it.
    pub(super) keys: Mask,
    /// Whether it carries the path's content address.
    pub(super) address: bool,
    /// Signatures that are none.
    pub(super) junk: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Reply {
    Word(Word),
    NotFound,
    Silent,
}

/// How the asked path is bound to its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    None,
    /// By its NarHash, which all cores then have.
    Bound,
    /// By the hash of a file: only the bytes can tell.
    Flat,
}

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) parties: Vec<Party>,
    pub(super) shops: Vec<Shop>,
    /// For the first name, and for the rest.
    pub(super) laws: Vec<Law>,
    pub(super) exceptions: Vec<Except>,
    pub(super) replies: Vec<Reply>,
    /// What each cache said before, the latest first.
    pub(super) memories: Vec<Vec<Word>>,
    pub(super) content: Content,
    /// The name of each of the three cores.
    pub(super) names: [usize; 3],
    /// Whether the cores differ in NarSize alone.
    pub(super) same_hash: bool,
    /// Where the bytes of self-certifying cores were fetched: the core that they agree with, if any.
    pub(super) bytes: Option<Option<usize>>,
}

impl World {
    pub(super) fn name_of(&self, core: usize) -> usize {
        self.names.get(core).copied().unwrap_or_else(|| core - FRESH[0])
    }

    pub(super) fn nar_hash_of(&self, core: usize) -> usize {
        if self.content == Content::Bound || self.same_hash { 0 } else { core }
    }

    fn base(&self) -> Sheet {
        match self.content {
            Content::None => hello().references(""),
            Content::Bound => certified(recursive("source")),
            Content::Flat => certified(flat("a file")),
        }
    }

    /// The narinfo for a word.
    pub(super) fn sheet(&self, word: &Word) -> Sheet {
        let base = if word.address { self.base() } else { self.base().unaddressed() };
        let base = base.named(NAMES[self.name_of(word.core)]);
        let sheet = match self.nar_hash_of(word.core) {
            0 => base.size(1000 + word.core as u64),
            other => base.contents(["", "one", "two", "three", "four"][other]),
        };
        let keys: Vec<String> = bits(word.keys).map(key_name).collect();
        let sheet = sheet.signed(&keys.join(" "));
        if word.junk { sheet.signed("mallory-1").signed_as("s0-1", "mallory-1") } else { sheet }
    }

    pub(super) fn core(&self, core: usize) -> Core {
        self.sheet(&Word { core, keys: 0, address: false, junk: false }).core()
    }

    pub(super) fn policy(&self) -> Arc<Policy> {
        let shop = |(i, shop): (usize, &Shop)| Cache {
            name: format!("c{i}").into(),
            operator: OperatorId(shop.operator),
            role: if shop.witness { Role::Witness } else { Role::Source },
            priority: 50,
            accept_signers: shop.accepts.map(set),
            counts_as_operator: !shop.plain_http,
        };
        let parts = Parts {
            store_dir: StoreDir::default(),
            signers: self.parties.iter().enumerate().map(|(i, p)| p.signer(i)).collect(),
            operators: (0..4).map(|i| format!("o{i}").into()).collect(),
            caches: self.shops.iter().enumerate().map(shop).collect(),
            rules: self.laws.iter().enumerate().map(|(i, law)| law.rule(i)).collect(),
            exceptions: self.exceptions.iter().map(|e| self.exception(e)).collect(),
        };
        Arc::new(Policy::new(parts).unwrap())
    }

    fn exception(&self, except: &Except) -> Exception {
        let subject = match except.subject {
            About::Name(name) => Subject::Packages(vec![Glob::parse(NAMES[name]).unwrap()]),
            About::Core(core) => {
                let Core { store_path: path, nar_hash, .. } = self.core(core);
                Subject::Pinned { path, nar_hash }
            }
        };
        let ends = Timestamp::from_seconds(if except.holds { 1 } else { 0 });
        Exception { subject, rule: RuleId(except.law as u16), ends, why: "".into() }
    }

    /// The answers and memories as the real ballot takes them: bit `i` of an order is a cache's place in it.
    pub(super) fn ballot(&self, order: &[usize]) -> Ballot {
        let asked = self.base().path().hash_part();
        let mut ballot = Ballot::open(self.policy(), asked);
        let claim = |cache, word| self.sheet(word).claim(cache, asked).unwrap();
        for &index in order {
            let cache = CacheId((index % 4) as u16);
            if index >= 4 {
                for (age, word) in self.memories[index % 4].iter().enumerate() {
                    ballot.recall(claim(cache, word), Timestamp::from_seconds(-(age as i64)));
                }
                continue;
            }
            let answer = match &self.replies[index] {
                Reply::Word(word) => Answer::Claim(Box::new(claim(cache, word))),
                Reply::NotFound => Answer::NotFound,
                Reply::Silent => Answer::NoAnswer(Silence::TimedOut),
            };
            ballot.cast(cache, answer);
        }
        if let Some(true_core) = self.bytes.map(|core| core.map(|core| self.core(core))) {
            for question in ballot.content_questions(Timestamp::default()) {
                let agrees = true_core.as_ref() == Some(question.core());
                ballot.content_checked(question, agrees);
            }
        }
        ballot
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.ballot(&[0, 1, 2, 3, 4, 5, 6, 7]).verdict(Timestamp::default())
    }

    /// The caches that gave no answer.
    pub(super) fn missing(&self) -> Vec<usize> {
        (0..4).filter(|&i| matches!(self.replies[i], Reply::Silent)).collect()
    }
}

impl Party {
    fn signer(&self, index: usize) -> Signer {
        let key = |k: usize| {
            let name = key_name(2 * index + k);
            let bytes = *secret(&name).verifying_key().bytes();
            let at = |state, t| (self.keys[k] == state).then(|| Timestamp::from_seconds(t));
            SignerKey {
                key: VerifyingKey::from_bytes(KeyName::parse(&name).unwrap(), &bytes).unwrap(),
                not_before: at(KeyState::NotBegun, 1),
                not_after: at(KeyState::Ended, -1),
                revoked: (self.keys[k] == KeyState::Revoked).then(|| "stolen".into()),
            }
        };
        let only = |name: usize| Scope::of(vec![Glob::parse(NAMES[name]).unwrap()]);
        Signer {
            name: format!("s{index}").into(),
            keys: vec![key(0), key(1)],
            scope: self.limited_to.map_or(Scope::Everything, only),
            derives_from: set(self.derives_from),
            suspended: self.suspended.then(|| "".into()),
        }
    }
}

impl Law {
    fn rule(&self, index: usize) -> Rule {
        let clause = |&(n, of): &(u8, Mask)| Clause { at_least: NonZeroU8::new(n).unwrap(), of: set(of) };
        Rule {
            name: format!("r{index}").into(),
            packages: (index == 0).then(|| vec![Glob::parse("hello-*").unwrap()]),
            clauses: self.clauses.iter().map(clause).collect(),
            operators: NonZeroU8::new(self.operators).unwrap(),
            dissent: match &self.dissent {
                Settle::Refuse => Dissent::Refuse,
                Settle::Outvote => Dissent::Outvote,
                Settle::Prefer(list) => Dissent::Prefer(list.iter().map(|&s| signer(s)).collect()),
            },
            must_answer: bits(self.must_answer).map(|i| CacheId(i as u16)).collect(),
            verify_content_addressed: self.verify,
        }
    }
}

/// The members of a mask.
pub(super) fn bits(mask: Mask) -> impl Iterator<Item = usize> + Clone {
    (0..8).filter(move |i| mask >> i & 1 == 1)
}

fn key_name(key: usize) -> String {
    format!("s{}-{}", key / 2, key % 2 + 1)
}

fn signer(index: usize) -> SignerId {
    SignerId::new(index).unwrap()
}

pub(super) fn set(mask: Mask) -> SignerSet {
    bits(mask).map(signer).collect()
}

/// True once in so many times.
fn one_in(n: u32) -> impl Strategy<Value = bool> {
    prop::bool::weighted(1.0 / f64::from(n))
}

fn party(index: u32) -> impl Strategy<Value = Party> {
    use KeyState::{Ended, NotBegun, Revoked, Valid};
    let state = || prop_oneof![12 => Just(Valid), 1 => Just(Revoked), 1 => Just(Ended), 1 => Just(NotBegun)];
    let limited = prop_oneof![3 => Just(None), 1 => (0_usize..2).prop_map(Some)];
    let derives = prop_oneof![3 => Just(0), 1 => 0..1_u8 << index];
    ([state(), state()], limited, derives, one_in(12)).prop_map(
        |(keys, limited_to, derives_from, suspended)| Party { keys, limited_to, derives_from, suspended },
    )
}

fn shop() -> impl Strategy<Value = Shop> {
    let accepts = prop_oneof![3 => Just(None), 1 => (0_u8..16).prop_map(Some)];
    (0_u16..4, one_in(5), accepts, one_in(6)).prop_map(|(operator, witness, accepts, plain_http)| Shop {
        operator,
        witness,
        accepts,
        plain_http,
    })
}

fn law() -> impl Strategy<Value = Law> {
    let clause = (prop_oneof![3 => Just(1_u8), 2 => Just(2), 1 => Just(3)], 1_u8..16);
    let clauses =
        prop_oneof![3 => prop::collection::vec(clause.clone(), 1), 1 => prop::collection::vec(clause, 2)];
    let prefer = prop::collection::vec(0_usize..4, 1..4).prop_map(Settle::Prefer);
    let dissent = prop_oneof![Just(Settle::Refuse), Just(Settle::Outvote), prefer];
    let must = prop_oneof![5 => Just(0), 1 => 0_u8..16];
    (clauses, prop_oneof![3 => Just(1_u8), 1 => Just(2)], dissent, must, any::<bool>()).prop_map(
        |(clauses, operators, dissent, must_answer, verify)| Law {
            clauses,
            operators,
            dissent,
            must_answer,
            verify,
        },
    )
}

fn except() -> impl Strategy<Value = Except> {
    let about = prop_oneof![(0_usize..2).prop_map(About::Name), (0_usize..3).prop_map(About::Core)];
    (about, 0_usize..2, prop::bool::weighted(0.8)).prop_map(|(subject, law, holds)| Except {
        subject,
        law,
        holds,
    })
}

pub(super) fn word() -> impl Strategy<Value = Word> {
    // Few signatures or many.
    let keys = prop_oneof![any::<Mask>(), (any::<Mask>(), any::<Mask>()).prop_map(|(a, b)| a & b & 0x55)];
    let core = prop_oneof![4 => Just(0_usize), 2 => Just(1), 1 => Just(2)];
    (core, keys, any::<bool>(), one_in(4)).prop_map(|(core, keys, address, junk)| Word {
        core,
        keys,
        address,
        junk,
    })
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![5 => word().prop_map(Reply::Word), 2 => Just(Reply::NotFound), 2 => Just(Reply::Silent)]
}

pub(super) fn world() -> impl Strategy<Value = World> {
    let parties = (party(0), party(1), party(2), party(3)).prop_map(|(a, b, c, d)| vec![a, b, c, d]);
    let content = prop_oneof![4 => Just(Content::None), 1 => Just(Content::Bound), 1 => Just(Content::Flat)];
    let names = prop_oneof![3 => Just([0, 0, 1]), 1 => Just([0, 0, 0]), 1 => Just([0, 1, 1])];
    let exceptions = prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(except(), 1..3)];
    let memory = prop_oneof![2 => Just(0), 2 => Just(1), 1 => Just(2)]
        .prop_flat_map(|n| prop::collection::vec(word(), n));
    let said = (prop::collection::vec(reply(), 4), prop::collection::vec(memory, 4));
    let policy = (parties, prop::collection::vec(shop(), 4), prop::collection::vec(law(), 2), exceptions);
    let bytes = prop::option::of(prop::option::of(0_usize..3));
    (policy, said, content, names, one_in(4), bytes).prop_map(
        |((parties, shops, laws, exceptions), (replies, memories), content, names, same_hash, bytes)| World {
            parties,
            shops,
            laws,
            exceptions,
            replies,
            memories,
            content,
            names,
            same_hash,
            bytes,
        },
    )
}
