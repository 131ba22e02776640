//! The rule of trust a second time, written from its text alone: slow, obvious, and compared with the real
//! one.
//!
//! Voices are counted by trying every subset; whether a missing answer could change a verdict is found out by
//! trying the answers. Two readings that the text leaves open are shared with the code: a missing answer is
//! imagined under the names that credible claims give (where there is none, under those of the noise), and as
//! certifying itself only where there is nothing but noise.

use super::random::{About, Content, FRESH, KeyState, Law, Mask, Reply, Settle, Word, World, bits, world};
use crate::trust::Verdict;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// What the reference says of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    Endorse(usize),
    Refuse,
    Defer,
    Absent,
}

/// A claim: who vouches in it, and whether it is given now.
#[derive(Clone, Debug)]
struct Claim {
    cache: usize,
    core: usize,
    vouching: Mask,
    address: bool,
    live: bool,
    /// An answer that is only tried.
    imagined: bool,
}

/// What a set of claims comes to, before asking what is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Endorsed(usize),
    NoSource,
    MustAnswer,
    /// The bytes of these cores have to be looked at first.
    Unchecked(Mask),
    Nothing,
}

/// A view of the answers: all by their own rules, or those for one pinned core by its exception's.
struct View<'a> {
    world: &'a World,
    pinned: Option<(usize, usize)>,
    /// The cores whose bytes were looked at.
    checked: Mask,
}

/// The verdict once the bytes that it asks for have been looked at, where the world has them looked at.
pub(super) fn verdict(world: &World) -> Says {
    let (says, asked) = verdict_with(world, 0);
    if world.bytes.is_some() && says == Says::Defer { verdict_with(world, asked).0 } else { says }
}

/// The verdict, and the cores whose bytes it waits for.
fn verdict_with(world: &World, checked: Mask) -> (Says, Mask) {
    let answers: Vec<Option<Claim>> = (0..4).map(|i| live_claim(world, i)).collect();
    let missing = world.missing();
    let mut asked = 0;
    let mut could = false;
    for except in world.exceptions.iter().filter(|e| e.holds) {
        let About::Core(core) = except.subject else { continue };
        let view = View { world, pinned: Some((core, except.law)), checked };
        match view.judge(&answers, &missing, &mut asked) {
            Says::Endorse(core) => return (Says::Endorse(core), 0),
            Says::Defer => could = true,
            Says::Refuse | Says::Absent => {}
        }
    }
    match (View { world, pinned: None, checked }).judge(&answers, &missing, &mut asked) {
        Says::Refuse | Says::Absent if could => (Says::Defer, asked),
        says => (says, asked),
    }
}

fn live_claim(world: &World, cache: usize) -> Option<Claim> {
    match &world.replies[cache] {
        Reply::Word(word) => Some(claim(world, cache, word, true)),
        Reply::NotFound | Reply::Silent => None,
    }
}

fn claim(world: &World, cache: usize, word: &Word, live: bool) -> Claim {
    let vouching = signers_where(|s| {
        let signed = (0..2).any(|k| word.keys >> (2 * s + k) & 1 == 1 && is_valid(world, s, k));
        signed && showable(world, cache, world.name_of(word.core)) >> s & 1 == 1
    });
    Claim { cache, core: word.core, vouching, address: word.address, live, imagined: false }
}

fn signers_where(is: impl Fn(usize) -> bool) -> Mask {
    (0..4).filter(|&s| is(s)).map(|s| 1 << s).sum()
}

fn is_valid(world: &World, signer: usize, key: usize) -> bool {
    world.parties[signer].keys[key] == KeyState::Valid
}

/// The signers that a cache may show now for a name.
fn showable(world: &World, cache: usize, name: usize) -> Mask {
    signers_where(|s| {
        let party = &world.parties[s];
        (0..2).any(|k| is_valid(world, s, k))
            && !party.suspended
            && party.limited_to.is_none_or(|only| only == name)
            && world.shops[cache].accepts.is_none_or(|accepts| accepts >> s & 1 == 1)
    })
}

fn roots(world: &World, signer: usize) -> Mask {
    match world.parties[signer].derives_from {
        0 => 1 << signer,
        from => bits(from).fold(0, |set, s| set | roots(world, s)),
    }
}

