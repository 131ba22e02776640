//! The checked policy: who may vouch, which caches there are, and what each package needs.
//!
//! Built once by the configuration and never changed. [`Policy::new`] refuses what the rule of trust could
//! not judge, so that judging itself has no failure: no clause without signers or with a threshold of
//! zero, no name outside the lists, no cycle of `derives-from`, a last rule for everything else.

use crate::format::{NarHash, StoreDir, StorePath};
use crate::trust::signer::voices;
use crate::trust::{Glob, Scope, Signer, SignerId, SignerSet, Timestamp};
use std::collections::BTreeMap;
use std::num::NonZeroU8;

/// A cache's place in [`Policy::caches`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheId(pub u16);

/// An operator's place in [`Policy::operators`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperatorId(pub u16);

/// A rule's place in [`Policy::rules`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub u16);

/// What the rule of trust knows of a cache.
#[derive(Clone, Debug)]
pub struct Cache {
    /// The name in the configuration.
    pub name: Box<str>,
    /// Who runs it; caches of one operator are one voice.
    pub operator: OperatorId,
    /// Whether bytes may come from it, or claims only.
    pub role: Role,
    /// Lower is preferred for bytes.
    pub priority: u32,
    /// Whose signatures count when this cache shows them; `None` is everybody's.
    pub accept_signers: Option<SignerSet>,
    /// Whether what it says may count towards `operators`: false over plain http off loopback.
    pub counts_as_operator: bool,
}

/// What a cache is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Claims and bytes.
    Source,
    /// Claims only.
    Witness,
}

/// One threshold of a rule: at least so many voices out of these signers.
#[derive(Clone, Debug)]
pub struct Clause {
    /// How many voices; never zero.
    pub at_least: NonZeroU8,
    /// Whose voices.
    pub of: SignerSet,
}

/// What to do when credible claims differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dissent {
    /// Refuse.
    Refuse,
    /// The core that more voices of the rule vouch for than for all others together.
    Outvote,
    /// The core of the first of these signers that vouches for exactly one.
    Prefer(Vec<SignerId>),
}

/// What a group of packages needs.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The name in the configuration.
    pub name: Box<str>,
    /// The packages; `None` on the last rule, which takes all that are left.
    pub packages: Option<Vec<Glob>>,
    /// Every clause must be met; never empty.
    pub clauses: Vec<Clause>,
    /// How many distinct operators' credible claims must agree.
    pub operators: NonZeroU8,
    /// What to do when credible claims differ.
    pub dissent: Dissent,
    /// Caches without whose answer nothing is decided.
    pub must_answer: Vec<CacheId>,
    /// Whether content-addressed paths may certify themselves.
    pub verify_content_addressed: bool,
}

impl Rule {
    /// The signers named in any `of` of the rule.
    pub fn voters(&self) -> SignerSet {
        self.clauses.iter().fold(SignerSet::EMPTY, |set, clause| set.union(clause.of))
    }

    /// The signers whose signature makes a claim credible: those named in an `of` or in `prefer`.
    pub fn named(&self) -> SignerSet {
        match &self.dissent {
            Dissent::Refuse | Dissent::Outvote => self.voters(),
            Dissent::Prefer(list) => self.voters().union(list.iter().copied().collect()),
        }
    }
}

/// A stated departure from the rules, with an end.
#[derive(Clone, Debug)]
pub struct Exception {
    /// What it is for.
    pub subject: Subject,
    /// The rule that holds instead.
    pub rule: RuleId,
    /// The first moment at which it no longer holds.
    pub ends: Timestamp,
    /// The reason given in the configuration.
    pub why: Box<str>,
}

impl Exception {
    /// Whether it still holds.
    pub fn holds(&self, now: Timestamp) -> bool {
        now < self.ends
    }
}

/// What an exception is for.
#[derive(Clone, Debug)]
pub enum Subject {
    /// Packages by name.
    Packages(Vec<Glob>),
    /// One build: this path with these contents.
    Pinned {
        /// The store path.
        path: StorePath,
        /// The hash of its NAR.
        nar_hash: NarHash,
    },
}

/// The lists that make a policy, as the configuration gives them.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Where store paths are.
    pub store_dir: StoreDir,
    /// The parties.
    pub signers: Vec<Signer>,
    /// The names of the operators.
    pub operators: Vec<Box<str>>,
    /// The caches.
    pub caches: Vec<Cache>,
    /// The rules, first match wins.
    pub rules: Vec<Rule>,
    /// The exceptions, first match wins.
    pub exceptions: Vec<Exception>,
}

