//! Narinfos and hashes a second time: what the texts mean, read without `src/format`.

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use sha2::{Digest, Sha256};

/// What a strict reader finds in a narinfo.
#[derive(Clone, Debug)]
pub struct Told {
    pub core: Core,
    pub url: String,
    pub compression: String,
    pub content_address: Option<String>,
    /// Key name, bytes and line of what is a signature at all.
    pub signatures: Vec<(String, [u8; 64], String)>,
}

/// The signed part. The path is a base name, the NarHash base32, the references sorted base names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Core {
    pub path: String,
    pub nar_hash: String,
    pub nar_size: u64,
    pub references: Vec<String>,
}

impl Core {
    pub fn hash_part(&self) -> &str {
        &self.path[..32]
    }

    pub fn name(&self) -> &str {
        &self.path[33..]
    }

    /// What a signature is over.
    pub fn signed_text(&self) -> String {
        let references: Vec<String> = self.references.iter().map(|r| format!("/nix/store/{r}")).collect();
        let (path, hash) = (&self.path, &self.nar_hash);
        format!("1;/nix/store/{path};sha256:{hash};{};{}", self.nar_size, references.join(","))
    }
}

const FIELDS: [&str; 12] = [
    "StorePath",
    "URL",
    "Compression",
    "FileHash",
    "FileSize",
    "NarHash",
    "NarSize",
    "References",
    "Deriver",
    "System",
    "Sig",
    "CA",
];

/// Reads a narinfo; `None` where a strict reader refuses it.
pub fn read(bytes: &[u8]) -> Option<Told> {
    let plain = bytes.iter().all(|b| *b == b'\n' || (b' '..=b'~').contains(b));
    if !plain || bytes.len() > 1 << 20 {
        return None;
    }
    let text = String::from_utf8(bytes.to_vec()).ok()?;
    let mut fields: Vec<(&str, &str)> = Vec::new();
    for line in text.strip_suffix('\n')?.split('\n') {
        let (name, value) = line.split_once(": ")?;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphabetic()) {
            return None;
        }
        match FIELDS.iter().find(|f| f.eq_ignore_ascii_case(name)) {
            Some(field) if *field != name => return None,
            Some(&"Sig") | None => {}
            Some(_) if fields.iter().any(|(n, _)| *n == name) => return None,
            Some(_) => {}
        }
        fields.push((name, value));
    }
    let field = |name| fields.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
    let path = field("StorePath")?.strip_prefix("/nix/store/").filter(|p| is_base_name(p))?;
    let mut references: Vec<String> = match field("References") {
        None | Some("") => Vec::new(),
        Some(list) => {
            list.split(' ').map(|r| is_base_name(r).then(|| r.to_owned())).collect::<Option<_>>()?
        }
    };
    references.sort();
    references.dedup();
    let nar_size = number(field("NarSize")?).filter(|size| *size > 0)?;
    let url = field("URL").filter(|url| !url.is_empty() && url.len() <= 4096 && !url.contains(' '))?;
    let compression = field("Compression").unwrap_or("bzip2");
    if compression.contains(' ') {
        return None;
    }
    // Nobody looks at these; but they must be well formed.
    field("FileHash").map_or(Some(()), |h| hash(h).map(drop))?;
    field("FileSize").map_or(Some(()), |n| number(n).map(drop))?;
    field("Deriver").map_or(Some(()), |d| (d == "unknown-deriver" || is_base_name(d)).then_some(()))?;
    let (algorithm, nar_hash) = hash(field("NarHash")?)?;
    if algorithm != "sha256" {
        return None;
    }
    let signatures = fields.iter().filter(|(name, _)| *name == "Sig").take(64);
    Some(Told {
        core: Core { path: path.to_owned(), nar_hash: base32(&nar_hash), nar_size, references },
        url: url.to_owned(),
        compression: compression.to_owned(),
        content_address: field("CA").filter(|ca| !ca.is_empty()).map(str::to_owned),
        signatures: signatures.filter_map(|(_, value)| signature(value)).collect(),
    })
}

fn signature(value: &str) -> Option<(String, [u8; 64], String)> {
    let (name, text) = value.split_once(':')?;
    let named = (1..=128).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+=@-".contains(&b));
    let bytes = BASE64.decode(text.as_bytes()).ok().filter(|_| named)?;
    Some((name.to_owned(), bytes.try_into().ok()?, value.to_owned()))
}

fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|n| plain && *n <= 64 << 30)
}

fn is_base_name(text: &str) -> bool {
    let Some((hash, name)) = text.split_once('-') else { return false };
    let name_is_one = (1..=211).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._?=".contains(&b))
        && !matches!(name, "." | "..")
        && !name.starts_with(".-")
        && !name.starts_with("..-");
    hash.len() == 32 && from_base32(hash).is_some() && name_is_one
}

