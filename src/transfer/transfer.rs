//! One NAR on its way: fetched, decoded, hashed and parsed, and given out only as far as it is checked; from another
//! source where one fails.
//!
//! The socket is read here; decoding, hashing and parsing run on a blocking thread, a batch at a time, so that neither
//! a slow client nor a slow source holds a thread. While a batch is being worked on the next is read. Where there is
//! nothing to decode and other transfers are under way, what was read is hashed and parsed at once, in the task that
//! read it: that takes some 0.2 ms, and another thread would have to be woken for it. The bytes that [`NarCheck`]
//! withholds come last, when everything agrees and the verdict still holds.
//!
//! ```text
//!           ┌─────────── the same file goes on where it stopped, the same check with it ──────────┐
//!           ▼                                                                                     │
//! turn ─► input ─► check ─► checked ─► given out ─► … ─► the end, and all agrees       a source fails ◄─ input, check
//!           ▲                               │                                                     │
//!           │                               └── the hash of what was given out ──┐                │
//!           └── another file from its start, with a check that must come by here ◄────────────────┘
//! ```
//!
//! What came by Range from somebody who only says that he has the same file can be wrong without anybody having lied
//! about a whole NAR; such a fault blames nobody, and the next source begins at the start. What diverges from what was
//! given out blames nobody either, before a whole NAR has hashed (design §5).

mod failing;

use crate::evidence::Fate;
use crate::format::nar::{self, content::ContentCheck};
use crate::transfer::broken::{Broken, Contribution};
use crate::transfer::budget::{Budget, Room};
use crate::transfer::decode::Decoder;
use crate::transfer::fetch::Interrupted;
use crate::transfer::input::Input;
use crate::transfer::relay::Demand;
use crate::transfer::sources::{Begun, Opened, Sources};
use crate::transfer::verify::{Mark, NarCheck, Passed, TransferFault};
use crate::transfer::withdrawn::Withdrawn;
use crate::transfer::work::{Wants, Work, Worked, work};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

/// A NAR being transferred.
#[derive(Debug)]
pub struct Transfer {
    sources: Sources,
    budget: Budget,
    demand: Demand,
    withdrawn: Withdrawn,
    /// What was given out cannot be taken back; if it may be wrong, that is remembered here.
    stands: Option<Arc<Broken>>,
    input: Option<Input>,
    /// Bytes of more than one source, or of more than one request, went into the check.
    is_mixed: bool,
    /// The file that a failed source has begun and that may be gone on with.
    begun: Option<Begun>,
    work: Work,
    checked: VecDeque<Passed>,
    /// What was given out.
    sent: Mark,
    /// Who gave which part of it.
    parts: Vec<Contribution>,
    /// How far any source has come.
    front: u64,
    /// Sources whose bytes were others than those given out.
    diverged: Vec<usize>,
    /// Why sources failed that said nothing wrong, the last one last.
    failures: Vec<Interrupted>,
    /// The last thing that was wrong.
    fault: Option<TransferError>,
    /// What the decoder holds of the memory budget.
    memory: Option<Room>,
}

/// What comes next.
#[derive(Debug)]
pub enum Next {
    /// Checked bytes.
    Bytes(Bytes),
    /// All that came before is void: the NAR begins again. Never where it stands.
    Again,
    /// Nothing: all has come, and has agreed.
    End,
}

