//! Whether there is a package name that some patterns match and others do not, decided exactly.
//!
//! "Could any package reach this rule?" is a question about all names of a store path, and patterns with `*`
//! overlap in ways that no comparison of their texts settles. So the patterns are run side by side as one
//! automaton, built while it is walked: its state says how far each pattern has come, and every state that
//! can be reached is visited once, shortest names first. Letters that occur in no pattern all behave alike;
//! one stands for them. What store paths may be called is part of the question: `.` and names that begin
//! with `.-` are in no store, and none is longer than 211 letters.
//!
//! A pattern of *n* letters has *n* + 1 states and sets of patterns multiply, in theory exponentially. The
//! walk therefore has a [`Budget`]; past it the answer is "not known", and nothing is reported.

use crate::format::store_path::NAME_MAX;
use crate::trust::Glob;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The question: names that `inside` matches and none of `outside`, told apart by which of `watched` match.
#[derive(Debug)]
pub(super) struct Question<'a> {
    /// The patterns, one of which must match; `None` is any name.
    pub(super) inside: Option<&'a [Glob]>,
    /// Patterns of which none may match.
    pub(super) outside: Vec<&'a [Glob]>,
    /// Lists of patterns whose answers tell names apart; 128 at most, one bit each.
    pub(super) watched: Vec<&'a [Glob]>,
}

/// How many states may still be visited, over all questions of one check.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Budget {
    /// Enough for hundreds of rules with ordinary patterns, and under a second where it is used up.
    pub(super) fn usual() -> Self {
        Self(50_000)
    }

    #[cfg(test)]
    fn of(states: usize) -> Self {
        Self(states)
    }
}

/// Every combination of answers that some name gives, bit *i* being the answer of `watched[i]`, each with a
/// shortest such name; `None` if the budget was used up before it was known.
pub(super) fn answers(question: &Question<'_>, budget: &mut Budget) -> Option<BTreeMap<u128, String>> {
    let machine = Machine::new(question);
    let start = State { letters: machine.start.clone(), beginning: Beginning::Nothing };
    let mut found = BTreeMap::new();
    let mut seen = HashSet::from([start.clone()]);
    let mut layer = vec![(start, String::new())];
    for _ in 0..NAME_MAX {
        let mut next_layer = Vec::new();
        for (state, name) in layer {
            for &letter in &machine.alphabet {
                let Some(next) = machine.step(&state, letter) else { continue };
                if seen.contains(&next) {
                    continue;
                }
                budget.0 = budget.0.checked_sub(1)?;
                let mut name = name.clone();
                name.push(char::from(letter));
                if let Some(answer) = machine.answer(&next) {
                    found.entry(answer).or_insert_with(|| name.clone());
                    // Two answers to each of few questions: there can be no more.
                    if question.watched.len() < 16 && found.len() == 1 << question.watched.len() {
                        return Some(found);
                    }
                }
                seen.insert(next.clone());
                next_layer.push((next, name));
            }
        }
        layer = next_layer;
    }
    Some(found)
}

/// A set of positions, over all patterns.
type Bits = Vec<u64>;

/// How far a name has come: the positions reached in the patterns, and what store paths say of its beginning.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    letters: Bits,
    beginning: Beginning,
}

/// Names may not be `.` or `..`, or begin with `.-` or `..-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Beginning {
    Nothing,
    Dot,
    TwoDots,
    Fine,
}

impl Beginning {
    fn step(self, letter: u8) -> Option<Self> {
        match (self, letter) {
            (Self::Nothing, b'.') => Some(Self::Dot),
            (Self::Dot, b'.') => Some(Self::TwoDots),
            (Self::Dot | Self::TwoDots, b'-') => None,
            (Self::Nothing | Self::Dot | Self::TwoDots | Self::Fine, _) => Some(Self::Fine),
        }
    }
}

/// The positions of one list of patterns. The first bit is set once one of them matches however a name goes on;
/// the others are then of no more interest.
#[derive(Debug, Default)]
struct Language {
    all: Bits,
    settled: Bits,
    /// Positions from which every continuation matches.
    settling: Bits,
    /// Positions at which what was read so far matches.
    accepting: Bits,
}

/// All patterns side by side.
///
/// A pattern without its stars is a row of letters; position *p* means that *p* of them were read. A star
/// before letter *p* makes position *p* one that any letter leaves where it is.
#[derive(Debug, Default)]
struct Machine {
    size: usize,
    start: Bits,
    stays: Bits,
    moves: BTreeMap<u8, Bits>,
    /// For each pattern with several stars, the positions that stay, each with those before it: once a later
    /// one is reached, whatever an earlier one could still match, the later one can too.
    overtaken: Vec<(usize, Bits)>,
    alphabet: Vec<u8>,
    inside: Option<Language>,
    outside: Vec<Language>,
    watched: Vec<Language>,
}

impl Machine {
    fn new(question: &Question<'_>) -> Self {
        let lists = question.inside.iter().chain(&question.outside).chain(&question.watched);
        let globs = || lists.clone().flat_map(|list| list.iter());
        let positions: usize = globs().map(|glob| glob.as_str().len().saturating_add(2)).sum();
        let bits = positions.saturating_add(lists.clone().count());
        let mut machine = Self { start: vec![0; bits.div_ceil(64)], ..Self::default() };
        machine.stays = machine.start.clone();
        machine.alphabet = alphabet(globs());
        machine.moves = machine.alphabet.iter().map(|&letter| (letter, machine.start.clone())).collect();
        machine.inside = question.inside.map(|list| machine.language(list));
        machine.outside = question.outside.iter().map(|list| machine.language(list)).collect();
        machine.watched = question.watched.iter().map(|list| machine.language(list)).collect();
        let start = std::mem::take(&mut machine.start);
        machine.start = machine.tidy(start);
        machine
    }

