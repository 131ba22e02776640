//! Why a path is not endorsed, as a value: what is missing or who dissents, under which rule, and the
//! configuration line that would lift it.
//!
//! One table gives code, label and sentence; adding a reason does not build until all three exist.

use crate::format::NarHash;
use std::fmt;

/// Why a path is refused or deferred. Names are copied in, so that a reason outlives a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The path asked for: whole where a claim told its name, else the hash part.
    pub path: Box<str>,
    /// The package's name, where a claim told it.
    pub name: Option<Box<str>>,
    /// The name of the rule that applied, where a name told which.
    pub rule: Option<Box<str>>,
    /// What is wrong.
    pub kind: ReasonKind,
    /// The caches whose answer is missing.
    pub missing: Vec<Box<str>>,
}

/// What is missing, or who dissents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReasonKind {
    /// No cache that answered has the path.
    NoClaim,
    /// No claim carries a counting signature of a signer that the rule names.
    NotCredible {
        /// The signers that the rule names.
        needed: Vec<Box<str>>,
        /// The caches that claim the path.
        caches: Vec<Box<str>>,
    },
    /// The claims agree and are not enough.
    Short(Vec<Shortfall>),
    /// The claims agree, and are not enough without signers that vouched for another core of the path before.
    Contradiction {
        /// Those signers.
        signers: Vec<Box<str>>,
        /// The NarHash that is claimed now.
        nar_hash: NarHash,
        /// By how much the others fall short.
        shortfalls: Vec<Shortfall>,
    },
    /// Credible claims differ.
    Dissent {
        /// How the rule settles dissent.
        settled_by: Settling,
        /// Who claims what.
        sides: Vec<Side>,
    },
    /// Credible claims give the path different names.
    Names(Vec<Box<str>>),
    /// The rule demands the answer of caches that gave none.
    MustAnswer(Vec<Box<str>>),
    /// The path would certify itself, and its bytes could not be checked in time.
    BytesUnchecked,
    /// Endorsed, and no source offers bytes that can be fetched and decoded.
    NoSource,
}

/// How a rule settles dissent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settling {
    /// It does not: the path is refused.
    Refuse,
    /// By a majority of voices.
    Outvote,
    /// By a list of preferred signers.
    Prefer,
}

/// By how much agreeing claims fall short of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shortfall {
    /// Too few independent voices.
    Voices {
        /// How many the clause demands.
        needed: u32,
        /// How many there are.
        found: u32,
        /// Out of these signers.
        of: Vec<Box<str>>,
        /// These vouch.
        vouching: Vec<Box<str>>,
    },
    /// Credible claims of too few operators.
    Operators {
        /// How many the rule demands.
        needed: u32,
        /// Whose claims agree.
        found: Vec<Box<str>>,
    },
}

/// One side of a dissent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// The NarHash that it claims.
    pub nar_hash: NarHash,
    /// The caches that claim it credibly.
    pub caches: Vec<Box<str>>,
    /// Caches whose last credible claim it is, and which are silent now.
    pub before: Vec<Box<str>>,
    /// The signers that vouch for it.
    pub signers: Vec<Box<str>>,
}

impl Reason {
    /// A stable number for programs.
    pub fn code(&self) -> u16 {
        match self.kind {
            ReasonKind::NoClaim => 10,
            ReasonKind::NotCredible { .. } => 20,
            ReasonKind::Short(_) => 21,
            ReasonKind::Dissent { .. } => 30,
            ReasonKind::Names(_) => 31,
            ReasonKind::Contradiction { .. } => 32,
            ReasonKind::MustAnswer(_) => 40,
            ReasonKind::BytesUnchecked => 41,
            ReasonKind::NoSource => 50,
        }
    }

