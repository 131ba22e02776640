//! What one seed means: caches, their packages, what each does wrong, and what clients ask.

use crate::faults::mix::contents::{Content, LARGE, SIZES};
use crate::support::bad_cache::{Fault, How, Times, Where, WrongPart};
use crate::support::dice::Dice;
use std::time::Duration;

/// Everything that is generated from one seed.
#[derive(Debug)]
pub struct World {
    pub seed: u64,
    pub caches: Vec<Cache>,
    pub packages: Vec<Drawn>,
    /// How many operators' claims must agree.
    pub operators: usize,
    /// `serving.buffer`, in KiB.
    pub buffer: usize,
    pub whole: bool,
    /// What clients do, each by itself and all at once.
    pub clients: Vec<Vec<(usize, Act)>>,
}

/// What a cache does with whatever is asked of it.
#[derive(Debug)]
pub struct Cache {
    pub claims: Claims,
    pub knows_ranges: bool,
}

/// How a cache answers questions.
#[derive(Clone, Debug)]
pub enum Claims {
    Honest,
    /// Nobody listens.
    Down,
    /// Nobody listens at first.
    Returns(Duration),
    /// Its name has no address.
    Nowhere,
    Troubled(Fault, Often),
}

/// A package, and what each cache has of it.
#[derive(Debug)]
pub struct Drawn {
    pub content: Content,
    pub held: Vec<Held>,
}

/// What one cache has of one package.
#[derive(Debug)]
pub struct Held {
    pub word: Word,
    pub compression: &'static str,
    pub bytes: Bytes,
}

/// What a cache says of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    True,
    NotFound,
    /// Something else, signed by nobody who counts.
    Noise,
    /// Something else, signed by the party that everybody trusts.
    Dissent,
}

/// What a cache delivers.
#[derive(Clone, Debug)]
pub enum Bytes {
    Honest,
    Troubled(Fault, Often),
    /// A NAR with this byte changed.
    Lie(usize, Often),
}

/// How often something happens.
#[derive(Clone, Copy, Debug)]
pub enum Often {
    Always,
    First(usize),
    Bursts(usize, usize),
}

/// One thing that a client does.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    Narinfo,
    NarinfoHead,
    Nar,
    NarHead,
    /// From this byte to the end.
    Rest(usize),
    /// From a byte on, so many.
    Inner(usize, usize),
    /// Reads so many bytes of the NAR and goes away.
    GoAway(usize),
    /// Says something that is no HTTP.
    Nonsense,
    /// The NAR that a forger claims.
    Forged,
}

impl Often {
    pub fn times(self) -> Times {
        match self {
            Self::Always => Times::always(),
            Self::First(n) => Times::first(n),
            Self::Bursts(k, n) => Times::bursts(k, n),
        }
    }
}

impl Drawn {
    /// The caches that can be heard and say this of it.
    fn saying<'a>(&'a self, word: Word, world: &'a World) -> impl Iterator<Item = usize> {
        let is_heard = |n: &usize| matches!(world.caches[*n].claims, Claims::Honest);
        (0..self.held.len()).filter(move |n| self.held[*n].word == word).filter(is_heard)
    }

    /// Whether somebody credible says something else.
    pub fn is_disputed(&self) -> bool {
        self.held.iter().any(|held| held.word == Word::Dissent)
    }

    /// Whether it must be served: the honest, reachable caches satisfy the policy, one of them delivers, and nobody
    /// credible dissents.
    pub fn must_be_served(&self, world: &World) -> bool {
        let delivers = |n: usize| matches!(self.held[n].bytes, Bytes::Honest) && !world.is_liar(n);
        let honest: Vec<usize> = self.saying(Word::True, world).collect();
        honest.iter().any(|n| delivers(*n)) && honest.len() >= world.operators && !self.is_disputed()
    }

    /// Whether it must not: somebody who can be heard dissents, and somebody else can be heard too.
    pub fn must_be_refused(&self, world: &World) -> bool {
        self.saying(Word::Dissent, world).next().is_some() && self.saying(Word::True, world).next().is_some()
    }

    /// Whether a cache delivers wrong bytes for it.
    pub fn is_lied_about(&self) -> bool {
        self.held.iter().any(|held| matches!(held.bytes, Bytes::Lie(..)))
    }
}