    /// Adds a list of patterns.
    fn language(&mut self, globs: &[Glob]) -> Language {
        let empty = vec![0; self.stays.len()];
        let mut language = Language {
            all: empty.clone(),
            settled: empty.clone(),
            settling: empty.clone(),
            accepting: empty,
        };
        let settled = self.next_position(&mut language);
        set(&mut language.settled, settled);
        set(&mut language.settling, settled);
        set(&mut language.accepting, settled);
        set(&mut self.stays, settled);
        for glob in globs {
            self.pattern(glob, &mut language);
        }
        language
    }

    fn pattern(&mut self, glob: &Glob, language: &mut Language) {
        let mut position = self.next_position(language);
        let (mut earlier, mut staying) = (vec![0; self.stays.len()], 0_usize);
        set(&mut self.start, position);
        for token in glob.as_str().bytes() {
            if token == b'*' {
                if !get(&self.stays, position) {
                    set(&mut self.stays, position);
                    staying = staying.saturating_add(1);
                    if staying > 1 {
                        self.overtaken.push((position, earlier.clone()));
                    }
                }
                continue;
            }
            for (&letter, moves) in &mut self.moves {
                if token == b'?' || token == letter {
                    set(moves, position);
                }
            }
            set(&mut earlier, position);
            position = self.next_position(language);
        }
        set(&mut language.accepting, position);
        if get(&self.stays, position) {
            set(&mut language.settling, position);
        }
    }

    fn next_position(&mut self, language: &mut Language) -> usize {
        let position = self.size;
        self.size = self.size.saturating_add(1);
        set(&mut language.all, position);
        position
    }

    /// The state after one more letter; `None` if no name that goes on like this is asked for.
    fn step(&self, state: &State, letter: u8) -> Option<State> {
        let beginning = state.beginning.step(letter)?;
        let moves = self.moves.get(&letter)?;
        let mut carry = 0;
        let mut next = Vec::with_capacity(state.letters.len());
        for ((&now, &stays), &moves) in state.letters.iter().zip(&self.stays).zip(moves) {
            let moved = now & moves;
            next.push(now & stays | moved << 1 | carry);
            carry = moved >> 63;
        }
        let letters = self.tidy(next);
        let lost = self.inside.as_ref().is_some_and(|language| !meets(&letters, &language.all));
        let taken = self.outside.iter().any(|language| meets(&letters, &language.settled));
        (!lost && !taken).then_some(State { letters, beginning })
    }

    /// The same state in the one form that states with the same future have in common.
    fn tidy(&self, mut letters: Bits) -> Bits {
        for (position, earlier) in &self.overtaken {
            if get(&letters, *position) {
                clear(&mut letters, earlier);
            }
        }
        for language in self.inside.iter().chain(&self.outside).chain(&self.watched) {
            if meets(&letters, &language.settling) {
                clear(&mut letters, &language.all);
                letters.iter_mut().zip(&language.settled).for_each(|(word, settled)| *word |= settled);
            }
        }
        letters
    }

    /// Which of the watched lists match what was read, if it is a name that is asked for.
    fn answer(&self, state: &State) -> Option<u128> {
        let matches = |language: &Language| meets(&state.letters, &language.accepting);
        let asked = state.beginning == Beginning::Fine
            && self.inside.as_ref().is_none_or(matches)
            && !self.outside.iter().any(matches);
        let bit =
            |(index, language)| if matches(language) { 1_u128.checked_shl(index).unwrap_or(0) } else { 0 };
        asked.then(|| (0..).zip(&self.watched).map(bit).fold(0, |all, bit| all | bit))
    }
}

/// The letters of the patterns, the two that the beginning of a name depends on, and one for all others.
fn alphabet<'a>(globs: impl Iterator<Item = &'a Glob>) -> Vec<u8> {
    let named: BTreeSet<u8> =
        globs.flat_map(|glob| glob.as_str().bytes()).filter(|b| !b"*?".contains(b)).collect();
    let known = || (b'a'..=b'z').chain(b'0'..=b'9').chain(b'A'..=b'Z').chain(*b"-._+=?");
    let mut alphabet: Vec<u8> = known().filter(|b| named.contains(b) || b"-.".contains(b)).collect();
    alphabet.extend(known().find(|b| !alphabet.contains(b)));
    alphabet
}

fn set(bits: &mut Bits, position: usize) {
    if let Some(word) = bits.get_mut(position / 64) {
        *word |= 1 << (position % 64);
    }
}

fn get(bits: &Bits, position: usize) -> bool {
    bits.get(position / 64).is_some_and(|word| word >> (position % 64) & 1 == 1)
}

fn clear(bits: &mut Bits, others: &Bits) {
    bits.iter_mut().zip(others).for_each(|(word, other)| *word &= !other);
}

fn meets(bits: &Bits, others: &Bits) -> bool {
    bits.iter().zip(others).any(|(word, other)| word & other != 0)
}

#[cfg(test)]
mod tests;