/// A hash in one of Nix's spellings, and its algorithm.
pub fn hash(text: &str) -> Option<(String, Vec<u8>)> {
    let (algorithm, digest) = text.split_once(':').or_else(|| text.split_once('-'))?;
    let length = match algorithm {
        "md5" => 16,
        "sha1" => 20,
        "sha256" => 32,
        "sha512" => 64,
        _ => return None,
    };
    let bytes = if text.contains(':') && digest.len() == 2 * length {
        HEXLOWER_PERMISSIVE.decode(digest.as_bytes()).ok()?
    } else if text.contains(':') && digest.len() == (length * 8).div_ceil(5) {
        from_base32(digest)?
    } else {
        BASE64.decode(digest.as_bytes()).ok()?
    };
    (bytes.len() == length).then(|| (algorithm.to_owned(), bytes))
}

const DIGITS: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// Nix's base32: the last character has the lowest five bits.
pub fn base32(bytes: &[u8]) -> String {
    let bit = |n: usize| bytes.get(n / 8).map_or(0, |byte| byte >> (n % 8) & 1);
    let digit = |n: usize| (0..5).map(|k| usize::from(bit(5 * n + k)) << k).sum::<usize>();
    (0..(bytes.len() * 8).div_ceil(5)).rev().map(|n| char::from(DIGITS[digit(n)])).collect()
}

fn from_base32(text: &str) -> Option<Vec<u8>> {
    let mut bytes = vec![0_u8; text.len() * 5 / 8];
    for (n, character) in text.bytes().rev().enumerate() {
        let digit = DIGITS.iter().position(|d| *d == character)?;
        for k in (0..5).filter(|k| digit >> k & 1 == 1) {
            *bytes.get_mut((5 * n + k) / 8)? |= 1 << ((5 * n + k) % 8);
        }
    }
    Some(bytes)
}

/// How a path is bound to its contents; only sha256 is generated here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Text(Vec<u8>),
    Flat(Vec<u8>),
    Recursive(Vec<u8>),
}

impl Address {
    fn read(text: &str) -> Option<Self> {
        let sha256 = |text: &str| hash(text).filter(|(algorithm, _)| algorithm == "sha256").map(|(_, h)| h);
        if let Some(rest) = text.strip_prefix("text:") {
            sha256(rest).map(Self::Text)
        } else if let Some(rest) = text.strip_prefix("fixed:r:") {
            sha256(rest).map(Self::Recursive)
        } else {
            sha256(text.strip_prefix("fixed:")?).map(Self::Flat)
        }
    }

    /// The address that a claim states, if the claimed path follows from it.
    pub fn of(told: &Told) -> Option<Self> {
        let address = Self::read(told.content_address.as_ref()?)?;
        let Core { path, references, .. } = &told.core;
        let mut kind = match &address {
            Self::Text(_) => "text".to_owned(),
            Self::Recursive(_) => "source".to_owned(),
            Self::Flat(_) if references.is_empty() => "output:out".to_owned(),
            Self::Flat(_) => return None,
        };
        for reference in references {
            kind.push_str(&format!(":/nix/store/{reference}"));
        }
        let inner = match &address {
            Self::Text(hash) | Self::Recursive(hash) => HEXLOWER.encode(hash),
            Self::Flat(hash) => {
                let fixed = format!("fixed:out:sha256:{}:", HEXLOWER.encode(hash));
                HEXLOWER.encode(&Sha256::digest(fixed.as_bytes()))
            }
        };
        let whole = format!("{kind}:sha256:{inner}:/nix/store:{}", told.core.name());
        let digest = Sha256::digest(whole.as_bytes());
        let mut folded = [0_u8; 20];
        digest.iter().enumerate().for_each(|(n, byte)| folded[n % 20] ^= byte);
        (base32(&folded) == told.core.hash_part() && !references.contains(path)).then_some(address)
    }

    /// Whether a NAR holds what the address is of. Only NARs of one plain file are generated.
    pub fn is_of(&self, nar: &[u8]) -> bool {
        let mut tokens: Vec<&[u8]> = Vec::new();
        let mut rest = nar;
        while let Some((length, after)) = rest.split_first_chunk::<8>() {
            let length = usize::try_from(u64::from_le_bytes(*length)).unwrap();
            let Some(token) = after.get(..length) else { return false };
            tokens.push(token);
            let Some(after) = after.get(length.next_multiple_of(8)..) else { return false };
            rest = after;
        }
        match (self, tokens.as_slice()) {
            (Self::Recursive(hash), _) => Sha256::digest(nar)[..] == hash[..],
            (Self::Text(hash) | Self::Flat(hash), [_, _, _, b"regular", b"contents", contents, _]) => {
                Sha256::digest(contents)[..] == hash[..]
            }
            (Self::Text(_) | Self::Flat(_), _) => false,
        }
    }
}
