//! Fills a queue, for `run` to have something to list. Usage: bench-queue STATE-DIRECTORY ENTRIES

#![allow(clippy::unwrap_used, clippy::panic, reason = "a tool of the benchmarks: what fails ends it")]

use countersign::format::StorePath;
use countersign::queue::{Event, Origin, Queue, Terms, Wish};
use std::path::Path;
use std::time::Duration;

fn main() {
    let [state, entries] = &std::env::args().skip(1).collect::<Vec<_>>()[..] else {
        panic!("usage: bench-queue STATE-DIRECTORY ENTRIES")
    };
    let (state, entries): (&Path, usize) = (state.as_ref(), entries.parse().expect("ENTRIES is a number"));
    std::fs::create_dir_all(state).unwrap();
    let mut queue = Queue::open(state).unwrap();
    let path = |n: usize| StorePath::from_base_name(&format!("{n:032}-bench-{n}")).unwrap();
    let wishes: Vec<Wish> = (0..entries)
        .map(|n| Wish {
            destination: "cache".into(),
            path: path(n),
            origin: Origin::Built,
            derivation: Some(path(n)),
        })
        .collect();
    let terms =
        Terms { now: countersign::clock::now(), give_up_after: Duration::from_secs(1_000_000), jitter: 0 };
    queue.ask(&wishes, &terms).unwrap();
    // Some of them wait for others, as while uploads are under way.
    for n in (1..entries).step_by(entries.div_ceil(100)) {
        let row = queue.find("cache", &path(n)).unwrap().unwrap();
        let why = format!("it waits for {}", path(n - 1));
        queue.tell(row.id, Event::Held(why, Some(path(n - 1))), &terms).unwrap();
    }
}
