//! One path explained: every cache's claim side by side, what was built here, and what the rule of trust makes of it.

use crate::evidence::{BuildKind, BuildRow, Earlier};
use crate::format::HashPart;
use crate::format::narinfo::Core;
use crate::trust::{
    Answer, Ballot, Basis, CacheId, CheckedClaim, Reason, ReasonKind, Silence, Timestamp, Verdict,
};
use crate::upstream::Upstreams;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

mod print;

/// What is printed, as text or as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// The hash part that was asked for.
    pub path: String,
    /// The name, where a claim told it.
    pub name: Option<String>,
    /// Whom the answers come from.
    pub source: Source,
    /// endorse, refuse, defer or absent.
    pub verdict: String,
    /// The rule that applied.
    pub rule: Option<String>,
    /// What the endorsement rests on.
    pub basis: Option<String>,
    /// Why it is not endorsed.
    pub reason: Option<String>,
    /// A stable number for the reason.
    pub code: Option<u16>,
    /// A word for the reason.
    pub label: Option<String>,
    /// What would lift a refusal.
    pub lift: Option<String>,
    /// One row for each cache.
    pub caches: Vec<Row>,
    /// What was built on this machine, if anything was.
    pub here: Option<Here>,
}

/// Where answers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The running service, which asked whom it had to.
    Service,
    /// The caches, asked just now.
    Caches,
    /// The ledger: what was said last, without the network.
    Ledger,
}

/// What one cache said.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub cache: String,
    /// Who runs it.
    pub operator: String,
    /// What it said, in words.
    pub answer: String,
    /// The NarHash that it claims.
    pub nar_hash: Option<String>,
    /// The NarSize that it claims.
    pub nar_size: Option<u64>,
    /// How many references it claims.
    pub references: Option<usize>,
    /// The signers whose signatures count, shown by this cache.
    pub signers: Vec<String>,
    /// The content address that it states.
    pub content_address: Option<String>,
    /// When the ledger first and last heard this claim of it.
    pub heard: Option<(String, String)>,
    /// Whether it claims what was built here, where something was.
    pub is_built_here: Option<bool>,
}

/// What was built on this machine: one more opinion, which never votes (design §3.10).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Here {
    /// built, rebuilt-equal, rebuilt-other or failed.
    pub kind: String,
    /// What it hashed to, where that is known.
    pub nar_hash: Option<String>,
    /// When.
    pub at: String,
    /// What it says of a path that is not endorsed.
    pub settles: Option<String>,
}

/// A ballot of the last claims that the ledger has, as if they were said now: nobody is asked.
pub fn recalled(upstreams: &Upstreams, asked: HashPart, earlier: &Earlier) -> Ballot {
    let policy = Arc::clone(upstreams.policy());
    let mut ballot = Ballot::open(Arc::clone(&policy), asked);
    for id in policy.cache_ids() {
        let name = policy.cache(id).map(|cache| cache.name.clone()).unwrap_or_default();
        let last = earlier.claims.iter().filter(|row| row.cache == name).max_by_key(|row| row.last_seen);
        let claim =
            last.and_then(|row| upstreams.read_back(id, asked, row.text(policy.store_dir()).as_bytes()));
        if let Some(claim) = claim {
            ballot.cast(id, Answer::Claim(Box::new(claim)));
        }
    }
    crate::question::recall(upstreams, &mut ballot, earlier);
    ballot
}

impl Explanation {
    /// Explains the answers of a ballot, beside what the ledger has of the path.
    pub fn of(
        upstreams: &Upstreams,
        ballot: &Ballot,
        earlier: &Earlier,
        source: Source,
        now: Timestamp,
    ) -> Self {
        let verdict = ballot.verdict(now);
        let build = earlier.builds.first();
        let rows = ballot.said().filter_map(|(id, said)| {
            let row = Row::of(upstreams, ballot, id, said, source, now)?;
            Some(row.beside(earlier, build))
        });
        let (rule, basis) = match &verdict {
            Verdict::Endorse(endorsed) => {
                (Some(endorsed.rule().to_owned()), Some(words(endorsed.basis()).to_owned()))
            }
            Verdict::Absent | Verdict::Defer(_) | Verdict::Refuse(_) => {
                (verdict.reason().and_then(|r| r.rule.as_deref()).map(str::to_owned), None)
            }
        };
        let reason = verdict.reason();
        let claimed = ballot.said().find_map(|(_, said)| said.ok().flatten());
        let name = claimed.map(|claim| claim.core().store_path.name().to_owned());
        let caches: Vec<Row> = rows.collect();
        Self {
            path: ballot.asked().to_string(),
            name: name.or_else(|| build.map(|build| build.path.name().to_owned())),
            source,
            verdict: verdict.label().to_owned(),
            rule,
            basis,
            reason: reason.map(ToString::to_string),
            code: reason.map(Reason::code),
            label: reason.map(|reason| reason.label().to_owned()),
            lift: reason.map(Reason::lift),
            here: build.map(|build| Here::of(build, reason, &caches)),
            caches,
        }
    }
}

