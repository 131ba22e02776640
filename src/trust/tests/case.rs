//! The answers to one question, cast in every order to one verdict.

use super::lab::{Lab, seconds};
use super::sheet::{Sheet, hello};
use crate::format::narinfo::Core;
use crate::trust::{Answer, Ballot, CacheId, Endorsed, Policy, Settled, Silence, Timestamp, Verdict};
use std::sync::Arc;

/// The time of every question that names no other.
pub(super) const NOW: i64 = 1_000_000;

impl Lab {
    /// Opens the question. A cache that no word is said of answers "not found".
    pub(super) fn ask(&self) -> Case {
        let policy = Arc::new(Policy::new(self.parts()).unwrap());
        let silent = policy.cache_ids().map(|_| Said::NotFound).collect();
        let lab = self.clone();
        Case { lab, policy, said: silent, before: Vec::new(), now: seconds(NOW), bytes: None, path: hello() }
    }
}

#[derive(Clone, Debug)]
enum Said {
    Sheet(Box<Sheet>),
    NotFound,
    Nothing(Silence),
}

/// One question and everything that is said to it.
#[derive(Clone, Debug)]
pub(super) struct Case {
    lab: Lab,
    policy: Arc<Policy>,
    said: Vec<Said>,
    before: Vec<(CacheId, Sheet)>,
    now: Timestamp,
    bytes: Option<fn(&Core) -> bool>,
    path: Sheet,
}

impl Case {
    fn say(mut self, cache: &str, said: Said) -> Self {
        let place = usize::from(self.lab.cache_id(cache).0);
        self.said[place] = said;
        self
    }
    /// The cache sends this.
    pub(super) fn says(self, cache: &str, sheet: Sheet) -> Self {
        self.say(cache, Said::Sheet(Box::new(sheet)))
    }
    /// The caches send this.
    pub(super) fn all_say(self, caches: &str, sheet: &Sheet) -> Self {
        caches.split_whitespace().fold(self, |case, cache| case.says(cache, sheet.clone()))
    }
    /// The caches do not answer.
    pub(super) fn silent(self, caches: &str) -> Self {
        caches.split_whitespace().fold(self, |case, cache| case.say(cache, Said::Nothing(Silence::TimedOut)))
    }
    /// The caches have not answered yet.
    pub(super) fn pending(self, caches: &str) -> Self {
        caches.split_whitespace().fold(self, |case, cache| case.say(cache, Said::Nothing(Silence::Pending)))
    }
    /// A claim of the cache from before; of several the last is the latest.
    pub(super) fn remembering(mut self, cache: &str, sheet: Sheet) -> Self {
        self.before.push((self.lab.cache_id(cache), sheet));
        self
    }
    pub(super) fn at(self, now: i64) -> Self {
        Self { now: seconds(now), ..self }
    }
    /// What the fetched bytes of a self-certifying core turn out to be.
    pub(super) fn bytes(self, agree: fn(&Core) -> bool) -> Self {
        Self { bytes: Some(agree), ..self }
    }
    /// The question is for the path of this sheet.
    pub(super) fn about(self, path: &Sheet) -> Self {
        Self { path: path.clone(), ..self }
    }

    /// The ballot with its answers cast in this order: numbers of caches, then of memories.
    fn ballot(&self, order: &[usize]) -> Ballot {
        let asked = self.path.path().hash_part();
        let mut ballot = Ballot::open(Arc::clone(&self.policy), asked);
        for &index in order {
            let Some(said) = self.said.get(index) else {
                let age = index - self.said.len();
                let (cache, sheet) = &self.before[age];
                ballot.recall(sheet.claim(*cache, asked).unwrap(), seconds(NOW - 100 + age as i64));
                continue;
            };
            let cache = CacheId(u16::try_from(index).unwrap());
            let answer = match said {
                Said::Sheet(sheet) => match sheet.claim(cache, asked) {
                    Some(claim) => Answer::Claim(Box::new(claim)),
                    None => Answer::NoAnswer(Silence::Faulty),
                },
                Said::NotFound => Answer::NotFound,
                Said::Nothing(silence) => Answer::NoAnswer(*silence),
            };
            ballot.cast(cache, answer);
        }
        if let Some(agree) = self.bytes {
            for question in ballot.content_questions(self.now) {
                let agrees = agree(question.core());
                ballot.content_checked(question, agrees);
            }
        }
        ballot
    }

    pub(super) fn cast(&self) -> Ballot {
        self.ballot(&(0..self.said.len() + self.before.len()).collect::<Vec<_>>())
    }

    /// The verdict, which is the same in every order of casting.
    #[track_caller]
    pub(super) fn verdict(&self) -> Verdict {
        let first = self.cast().verdict(self.now);
        for order in orders(self.said.len() + self.before.len()) {
            let again = self.ballot(&order).verdict(self.now);
            assert_eq!(format!("{again:?}"), format!("{first:?}"), "in the order {order:?}");
        }
        first
    }

    #[track_caller]
    pub(super) fn endorsed(&self) -> Endorsed {
        match self.verdict() {
            Verdict::Endorse(endorsed) => endorsed,
            verdict => panic!("not endorsed: {verdict:?}"),
        }
    }
    #[track_caller]
    pub(super) fn endorses(&self, sheet: &Sheet) {
        assert_eq!(*self.endorsed().core(), sheet.core());
    }
    #[track_caller]
    fn is(&self, label: &str, why: &str) {
        let verdict = self.verdict();
        let told = verdict.reason().map(|reason| reason.label()).unwrap_or_default();
        assert_eq!((verdict.label(), told), (label, why), "{verdict:?}");
    }
    #[track_caller]
    pub(super) fn refuses(&self, why: &str) {
        self.is("refuse", why);
    }
    #[track_caller]
    pub(super) fn defers(&self, why: &str) {
        self.is("defer", why);
    }
    #[track_caller]
    pub(super) fn is_absent(&self) {
        self.is("absent", "");
    }
    pub(super) fn admitted(&self) -> Option<Endorsed> {
        self.cast().admitted(self.now)
    }
    pub(super) fn is_settled(&self) -> bool {
        self.cast().settled(self.now) == Settled::Yes
    }
    pub(super) fn asks_for_bytes(&self) -> usize {
        self.cast().content_questions(self.now).len()
    }
}

/// Every order of so many things; of more than five, every rotation of them forwards and backwards.
fn orders(n: usize) -> Vec<Vec<usize>> {
    if n <= 5 {
        return permutations(n);
    }
    let rotated = (0..n).map(|by| (0..n).map(|i| (i + by) % n).collect::<Vec<_>>());
    rotated.flat_map(|order| [order.iter().rev().copied().collect(), order]).collect()
}

fn permutations(n: usize) -> Vec<Vec<usize>> {
    let Some(last) = n.checked_sub(1) else { return vec![Vec::new()] };
    let insert = |order: Vec<usize>| {
        (0..n).map(move |at| {
            let mut order = order.clone();
            order.insert(at, last);
            order
        })
    };
    permutations(last).into_iter().flat_map(insert).collect()
}
