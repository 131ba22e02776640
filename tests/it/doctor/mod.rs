//! `countersign doctor` on machines with real Nix: a clean one, and the same one with each fault.

mod faults;
mod hostile;
mod installed;
mod world;

/// The same test with each version of Nix.
macro_rules! with_every_generation {
    ($($test:ident)*) => {$(
        mod $test {
            #[test]
            fn nix_2_8() {
                super::$test(crate::support::nix::GENERATIONS[0]);
            }

            #[test]
            fn nix_2_26() {
                super::$test(crate::support::nix::GENERATIONS[1]);
            }

            #[test]
            fn nix_2_34() {
                super::$test(crate::support::nix::GENERATIONS[2]);
            }
        }
    )*};
}
use with_every_generation;
