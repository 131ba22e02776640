//! The compressors behind one face: bytes in, file out.

use super::{Output, PackError};
use crate::config::Compression;
use liblzma::stream::{Action, Check, Filters, LzmaOptions, Status, Stream};
use std::sync::atomic::{AtomicBool, Ordering};
use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective as Directive;
use zstd::zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, SafeResult, get_error_name};

/// One file being compressed.
pub(super) struct Encoder {
    engine: Engine,
    /// Where compressed bytes come to before they are written.
    buffer: Vec<u8>,
}

enum Engine {
    None,
    Xz(Box<Stream>),
    Zstd {
        context: Box<CCtx<'static>>,
        /// To be started with the second block.
        threads: u32,
        begun: bool,
    },
}

impl Encoder {
    pub(super) fn new(compression: Compression, threads: u32) -> Result<Self, PackError> {
        let engine = match compression {
            Compression::None => return Ok(Self { engine: Engine::None, buffer: Vec::new() }),
            Compression::Xz(level) => Engine::Xz(Box::new(xz(level).map_err(|_| PackError::Compress("xz"))?)),
            Compression::Zstd(level) => {
                let mut context = CCtx::try_create().ok_or(PackError::Compress("no memory for zstd"))?;
                zstd(context.set_parameter(CParameter::CompressionLevel(level.into())))?;
                let most = if level < HEAVY { threads } else { 1 };
                Engine::Zstd { context: Box::new(context), threads: most.max(1), begun: false }
            }
        };
        Ok(Self { engine, buffer: vec![0; BUFFER] })
    }

    /// How much should be pushed at once, in bytes: of a small NAR all of it, at the end.
    pub(super) fn block(&self) -> usize {
        match self.engine {
            Engine::Zstd { begun: false, .. } => SMALL,
            Engine::None | Engine::Xz(_) | Engine::Zstd { .. } => BLOCK,
        }
    }

    /// Takes bytes that are not the last.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Output<'_>) -> Result<(), PackError> {
        match &mut self.engine {
            Engine::None => out.put(bytes),
            Engine::Xz(stream) => run_xz(stream, bytes, Action::Run, &mut self.buffer, out, None),
            Engine::Zstd { context, threads, begun } => {
                if !*begun {
                    *begun = true;
                    zstd(context.set_parameter(CParameter::NbWorkers(*threads)))?;
                    zstd(context.set_parameter(CParameter::JobSize(JOB)))?;
                }
                run_zstd(context, bytes, Directive::ZSTD_e_continue, &mut self.buffer, out, None)
            }
        }
    }

    /// Takes the last bytes and ends the file.
    pub(super) fn finish(
        &mut self,
        bytes: &[u8],
        out: &mut Output<'_>,
        cancel: &AtomicBool,
    ) -> Result<(), PackError> {
        let cancel = Some(cancel);
        match &mut self.engine {
            Engine::None => out.put(bytes),
            Engine::Xz(stream) => run_xz(stream, bytes, Action::Finish, &mut self.buffer, out, cancel),
            Engine::Zstd { context, begun, .. } => {
                if !*begun {
                    // A size that is known makes for smaller tables, and stands in the frame's header.
                    zstd(context.set_pledged_src_size(Some(bytes.len() as u64)))?;
                }
                run_zstd(context, bytes, Directive::ZSTD_e_end, &mut self.buffer, out, cancel)
            }
        }
    }
}

fn run_zstd(
    context: &mut CCtx<'static>,
    bytes: &[u8],
    directive: Directive,
    buffer: &mut [u8],
    out: &mut Output<'_>,
    cancel: Option<&AtomicBool>,
) -> Result<(), PackError> {
    let is_end = matches!(directive, Directive::ZSTD_e_end);
    let mut input = InBuffer::around(bytes);
    loop {
        stop_if(cancel)?;
        let mut output = OutBuffer::around(&mut *buffer);
        let left = zstd(context.compress_stream2(&mut output, &mut input, directive))?;
        let made = output.pos();
        out.put(buffer.get(..made).unwrap_or_default())?;
        let is_done = if is_end { left == 0 } else { input.pos() == bytes.len() };
        if is_done {
            return Ok(());
        }
    }
}

fn run_xz(
    stream: &mut Stream,
    mut bytes: &[u8],
    action: Action,
    buffer: &mut [u8],
    out: &mut Output<'_>,
    cancel: Option<&AtomicBool>,
) -> Result<(), PackError> {
    loop {
        stop_if(cancel)?;
        let before = (stream.total_in(), stream.total_out());
        let status = stream.process(bytes, buffer, action).map_err(|_| PackError::Compress("xz"))?;
        let moved = |from: u64, to: u64| usize::try_from(to - from).unwrap_or(usize::MAX);
        let made = moved(before.1, stream.total_out());
        bytes = bytes.get(moved(before.0, stream.total_in())..).unwrap_or_default();
        out.put(buffer.get(..made).unwrap_or_default())?;
        let is_done = match action {
            Action::Finish => matches!(status, Status::StreamEnd),
            _ => bytes.is_empty() && made < buffer.len(),
        };
        if is_done {
            return Ok(());
        }
    }
}

fn stop_if(cancel: Option<&AtomicBool>) -> Result<(), PackError> {
    match cancel {
        Some(cancel) if cancel.load(Ordering::Relaxed) => Err(PackError::Cancelled),
        _ => Ok(()),
    }
}

/// An xz stream at a level, its check as Nix and xz write it.
fn xz(level: u8) -> Result<Stream, liblzma::stream::Error> {
    let preset = u32::from(level);
    let mut options = LzmaOptions::new_preset(if level > XZ_USUAL { preset | EXTREME } else { preset })?;
    if level > XZ_USUAL {
        options.dict_size(DICTIONARY);
    }
    let mut filters = Filters::new();
    filters.lzma2(&options);
    Stream::new_stream_encoder(&filters, Check::Crc64)
}

fn zstd(result: SafeResult) -> Result<usize, PackError> {
    result.map_err(|code| PackError::Compress(get_error_name(code)))
}

/// What is hashed and compressed at once.
const BLOCK: usize = 1 << 20;

/// What zstd compresses in one call on the thread that dumps. At 3 MB its threads lost time in six of eight runs
/// side by side; at 240 MB two of them were ahead of none in four of five. The machine was busy: a guess between.
const SMALL: usize = 4 << 20;

/// The level of xz whose dictionary is the largest used.
const XZ_USUAL: u8 = 6;

/// The dictionary of that level; ten times as much memory is needed to search it.
const DICTIONARY: u32 = 8 << 20;

/// `LZMA_PRESET_EXTREME`: search harder, in the same memory.
const EXTREME: u32 = 1 << 31;

/// From this level of zstd on one thread takes 48 to 85 MiB for its tables.
const HEAVY: u8 = 12;

/// What one thread of zstd gets at a time. By its own choice it would be four windows, which is 8 MiB at level 3
/// and 32 at 19, three times over.
const JOB: u32 = 2 << 20;

/// Room for compressed bytes.
const BUFFER: usize = 256 << 10;