/// Why a set of lists is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// No signer: nothing could ever be endorsed.
    #[error("there is no signer")]
    NoSigner,
    /// More signers than a set can hold.
    #[error("there are more than {} signers", SignerId::MOST)]
    TooManySigners,
    /// Too many caches or rules to number.
    #[error("there are more than {} {what}", u16::MAX)]
    TooMany {
        /// What there are too many of.
        what: &'static str,
    },
    /// No cache to ask.
    #[error("there is no cache")]
    NoCache,
    /// The last rule has `packages`, or there is none.
    #[error("the last rule must have no packages, and only it")]
    NoLastRule,
    /// A rule without a clause, or a clause without signers.
    #[error("rule {rule:?} could be met by nobody's signature")]
    NoVoters {
        /// The rule's name.
        rule: Box<str>,
    },
    /// A number that is outside the list it points into.
    #[error("{what} names something that is not configured")]
    Unknown {
        /// Where the number stands.
        what: &'static str,
    },
    /// A signer that copies, through others, from itself.
    #[error("signer {signer:?} derives from itself")]
    Cycle {
        /// The signer's name.
        signer: Box<str>,
    },
    /// One key under two signers would be two voices.
    #[error("one key is listed under the signers {first:?} and {second:?}")]
    OneKeyTwice {
        /// The signer that has it first.
        first: Box<str>,
        /// The signer that has it again.
        second: Box<str>,
    },
    /// Counting voices exactly would take too long.
    #[error("more than {MOST_RESIGNERS} signers derive from several others")]
    TooManyResigners,
}

/// A checked policy.
#[derive(Debug)]
pub struct Policy {
    parts: Parts,
    roots: Vec<SignerSet>,
}

impl Policy {
    /// Checks the lists.
    ///
    /// # Errors
    /// The first [`PolicyError`] found; the configuration reports the same faults with their lines before.
    pub fn new(parts: Parts) -> Result<Self, PolicyError> {
        if parts.signers.is_empty() {
            return Err(PolicyError::NoSigner);
        }
        if parts.signers.len() > SignerId::MOST {
            return Err(PolicyError::TooManySigners);
        }
        if parts.caches.is_empty() {
            return Err(PolicyError::NoCache);
        }
        for (what, len) in [
            ("caches", parts.caches.len()),
            ("rules", parts.rules.len()),
            ("operators", parts.operators.len()),
        ] {
            if u16::try_from(len).is_err() {
                return Err(PolicyError::TooMany { what });
            }
        }
        check_keys(&parts.signers)?;
        check_rules(&parts)?;
        let roots = all_roots(&parts.signers)?;
        if roots.iter().filter(|r| r.len() > 1).count() > MOST_RESIGNERS {
            return Err(PolicyError::TooManyResigners);
        }
        Ok(Self { parts, roots })
    }

    /// Where store paths are.
    pub fn store_dir(&self) -> &StoreDir {
        &self.parts.store_dir
    }

    /// The parties.
    pub fn signers(&self) -> &[Signer] {
        &self.parts.signers
    }

    /// The caches.
    pub fn caches(&self) -> &[Cache] {
        &self.parts.caches
    }

    /// The names of the operators.
    pub fn operators(&self) -> &[Box<str>] {
        &self.parts.operators
    }

    /// The rules.
    pub fn rules(&self) -> &[Rule] {
        &self.parts.rules
    }

    /// The exceptions.
    pub fn exceptions(&self) -> &[Exception] {
        &self.parts.exceptions
    }

    /// Every cache's number.
    pub fn cache_ids(&self) -> impl Iterator<Item = CacheId> + use<> {
        (0..u16::try_from(self.parts.caches.len()).unwrap_or(u16::MAX)).map(CacheId)
    }

    /// A cache by its number.
    pub fn cache(&self, id: CacheId) -> Option<&Cache> {
        self.parts.caches.get(usize::from(id.0))
    }

    /// A signer by its number.
    pub fn signer(&self, id: SignerId) -> Option<&Signer> {
        self.parts.signers.get(id.index())
    }

    /// A rule by its number.
    pub fn rule(&self, id: RuleId) -> Option<&Rule> {
        self.parts.rules.get(usize::from(id.0))
    }

    /// The rule for packages of this name: an exception that holds, else the first rule that matches.
    ///
    /// Pinned exceptions are not looked at; they speak of builds, not of names.
    pub fn rule_for(&self, name: &str, now: Timestamp) -> RuleId {
        let excepted = self.parts.exceptions.iter().find(|e| {
            e.holds(now)
                && matches!(&e.subject, Subject::Packages(globs) if globs.iter().any(|g| g.matches(name)))
        });
        if let Some(exception) = excepted {
            return exception.rule;
        }
        let matching = |rule: &Rule| rule.packages.as_ref().is_none_or(|p| p.iter().any(|g| g.matches(name)));
        let index = self.parts.rules.iter().position(matching).unwrap_or_default();
        RuleId(u16::try_from(index).unwrap_or_default())
    }

    /// How many independent voices a set of signers has.
    pub fn voices(&self, set: SignerSet) -> u32 {
        voices(set, |id| self.roots(id))
    }

    /// The signers at the end of a signer's `derives-from` edges: itself if it has none.
    pub fn roots(&self, id: SignerId) -> SignerSet {
        self.roots.get(id.index()).copied().unwrap_or_else(|| SignerSet::only(id))
    }

