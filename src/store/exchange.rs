//! One question and its answer, with what the daemon says in between.
//!
//! Before each answer the daemon may send any number of frames for a person to read: lines, activities that
//! start, stop and report. They are read and forgotten. A frame that ends the work says whether it failed; frames
//! that would make the client read or write for the daemon belong to operations that are not used here.

use super::error::{Fault, TooOld};
use super::wire::{Request, Wire};

/// Greets the daemon; returns its version of Nix.
///
/// 1.34 is offered whatever the daemon offers: every daemon since 2.8 speaks it, and from 1.38 on the greeting
/// would have a list of features more.
pub(super) fn greet(wire: &mut Wire) -> Result<Result<String, String>, Fault> {
    // The last two are obsolete: no processor to run on, no space to reserve.
    let greeting = Request::default().number(CLIENT_MAGIC).number(PROTOCOL).number(0).number(0);
    wire.send(&greeting)?;
    if wire.number()? != SERVER_MAGIC {
        return Err(Fault::Magic);
    }
    let version = wire.number()?;
    let (major, minor) = (version >> 8, version & 0xff);
    if major != PROTOCOL >> 8 || minor < PROTOCOL & 0xff {
        return Err(TooOld { major, minor }.into());
    }
    let nix = printable(&wire.bytes(NIX_VERSION_MAX)?);
    let result = frames(wire)?;
    wire.settle()?;
    Ok(result.map(|()| nix))
}

/// Asks, and reads the answer with `read`; the inner error is what the daemon says against it.
pub(super) fn ask<T>(
    wire: &mut Wire,
    request: &Request,
    read: impl FnOnce(&mut Wire) -> Result<T, Fault>,
) -> Result<Result<T, String>, Fault> {
    wire.send(request)?;
    let answer = match frames(wire)? {
        Ok(()) => Ok(read(wire)?),
        Err(message) => Err(message),
    };
    wire.settle()?;
    Ok(answer)
}

/// Reads frames up to the last; an inner error is the daemon's message.
fn frames(wire: &mut Wire) -> Result<Result<(), String>, Fault> {
    for _ in 0..FRAMES_MAX {
        match wire.number()? {
            LAST => return Ok(Ok(())),
            ERROR => return error(wire).map(Err),
            NEXT => drop(wire.bytes(TEXT_MAX)?),
            START => {
                // Its number, level and kind.
                for _ in 0..3 {
                    wire.number()?;
                }
                wire.bytes(TEXT_MAX)?;
                fields(wire)?;
                // The activity that it belongs to.
                wire.number()?;
            }
            STOP => drop(wire.number()?),
            RESULT => {
                wire.number()?;
                wire.number()?;
                fields(wire)?;
            }
            READ | WRITE => return Err(Fault::Malformed { what: "a frame that this operation cannot have" }),
            _ => return Err(Fault::Malformed { what: "a frame of no known kind" }),
        }
    }
    Err(Fault::Excess { what: "messages before one answer", limit: FRAMES_MAX })
}

/// The frame of an error, as from protocol 1.26 on.
fn error(wire: &mut Wire) -> Result<String, Fault> {
    // Always `Error`.
    wire.bytes(NIX_VERSION_MAX)?;
    // Its level.
    wire.number()?;
    // A name that is obsolete.
    wire.bytes(TEXT_MAX)?;
    let message = printable(&wire.bytes(TEXT_MAX)?);
    position(wire)?;
    for _ in 0..wire.count(TRACES_MAX)? {
        position(wire)?;
        wire.bytes(TEXT_MAX)?;
    }
    Ok(message)
}

/// The place in a source text that an error has; the daemon never sends one.
fn position(wire: &mut Wire) -> Result<(), Fault> {
    match wire.number()? {
        0 => Ok(()),
        _ => Err(Fault::Malformed { what: "an error with a position" }),
    }
}

/// The details of an activity.
fn fields(wire: &mut Wire) -> Result<(), Fault> {
    for _ in 0..wire.count(FIELDS_MAX)? {
        match wire.number()? {
            0 => drop(wire.number()?),
            1 => drop(wire.bytes(TEXT_MAX)?),
            _ => return Err(Fault::Malformed { what: "a field of no known kind" }),
        }
    }
    Ok(())
}

/// The daemon's words as one line that a terminal or a log can be given.
///
/// Colours are left out whole; every other control character becomes a space.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut line = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if line.len() >= MESSAGE_MAX {
            line.push('…');
            break;
        }
        if character == '\x1b' {
            // `ESC [`, parameters, and a letter that ends them.
            if characters.next_if_eq(&'[').is_some() {
                while characters.next_if(|c| c.is_ascii_digit() || *c == ';').is_some() {}
                characters.next_if(char::is_ascii_alphabetic);
            }
        } else if character.is_control() || is_bidirectional(character) {
            line.push(' ');
        } else {
            line.push(character);
        }
    }
    line.trim().to_owned()
}

/// Characters that would show the text around them in another order.
fn is_bidirectional(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

const CLIENT_MAGIC: u64 = 0x6e69_7863;
const SERVER_MAGIC: u64 = 0x6478_696f;
/// 1.34
const PROTOCOL: u64 = 1 << 8 | 34;

const NEXT: u64 = 0x6f6c_6d67;
const READ: u64 = 0x6461_7461;
const WRITE: u64 = 0x6461_7416;
const LAST: u64 = 0x616c_7473;
const ERROR: u64 = 0x6378_7470;
const START: u64 = 0x5354_5254;
const STOP: u64 = 0x5354_4f50;
const RESULT: u64 = 0x5253_4c54;

/// Frames before one answer. A guess: the operations used here say nothing, or a warning or two.
const FRAMES_MAX: u64 = 10_000;
/// Bytes of one text for a person. A guess; errors with a whole build log have been seen at 100 KiB.
const TEXT_MAX: usize = 1 << 20;
/// Fields of one frame; the longest has four.
const FIELDS_MAX: usize = 64;
/// Traces of one error. A guess.
const TRACES_MAX: usize = 1000;
/// Bytes of a version or of the word `Error`.
const NIX_VERSION_MAX: usize = 256;
/// Bytes of a message that are passed on.
const MESSAGE_MAX: usize = 8 << 10;
