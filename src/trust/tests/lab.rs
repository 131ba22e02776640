//! A policy in a few words: what follows a signer or a cache describes it, and everything goes by name.

use super::sheet::{Sheet, secret};
use crate::trust::{
    Cache, CacheId, Clause, Dissent, Exception, Glob, OperatorId, Parts, Role, Rule, RuleId, Scope, Signer,
    SignerId, SignerKey, SignerSet, Subject, Timestamp,
};
use std::num::NonZeroU8;

pub(super) fn seconds(t: i64) -> Timestamp {
    Timestamp::from_seconds(t)
}

/// A rule by the names of what it needs.
#[derive(Clone, Debug)]
pub(super) struct Need {
    name: &'static str,
    packages: Option<&'static str>,
    clauses: Vec<(u8, &'static str)>,
    operators: u8,
    outvote: bool,
    prefer: Option<&'static str>,
    must_answer: &'static str,
    verify: bool,
}

/// So many voices out of these signers.
pub(super) fn needs(at_least: u8, of: &'static str) -> Need {
    Need {
        name: "rule",
        packages: None,
        clauses: vec![(at_least, of)],
        operators: 1,
        outvote: false,
        prefer: None,
        must_answer: "",
        verify: true,
    }
}

impl Need {
    pub(super) fn called(self, name: &'static str) -> Self {
        Self { name, ..self }
    }
    pub(super) fn packages(self, globs: &'static str) -> Self {
        Self { packages: Some(globs), ..self }
    }
    pub(super) fn and(mut self, at_least: u8, of: &'static str) -> Self {
        self.clauses.push((at_least, of));
        self
    }
    pub(super) fn operators(self, operators: u8) -> Self {
        Self { operators, ..self }
    }
    pub(super) fn outvote(self) -> Self {
        Self { outvote: true, ..self }
    }
    pub(super) fn prefer(self, list: &'static str) -> Self {
        Self { prefer: Some(list), ..self }
    }
    pub(super) fn must_answer(self, caches: &'static str) -> Self {
        Self { must_answer: caches, ..self }
    }
    pub(super) fn ignore_content(self) -> Self {
        Self { verify: false, ..self }
    }
}

/// A policy in the making.
#[derive(Clone, Debug, Default)]
pub(super) struct Lab {
    signers: Vec<(Signer, &'static str)>,
    caches: Vec<(Cache, Option<&'static str>)>,
    operators: Vec<Box<str>>,
    rules: Vec<Need>,
    exceptions: Vec<(Subject, &'static str, Timestamp)>,
}

impl Lab {
    /// Signers with the keys `NAME-1`, and caches of an operator each.
    pub(super) fn of(signers: &'static str, caches: &'static str) -> Self {
        let lab = signers.split_whitespace().fold(Self::default(), Self::signer);
        caches.split_whitespace().fold(lab, Self::cache)
    }

    pub(super) fn signer(mut self, name: &'static str) -> Self {
        let signer = Signer {
            name: name.into(),
            keys: Vec::new(),
            scope: Scope::Everything,
            derives_from: SignerSet::EMPTY,
            suspended: None,
        };
        self.signers.push((signer, ""));
        self.key(&format!("{name}-1"))
    }

    pub(super) fn key(self, name: &str) -> Self {
        self.key_called(name, name)
    }

    /// A key listed under another name than its own.
    pub(super) fn key_called(mut self, name: &str, key: &str) -> Self {
        let name = crate::format::KeyName::parse(name).unwrap();
        let key = crate::format::VerifyingKey::from_bytes(name, secret(key).verifying_key().bytes()).unwrap();
        let key = SignerKey { key, not_before: None, not_after: None, revoked: None };
        self.signers.last_mut().unwrap().0.keys.push(key);
        self
    }

    fn last_key(mut self, change: impl FnOnce(&mut SignerKey)) -> Self {
        change(self.signers.last_mut().unwrap().0.keys.last_mut().unwrap());
        self
    }
    pub(super) fn revoked(self) -> Self {
        self.last_key(|key| key.revoked = Some("stolen".into()))
    }
    pub(super) fn from(self, t: i64) -> Self {
        self.last_key(|key| key.not_before = Some(seconds(t)))
    }
    pub(super) fn until(self, t: i64) -> Self {
        self.last_key(|key| key.not_after = Some(seconds(t)))
    }
    pub(super) fn may_vouch_for(mut self, globs: &str) -> Self {
        self.signers.last_mut().unwrap().0.scope = Scope::of(patterns(globs));
        self
    }
    pub(super) fn derives_from(mut self, signers: &'static str) -> Self {
        self.signers.last_mut().unwrap().1 = signers;
        self
    }
    pub(super) fn suspended(mut self) -> Self {
        self.signers.last_mut().unwrap().0.suspended = Some("under investigation".into());
        self
    }

    pub(super) fn cache(mut self, name: &'static str) -> Self {
        let cache = Cache {
            name: name.into(),
            operator: OperatorId(0),
            role: Role::Source,
            priority: 50,
            accept_signers: None,
            counts_as_operator: true,
        };
        self.caches.push((cache, None));
        self.run_by(name)
    }

    pub(super) fn run_by(mut self, operator: &'static str) -> Self {
        let known = self.operators.iter().position(|o| **o == *operator);
        let index = known.unwrap_or_else(|| {
            self.operators.push(operator.into());
            self.operators.len() - 1
        });
        self.last_cache(|cache| cache.operator = OperatorId(u16::try_from(index).unwrap()))
    }

    fn last_cache(mut self, change: impl FnOnce(&mut Cache)) -> Self {
        change(&mut self.caches.last_mut().unwrap().0);
        self
    }
    pub(super) fn witness(self) -> Self {
        self.last_cache(|cache| cache.role = Role::Witness)
    }
    pub(super) fn plain_http(self) -> Self {
        self.last_cache(|cache| cache.counts_as_operator = false)
    }
    pub(super) fn priority(self, priority: u32) -> Self {
        self.last_cache(|cache| cache.priority = priority)
    }
    pub(super) fn accepts(mut self, signers: &'static str) -> Self {
        self.caches.last_mut().unwrap().1 = Some(signers);
        self
    }

    pub(super) fn rule(mut self, need: Need) -> Self {
        self.rules.push(need);
        self
    }

    /// An exception for packages, up to but not including a moment.
    pub(super) fn except(mut self, globs: &str, rule: &'static str, ends: i64) -> Self {
        self.exceptions.push((Subject::Packages(patterns(globs)), rule, seconds(ends)));
        self
    }

    /// An exception for one build.
    pub(super) fn pin(mut self, sheet: &Sheet, rule: &'static str, ends: i64) -> Self {
        let subject = Subject::Pinned { path: sheet.path(), nar_hash: sheet.core().nar_hash };
        self.exceptions.push((subject, rule, seconds(ends)));
        self
    }

    fn set(&self, names: &str) -> SignerSet {
        self.list(names).into_iter().collect()
    }
    fn list(&self, names: &str) -> Vec<SignerId> {
        let place = |n: &str| self.signers.iter().position(|(s, _)| *s.name == *n).unwrap();
        names.split_whitespace().map(|n| SignerId::new(place(n)).unwrap()).collect()
    }
    pub(super) fn cache_id(&self, name: &str) -> CacheId {
        let place = self.caches.iter().position(|(c, _)| *c.name == *name).unwrap();
        CacheId(u16::try_from(place).unwrap())
    }

    fn built_rule(&self, need: &Need) -> Rule {
        let clause =
            |&(n, of): &(u8, &str)| Clause { at_least: NonZeroU8::new(n).unwrap(), of: self.set(of) };
        let settled = if need.outvote { Dissent::Outvote } else { Dissent::Refuse };
        Rule {
            name: need.name.into(),
            packages: need.packages.map(patterns),
            clauses: need.clauses.iter().map(clause).collect(),
            operators: NonZeroU8::new(need.operators).unwrap(),
            dissent: need.prefer.map_or(settled, |list| Dissent::Prefer(self.list(list))),
            must_answer: need.must_answer.split_whitespace().map(|c| self.cache_id(c)).collect(),
            verify_content_addressed: need.verify,
        }
    }

    pub(super) fn parts(&self) -> Parts {
        let rule_id = |name: &str| {
            let place = self.rules.iter().position(|r| r.name == name).unwrap();
            RuleId(u16::try_from(place).unwrap())
        };
        let exception = |(subject, rule, ends): &(Subject, &str, Timestamp)| Exception {
            subject: subject.clone(),
            rule: rule_id(rule),
            ends: *ends,
            why: "a test".into(),
        };
        Parts {
            store_dir: crate::format::StoreDir::default(),
            signers: self
                .signers
                .iter()
                .map(|(s, d)| Signer { derives_from: self.set(d), ..s.clone() })
                .collect(),
            operators: self.operators.clone(),
            caches: self
                .caches
                .iter()
                .map(|(c, a)| Cache { accept_signers: a.map(|a| self.set(a)), ..c.clone() })
                .collect(),
            rules: self.rules.iter().map(|need| self.built_rule(need)).collect(),
            exceptions: self.exceptions.iter().map(exception).collect(),
        }
    }
}

fn patterns(globs: &str) -> Vec<Glob> {
    globs.split_whitespace().map(|g| Glob::parse(g).unwrap()).collect()
}
