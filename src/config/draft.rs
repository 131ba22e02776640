//! From what was read to the lists of a policy: names become numbers, and every unknown one is reported.
//!
//! The draft is made even where faults were found, so that the checks after it can report theirs at once.
//! What could not be read is then given the benefit of the doubt, and what the doubt is about is noted: no
//! fault is to be reported that is only the echo of another. Without faults the draft is the policy.

use crate::config::address::is_open_http;
use crate::config::caches::RawCache;
use crate::config::destination::{Destination, RawDestination};
use crate::config::fault::Located;
use crate::config::item::quoted;
use crate::config::near::nearest;
use crate::config::read::Desk;
use crate::config::rules::{RawClause, RawDissent, RawException, RawPackages, RawRule};
use crate::config::signers::RawSigner;
use crate::format::StoreDir;
use crate::trust::{
    Cache, CacheId, Clause, Dissent, Exception, OperatorId, Parts, Rule, RuleId, Signer, SignerId, SignerSet,
};
use std::num::NonZeroU8;

/// Everything of the policy as it was read.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) signers: Vec<RawSigner>,
    pub(super) caches: Vec<RawCache>,
    pub(super) rules: Vec<RawRule>,
    pub(super) exceptions: Vec<RawException>,
}

/// The lists of a policy, and what of them is in doubt.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) parts: Parts,
    /// For each rule, whether its packages are as written.
    pub(super) packages_sure: Vec<bool>,
    /// For each rule, whether its clauses and `dissent` are as written.
    pub(super) clauses_sure: Vec<bool>,
    /// Whether every exception says which rule it is for.
    pub(super) exceptions_sure: bool,
}

/// Resolves every name.
pub(super) fn draft(raw: &Raw, store_dir: &StoreDir, desk: &Desk) -> Draft {
    let names = Names::of(raw, desk);
    let mut operators: Vec<Box<str>> = Vec::new();
    let caches = raw.caches.iter().map(|cache| draft_cache(cache, &names, &mut operators)).collect();
    let (mut packages_sure, mut clauses_sure) = (Vec::new(), Vec::new());
    let mut rules = Vec::new();
    for (index, raw_rule) in raw.rules.iter().enumerate() {
        let last = index.saturating_add(1) == raw.rules.len();
        let (rule, sure) = draft_rule(raw_rule, last, &names);
        packages_sure.push(match raw_rule.packages {
            RawPackages::Rest => last,
            RawPackages::Globs(..) => !last,
            RawPackages::Unreadable(_) => false,
        });
        clauses_sure.push(sure);
        rules.push(rule);
    }
    let exceptions: Vec<_> = raw.exceptions.iter().filter_map(|e| draft_exception(e, &names)).collect();
    Draft {
        exceptions_sure: exceptions.len() == raw.exceptions.len(),
        parts: Parts {
            store_dir: store_dir.clone(),
            signers: raw.signers.iter().map(|signer| draft_signer(signer, &names)).collect(),
            operators,
            caches,
            rules,
            exceptions,
        },
        packages_sure,
        clauses_sure,
    }
}

/// The destinations, their signers looked up.
pub(super) fn destinations(raw: Vec<RawDestination>, signers: &[RawSigner], desk: &Desk) -> Vec<Destination> {
    let known: Vec<&str> = signers.iter().map(|s| &*s.name.value).collect();
    let resolve = |names: &[Located<Box<str>>]| {
        names.iter().filter_map(|name| SignerId::new(look_up(name, &known, SIGNER, desk)?)).collect()
    };
    raw.into_iter()
        .map(|raw| Destination {
            name: raw.name.value,
            target: raw.url.value,
            packages: raw.packages,
            compression: raw.compression,
            publish: raw.publish,
            skip_vouched_by: raw.skip_vouched_by.map_or(SignerSet::EMPTY, |names| resolve(&names)),
            credentials_file: raw.credentials_file,
        })
        .collect()
}

/// The names that others may refer to.
struct Names<'a> {
    signers: Vec<&'a str>,
    caches: Vec<&'a str>,
    rules: Vec<&'a str>,
    desk: &'a Desk,
}

impl<'a> Names<'a> {
    fn of(raw: &'a Raw, desk: &'a Desk) -> Self {
        Self {
            signers: raw.signers.iter().map(|s| &*s.name.value).collect(),
            caches: raw.caches.iter().map(|c| &*c.name.value).collect(),
            rules: raw.rules.iter().map(|r| r.name.as_ref().map_or("", |n| &*n.value)).collect(),
            desk,
        }
    }

    /// The signers of these names, and whether all are known.
    fn signers(&self, names: &[Located<Box<str>>]) -> (Vec<SignerId>, bool) {
        let one = |name| SignerId::new(look_up(name, &self.signers, SIGNER, self.desk)?);
        let found: Vec<_> = names.iter().map(one).collect();
        let sure = found.iter().all(Option::is_some);
        (found.into_iter().flatten().collect(), sure)
    }

