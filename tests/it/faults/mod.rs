//! Caches fail in every way; builds do not. What is sent is right to the last byte or is not finished, and it is
//! finished in one piece wherever an honest source is left.
//!
//! `places` are the bytes at which a source breaks off, `cuts` and `pairs` break it off there, `real` does so under
//! real Nix; `each` is every other fault by itself, `lies` are bytes that were wrong when they went out, and `mix` is
//! all of it by chance.

mod cuts;
mod each;
mod lies;
mod mix;
mod pairs;
mod places;
mod real;
mod scene;
