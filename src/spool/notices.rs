//! Being told of new records, instead of looking all the time.
//!
//! inotify says when a record was renamed into place. Where the system gives none (too many are in use), one
//! looks every second instead.

use super::directory::Spool;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use std::os::fd::AsFd;
use std::time::Duration;

/// News of a spool. Take them before the first look, or what came between is only told with the next record.
#[derive(Debug)]
pub struct Notices(Option<OwnedFd>);

impl Spool {
    /// News of this spool from now on.
    pub fn notices(&self) -> Notices {
        // By the directory that is open, whatever its path leads to by now.
        let dir = format!("/proc/self/fd/{}", self.shared.dir.as_raw_fd());
        let flags =
            WatchFlags::MOVED_TO | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::ONLYDIR;
        let watch = || {
            let watch = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
            add_watch(&watch, dir, flags)?;
            Ok::<_, rustix::io::Errno>(watch)
        };
        Notices(watch().ok())
    }
}

impl Notices {
    /// What becomes readable with the news, for an event loop; [`Self::heard`] after each. `None`: look every
    /// [`Self::LOOK`].
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(OwnedFd::as_fd)
    }

    /// How often to look where nobody tells.
    pub const LOOK: Duration = Duration::from_secs(1);

    /// Forgets the news that have come.
    pub fn heard(&self) {
        let Some(watch) = &self.0 else { return };
        let mut events = [0_u8; 4096];
        while rustix::io::read(watch, &mut events).is_ok_and(|length| length > 0) {}
    }

    /// Blocks until there is news or the time is over; whether it is worth looking.
    pub fn wait(&self, timeout: Duration) -> bool {
        let Some(watch) = &self.0 else {
            std::thread::sleep(timeout.min(Self::LOOK));
            return true;
        };
        let time = Timespec::try_from(timeout).ok();
        let is_news =
            poll(&mut [PollFd::new(watch, PollFlags::IN)], time.as_ref()).is_ok_and(|ready| ready > 0);
        self.heard();
        is_news
    }
}