/// Why a transfer ended before its last byte.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The source stopped.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// The bytes are not what was endorsed.
    #[error("the bytes are not what was endorsed: {0}")]
    Fault(#[from] TransferFault),
    /// The source's compression is not one that is decoded here.
    #[error("the source's compression is not one that is decoded here")]
    Undecodable,
    /// There is no source.
    #[error("no source is left that may deliver it")]
    NoSource,
    /// The verdict was withdrawn meanwhile.
    #[error("the verdict was withdrawn")]
    Withdrawn,
    /// The work ended without a result.
    #[error("decoding ended early: {0}")]
    Lost(#[from] tokio::task::JoinError),
}

impl Transfer {
    /// A transfer from these sources; none is asked before its bytes are. What it gives out `stands` if it cannot be
    /// taken back.
    pub(super) fn new(
        sources: Sources,
        budget: Budget,
        demand: Demand,
        withdrawn: Withdrawn,
        stands: Option<Arc<Broken>>,
    ) -> Self {
        Self {
            sources,
            budget,
            demand,
            withdrawn,
            stands,
            input: None,
            is_mixed: false,
            begun: None,
            work: Work::None,
            checked: VecDeque::new(),
            sent: Mark::start(),
            parts: Vec::new(),
            front: 0,
            diverged: Vec::new(),
            failures: Vec::new(),
            fault: None,
            memory: None,
        }
    }

    /// The next checked bytes, from whichever source delivers them.
    ///
    /// # Errors
    /// [`TransferError`] when no source is left; nothing more comes after it.
    pub async fn next(&mut self) -> Result<Next, TransferError> {
        loop {
            if self.input.is_none() && !matches!(self.work, Work::Over) && self.turn().await? {
                return Ok(Next::Again);
            }
            match self.advance().await {
                Ok(Some(Passed { bytes, mark })) => {
                    self.sent = mark;
                    return Ok(Next::Bytes(bytes));
                }
                Ok(None) => return Ok(Next::End),
                Err(error) => self.fail(error)?,
            }
        }
    }

    async fn advance(&mut self) -> Result<Option<Passed>, TransferError> {
        loop {
            let Some(input) = &mut self.input else { return Ok(self.checked.pop_front()) };
            match &mut self.work {
                Work::Idle(_, wants) => {
                    if *wants == Wants::Input {
                        if let Some(passed) = self.checked.pop_front_if(|_| input.is_empty()) {
                            return Ok(Some(passed));
                        }
                        input.wait().await?;
                    }
                    self.start().await?;
                }
                Work::Busy(job) => {
                    if let Some(passed) = self.checked.pop_front() {
                        return Ok(Some(passed));
                    }
                    let has_room = input.has_room();
                    tokio::select! {
                        biased;
                        worked = &mut *job => {
                            let worked = worked??;
                            self.apply(worked)?;
                        }
                        () = input.read(), if has_room => {}
                    }
                }
                Work::None | Work::Over => return Ok(self.checked.pop_front()),
            }
        }
    }

    /// Puts what has come to work, or does the work where it is little.
    async fn start(&mut self) -> Result<(), TransferError> {
        let Work::Idle(check, wants) = std::mem::replace(&mut self.work, Work::None) else { return Ok(()) };
        let (batch, is_last) = match &mut self.input {
            Some(input) if wants == Wants::Input => input.take(),
            Some(input) => (Vec::new(), input.is_over() && input.is_empty()),
            None => (Vec::new(), false),
        };
        // One alone is done sooner if it is hashed while the next is read and the last is written.
        let is_alone = self.stands.is_some() && self.budget.is_for_one();
        if check.is_plain() && !is_alone {
            return self.apply(work(check, batch, is_last)?);
        }
        let permit = Arc::clone(&self.budget.cpu).acquire_owned().await;
        self.work = Work::Busy(tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(check, batch, is_last)
        }));
        Ok(())
    }

    fn apply(&mut self, worked: Worked) -> Result<(), TransferError> {
        match worked {
            Worked::More(check, wants, output) => {
                self.checked.extend(output);
                self.work = Work::Idle(check, wants);
            }
            Worked::Done(output) => {
                self.work = Work::Over;
                if self.withdrawn.is_raised() {
                    return Err(TransferError::Withdrawn);
                }
                self.checked.extend(output);
                self.settle();
            }
        }
        Ok(())
    }

    /// A whole NAR has hashed, and begins with what was given out: who had other bytes lied.
    fn settle(&mut self) {
        self.note_pace();
        if let Some(input) = self.input.take()
            && let Some(cache) = self.sources.cache(input.source)
        {
            cache.delivered(input.began);
            self.sources.tell(input.source, Fate::Right);
        }
        self.memory = None;
        for source in std::mem::take(&mut self.diverged) {
            self.sources.tell(source, Fate::False);
        }
    }

    /// Turns to the next source; says whether what was given out is void.
    async fn turn(&mut self) -> Result<bool, TransferError> {
        let Some(opened) = self.sources.open(self.begun.as_ref(), &mut self.failures).await else {
            return Err(self.give_up());
        };
        if opened.first_byte > 0 {
            self.is_mixed = true;
            self.input = Some(Input::of(opened));
            return Ok(false);
        }
        self.begin(opened).await
    }

    /// Begins a file from its start.
    async fn begin(&mut self, opened: Opened) -> Result<bool, TransferError> {
        let is_void = self.stands.is_none() && self.sent.position() > 0;
        if is_void {
            self.sent = Mark::start();
        }
        self.checked.clear();
        (self.work, self.is_mixed) = (Work::None, false);
        let source = opened.source;
        let first = opened.first.clone().unwrap_or_default();
        self.input = Some(Input::of(opened));
        match self.check(source, &first).await {
            Ok(check) => self.work = Work::Idle(Box::new(check), Wants::Input),
            Err(error) => self.fail(error)?,
        }
        Ok(is_void)
    }

    async fn check(&mut self, source: usize, first: &[u8]) -> Result<NarCheck, TransferError> {
        let codec = self.sources.codec(source).ok_or(TransferError::Undecodable)?;
        let room =
            self.budget.room(codec, first, self.memory.take()).await.ok_or(TransferError::Withdrawn)?;
        let window = room.decoder;
        self.memory = Some(room);
        let Demand { nar_hash, nar_size, address, .. } = self.demand;
        let limits = nar::Limits { nar_size, ..nar::Limits::default() };
        let decoder = Decoder::new(codec, window).map_err(TransferFault::from)?;
        let content = address.as_ref().map(ContentCheck::of);
        Ok(NarCheck::new(decoder, *nar_hash.digest(), nar_size, &limits, content, self.sent.clone()))
    }
}
