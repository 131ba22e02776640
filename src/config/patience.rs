//! How long others are waited for where no key of the file says so.

use std::time::Duration;

/// The waits that a configuration does not set. They stand here together, and not where they are used, so that a
/// test can run the same program with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// A source that sends nothing for so long is given up, even where no other is left. Nix itself waits 300 s.
    pub stall: Duration,
    /// The same while another source is left.
    pub restless: Duration,
    /// Over so long a source's average may not be below `serving.minimum-rate`, where no other is left; over
    /// `restless` where one is.
    pub grace: Duration,
    /// A source whose first byte is not there by then is hedged with one other, if that is later than expected.
    pub hedge: Duration,
    /// How long an answer is still listened for after its time was up.
    pub late: Duration,
    /// The least time between two tries of a cache that is down.
    pub probe: Duration,
    /// How long answers under way may take when the service stops.
    pub drain: Duration,
}

impl Default for Patience {
    /// Guesses well below what Nix waits itself, and above what a working line over half the world needs.
    fn default() -> Self {
        Self {
            stall: Duration::from_secs(20),
            restless: Duration::from_secs(2),
            grace: Duration::from_secs(15),
            hedge: Duration::from_millis(400),
            late: Duration::from_secs(30),
            probe: Duration::from_secs(1),
            drain: Duration::from_secs(10),
        }
    }
}
