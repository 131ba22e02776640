//! Attacks by name, each beside its honest twin: the same set-up without the flaw, which is endorsed.

mod dissent;
mod keys;
mod paths;
mod remembered;
mod signed;