    fn cache(&self, name: &Located<Box<str>>) -> Option<CacheId> {
        let hint = ("cache", "caches");
        u16::try_from(look_up(name, &self.caches, hint, self.desk)?).ok().map(CacheId)
    }

    fn rule(&self, name: &Located<Box<str>>) -> Option<RuleId> {
        let hint = ("rule", "rules");
        u16::try_from(look_up(name, &self.rules, hint, self.desk)?).ok().map(RuleId)
    }
}

/// One thing, and many of it.
const SIGNER: (&str, &str) = ("signer", "signers");

/// Where a name stands in a list; reported if it does not.
fn look_up(
    name: &Located<Box<str>>,
    known: &[&str],
    (one, many): (&str, &str),
    desk: &Desk,
) -> Option<usize> {
    let found = known.iter().position(|&k| k == &*name.value);
    // In a file that is no proper TOML, what is missing may be what could not be read; and that there are none
    // at all is a fault of its own.
    if found.is_none() && desk.complete && !known.is_empty() {
        let would_do = match nearest(&name.value, known.iter().copied()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => {
                format!("known {many}: {}", known.iter().map(|k| quoted(k)).collect::<Vec<_>>().join(", "))
            }
        };
        desk.put(name.at.error(format!("there is no {one} {}", quoted(&name.value)), would_do));
    }
    found
}

fn draft_signer(raw: &RawSigner, names: &Names<'_>) -> Signer {
    Signer {
        name: raw.name.value.clone(),
        keys: raw.keys.iter().map(|key| key.value.clone()).collect(),
        scope: raw.scope.clone(),
        derives_from: names.signers(&raw.derives_from).0.into_iter().collect(),
        suspended: raw.suspended.clone(),
    }
}

fn draft_cache(raw: &RawCache, names: &Names<'_>, operators: &mut Vec<Box<str>>) -> Cache {
    let position = operators.iter().position(|o| **o == *raw.operator()).unwrap_or_else(|| {
        operators.push(raw.operator().into());
        operators.len().saturating_sub(1)
    });
    let accepted = raw.accept_signers.as_ref().map(|list| names.signers(list));
    Cache {
        name: raw.name.value.clone(),
        // More operators than numbers is an error of `Policy::new`, which counts the list.
        operator: OperatorId(u16::try_from(position).unwrap_or(u16::MAX)),
        role: raw.role,
        priority: raw.priority,
        // Where a name is unknown, everybody: no rule is to be called unmeetable for a misspelling.
        accept_signers: accepted.filter(|(_, sure)| *sure).map(|(ids, _)| ids.into_iter().collect()),
        counts_as_operator: raw.url.as_ref().is_none_or(|url| !is_open_http(&url.value)),
    }
}

fn draft_rule(raw: &RawRule, last: bool, names: &Names<'_>) -> (Rule, bool) {
    let mut sure = raw.sure;
    let mut clauses = Vec::new();
    for RawClause { at_least, of, sure: whole } in &raw.clauses {
        let (ids, known) = names.signers(of);
        sure &= known && *whole;
        clauses.push(Clause { at_least: at_least.value, of: ids.into_iter().collect() });
    }
    clauses.retain(|clause| !clause.of.is_empty());
    if let (true, Some(anybody)) = (clauses.is_empty(), SignerId::new(0)) {
        // `Policy::new` takes no rule without a clause; this one is reported already.
        clauses.push(Clause { at_least: NonZeroU8::MIN, of: SignerSet::only(anybody) });
        sure = false;
    }
    let dissent = match &raw.dissent {
        RawDissent::Refuse => Dissent::Refuse,
        RawDissent::Outvote(_) => Dissent::Outvote,
        RawDissent::Prefer(list) => {
            let (ids, known) = names.signers(list);
            sure &= known;
            Dissent::Prefer(ids)
        }
    };
    let packages = match &raw.packages {
        RawPackages::Rest => Vec::new(),
        RawPackages::Globs(globs, _) => globs.clone(),
        RawPackages::Unreadable(_) => Vec::new(),
    };
    let rule = Rule {
        name: raw.name.as_ref().map_or_else(|| "".into(), |n| n.value.clone()),
        packages: (!last).then_some(packages),
        clauses,
        operators: raw.operators.as_ref().map_or(NonZeroU8::MIN, |o| o.value),
        dissent,
        must_answer: raw.must_answer.iter().filter_map(|name| names.cache(name)).collect(),
        verify_content_addressed: raw.verify_content_addressed,
    };
    (rule, sure)
}

fn draft_exception(raw: &RawException, names: &Names<'_>) -> Option<Exception> {
    let rule = names.rule(raw.rule.as_ref()?);
    Some(Exception {
        subject: raw.subject.clone()?,
        rule: rule?,
        ends: raw.ends.as_ref()?.value,
        why: raw.why.clone()?,
    })
}
