//! Derivations: the texts with names in `.drv` that say how a path is built.
//!
//! ```text
//! Derive([("out","/nix/store/…","","")],           outputs: name, path, method and algorithm, hash
//!        [("/nix/store/….drv",["out"])],           derivations needed, and which outputs of each
//!        ["/nix/store/…"],                         other paths needed
//!        "x86_64-linux","/bin/sh",["-c","…"],      platform, builder, arguments
//!        [("name","…")])                           environment
//! ```
//!
//! Read for three questions: which outputs there are, what went into them, and whether Nix was told to forget what they
//! refer to. Platform, builder, arguments and the rest of the environment are checked for their form and not kept. Nothing is built, hashed or looked up.
//!
//! Rules kept: no blank between tokens, one spelling of each string; paths lie in the store directory; no output,
//! derivation or path is listed twice. `DrvWithVersion`, the form of dynamic derivations, is refused: their
//! inputs are not known before they are built. Source: NixOS/nix `src/libstore/derivations.cc`.

use thiserror::Error;

use super::content_address::ContentAddress;
use super::hash::{HashAlgo, HashError, NixHash};
use super::store_path::{NameError, StoreDir, StorePath, StorePathError, validate_name};

mod read;

use read::Reader;

/// What of a derivation says where its outputs lie and what they came from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Derivation {
    /// What it builds, in its order.
    pub outputs: Vec<Output>,
    /// The derivations that must be built first, and the names of the outputs that are needed of each.
    pub input_derivations: Vec<(StorePath, Vec<String>)>,
    /// The other paths that it needs.
    pub input_sources: Vec<StorePath>,
    /// Whether `unsafeDiscardReferences` is among its structured attributes: then an output may hold hash parts of paths that
    /// are not recorded as its references.
    pub forgets_references: bool,
}

/// One output of a derivation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Output {
    /// Its name, `out` for the usual one.
    pub name: String,
    /// Where it will lie; `None` if that depends on what is built.
    pub path: Option<StorePath>,
    /// What its path follows from.
    pub kind: OutputKind,
}

/// What the path of an output follows from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OutputKind {
    /// The contents, which are not known before (experimental), or not even the same twice (`impure`).
    Floating,
    /// The contents, whose hash is fixed in advance.
    Fixed(ContentAddress),
    /// All that goes into it. Nearly every output is of this kind.
    InputAddressed,
}

/// How much a derivation may ask of its reader.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Longest text, in bytes.
    pub bytes: usize,
    /// Most items in any one list.
    pub items: usize,
}

impl Default for Limits {
    /// 16 MiB and 100,000 items. Guesses: the largest derivations of nixpkgs have a few hundred KiB.
    fn default() -> Self {
        Self { bytes: 16 << 20, items: 100_000 }
    }
}

impl Derivation {
    /// Reads the text of a derivation in a store of this directory.
    pub fn parse(text: &[u8], dir: &StoreDir, limits: &Limits) -> Result<Self, DerivationFault> {
        if text.len() > limits.bytes {
            return Err(DerivationFault {
                offset: limits.bytes,
                kind: FaultKind::TooLong { limit: limits.bytes },
            });
        }
        let mut reader = Reader::new(text, limits.items);
        if reader.takes(b"DrvWithVersion(") {
            return Err(reader.fault(FaultKind::Dynamic));
        }
        reader.expect(b"Derive(")?;
        let outputs = reader.list(|reader| output(reader, dir))?;
        unique(outputs.iter().map(|output| &output.name), &reader)?;
        reader.expect(b",")?;
        let input_derivations = reader.list(|reader| input_derivation(reader, dir))?;
        unique(input_derivations.iter().map(|(path, _)| path), &reader)?;
        reader.expect(b",")?;
        let input_sources = reader.list(|reader| store_path(reader, dir))?;
        unique(input_sources.iter(), &reader)?;
        // Platform and builder.
        for _ in 0..2 {
            reader.expect(b",")?;
            reader.skip_string()?;
        }
        reader.expect(b",")?;
        reader.list(Reader::skip_string)?;
        reader.expect(b",")?;
        let mut forgets_references = false;
        reader.list(|reader| {
            reader.expect(b"(")?;
            let is_json = reader.bytes()? == b"__json";
            reader.expect(b",")?;
            if is_json {
                let attributes = reader.bytes()?;
                forgets_references |= attributes.windows(FORGETTING.len()).any(|part| part == FORGETTING);
            } else {
                reader.skip_string()?;
            }
            reader.expect(b")")
        })?;
        reader.expect(b")")?;
        reader.end()?;
        Ok(Self { outputs, input_derivations, input_sources, forgets_references })
    }
}

/// The key of the attribute, as Nix's JSON has it. Source: NixOS/nix `src/libstore/derivation-options.cc`.
const FORGETTING: &[u8] = br#""unsafeDiscardReferences":"#;

/// `("name","path","method and algorithm","hash")`
fn output(reader: &mut Reader<'_>, dir: &StoreDir) -> Result<Output, DerivationFault> {
    reader.expect(b"(")?;
    let name = output_name(reader)?;
    reader.expect(b",")?;
    let (at, path) = reader.text()?;
    let path = Some(path).filter(|path| !path.is_empty());
    let path = path.map(|path| StorePath::from_absolute_path(dir, &path)).transpose();
    let path = path.map_err(|source| DerivationFault { offset: at, kind: source.into() })?;
    reader.expect(b",")?;
    let (at, algo) = reader.text()?;
    reader.expect(b",")?;
    let (_, hash) = reader.text()?;
    reader.expect(b")")?;
    let kind = kind(&algo, &hash).map_err(|kind| DerivationFault { offset: at, kind })?;
    if path.is_none() && matches!(kind, OutputKind::Fixed(_)) {
        return Err(DerivationFault { offset: at, kind: FaultKind::Unplaced });
    }
    Ok(Output { name, path, kind })
}

