//! The NARs of generated packages and their files, compressed once for all runs.

use crate::support::party::{compress, file_nar, noise};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

/// One of the NARs that packages have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Content {
    /// Which of `SIZES`.
    pub size: usize,
    /// Of one size there are several.
    pub kind: usize,
}

/// How many sizes there are.
pub const SIZES: usize = LENGTHS.len();

/// How many of them, the last ones, are large.
pub const LARGE: usize = 3;

const LENGTHS: [usize; 12] =
    [0, 1, 500, 4_000, 30_000, 65_440, 90_000, 200_000, 600_000, 1_048_480, 1_700_000, 3_000_000];

type Files = Mutex<HashMap<(Content, Option<usize>, &'static str), Arc<[u8]>>>;

static FILES: LazyLock<Files> = LazyLock::new(Mutex::default);

impl Content {
    pub fn nar(self) -> Arc<[u8]> {
        self.made(None, "none", || {
            file_nar(&noise((self.size * 10 + self.kind) as u64 + 1, LENGTHS[self.size]))
        })
    }

    pub fn is_large(self) -> bool {
        self.size >= SIZES - LARGE
    }

    pub fn nar_size(self) -> usize {
        self.nar().len()
    }

    /// The file that an honest cache has.
    pub fn file(self, compression: &'static str) -> Arc<[u8]> {
        let nar = self.nar();
        self.made(None, compression, || compress(&nar, compression))
    }

    /// The file of a liar: a byte of the NAR is another.
    pub fn lie(self, compression: &'static str, at: usize) -> Arc<[u8]> {
        // Few places, so that not every lie is compressed anew.
        let nar = self.nar();
        let step = (nar.len() / 2).max(1);
        let at = (at / step * step).min(nar.len() - 1);
        self.made(Some(at), compression, || {
            let mut wrong = nar.to_vec();
            wrong[at] ^= 1;
            compress(&wrong, compression)
        })
    }

    fn made(self, at: Option<usize>, compression: &'static str, make: impl FnOnce() -> Vec<u8>) -> Arc<[u8]> {
        let key = (self, at, compression);
        if let Some(file) = FILES.lock().unwrap().get(&key) {
            return Arc::clone(file);
        }
        let file: Arc<[u8]> = make().into();
        Arc::clone(FILES.lock().unwrap().entry(key).or_insert(file))
    }
}

/// How much is held here, in bytes.
pub fn held() -> usize {
    FILES.lock().unwrap().values().map(|file| file.len()).sum()
}