    /// Whether a signer may count at all for packages of this name: in scope, not suspended, and with a key
    /// that is valid now.
    pub fn may_vouch(&self, id: SignerId, name: &str, now: Timestamp) -> bool {
        self.signer(id).is_some_and(|s| {
            s.suspended.is_none() && s.scope.contains(name) && s.keys.iter().any(|k| k.is_valid(now))
        })
    }

    /// The signers whose signatures this cache may show for packages of this name.
    pub fn showable(&self, cache: CacheId, name: &str, now: Timestamp) -> SignerSet {
        let accepts = |id| self.cache(cache).is_some_and(|c| c.accept_signers.is_none_or(|a| a.contains(id)));
        self.signer_ids().filter(|&id| accepts(id) && self.may_vouch(id, name, now)).collect()
    }

    /// Every signer's number.
    pub fn signer_ids(&self) -> impl Iterator<Item = SignerId> + use<> {
        (0..self.parts.signers.len()).filter_map(SignerId::new)
    }

    /// The next moment after `now` at which time alone could change a verdict: a key's validity beginning or
    /// ending, or an exception's end.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let keys = self.parts.signers.iter().flat_map(|s| &s.keys);
        let edges = keys.flat_map(|k| {
            [k.not_before, k.not_after.map(|t| Timestamp::from_seconds(t.seconds().saturating_add(1)))]
        });
        edges.flatten().chain(self.parts.exceptions.iter().map(|e| e.ends)).filter(|&t| t > now).min()
    }

    /// Whether every limit on what a signer may vouch for is absent.
    pub fn is_unlimited(&self, id: SignerId) -> bool {
        self.signer(id).is_some_and(|s| s.scope == Scope::Everything)
    }
}

/// No key, by its bytes, under two signers.
fn check_keys(signers: &[Signer]) -> Result<(), PolicyError> {
    let mut seen: BTreeMap<&[u8; 32], (usize, &Signer)> = BTreeMap::new();
    for (index, signer) in signers.iter().enumerate() {
        for key in &signer.keys {
            if let Some((_, first)) =
                seen.insert(key.key.bytes(), (index, signer)).filter(|(i, _)| *i != index)
            {
                return Err(PolicyError::OneKeyTwice {
                    first: first.name.clone(),
                    second: signer.name.clone(),
                });
            }
        }
    }
    Ok(())
}

fn check_rules(parts: &Parts) -> Result<(), PolicyError> {
    let Some((last, earlier)) = parts.rules.split_last() else { return Err(PolicyError::NoLastRule) };
    if last.packages.is_some() || earlier.iter().any(|r| r.packages.is_none()) {
        return Err(PolicyError::NoLastRule);
    }
    let known: SignerSet = (0..parts.signers.len()).filter_map(SignerId::new).collect();
    let has_cache = |id: &CacheId| usize::from(id.0) < parts.caches.len();
    for rule in &parts.rules {
        if rule.clauses.is_empty() || rule.clauses.iter().any(|c| c.of.is_empty()) {
            return Err(PolicyError::NoVoters { rule: rule.name.clone() });
        }
        if !rule.named().is_subset(known) {
            return Err(PolicyError::Unknown { what: "a rule's signatures or prefer" });
        }
        if !rule.must_answer.iter().all(has_cache) {
            return Err(PolicyError::Unknown { what: "a rule's must-answer" });
        }
    }
    if parts.exceptions.iter().any(|e| usize::from(e.rule.0) >= parts.rules.len()) {
        return Err(PolicyError::Unknown { what: "an exception's rule" });
    }
    for cache in &parts.caches {
        if usize::from(cache.operator.0) >= parts.operators.len() {
            return Err(PolicyError::Unknown { what: "a cache's operator" });
        }
        if !cache.accept_signers.unwrap_or_default().is_subset(known) {
            return Err(PolicyError::Unknown { what: "a cache's accept-signers" });
        }
    }
    Ok(())
}

/// The roots of every signer; an error on a cycle.
fn all_roots(signers: &[Signer]) -> Result<Vec<SignerSet>, PolicyError> {
    let known: SignerSet = (0..signers.len()).filter_map(SignerId::new).collect();
    let mut roots = Vec::with_capacity(signers.len());
    for (index, signer) in signers.iter().enumerate() {
        let Some(own) = SignerId::new(index) else { return Err(PolicyError::TooManySigners) };
        let mut reached = SignerSet::only(own);
        let mut ends = SignerSet::EMPTY;
        let mut open = vec![own];
        while let Some(id) = open.pop() {
            let from = signers.get(id.index()).map(|s| s.derives_from).unwrap_or_default();
            if !from.is_subset(known) {
                return Err(PolicyError::Unknown { what: "a signer's derives-from" });
            }
            if from.contains(own) {
                return Err(PolicyError::Cycle { signer: signer.name.clone() });
            }
            if from.is_empty() {
                ends.insert(id);
            }
            open.extend(from.difference(reached).iter());
            reached = reached.union(from);
        }
        roots.push(ends);
    }
    Ok(roots)
}

/// The most signers that may derive from several others: counting voices tries each with and without.
const MOST_RESIGNERS: usize = 16;
