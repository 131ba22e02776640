//! What clients ask, and whether what they are told is true.

use crate::catalogue::{Catalogue, Kind, Path};
use crate::counts::Counts;
use crate::support::client::{self, Reply, Session};
use crate::support::dice::Dice;
use std::io::Read;
use std::path::Path as Folder;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The service that is asked.
pub struct Target<'a> {
    pub port: u16,
    pub key: String,
    pub catalogue: &'a Catalogue,
}

/// Asks for narinfos, as many as are answered.
pub fn narinfos(target: &Target<'_>, counts: &Counts, is_over: &AtomicBool, seed: u64) {
    let mut dice = Dice::new(seed);
    while !is_over.load(Ordering::Acquire) {
        let mut session = Session::open(target.port);
        for _ in 0..500 {
            let path = &target.catalogue.paths[dice.below(target.catalogue.paths.len())];
            let since = Instant::now();
            let reply = session.get(&format!("/{}.narinfo", path.package.hash()));
            counts.took("narinfo", since.elapsed());
            judge(&reply, path, counts);
        }
    }
}

/// Asks for narinfo and NAR of one path after the other: all, parts, or going away in the middle.
pub fn nars(target: &Target<'_>, counts: &Counts, is_over: &AtomicBool, seed: u64) {
    let mut dice = Dice::new(seed);
    while !is_over.load(Ordering::Acquire) {
        let path = &target.catalogue.paths[dice.below(target.catalogue.paths.len())];
        let reply = client::get(target.port, &format!("/{}.narinfo", path.package.hash()));
        let is_served = judge(&reply, path, counts);
        let url = url(path);
        let size = path.package.core.nar_size as usize;
        match dice.below(20) {
            0 | 1 => part(target, path, &url, dice.below(size), counts),
            2 => {
                let head = format!("GET {url} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
                let stream = client::open(target.port, head.as_bytes());
                stream.take(dice.below(size) as u64).read_to_end(&mut Vec::new()).ok();
                counts.saw("clients that went away");
            }
            _ => whole(target, path, &url, is_served, counts),
        }
    }
}

fn url(path: &Path) -> String {
    let base32 = path.nar_hash.trim_start_matches("sha256:");
    format!("/nar/{}-{base32}.nar", path.package.hash())
}

/// Whether a narinfo is served; what is not true of it is counted.
fn judge(reply: &Reply, path: &Path, counts: &Counts) -> bool {
    let told = || format!("{:?} {}: {} {}", path.kind, path.package.path(), reply.status, reply.reason());
    let is_served = reply.status == 200;
    counts.saw(if is_served { "narinfos served" } else { "narinfos not served" });
    if is_served && !reply.text().contains(&format!("NarHash: {}\n", path.nar_hash)) {
        counts.wrong(format!("another core: {}", told()));
    }
    match path.kind {
        Kind::Forged | Kind::Disputed if is_served => counts.wrong(told()),
        Kind::Plain | Kind::LiedAbout if !is_served => counts.withheld(told()),
        Kind::Pair if !is_served => counts.saw("pairs undecided while one was away"),
        _ => {}
    }
    is_served
}

fn part(target: &Target<'_>, path: &Path, url: &str, from: usize, counts: &Counts) {
    let range = format!("bytes={from}-");
    let reply = client::get_with(target.port, url, &[("Range", &range)]);
    let nar = &target.catalogue.contents[path.content].nar;
    if reply.status == 206 && reply.is_whole() && reply.body != nar[from..] {
        counts.wrong(format!("a wrong byte from {from} of {url}"));
    }
    counts.got(reply.body.len());
    counts.saw("parts of NARs");
}

fn whole(target: &Target<'_>, path: &Path, url: &str, is_served: bool, counts: &Counts) {
    let nar = &target.catalogue.contents[path.content].nar;
    // What went out of a lie is broken off; the next answer is checked before it goes out.
    let tries = if path.kind == Kind::LiedAbout { 2 } else { 1 };
    for n in 0..tries {
        let since = Instant::now();
        let reply = client::get(target.port, url);
        counts.got(reply.body.len());
        let is_whole = reply.status == 200 && reply.is_whole();
        if is_whole && reply.body != nar[..] {
            counts.wrong(format!("a wrong byte in {url}"));
        }
        if is_whole && !matches!(path.kind, Kind::Plain | Kind::LiedAbout | Kind::Pair) {
            counts.wrong(format!("{:?} {url} was served", path.kind));
        }
        if is_whole {
            counts.took(
                if nar.len() < 1 << 20 { "NAR below 1 MiB" } else { "NAR of 1 MiB to 16 MB" },
                since.elapsed(),
            );
            return counts.saw("NARs");
        }
        counts.saw(if reply.status == 200 { "NARs broken off" } else { "NARs not served" });
        if n + 1 == tries && is_served && matches!(path.kind, Kind::Plain | Kind::LiedAbout) {
            let told = format!("{:?} {url}: {} and {} bytes", path.kind, reply.status, reply.body.len());
            counts.withheld(told);
        }
    }
}

/// Has Nix copy twenty paths at a time into stores of their own.
pub fn copy_with_nix(target: &Target<'_>, counts: &Counts, is_over: &AtomicBool, nix: &str, folder: &Folder) {
    let mut dice = Dice::new(9);
    let mut n = 0;
    while !is_over.load(Ordering::Acquire) {
        n += 1;
        let dir = folder.join(format!("nix-{n}"));
        std::fs::create_dir_all(&dir).unwrap();
        let conf =
            "experimental-features = nix-command\nsubstituters =\nbuild-users-group =\nsandbox = false\n";
        std::fs::write(dir.join("nix.conf"), conf).unwrap();
        let plain = target.catalogue.paths.iter().filter(|path| path.kind == Kind::Plain);
        let plain: Vec<&Path> = plain.collect();
        let paths: Vec<String> = (0..20).map(|_| dice.pick(&plain).package.path()).collect();
        let mut command = Command::new(nix);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", &dir).env("NIX_CONF_DIR", &dir);
        command.env("XDG_CACHE_HOME", dir.join("cache")).env("NIX_REMOTE", dir.join("store"));
        let from = format!("http://127.0.0.1:{}", target.port);
        command.args(["copy", "--from", &from, "--to"]).arg(dir.join("store"));
        command.args(["--option", "trusted-public-keys", &target.key]).args(&paths);
        let since = Instant::now();
        let output = command.output().unwrap();
        counts.took("nix copy of 20 paths", since.elapsed());
        counts.saw("nix copy, 20 paths each");
        if !output.status.success() {
            counts.withheld(format!("nix copy: {}", String::from_utf8_lossy(&output.stderr)));
        }
        Command::new("chmod").args(["-R", "u+w"]).arg(&dir).status().unwrap();
        std::fs::remove_dir_all(&dir).unwrap_or_default();
        thread::sleep(Duration::from_secs(5));
    }
}