/// The kind that an output's last two texts mean.
fn kind(algo: &str, hash: &str) -> Result<OutputKind, FaultKind> {
    if algo.is_empty() {
        return if hash.is_empty() { Ok(OutputKind::InputAddressed) } else { Err(FaultKind::Unmethodical) };
    }
    let (method, name) = match algo.split_once(':') {
        Some((method @ ("r" | "text"), name)) => (method, name),
        Some(_) => return Err(FaultKind::Method),
        None => ("", algo),
    };
    let algo: HashAlgo = name.parse()?;
    if matches!(hash, "" | "impure") {
        return Ok(OutputKind::Floating);
    }
    let hash = NixHash::from_str(hash, algo)?;
    Ok(OutputKind::Fixed(match (method, hash) {
        ("r", hash) => ContentAddress::Recursive(hash),
        ("text", NixHash::Sha256(digest)) => ContentAddress::Text(digest),
        ("text", _) => return Err(HashError::NotSha256 { found: algo }.into()),
        (_, hash) => ContentAddress::Flat(hash),
    }))
}

/// `("path",["output",…])`
fn input_derivation(
    reader: &mut Reader<'_>,
    dir: &StoreDir,
) -> Result<(StorePath, Vec<String>), DerivationFault> {
    reader.expect(b"(")?;
    let begun = reader.offset();
    let path = store_path(reader, dir)?;
    if !path.name().ends_with(".drv") {
        return Err(DerivationFault { offset: begun, kind: FaultKind::NoDerivation });
    }
    reader.expect(b",")?;
    let outputs = reader.list(output_name)?;
    unique(outputs.iter(), reader)?;
    reader.expect(b")")?;
    Ok((path, outputs))
}

fn store_path(reader: &mut Reader<'_>, dir: &StoreDir) -> Result<StorePath, DerivationFault> {
    let (offset, text) = reader.text()?;
    StorePath::from_absolute_path(dir, &text)
        .map_err(|source| DerivationFault { offset, kind: source.into() })
}

/// The name of an output becomes a part of a path's name, so it is made like one.
fn output_name(reader: &mut Reader<'_>) -> Result<String, DerivationFault> {
    let (offset, name) = reader.text()?;
    validate_name(&name).map_err(|source| DerivationFault { offset, kind: FaultKind::OutputName(source) })?;
    Ok(name)
}

/// Nix keeps these lists as sets and maps, and prints them so.
fn unique<T: Ord>(items: impl Iterator<Item = T>, reader: &Reader<'_>) -> Result<(), DerivationFault> {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    let repeated = items.array_windows().any(|[one, other]| one == other);
    if repeated { Err(reader.fault(FaultKind::Repeated)) } else { Ok(()) }
}

/// Why a text is not a derivation that can be read here, and where.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("no derivation, at byte {offset}: {kind}")]
pub struct DerivationFault {
    /// Bytes before the fault.
    pub offset: usize,
    /// What is wrong.
    pub kind: FaultKind,
}

/// What can be wrong with a derivation.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum FaultKind {
    /// `DrvWithVersion`, with which dynamic derivations begin.
    #[error("dynamic derivations, an experiment of Nix, are not supported")]
    Dynamic,
    /// A backslash before something else than a backslash, a quotation mark, `n`, `r` or `t`.
    #[error("an escape that means nothing")]
    Escape,
    /// Other bytes than those that must come.
    #[error("expected {}", expected.escape_ascii())]
    Expected {
        /// What must come.
        expected: &'static [u8],
    },
    /// An output's hash or its algorithm.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// A way of hashing that is none of Nix's stable ones, such as `git:`.
    #[error("an output with a method of hashing that is not supported")]
    Method,
    /// A path among the derivations whose name does not end in `.drv`.
    #[error("a path among the derivations that is none")]
    NoDerivation,
    /// A name that no output may have.
    #[error("the name of an output: {0}")]
    OutputName(NameError),
    /// An item that was in its list before, which ends here.
    #[error("a list that names something twice")]
    Repeated,
    /// A path that is none of the store.
    #[error(transparent)]
    StorePath(#[from] StorePathError),
    /// A text that must be a path, name or hash and is not UTF-8.
    #[error("a text that is not UTF-8")]
    Text,
    /// More bytes than [`Limits::bytes`].
    #[error("more than {limit} bytes")]
    TooLong {
        /// The number allowed.
        limit: usize,
    },
    /// More items in a list than [`Limits::items`].
    #[error("a list of more than {limit} items")]
    TooMany {
        /// The number allowed.
        limit: usize,
    },
    /// Bytes after the end.
    #[error("bytes after the end")]
    Trailing,
    /// A hash without the algorithm that made it.
    #[error("an output with a hash and no algorithm")]
    Unmethodical,
    /// A fixed output without a path, although it follows from the hash.
    #[error("an output with a fixed hash and no path")]
    Unplaced,
}

#[cfg(test)]
mod tests;