impl Row {
    fn of(
        upstreams: &Upstreams,
        ballot: &Ballot,
        id: CacheId,
        said: Result<Option<&CheckedClaim>, Silence>,
        source: Source,
        now: Timestamp,
    ) -> Option<Self> {
        let policy = ballot.policy();
        let cache = policy.cache(id)?;
        let operator = policy.operators().get(usize::from(cache.operator.0)).map(ToString::to_string);
        let mut row = Self {
            cache: cache.name.to_string(),
            operator: operator.unwrap_or_default(),
            answer: String::new(),
            nar_hash: None,
            nar_size: None,
            references: None,
            signers: Vec::new(),
            content_address: None,
            heard: None,
            is_built_here: None,
        };
        match said {
            Ok(Some(claim)) => {
                let Core { nar_hash, nar_size, references, .. } = claim.core();
                row.answer = if source == Source::Ledger { "claimed" } else { "claims" }.to_owned();
                row.nar_hash = Some(nar_hash.to_string());
                row.nar_size = Some(*nar_size);
                row.references = Some(references.len());
                let counting = claim.counting(policy, now);
                let signers = counting.iter().filter_map(|id| policy.signer(id));
                row.signers = signers.map(|signer| signer.name.to_string()).collect();
                row.content_address = claim.hints().content_address.as_ref().map(ToString::to_string);
            }
            Ok(None) => row.answer = "does not have it".to_owned(),
            Err(_) if source == Source::Ledger => row.answer = "nothing is known of it".to_owned(),
            Err(silence) => {
                let fault = upstreams.cache(id).and_then(|cache| cache.fault());
                row.answer = fault.map_or_else(|| silence.to_string(), |fault| format!("{silence}: {fault}"));
            }
        }
        Some(row)
    }

    /// The same, with when the ledger heard it and how it stands to what was built here.
    fn beside(mut self, earlier: &Earlier, build: Option<&BuildRow>) -> Self {
        let hash = self.nar_hash.as_deref();
        let is_this = |core: &Core| Some(&*core.nar_hash.to_string()) == hash;
        let known = earlier.claims.iter().find(|row| *row.cache == *self.cache && is_this(&row.core));
        self.heard = known.map(|row| (date(row.first_seen), date(row.last_seen)));
        let built = build.and_then(|build| build.nar_hash).map(|hash| hash.to_string());
        self.is_built_here = self.nar_hash.as_ref().zip(built).map(|(claimed, built)| *claimed == built);
        self
    }
}

impl Here {
    fn of(build: &BuildRow, reason: Option<&Reason>, caches: &[Row]) -> Self {
        let nar_hash = build.nar_hash.map(|hash| hash.to_string());
        let settles =
            reason.zip(nar_hash.as_deref()).and_then(|(reason, hash)| settled(reason, hash, caches));
        Self { kind: build.kind.label().to_owned(), nar_hash, at: date(build.at), settles }
    }
}

/// What a build says of a path that is not endorsed. It never votes: whoever trusts it pins its core.
fn settled(reason: &Reason, built: &str, caches: &[Row]) -> Option<String> {
    let names = |same| {
        let of = caches.iter().filter(|row| row.is_built_here == Some(same)).map(|row| row.cache.as_str());
        of.collect::<Vec<_>>().join(", ")
    };
    let (same, other) = (names(true), names(false));
    let pin = format!(
        "[[exceptions]] core = {{ path = \"{}\", nar-hash = \"{built}\" }}, rule = \"…\"",
        reason.path
    );
    let is_dissent = matches!(
        reason.kind,
        ReasonKind::Dissent { .. } | ReasonKind::Names(_) | ReasonKind::Contradiction { .. }
    );
    match (same.is_empty(), other.is_empty()) {
        (true, true) => None,
        (false, true) => Some(format!("what was built here is what {same} claims; to settle for it: {pin}")),
        (true, false) => Some(format!("what was built here is none of what is claimed ({other})")),
        (false, false) if is_dissent => Some(format!(
            "the dissent is settled by what was built here: it is what {same} claims, and not what {other} does; to settle for it: {pin}"
        )),
        (false, false) => {
            Some(format!("what was built here is what {same} claims, and not what {other} does"))
        }
    }
}

fn words(basis: Basis) -> &'static str {
    match basis {
        Basis::Rule => "the signatures and operators that the rule demands",
        Basis::Content => "its own content address, which Nix checks itself; no countersignature",
        Basis::Observed => "one allowed signature (observing)",
    }
}

/// What a kind of build is called in a sentence.
fn called(kind: &str) -> &'static str {
    match BuildKind::parse(kind) {
        Some(BuildKind::Built) => "built",
        Some(BuildKind::RebuiltEqual) => "built again with the same result",
        Some(BuildKind::RebuiltOther) => "built again with another result",
        Some(BuildKind::Failed) | None => "could not be built again",
    }
}

fn date(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.seconds()).map_or_else(|_| at.to_string(), |at| at.to_string())
}
