//! Packing: a NAR as it leaves the store becomes the file that is uploaded, in one pass.
//!
//! ```text
//! dump ── NAR ──► sha256, counted ──► zstd | xz | nothing ──► sha256, counted ──► file
//! ```
//!
//! It blocks: run it on a blocking thread. It does not look into the NAR; whether its hash is the one that the
//! store has recorded is the caller's to compare.
//!
//! **Made so that all can read it.** One zstd frame, one xz stream, so that readers that stop after the first
//! have it all. Windows stay at or below 8 MiB, which every reader allows unasked.
//!
//! **Memory** does not depend on the NAR's size. For one call, buffers included:
//!
//! | compression | memory |
//! |---|---|
//! | none | 1 MiB |
//! | zstd 1 to 5 | 20 MiB with one thread, 10 MiB for each further one |
//! | zstd 6 to 11 | 40 MiB with one thread, 30 MiB for each further one |
//! | zstd 12 to 19 | at most 125 MiB; one thread, whatever is asked for |
//! | xz 0 to 9 | 5, 10, 18, 33, 49, 96 MiB at 5 and above |
//!
//! xz levels above 6 differ from it in the size of the dictionary alone, and would take up to 674 MiB; here they
//! search harder in the dictionary of level 6 instead.
//!
//! **The same NAR gives the same file**, however many threads there are, so that what was packed twice has one
//! name: a NAR of more than 4 MiB always goes through zstd's own threads, and a smaller one never, for which
//! they would cost more than they gain.

mod encoder;
mod error;

use crate::aside::{Aside, Durability};
use crate::config::Compression;
use crate::format::{Compression as Stated, FileHash, NarHash, base32};
use encoder::Encoder;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

pub use error::PackError;

/// What was packed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Packed {
    /// The sha256 of the NAR.
    pub nar_hash: NarHash,
    /// The length of the NAR, in bytes.
    pub nar_size: u64,
    /// The sha256 of the file.
    pub file_hash: FileHash,
    /// The length of the file, in bytes.
    pub file_size: u64,
    /// How it was compressed.
    pub compression: Compression,
}

impl Packed {
    /// The name that the file has at a destination: `nar/<FileHash>.nar.zst`, `.nar.xz` or `.nar`, as Nix has it.
    pub fn name(&self) -> String {
        format!("nar/{}", self.file_name())
    }

    /// Whether something could have such a [`name`](Self::name), with any of Nix's compressions.
    pub fn could_be_named(name: &str) -> bool {
        let parts = name.strip_prefix("nar/").and_then(|rest| rest.split_once(".nar"));
        parts.is_some_and(|(hash, extension)| {
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            base32::decode_fixed::<32>(hash.as_bytes()).is_ok()
                && (extension.is_empty()
                    || extension.strip_prefix('.').is_some_and(|rest| rest.bytes().all(is_plain)))
        })
    }

    /// The compression as a narinfo states it.
    pub fn stated(&self) -> Stated {
        match self.compression {
            Compression::None => Stated::None,
            Compression::Xz(_) => Stated::Xz,
            Compression::Zstd(_) => Stated::Zstd,
        }
    }

    fn file_name(&self) -> String {
        let extension = match self.compression {
            Compression::None => "",
            Compression::Xz(_) => ".xz",
            Compression::Zstd(_) => ".zst",
        };
        format!("{}.nar{extension}", self.file_hash.nixbase32())
    }
}

/// Packs the NAR that `dump` writes into `file`, from where the file stands.
///
/// `threads` bounds the threads that compress. When `cancel` becomes true, the next write fails and `dump` should
/// end. On failure the file holds whatever it holds; it is not synced here.
///
/// # Errors
/// [`PackError`] if the dump or the file fails, or it is cancelled.
pub fn pack<E>(
    dump: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    compression: Compression,
    threads: u32,
    file: &mut File,
    cancel: &AtomicBool,
) -> Result<Packed, PackError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut packer = Packer {
        block: Vec::new(),
        nar: Sha256::new(),
        nar_size: 0,
        encoder: Encoder::new(compression, threads)?,
        out: Output { file, hash: Sha256::new(), size: 0, is_nar: compression == Compression::None },
        cancel,
        fault: None,
    };
    let dumped = dump(&mut packer);
    // Whatever the dump makes of it: what failed first failed here.
    if let Some(fault) = packer.fault.take() {
        return Err(fault);
    }
    dumped.map_err(|error| PackError::Dump(error.into()))?;
    packer.finish(compression)
}