    /// A word for logs and counters.
    pub fn label(&self) -> &'static str {
        match self.kind {
            ReasonKind::NoClaim => "no-claim",
            ReasonKind::NotCredible { .. } => "not-credible",
            ReasonKind::Short(_) => "shortfall",
            ReasonKind::Dissent { .. } => "dissent",
            ReasonKind::Names(_) => "names-differ",
            ReasonKind::Contradiction { .. } => "contradiction",
            ReasonKind::MustAnswer(_) => "must-answer",
            ReasonKind::BytesUnchecked => "bytes-unchecked",
            ReasonKind::NoSource => "no-source",
        }
    }

    /// The line of the configuration that would lift it, or what else would.
    pub fn lift(&self) -> String {
        let rule = self.rule.as_deref().unwrap_or("…");
        let name = self.name.as_deref().unwrap_or("…");
        let except = |subject: String| {
            format!(
                "[[exceptions]] {subject}, rule = \"…\" (a rule that it satisfies), until = …, why = \"…\""
            )
        };
        match &self.kind {
            ReasonKind::NoClaim | ReasonKind::BytesUnchecked => {
                "nothing in the configuration: the missing caches must answer".to_owned()
            }
            ReasonKind::NotCredible { .. } => format!(
                "the signer of its signatures in `signatures.of` of rule \"{rule}\" (and its key under [signers]), or {}",
                except(format!("packages = [\"{name}\"]"))
            ),
            ReasonKind::Short(shortfalls) => {
                let key = match shortfalls.first() {
                    Some(Shortfall::Operators { .. }) => "operators",
                    Some(Shortfall::Voices { .. }) | None => "signatures.at-least",
                };
                format!(
                    "a lower `{key}` in rule \"{rule}\", or {}",
                    except(format!("packages = [\"{name}\"]"))
                )
            }
            ReasonKind::Dissent { sides, .. } => {
                let hash = sides.first().map(|s| s.nar_hash.to_string()).unwrap_or_default();
                except(format!("core = {{ path = \"{}\", nar-hash = \"{hash}\" }}", self.path))
            }
            ReasonKind::Contradiction { nar_hash, .. } => {
                except(format!("core = {{ path = \"{}\", nar-hash = \"{nar_hash}\" }}", self.path))
            }
            ReasonKind::Names(_) => {
                "`may-vouch-for` of the signer that should not vouch for this package".to_owned()
            }
            ReasonKind::MustAnswer(_) => format!("`must-answer` of rule \"{rule}\""),
            ReasonKind::NoSource => {
                "`role = \"source\"` for a cache that has the path, or `nar-hosts` for where its NARs are"
                    .to_owned()
            }
        }
    }
}

impl fmt::Display for Reason {
    /// One sentence, in ASCII where the configured names are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rule) = &self.rule {
            write!(f, "rule \"{rule}\": ")?;
        }
        self.kind.fmt(f)?;
        if self.missing.is_empty() { Ok(()) } else { write!(f, "; no answer from {}", list(&self.missing)) }
    }
}

impl fmt::Display for ReasonKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoClaim => f.write_str("no cache that answered has the path"),
            Self::NotCredible { needed, caches } => {
                write!(f, "no counting signature of {} on what {} claims", list(needed), list(caches))
            }
            Self::Short(shortfalls) => each(f, shortfalls),
            Self::Contradiction { signers, nar_hash, shortfalls } => {
                write!(
                    f,
                    "{} vouched for another core before, and now for {nar_hash}; without: ",
                    list(signers)
                )?;
                each(f, shortfalls)
            }
            Self::Dissent { settled_by, sides } => {
                f.write_str(match settled_by {
                    Settling::Refuse => "credible claims differ: ",
                    Settling::Outvote => "credible claims differ and none outvotes the others: ",
                    Settling::Prefer => "credible claims differ and no preferred signer settles it: ",
                })?;
                for (index, side) in sides.iter().enumerate() {
                    if index > 0 {
                        f.write_str(" against ")?;
                    }
                    side.fmt(f)?;
                }
                Ok(())
            }
            Self::Names(names) => write!(f, "credible claims name the path differently: {}", list(names)),
            Self::MustAnswer(caches) => write!(f, "must-answer: {} did not answer", list(caches)),
            Self::BytesUnchecked => {
                f.write_str("the path would certify itself, but its bytes could not be checked in time")
            }
            Self::NoSource => {
                f.write_str("no source offers its bytes in a form that can be fetched and decoded")
            }
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by ", self.nar_hash)?;
        match (self.caches.as_slice(), self.before.as_slice()) {
            (now, []) => f.write_str(&list(now))?,
            ([], before) => write!(f, "{} before", list(before))?,
            (now, before) => write!(f, "{}, before by {}", list(now), list(before))?,
        }
        write!(f, " (signed by {})", list(&self.signers))
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Voices { needed, found, of, vouching } => {
                write!(f, "{found} of {needed} needed voices out of {}", list(of))?;
                if vouching.is_empty() { Ok(()) } else { write!(f, " (vouching: {})", list(vouching)) }
            }
            Self::Operators { needed, found } => {
                write!(f, "{} of {needed} needed operators", found.len())?;
                if found.is_empty() { Ok(()) } else { write!(f, " ({})", list(found)) }
            }
        }
    }
}

fn each(f: &mut fmt::Formatter<'_>, shortfalls: &[Shortfall]) -> fmt::Result {
    for (index, shortfall) in shortfalls.iter().enumerate() {
        if index > 0 {
            f.write_str("; ")?;
        }
        fmt::Display::fmt(shortfall, f)?;
    }
    Ok(())
}

fn list(names: &[Box<str>]) -> String {
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}
