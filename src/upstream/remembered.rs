//! What the caches said of each path, remembered in a file without a name.
//!
//! A closure's worth of narinfos would fill the memory of a service that is idle most of the time. So here only
//! where each path's answers lie is held, and the answers are written to a file that is unlinked as soon as it is
//! open; while it is read often it is in the kernel's page cache. Nothing survives the process.
//!
//! What is read back is what a cache said, word for word, and no more than that: it is parsed, checked and judged
//! again like an answer that came just now. Where the file cannot be written, caches are asked again.
//!
//! The file is a ring: new answers are written over the oldest, and a path's answers are written anew, all
//! together, when one is added.

use crate::format::HashPart;
use crate::trust::CacheId;
use crate::upstream::{Known, Said};
use bytes::{Buf, BufMut, Bytes};
use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// The answers about many paths.
#[derive(Clone, Debug)]
pub struct Remembered(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    file: OnceLock<File>,
    index: Mutex<Index>,
    /// Reads under way: they are short, and each takes a thread.
    reading: Semaphore,
    /// One write at a time, since it reads what was there before.
    writing: Semaphore,
    began: Instant,
    failed: AtomicBool,
}

/// Where the answers about each path lie.
#[derive(Debug, Default)]
struct Index {
    /// The youngest first. The oldest is forgotten as a whole: an order of their own would take as much memory
    /// as the places.
    generations: VecDeque<HashMap<HashPart, Place>>,
    /// Bytes ever written, gaps included: positions count on where the ring begins anew.
    end: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// In bytes ever written. Not a number, whose alignment would cost a tenth of the index.
    position: [u8; 8],
    length: u32,
    /// Seconds since the beginning.
    written: u32,
}

impl Remembered {
    /// Nothing remembered yet. The file is made in `folder` when there is something to remember.
    pub fn new(folder: PathBuf) -> Self {
        Self(Arc::new(Inner {
            folder,
            file: OnceLock::new(),
            index: Mutex::default(),
            reading: Semaphore::new(READING),
            writing: Semaphore::new(1),
            began: Instant::now(),
            failed: AtomicBool::new(false),
        }))
    }

    /// What was said of a path, of each cache the newest.
    pub async fn of(&self, asked: HashPart) -> Vec<Known> {
        if self.0.place(asked).is_none() {
            return Vec::new();
        }
        self.with(&self.0.reading, move |inner| inner.read(asked)).await.unwrap_or_default()
    }

    /// Remembers what was said, of each cache the newest: somebody else may have learned more meanwhile.
    pub async fn add(&self, asked: HashPart, said: &[Known]) {
        if said.is_empty() {
            return;
        }
        let said = said.to_vec();
        self.with(&self.0.writing, move |inner| inner.add(asked, said)).await;
    }

    /// Forgets that these caches do not have a path.
    pub async fn forget_absence(&self, asked: HashPart, caches: &[CacheId]) {
        let caches = caches.to_vec();
        self.with(&self.0.writing, move |inner| inner.forget_absence(asked, &caches)).await;
    }

    /// Whether something was said of a path within the last hour.
    pub fn is_recent(&self, asked: HashPart) -> bool {
        let now = self.0.seconds();
        self.0.place(asked).is_some_and(|place| now.saturating_sub(place.written) < RECENT)
    }

    /// Of how many paths something is remembered.
    pub fn count(&self) -> u64 {
        self.0.index().count()
    }

    /// Does on a blocking thread what may have to wait for a disk.
    async fn with<T: Send + 'static>(
        &self,
        room: &Semaphore,
        act: impl FnOnce(&Inner) -> io::Result<T> + Send + 'static,
    ) -> Option<T> {
        // Never closed.
        let _permit = room.acquire().await.ok()?;
        let inner = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || act(&inner)).await;
        match done.unwrap_or_else(|fault| Err(io::Error::other(fault))) {
            Ok(done) => Some(done),
            Err(error) => {
                if !self.0.failed.swap(true, Ordering::Relaxed) {
                    let folder = self.0.folder.display();
                    tracing::warn!(%folder, %error, "cannot remember answers: caches will be asked more often");
                }
                None
            }
        }
    }
}

impl Inner {
    fn index(&self) -> std::sync::MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the answers about a path lie, unless nobody has added any for too long.
    fn place(&self, asked: HashPart) -> Option<Place> {
        let now = self.seconds();
        let place = self.index().get(asked);
        place.filter(|place| now.saturating_sub(place.written) < FORGOTTEN)
    }