/// Hashes the NAR that `dump` writes, and keeps nothing of it: its hash and its length.
///
/// # Errors
/// [`PackError`] if the dump fails or it is cancelled.
pub fn measure<E>(
    dump: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    cancel: &AtomicBool,
) -> Result<(NarHash, u64), PackError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    struct Measure<'a>(Sha256, u64, &'a AtomicBool);
    impl Write for Measure<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.2.load(Ordering::Relaxed) {
                return Err(io::Error::other("cancelled"));
            }
            self.0.update(bytes);
            self.1 += bytes.len() as u64;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut measure = Measure(Sha256::new(), 0, cancel);
    match dump(&mut measure) {
        Err(_) if cancel.load(Ordering::Relaxed) => Err(PackError::Cancelled),
        Err(error) => Err(PackError::Dump(error.into())),
        Ok(()) => Ok((NarHash::from_digest(measure.0.finalize().into()), measure.1)),
    }
}

/// Packs into a new file of `directory`, which must exist. It gets its name, the last part of [`Packed::name`],
/// when it is whole, replacing an equal one; until then it is an [`Aside`], and gone if anything fails.
///
/// # Errors
/// As [`pack`].
pub fn pack_in<E>(
    directory: &Path,
    dump: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    compression: Compression,
    threads: u32,
    durability: Durability,
    cancel: &AtomicBool,
) -> Result<(Packed, PathBuf), PackError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut aside = Aside::create(directory, "nar", 0o600).map_err(PackError::File)?;
    let packed = pack(dump, compression, threads, aside.file(), cancel)?;
    let place = directory.join(packed.file_name());
    aside.keep(&place, durability).map_err(PackError::File)?;
    Ok((packed, place))
}

/// What the dump writes to.
struct Packer<'a> {
    /// What has come and not been hashed.
    block: Vec<u8>,
    nar: Sha256,
    nar_size: u64,
    encoder: Encoder,
    out: Output<'a>,
    cancel: &'a AtomicBool,
    fault: Option<PackError>,
}

impl Packer<'_> {
    fn take(&mut self, mut bytes: &[u8]) -> Result<(), PackError> {
        while !bytes.is_empty() {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(PackError::Cancelled);
            }
            let limit = self.encoder.block();
            let room = limit - self.block.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            // The last block is left for the end, which compresses a small NAR at once.
            if self.block.len() == limit && !bytes.is_empty() {
                self.pass_on()?;
            }
        }
        Ok(())
    }

    fn pass_on(&mut self) -> Result<(), PackError> {
        self.account();
        self.encoder.push(&self.block, &mut self.out)?;
        self.block.clear();
        Ok(())
    }

    fn account(&mut self) {
        self.nar.update(&self.block);
        self.nar_size += self.block.len() as u64;
    }

    fn finish(mut self, compression: Compression) -> Result<Packed, PackError> {
        self.account();
        self.encoder.finish(&self.block, &mut self.out, self.cancel)?;
        let nar: [u8; 32] = self.nar.finalize().into();
        // Uncompressed, the file is the NAR: it is hashed once.
        let file = if self.out.is_nar { nar } else { self.out.hash.finalize().into() };
        Ok(Packed {
            nar_hash: NarHash::from_digest(nar),
            nar_size: self.nar_size,
            file_hash: FileHash::from_digest(file),
            file_size: self.out.size,
            compression,
        })
    }
}

impl Write for Packer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.fault.is_none() {
            self.fault = self.take(bytes).err();
        }
        match &self.fault {
            // `Interrupted` would be tried again.
            Some(fault) => Err(io::Error::other(fault.to_string())),
            None => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The file, hashed and counted.
struct Output<'a> {
    file: &'a mut File,
    hash: Sha256,
    size: u64,
    is_nar: bool,
}

impl Output<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), PackError> {
        if !self.is_nar {
            self.hash.update(bytes);
        }
        self.size += bytes.len() as u64;
        self.file.write_all(bytes).map_err(PackError::File)
    }
}