impl World {
    /// Whether a cache ever delivers bytes that are not the NAR's, all of them that it says there are. It is not taken
    /// for honest from then on.
    fn is_liar(&self, cache: usize) -> bool {
        let mut bytes = self.packages.iter().map(|drawn| &drawn.held[cache].bytes);
        bytes.any(|bytes| matches!(bytes, Bytes::Lie(..) | Bytes::Troubled(Fault::TooShort(_), _)))
    }
}

pub fn world(seed: u64) -> World {
    let mut dice = Dice::new(seed);
    let count = 2 + dice.below(3);
    let operators = 1 + dice.below(2);
    let has_honest = dice.percent(85);
    let mut caches: Vec<Cache> = (0..count)
        .map(|n| Cache {
            claims: match has_honest && n < operators {
                true => Claims::Honest,
                false => claims(&mut dice),
            },
            knows_ranges: dice.percent(80),
        })
        .collect();
    // Who is honest says nothing of who is preferred.
    for n in 0..count {
        let other = dice.below(count);
        caches.swap(n, other);
    }
    let disputes = dice.percent(12);
    let packages: Vec<Drawn> =
        (0..1 + dice.below(5)).map(|_| drawn(&mut dice, &caches, has_honest, disputes)).collect();
    let clients = (0..1 + dice.below(3)).map(|_| acts(&mut dice, &packages)).collect();
    let buffer = dice.pick(&[1, 64, 1024]);
    World { seed, caches, packages, operators, buffer, whole: dice.percent(10), clients }
}

fn claims(dice: &mut Dice) -> Claims {
    let millis = |n| Duration::from_millis(n);
    let fault = match dice.below(20) {
        0..9 => return Claims::Honest,
        9 => return Claims::Down,
        10 => return Claims::Returns(millis(dice.pick(&[20, 200]))),
        11 => return Claims::Nowhere,
        12 => Fault::Reset,
        13 => Fault::Silent,
        14 => Fault::Garbage,
        15 => Fault::Status(429, vec![("Retry-After".to_owned(), dice.pick(&["0", "1", "600"]).to_owned())]),
        16 => Fault::status(dice.pick(&[400, 403, 500, 502, 503])),
        17 => Fault::Ends(Where::After(dice.below(300)), how(dice)),
        18 => Fault::Late(millis(dice.pick(&[50, 350, 700]))),
        _ => Fault::Drip(dice.below(200), 100),
    };
    Claims::Troubled(fault, often(dice))
}

fn how(dice: &mut Dice) -> How {
    dice.pick(&[How::Close, How::Close, How::Reset, How::Stall])
}

fn often(dice: &mut Dice) -> Often {
    match dice.below(10) {
        0..6 => Often::Always,
        6..9 => Often::First(1 + dice.below(3)),
        _ => Often::Bursts(1, 2),
    }
}

fn drawn(dice: &mut Dice, caches: &[Cache], has_honest: bool, disputes: bool) -> Drawn {
    let is_large = dice.percent(18);
    let size = if is_large { SIZES - LARGE + dice.below(LARGE) } else { dice.below(SIZES - LARGE) };
    let content = Content { size, kind: if is_large { 0 } else { dice.below(2) } };
    let mut held: Vec<Held> = caches.iter().map(|_| one(dice, content)).collect();
    if has_honest {
        for (held, cache) in held.iter_mut().zip(caches) {
            if matches!(cache.claims, Claims::Honest) && dice.percent(85) {
                held.word = Word::True;
            }
        }
        let honest: Vec<usize> =
            (0..caches.len()).filter(|n| matches!(caches[*n].claims, Claims::Honest)).collect();
        let delivering = dice.pick(&honest);
        held[delivering] = Held { word: Word::True, bytes: Bytes::Honest, ..one(dice, content) };
    }
    if disputes && dice.percent(50) {
        let dissenting = dice.below(held.len());
        held[dissenting].word = Word::Dissent;
    }
    Drawn { content, held }
}

