//! The flag by which a verdict is withdrawn from transfers that are under way on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a verdict has been withdrawn since it was given. Clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct Withdrawn(Arc<AtomicBool>);

impl Withdrawn {
    /// Withdraws the verdict; says whether that is new.
    pub fn raise(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    /// Whether it has been withdrawn.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