    fn seconds(&self) -> u32 {
        u32::try_from(self.began.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    fn read(&self, asked: HashPart) -> io::Result<Vec<Known>> {
        let (Some(place), Some(file)) = (self.place(asked), self.file.get()) else { return Ok(Vec::new()) };
        let mut record = vec![0; place.length as usize];
        file.read_exact_at(&mut record, place.offset())?;
        // A place is given up before it is written over.
        if self.place(asked) != Some(place) {
            return Ok(Vec::new());
        }
        Ok(decode(record.into(), self.began))
    }

    fn add(&self, asked: HashPart, mut newest: Vec<Known>) -> io::Result<()> {
        for known in self.read(asked)? {
            match newest.iter_mut().find(|n| n.cache == known.cache) {
                Some(ours) if ours.at < known.at => *ours = known,
                Some(_) => {}
                None => newest.push(known),
            }
        }
        self.write(asked, &newest)
    }

    fn forget_absence(&self, asked: HashPart, caches: &[CacheId]) -> io::Result<()> {
        let said = self.read(asked)?;
        let stays = |known: &&Known| !(matches!(known.said, Said::NotFound) && caches.contains(&known.cache));
        let stay: Vec<Known> = said.iter().filter(stays).cloned().collect();
        if stay.len() == said.len() { Ok(()) } else { self.write(asked, &stay) }
    }

    /// Writes all that is remembered of a path.
    fn write(&self, asked: HashPart, said: &[Known]) -> io::Result<()> {
        let record = encode(said, self.began);
        let Ok(length) = u32::try_from(record.len()) else { return Ok(()) };
        if u64::from(length) > LONGEST {
            return Ok(());
        }
        let file = self.open()?;
        let place = self.index().reserve(length, self.seconds());
        file.write_all_at(&record, place.offset())?;
        self.index().put(asked, place);
        Ok(())
    }

    fn open(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        std::fs::create_dir_all(&self.folder)?;
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("answers.{}.{n}", std::process::id()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(self.file.get_or_init(|| file))
    }
}

impl Index {
    /// Where the answers about a path lie, if nothing has been written over them.
    fn get(&self, asked: HashPart) -> Option<Place> {
        let place = self.generations.iter().find_map(|places| places.get(&asked))?;
        self.is_whole(place).then_some(*place)
    }

    fn count(&self) -> u64 {
        let places = self.generations.iter().flat_map(HashMap::values);
        places.filter(|place| self.is_whole(place)).count() as u64
    }

    fn is_whole(&self, place: &Place) -> bool {
        u64::from_ne_bytes(place.position).saturating_add(RING) >= self.end
    }

    /// Gives up what lies where `length` bytes are going to be written, and says where that is.
    fn reserve(&mut self, length: u32, written: u32) -> Place {
        let size = u64::from(length);
        let left = RING - self.end % RING;
        if left < size {
            self.end += left;
        }
        let position = self.end.to_ne_bytes();
        self.end += size;
        Place { position, length, written }
    }

    fn put(&mut self, asked: HashPart, place: Place) {
        for older in &mut self.generations {
            older.remove(&asked);
        }
        if self.generations.front().is_none_or(|youngest| youngest.len() >= GENERATION) {
            self.generations.truncate(GENERATIONS - 1);
            self.generations.push_front(HashMap::new());
        }
        if let Some(youngest) = self.generations.front_mut() {
            youngest.insert(asked, place);
        }
    }
}

impl Place {
    /// Where it is in the file.
    fn offset(&self) -> u64 {
        u64::from_ne_bytes(self.position) % RING
    }
}

/// Cache, time in nanoseconds, length of the claim plus one, or zero for "not found"; then the claim.
fn encode(said: &[Known], began: Instant) -> Vec<u8> {
    let mut record = Vec::new();
    for known in said {
        let at = known.at.saturating_duration_since(began).as_nanos();
        let text = match &known.said {
            Said::Claim(text) => Some(text),
            Said::NotFound => None,
        };
        let length = text.map_or(Some(0), |text| u32::try_from(text.len()).ok()?.checked_add(1));
        let Some(length) = length else { continue };
        record.put_u16(known.cache.0);
        record.put_u64(u64::try_from(at).unwrap_or(u64::MAX));
        record.put_u32(length);
        record.extend_from_slice(text.map(|text| &text[..]).unwrap_or_default());
    }
    record
}

fn decode(mut record: Bytes, began: Instant) -> Vec<Known> {
    let mut said = Vec::new();
    while record.remaining() >= HEAD {
        let cache = CacheId(record.get_u16());
        let at = began.checked_add(Duration::from_nanos(record.get_u64())).unwrap_or(began);
        let length = record.get_u32() as usize;
        let claim = match length.checked_sub(1) {
            None => Said::NotFound,
            Some(length) if length <= record.len() => Said::Claim(record.split_to(length)),
            Some(_) => break,
        };
        said.push(Known { cache, at, said: claim });
    }
    said
}

/// Tells the files of one process apart.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Bytes before a claim.
const HEAD: usize = 2 + 8 + 4;

/// The most that the file takes: of 100,000 paths, what two or three caches say of each.
const RING: u64 = 256 << 20;

/// The longest record: as many claims of 1 MiB as caches are likely to tell.
const LONGEST: u64 = RING / 16;

/// Paths in one generation: as many as a hash table of 2^14 buckets holds.
const GENERATION: usize = 14_336;

/// Generations: with one of them just begun, the others hold 100,352 paths.
const GENERATIONS: usize = 8;

/// Reads at one time.
const READING: usize = 4;

/// Answers to which nothing was added in a day are forgotten: in seconds.
const FORGOTTEN: u32 = 24 * 3600;

/// For so many seconds a claim need not be asked for again (design §3.10).
const RECENT: u32 = 3600;

#[cfg(test)]
mod tests;