/// The largest subset whose roots are disjoint.
fn voices(world: &World, set: Mask) -> u32 {
    let disjoint = |subset: &Mask| {
        let pairs = bits(*subset).flat_map(|a| bits(*subset).map(move |b| (a, b)));
        subset & !set == 0
            && pairs.filter(|(a, b)| a < b).all(|(a, b)| roots(world, a) & roots(world, b) == 0)
    };
    (0..16).filter(disjoint).map(Mask::count_ones).max().unwrap()
}

fn voters(law: &Law) -> Mask {
    law.clauses.iter().fold(0, |set, (_, of)| set | of)
}

fn named(law: &Law) -> Mask {
    match &law.dissent {
        Settle::Prefer(list) => list.iter().fold(voters(law), |set, s| set | 1 << s),
        Settle::Refuse | Settle::Outvote => voters(law),
    }
}

impl View<'_> {
    fn law(&self, name: usize) -> &Law {
        let excepted = self.world.exceptions.iter().filter(|e| e.holds);
        let mut excepted =
            excepted.filter(|e| matches!(e.subject, About::Name(n) if n == name)).map(|e| e.law);
        let law = self.pinned.map(|(_, law)| law).or_else(|| excepted.next());
        &self.world.laws[law.unwrap_or(name)]
    }

    fn law_of(&self, claim: &Claim) -> &Law {
        self.law(self.world.name_of(claim.core))
    }

    fn is_credible(&self, claim: &Claim) -> bool {
        claim.vouching & named(self.law_of(claim)) != 0
    }

    /// Whether this view looks at a core at all.
    fn sees(&self, core: usize) -> bool {
        let world = self.world;
        self.pinned.is_none_or(|(pin, _)| {
            world.nar_hash_of(pin) == world.nar_hash_of(core) && world.name_of(pin) == world.name_of(core)
        })
    }

    fn judge(&self, answers: &[Option<Claim>], missing: &[usize], asked: &mut Mask) -> Says {
        let world = self.world;
        let live: Vec<Claim> = answers.iter().flatten().filter(|c| self.sees(c.core)).cloned().collect();
        let mut all = live.clone();
        let last = |&cache: &usize| self.memories(cache).find(|c| self.is_credible(c));
        all.extend(missing.iter().filter_map(last));
        match self.found(&all, missing, answers) {
            Found::Endorsed(core) => return Says::Endorse(core),
            Found::NoSource => return Says::Refuse,
            Found::MustAnswer => return Says::Defer,
            Found::Unchecked(cores) => {
                *asked |= cores;
                return Says::Defer;
            }
            Found::Nothing => {}
        }
        if missing.is_empty() {
            return if live.is_empty() { Says::Absent } else { Says::Refuse };
        }
        let name_of = |c: &Claim| world.name_of(c.core);
        let mut names: BTreeSet<usize> = all.iter().filter(|c| self.is_credible(c)).map(name_of).collect();
        if !live.iter().any(|c| self.is_credible(c)) {
            match self.pinned {
                Some((pin, _)) => drop(names.insert(world.name_of(pin))),
                None if live.is_empty() => return Says::Defer,
                None => names.extend(live.iter().map(name_of)),
            }
            let heard: Vec<usize> =
                live.iter().map(name_of).chain(self.pinned.map(|(p, _)| world.name_of(p))).collect();
            if heard.iter().any(|&name| self.law(name).verify) {
                return Says::Defer;
            }
        }
        if self.some_completion_satisfies(answers, missing, &names) { Says::Defer } else { Says::Refuse }
    }

    /// What each cache said before, the latest first, as far as this view looks at it.
    fn memories(&self, cache: usize) -> impl Iterator<Item = Claim> {
        let known = self.world.memories[cache].iter().map(move |word| claim(self.world, cache, word, false));
        known.filter(|c| self.sees(c.core))
    }

    /// The signers that vouched for another core before, and who shares a root with them: they have no voice for
    /// this one (§3.5).
    fn void(&self, core: usize) -> Mask {
        let past = (0..4).flat_map(|cache| self.memories(cache));
        let before = past.filter(|c| c.core != core).fold(0, |set, c| set | c.vouching);
        signers_where(|s| bits(before).any(|t| roots(self.world, s) & roots(self.world, t) != 0))
    }

    /// What the claims come to by §3.3 to §3.7.
    fn found(&self, claims: &[Claim], missing: &[usize], answers: &[Option<Claim>]) -> Found {
        let credible: Vec<&Claim> = claims.iter().filter(|c| self.is_credible(c)).collect();
        let Some(credible) = self.with_one_name(credible) else { return Found::Nothing };
        let Some(first) = credible.first() else { return self.by_content(claims, None, missing, answers) };
        match self.settled(&credible, self.law_of(first)) {
            Some(core) => self.served(core, self.law_of(first), missing, answers),
            None if credible.iter().all(|c| c.core == first.core) => {
                self.by_content(claims, Some(first.core), missing, answers)
            }
            None => Found::Nothing,
        }
    }

    fn served(&self, core: usize, law: &Law, missing: &[usize], answers: &[Option<Claim>]) -> Found {
        if missing.iter().any(|&i| law.must_answer >> i & 1 == 1) {
            Found::MustAnswer
        } else if self.has_source(core, answers) {
            Found::Endorsed(core)
        } else {
            Found::NoSource
        }
    }

    fn has_source(&self, core: usize, answers: &[Option<Claim>]) -> bool {
        answers.iter().flatten().any(|c| c.core == core && !self.world.shops[c.cache].witness)
    }

    /// §3.4; `None` where names still differ.
    fn with_one_name<'c>(&self, credible: Vec<&'c Claim>) -> Option<Vec<&'c Claim>> {
        let name_of = |c: &Claim| self.world.name_of(c.core);
        let unlimited = |c: &Claim| {
            bits(c.vouching & named(self.law_of(c))).any(|s| self.world.parties[s].limited_to.is_none())
        };
        let is_noise = |claim: &&Claim| {
            !credible.iter().any(|c| c.core == claim.core && unlimited(c))
                && !credible.iter().any(|c| c.live && name_of(c) == name_of(claim) && unlimited(c))
                && credible.iter().any(|c| c.live && name_of(c) != name_of(claim) && unlimited(c))
        };
        let left: Vec<&Claim> = credible.iter().filter(|c| !is_noise(c)).copied().collect();
        let names: BTreeSet<usize> = left.iter().map(|c| name_of(c)).collect();
        (names.len() <= 1).then_some(left)
    }

    /// §3.3 and §3.5: the core that the rule settles on, if it satisfies the rule.
    fn settled(&self, credible: &[&Claim], law: &Law) -> Option<usize> {
        let world = self.world;
        let pooled = |is: &dyn Fn(&Claim) -> bool| {
            credible.iter().filter(|c| is(c)).fold(0, |set, c| set | c.vouching)
        };
        let own = |core| pooled(&|c| c.live && c.core == core) & !self.void(core);
        let others = |core| pooled(&|c| c.core != core);
        let satisfies = |core, void: Mask| {
            let operators: BTreeSet<u16> = credible
                .iter()
                .filter(|c| c.live && c.core == core && !world.shops[c.cache].plain_http)
                .map(|c| world.shops[c.cache].operator)
                .collect();
            operators.len() >= usize::from(law.operators)
                && law.clauses.iter().all(|&(n, of)| voices(world, own(core) & of & !void) >= u32::from(n))
        };
        let cores: BTreeSet<usize> = credible.iter().map(|c| c.core).collect();
        if cores.len() == 1 {
            return cores.into_iter().find(|&core| satisfies(core, 0));
        }
        match &law.dissent {
            Settle::Refuse => None,
            Settle::Outvote => cores.into_iter().find(|&core| {
                let against = others(core) & voters(law);
                let shares = |s: usize| bits(against).any(|t| roots(world, s) & roots(world, t) != 0);
                let void = signers_where(shares);
                voices(world, own(core) & voters(law) & !void) > voices(world, against)
                    && satisfies(core, void)
            }),
            Settle::Prefer(list) => {
                let vouched = |s: usize| -> Vec<usize> {
                    cores.iter().copied().filter(|&core| pooled(&|c| c.core == core) >> s & 1 == 1).collect()
                };
                let one = |s: usize| {
                    <[usize; 1]>::try_from(vouched(s)).ok().filter(|one| self.void(one[0]) >> s & 1 == 0)
                };
                let (by, chosen) = list.iter().find_map(|&s| Some((s, one(s)?[0])))?;
                let says_so_now = pooled(&|c| c.live && c.core == chosen) >> by & 1 == 1;
                says_so_now.then_some(())?;
                satisfies(chosen, others(chosen)).then_some(chosen)
            }
        }
    }

    /// §3.7: what certifies itself, beside one credible core or none.
    fn by_content(
        &self,
        claims: &[Claim],
        only: Option<usize>,
        missing: &[usize],
        answers: &[Option<Claim>],
    ) -> Found {
        let certifies = |c: &&Claim| {
            self.world.content != Content::None && c.address && c.live && self.world.name_of(c.core) == 0
        };
        let counts = |c: &&Claim| self.law_of(c).verify && only.is_none_or(|core| core == c.core);
        let cores: BTreeSet<usize> = claims.iter().filter(certifies).filter(counts).map(|c| c.core).collect();
        let is_checked = |core: &usize| self.checked >> core & 1 == 1;
        let proven = match cores.first() {
            Some(&core) if cores.len() == 1 && self.world.content == Content::Bound => Some(core),
            _ => self.world.bytes.flatten().filter(|core| cores.contains(core) && is_checked(core)),
        };
        let given: Vec<Option<Claim>> = answers.iter().map(|a| a.clone().filter(|c| !c.imagined)).collect();
        let open = cores.iter().filter(|core| !is_checked(core) && self.has_source(**core, &given));
        match (proven, open.map(|core| 1 << core).sum()) {
            (Some(core), _) => self.served(core, self.law(0), missing, answers),
            (None, 0) => Found::Nothing,
            (None, open) => Found::Unchecked(open),
        }
    }

    /// Tries the answers that the missing caches could give: "not found", or any core with any signatures.
    /// With more than one cache missing, all signatures that it may show, or one alone.
    fn some_completion_satisfies(
        &self,
        answers: &[Option<Claim>],
        missing: &[usize],
        names: &BTreeSet<usize>,
    ) -> bool {
        let mut completions = vec![answers.to_vec()];
        for &cache in missing {
            let mut options: Vec<Option<Claim>> = vec![None];
            for core in (0..3).chain(FRESH).filter(|&core| self.imagines(core, names)) {
                let most = showable(self.world, cache, self.world.name_of(core));
                let tried = |set: &Mask| {
                    set & !most == 0
                        && (missing.len() == 1 || *set == most || missing.len() == 2 && set.count_ones() == 1)
                };
                options.extend((1..16).filter(tried).map(|vouching| {
                    Some(Claim { cache, core, vouching, address: false, live: true, imagined: true })
                }));
            }
            let grown = completions.into_iter().flat_map(|known| {
                options.iter().map(move |option| {
                    let mut known = known.clone();
                    known[cache].clone_from(option);
                    known
                })
            });
            completions = grown.collect();
        }
        completions.iter().any(|answers| {
            let claims: Vec<Claim> = answers
                .iter()
                .flatten()
                .filter(|c| self.sees(c.core) || c.core >= FRESH[0])
                .cloned()
                .collect();
            matches!(
                self.found(&claims, &[], answers),
                Found::Endorsed(_) | Found::NoSource | Found::Unchecked(_)
            )
        })
    }

    fn imagines(&self, core: usize, names: &BTreeSet<usize>) -> bool {
        names.contains(&self.world.name_of(core)) && (self.sees(core) || core >= FRESH[0])
    }
}

/// What the real verdict says, in the reference's words.
pub(super) fn told(world: &World, verdict: &Verdict) -> Says {
    match verdict {
        Verdict::Endorse(endorsed) => {
            Says::Endorse((0..5).find(|&core| world.core(core) == *endorsed.core()).unwrap())
        }
        Verdict::Refuse(_) => Says::Refuse,
        Verdict::Defer(_) => Says::Defer,
        Verdict::Absent => Says::Absent,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_real_rule_says_the_same(world in world()) {
        let real = world.verdict();
        prop_assert_eq!(told(&world, &real), verdict(&world), "{:?}", real);
    }
}
