//! Times cold narinfos beside what each cache takes for the same, for `tests/bench/run cold`.
//!
//! `bench-cold PATHS OURS CACHE...`: a file of hash parts, and addresses. One client with one kept connection to each
//! asks for every path once, one request after another: first of each cache, so that all have it at hand, then of
//! ours and of each cache in turn, the order changing from path to path. Prints two medians in milliseconds: ours, and
//! that of the slowest cache.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a tool of the benchmarks: what fails ends it")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [paths, ours, caches @ ..] = &arguments[..] else {
        eprintln!("usage: bench-cold PATHS OURS CACHE...");
        std::process::exit(2);
    };
    let paths = std::fs::read_to_string(paths).unwrap();
    let mut ours = Kept::open(ours);
    let mut caches: Vec<Kept> = caches.iter().map(|address| Kept::open(address)).collect();
    for path in paths.lines() {
        for cache in &mut caches {
            cache.time(path);
        }
    }
    let mut first = Vec::new();
    let mut others: Vec<Vec<f64>> = vec![Vec::new(); caches.len()];
    for (n, path) in paths.lines().enumerate() {
        if n % 2 == 0 {
            first.push(ours.time(path));
        }
        for (cache, took) in caches.iter_mut().zip(&mut others) {
            took.push(cache.time(path));
        }
        if n % 2 == 1 {
            first.push(ours.time(path));
        }
    }
    let slowest = others.iter_mut().map(|took| median(took)).fold(0.0, f64::max);
    println!("{:.3} {slowest:.3}", median(&mut first));
}

/// A connection that is kept.
struct Kept {
    address: String,
    stream: TcpStream,
}

impl Kept {
    fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        Self { address: address.to_owned(), stream }
    }

    /// Milliseconds from asking to the last byte of a narinfo.
    fn time(&mut self, path: &str) -> f64 {
        let head = format!("GET /{path}.narinfo HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        let from = Instant::now();
        self.stream.write_all(head.as_bytes()).unwrap();
        let mut got = Vec::with_capacity(8192);
        let mut chunk = [0; 8192];
        loop {
            let length = self.stream.read(&mut chunk).unwrap();
            assert!(length > 0, "{} closed the connection", self.address);
            got.extend_from_slice(&chunk[..length]);
            let Some(end) = got.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&got[..end]).to_ascii_lowercase();
            assert!(head.starts_with("http/1.1 200 "), "{} answered {head} for {path}", self.address);
            let wanted: usize =
                head.split("content-length: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
            if got.len() >= end + 4 + wanted {
                return from.elapsed().as_secs_f64() * 1e3;
            }
        }
    }
}

fn median(of: &mut [f64]) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}