fn one(dice: &mut Dice, content: Content) -> Held {
    let word = match dice.below(10) {
        0..7 => Word::True,
        7..9 => Word::NotFound,
        _ => Word::Noise,
    };
    let compression = match content.is_large() {
        true => dice.pick(&["none", "zstd", "zstd", "xz"]),
        false => dice.pick(&["none", "zstd", "zstd", "xz", "xz", "gzip", "bzip2", "br"]),
    };
    let length = content.file(compression).len();
    let bytes = match dice.below(20) {
        0..9 => Bytes::Honest,
        9..12 => Bytes::Lie(place(dice, content.nar_size()), often(dice)),
        _ => Bytes::Troubled(trouble(dice, length), often(dice)),
    };
    Held { word, compression, bytes }
}

/// A byte of so many: near an edge, or anywhere.
fn place(dice: &mut Dice, length: usize) -> usize {
    let edge = dice.pick(&[0, 12, 64 << 10, 256 << 10, 512 << 10, 1 << 20, length]);
    let near = (edge + dice.below(3)).saturating_sub(1 + dice.below(2));
    let place = if dice.percent(50) { near } else { dice.below(length) };
    place.min(length - 1)
}

fn trouble(dice: &mut Dice, length: usize) -> Fault {
    match dice.below(20) {
        0..7 => Fault::Ends(Where::Byte(place(dice, length)), how(dice)),
        7..10 => Fault::Ends(Where::After(1 + place(dice, length)), how(dice)),
        10 => Fault::Drip(place(dice, length), 2000),
        11 => Fault::Drip(place(dice, length), 4_000_000),
        12 => Fault::status(dice.pick(&[403, 404, 429, 500, 503])),
        13 => dice.pick_fault(&[Fault::Reset, Fault::Silent, Fault::Garbage]),
        14 => Fault::Late(Duration::from_millis(dice.pick(&[10, 100, 400]))),
        15 => Fault::TooLong(1 + dice.below(100_000)),
        16 => Fault::TooShort(1 + dice.below(length)),
        _ => Fault::Part(match dice.below(6) {
            0 => WrongPart::Later(1 + dice.below(1000)),
            1 => WrongPart::Shifted(1 + dice.below(1000)),
            2 => WrongPart::OfAnother(1 + dice.below(1000)),
            3 => WrongPart::Unsaid,
            4 => WrongPart::Unsatisfiable,
            _ => WrongPart::Whole,
        }),
    }
}

impl Dice {
    fn pick_fault(&mut self, of: &[Fault]) -> Fault {
        of[self.below(of.len())].clone()
    }
}

fn acts(dice: &mut Dice, packages: &[Drawn]) -> Vec<(usize, Act)> {
    let mut act = |_| {
        let n = dice.below(packages.len());
        let length = packages[n].content.nar_size();
        let act = match dice.below(16) {
            0..2 => Act::Narinfo,
            2 => Act::NarinfoHead,
            3..8 => Act::Nar,
            8 => Act::NarHead,
            9..11 => Act::Rest(place(dice, length)),
            11 => {
                let from = dice.below(length);
                Act::Inner(from, 1 + dice.below(length - from))
            }
            12..14 => Act::GoAway(dice.below(length)),
            14 => Act::Nonsense,
            _ => Act::Forged,
        };
        (n, act)
    };
    let count = 1 + packages.len();
    (0..count).map(&mut act).collect()
}
