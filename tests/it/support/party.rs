//! Parties with keys, paths with contents, and the narinfos that they sign.

use countersign::format::content_address::ContentAddress;
use countersign::format::fingerprint::fingerprint;
use countersign::format::narinfo::{Core, References};
use countersign::format::{KeyName, NarHash, NixHash, SigningKey, StoreDir, StorePath};
use sha2::{Digest, Sha256};

/// A signer with one key.
#[derive(Debug)]
pub struct Party(pub SigningKey);

impl Party {
    /// A party whose key follows from its name.
    pub fn new(name: &str) -> Self {
        let seed: [u8; 32] = Sha256::digest(name.as_bytes()).into();
        Self(SigningKey::from_seed(KeyName::parse(name).unwrap(), &seed))
    }

    pub fn key(&self) -> String {
        self.0.verifying_key().to_string()
    }

    pub fn sign(&self, core: &Core) -> String {
        self.0.sign(fingerprint(&StoreDir::default(), core).as_bytes()).to_string()
    }
}

/// A path with the NAR that it stands for.
#[derive(Clone, Debug)]
pub struct Package {
    pub core: Core,
    pub nar: Vec<u8>,
}

/// A package and the content address of its path.
#[derive(Clone, Debug)]
pub struct Certified {
    pub package: Package,
    pub address: ContentAddress,
}

impl Package {
    /// A package that is one file. The hash part follows from the name, as if input-addressed.
    pub fn new(name: &str, contents: &[u8]) -> Self {
        Self::with_references(name, contents, &[])
    }

    pub fn with_references(name: &str, contents: &[u8], references: &[&Self]) -> Self {
        Self::of_nar(name, file_nar(contents), references)
    }

    /// A package with any bytes for its NAR.
    pub fn of_nar(name: &str, nar: Vec<u8>, references: &[&Self]) -> Self {
        let digest: [u8; 32] = Sha256::digest(name.as_bytes()).into();
        let hash = countersign::format::base32::encode(&digest[..20]);
        let core = Core {
            store_path: StorePath::from_base_name(&format!("{hash}-{name}")).unwrap(),
            nar_hash: NarHash::from_digest(Sha256::digest(&nar).into()),
            nar_size: nar.len() as u64,
            references: References::from_unsorted(
                references.iter().map(|p| p.core.store_path.clone()).collect(),
            ),
        };
        Self { core, nar }
    }

    /// A path that certifies itself: `recursive`, `flat` (both sha256) or `text`.
    pub fn content_addressed(kind: &str, name: &str, contents: &[u8]) -> Certified {
        let mut package = Self::new(name, contents);
        let flat = NixHash::Sha256(Sha256::digest(contents).into());
        let address = match kind {
            "recursive" => ContentAddress::Recursive(NixHash::Sha256(*package.core.nar_hash.digest())),
            "flat" => ContentAddress::Flat(flat),
            "text" => ContentAddress::Text(Sha256::digest(contents).into()),
            other => panic!("no such content address: {other}"),
        };
        let dir = StoreDir::default();
        package.core.store_path = address.store_path(&dir, name, &References::default()).unwrap();
        Certified { package, address }
    }

    /// The same path with other contents.
    pub fn forged(&self, contents: &[u8]) -> Self {
        let nar = file_nar(contents);
        let mut core = self.core.clone();
        core.nar_hash = NarHash::from_digest(Sha256::digest(&nar).into());
        core.nar_size = nar.len() as u64;
        Self { core, nar }
    }

    pub fn hash(&self) -> String {
        self.core.store_path.hash_part().to_string()
    }

    pub fn path(&self) -> String {
        self.core.store_path.to_absolute_path(&StoreDir::default())
    }

    /// Where a test's cache keeps the NAR.
    pub fn url(&self, compression: &str) -> String {
        format!("nar/{}.nar{}", self.core.nar_hash.nixbase32(), extension(compression))
    }

    /// The narinfo that the parties sign.
    pub fn narinfo(&self, compression: &str, signers: &[&Party]) -> String {
        let Core { store_path, nar_hash, nar_size, references } = &self.core;
        let references: Vec<String> = references.iter().map(ToString::to_string).collect();
        let mut text = format!(
            "StorePath: /nix/store/{store_path}\nURL: {}\nCompression: {compression}\nNarHash: {nar_hash}\n\
             NarSize: {nar_size}\nReferences: {}\n",
            self.url(compression),
            references.join(" ")
        );
        for signer in signers {
            text.push_str(&format!("Sig: {}\n", signer.sign(&self.core)));
        }
        text
    }

    /// The same, and which file the NAR is in.
    pub fn narinfo_of_file(&self, compression: &str, signers: &[&Party], file: &[u8]) -> String {
        let hash = NixHash::Sha256(Sha256::digest(file).into()).to_nix_nixbase32_string();
        let lines = format!("FileHash: {hash}\nFileSize: {}\nNarHash: ", file.len());
        self.narinfo(compression, signers).replacen("NarHash: ", &lines, 1)
    }

    /// The NAR, compressed.
    pub fn compressed(&self, compression: &str) -> Vec<u8> {
        compress(&self.nar, compression)
    }
}

/// Bytes under a compression.
pub fn compress(bytes: &[u8], compression: &str) -> Vec<u8> {
    use std::io::Write;
    match compression {
        "none" => bytes.to_vec(),
        "zstd" => zstd::encode_all(bytes, 3).unwrap(),
        "xz" => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "bzip2" => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "br" => {
            let mut out = Vec::new();
            let mut encoder = brotli::CompressorWriter::new(&mut out, 4096, 3, 20);
            encoder.write_all(bytes).unwrap();
            drop(encoder);
            out
        }
        other => panic!("no such compression: {other}"),
    }
}

/// What follows `.nar` in a file's name.
pub fn extension(compression: &str) -> &'static str {
    match compression {
        "zstd" => ".zst",
        "xz" => ".xz",
        "bzip2" => ".bz2",
        "br" => ".br",
        _ => "",
    }
}

/// The NAR of one regular file.
pub fn file_nar(contents: &[u8]) -> Vec<u8> {
    let mut nar = Vec::with_capacity(contents.len() + 128);
    for token in [&b"nix-archive-1"[..], b"(", b"type", b"regular", b"contents", contents, b")"] {
        nar.extend_from_slice(&(token.len() as u64).to_le_bytes());
        nar.extend_from_slice(token);
        nar.resize(nar.len().next_multiple_of(8), 0);
    }
    nar
}

/// Bytes that do not compress to nothing, the same for one seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&(state & 0x3f3f_3f3f_3f3f_3f3f).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
