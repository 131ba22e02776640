//! What is known of a path from before, asked while somebody waits for a verdict: on a connection and a thread of its
//! own, so that it waits for no writing, and in bounded time.

use crate::evidence::ledger::{Seldom, Shared};
use crate::evidence::{Earlier, Sqlite, Storage, StorageError, Terms};
use crate::format::HashPart;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// Asks the ledger.
#[derive(Debug)]
pub(super) struct Reader {
    questions: SyncSender<(HashPart, oneshot::Sender<Earlier>)>,
    late: Seldom,
}

impl Reader {
    /// Starts the thread; it ends with this value.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn start(state: PathBuf, shared: Arc<Shared>) -> std::io::Result<Self> {
        let (questions, asked) = sync_channel(MOST);
        let desk = Desk { state, shared, storage: None, of: 0, failed: Seldom::default() };
        std::thread::Builder::new().name("ledger-reader".into()).spawn(move || desk.run(&asked))?;
        Ok(Self { questions, late: Seldom::default() })
    }

    /// What is known of a path: nothing, where that cannot be found out in time.
    pub(super) async fn earlier(&self, path: HashPart) -> Earlier {
        let (answer, answered) = oneshot::channel();
        if self.questions.try_send((path, answer)).is_ok()
            && let Ok(answer) = tokio::time::timeout(PATIENCE, answered).await
        {
            // No answer is one that the ledger could not give, which is said where it is known why.
            return answer.unwrap_or_default();
        }
        if self.late.is_due() {
            tracing::error!(%path, "what was said of a path before is not looked at: the ledger answers too slowly");
        }
        Earlier::default()
    }
}

/// Where questions are answered.
struct Desk {
    state: PathBuf,
    shared: Arc<Shared>,
    storage: Option<Sqlite>,
    /// Which opening of the ledger it is.
    of: u64,
    failed: Seldom,
}

impl Desk {
    fn run(mut self, asked: &Receiver<(HashPart, oneshot::Sender<Earlier>)>) {
        while let Ok((path, answer)) = asked.recv() {
            if answer.is_closed() {
                continue;
            }
            match self.earlier(path) {
                Ok(earlier) => answer.send(earlier).unwrap_or_default(),
                Err(error) => {
                    self.storage = None;
                    drop(answer);
                    if self.failed.is_due() {
                        tracing::error!("what was said before is not looked at: {error}");
                    }
                }
            }
        }
    }

    fn earlier(&mut self, path: HashPart) -> Result<Earlier, StorageError> {
        let opened = self.shared.opened.load(Ordering::Acquire);
        // What the writer could not open, or has lost, is not opened here.
        if opened == 0 || opened != self.of {
            self.storage = None;
        }
        self.of = opened;
        if self.storage.is_none() && opened > 0 {
            let terms = Terms { patience: BUSY, ..Terms::default() };
            self.storage = Sqlite::open_existing(&self.state, &terms)?;
        }
        self.storage.as_mut().map_or_else(|| Ok(Earlier::default()), |storage| storage.earlier(path))
    }
}

/// So many questions wait: as many as are under way in a proxy, and some.
const MOST: usize = 512;

/// How long a question waits. It is asked before caches are, so it is part of every cold answer.
const PATIENCE: Duration = Duration::from_millis(250);

/// How long another program may hold the database.
const BUSY: Duration = Duration::from_millis(100);
