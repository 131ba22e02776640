//! Narinfos as text: written field by field, signed with real keys, damaged, and read back by the real
//! parser.

use crate::format::fingerprint::fingerprint;
use crate::format::narinfo::{Core, Limits, NarInfo, ParseError};
use crate::format::{
    ContentAddress, HashPart, KeyName, NarHash, NixHash, Signature, SigningKey, StoreDir, StorePath,
};
use crate::trust::{CacheId, Claim, Location};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

thread_local! {
    static KEYS: RefCell<HashMap<String, Rc<SigningKey>>> = RefCell::default();
    static SIGNATURES: RefCell<HashMap<(String, String), Signature>> = RefCell::default();
}

/// The secret key that goes by this name: its seed follows from the name.
pub(super) fn secret(name: &str) -> Rc<SigningKey> {
    let make = || Rc::new(SigningKey::from_seed(KeyName::parse(name).unwrap(), &Sha256::digest(name).into()));
    KEYS.with_borrow_mut(|keys| Rc::clone(keys.entry(name.to_owned()).or_insert_with(make)))
}

/// The signature of a key over a text, made once.
fn signature(key: &str, text: &str) -> Signature {
    let make = || secret(key).sign(text.as_bytes());
    SIGNATURES
        .with_borrow_mut(|made| made.entry((key.to_owned(), text.to_owned())).or_insert_with(make).clone())
}

/// The text of a narinfo. What is signed is what stands in it at that moment; later changes are alterations.
#[derive(Clone, Debug)]
pub(super) struct Sheet {
    base_name: String,
    nar_hash: String,
    nar_size: u64,
    references: String,
    compression: &'static str,
    lines: Vec<String>,
    outside: bool,
}

/// A sheet for the path that most tests ask for.
pub(super) fn hello() -> Sheet {
    Sheet {
        base_name: format!("{HASH_PART}-hello-2.12"),
        nar_hash: nar_hash("honest contents"),
        nar_size: 226_560,
        references: format!("{HASH_PART}-hello-2.12 {GLIBC}"),
        compression: "xz",
        lines: Vec::new(),
        outside: false,
    }
}

/// The same path with other contents.
pub(super) fn other() -> Sheet {
    hello().contents("other contents")
}

/// A path that follows from its address, without references; its NarHash is the address's if that is one.
pub(super) fn certified(address: ContentAddress) -> Sheet {
    let path = address.store_path(&StoreDir::default(), "hello-2.12", &[].into_iter().collect()).unwrap();
    let sheet = Sheet { base_name: path.to_string(), references: String::new(), ..hello() };
    let sheet = match address.binds_nar_hash() {
        Some(hash) => Sheet { nar_hash: hash.to_string(), ..sheet },
        None => sheet,
    };
    sheet.line(&format!("CA: {address}"))
}

/// `fixed:r:sha256` of these contents.
pub(super) fn recursive(contents: &str) -> ContentAddress {
    ContentAddress::Recursive(NixHash::Sha256(Sha256::digest(contents).into()))
}

/// `fixed:sha256` of a file.
pub(super) fn flat(contents: &str) -> ContentAddress {
    ContentAddress::Flat(NixHash::Sha256(Sha256::digest(contents).into()))
}

pub(super) fn nar_hash(contents: &str) -> String {
    NarHash::from_digest(Sha256::digest(contents).into()).to_string()
}

impl Sheet {
    /// The name, with the same hash part.
    pub(super) fn named(self, name: &str) -> Self {
        let hash_part = &self.base_name[..32];
        Self { base_name: format!("{hash_part}-{name}"), ..self }
    }

    /// Another NarHash.
    pub(super) fn contents(self, contents: &str) -> Self {
        Self { nar_hash: nar_hash(contents), ..self }
    }

    /// Another NarSize.
    pub(super) fn size(self, nar_size: u64) -> Self {
        Self { nar_size, ..self }
    }

    /// Other references.
    pub(super) fn references(self, references: &str) -> Self {
        Self { references: references.to_owned(), ..self }
    }

    /// Another compression.
    pub(super) fn compression(self, compression: &'static str) -> Self {
        Self { compression, ..self }
    }

    /// A URL that leads outside what the cache may point to.
    pub(super) fn outside(self) -> Self {
        Self { outside: true, ..self }
    }

    /// One more line, whatever it is.
    pub(super) fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Without its content address.
    pub(super) fn unaddressed(mut self) -> Self {
        self.lines.retain(|line| !line.starts_with("CA: "));
        self
    }

    /// Signs what stands here with these keys (names with spaces between them).
    pub(super) fn signed(mut self, keys: &str) -> Self {
        let text = self.fingerprint();
        self.lines.extend(keys.split_whitespace().map(|key| format!("Sig: {}", signature(key, &text))));
        self
    }

    /// A signature that bears one key's name and was made with another.
    pub(super) fn signed_as(self, name: &str, by: &str) -> Self {
        let made = signature(by, &self.fingerprint());
        let sig = Signature::from_parts(KeyName::parse(name).unwrap(), *made.bytes());
        self.line(&format!("Sig: {sig}"))
    }

    /// The signatures of another sheet, which may be over another core.
    pub(super) fn signatures_of(mut self, other: &Self) -> Self {
        self.lines.extend(other.lines.iter().filter(|l| l.starts_with("Sig: ")).cloned());
        self
    }

    /// What a cache would send.
    pub(super) fn text(&self) -> String {
        let Self { base_name, nar_hash, nar_size, references, compression, .. } = self;
        let lines: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
        format!(
            "StorePath: /nix/store/{base_name}\nURL: nar/x.nar\nCompression: {compression}\n\
             NarHash: {nar_hash}\nNarSize: {nar_size}\nReferences: {references}\n{lines}"
        )
    }

    /// What the real parser makes of it.
    pub(super) fn parse(&self) -> Result<NarInfo, ParseError> {
        NarInfo::parse(self.text().as_bytes(), &StoreDir::default(), &Limits::default())
    }

    /// The signed part.
    pub(super) fn core(&self) -> Core {
        let unsigned = Self { lines: Vec::new(), ..self.clone() };
        unsigned.parse().unwrap().core
    }

    pub(super) fn path(&self) -> StorePath {
        StorePath::from_base_name(&self.base_name).unwrap()
    }

    /// What the asking ring makes of the sheet: a claim for the asked path, or `None` of a faulty cache.
    pub(super) fn claim(&self, cache: CacheId, asked: HashPart) -> Option<Claim> {
        let location = (!self.outside).then(|| Location(format!("https://c{}.test/x.nar", cache.0).into()));
        Claim::new(cache, asked, self.parse().ok()?, location, &StoreDir::default()).ok()
    }

    fn fingerprint(&self) -> String {
        fingerprint(&StoreDir::default(), &self.core())
    }
}

const HASH_PART: &str = "syd87l2rxw8cbsxmxl853h0r6pdwhwjr";

/// Something to refer to.
pub(super) const GLIBC: &str = "6w8g7njm4mck5dmjxws0z1xnrxvl81xa-glibc-2.34-115";
