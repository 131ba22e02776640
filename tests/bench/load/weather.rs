//! The four caches and what becomes of them: one is always well, one comes and goes, one breaks off and stalls, and one
//! lies.

use crate::catalogue::{Catalogue, Kind};
use crate::support::bad_cache::{BadCache, Fault, How, Times, Where, nar_path};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub struct Weather {
    well: BadCache,
    coming_and_going: Mutex<BadCache>,
    breaking: BadCache,
    lying: BadCache,
    key: String,
}

impl Weather {
    /// The caches with everything that they have of the catalogue.
    pub fn over(catalogue: &Catalogue) -> Self {
        let [well, going, breaking, lying] = [(); 4].map(|()| BadCache::start());
        let (party, mallory) = (&catalogue.party, &catalogue.mallory);
        for path in &catalogue.paths {
            let (package, content) = (&path.package, &catalogue.contents[path.content]);
            let forged = path.forged();
            if path.kind != Kind::Forged {
                well.put_file("zstd", &[party], package, content.zstd.clone());
                going.put_file("xz", &[party], package, content.xz.clone());
            }
            match path.kind {
                Kind::Forged => {
                    lying.put_file("none", &[mallory], &forged, forged.nar.clone().into());
                    breaking.put_file("none", &[], &forged, forged.nar.clone().into());
                }
                Kind::Disputed => lying.put_file("none", &[party], &forged, forged.nar.clone().into()),
                Kind::LiedAbout => {
                    lying.put_file("zstd", &[party], package, content.zstd.clone());
                    lying.file(&nar_path(package, "zstd"), content.lie.clone());
                    breaking.put_file("zstd", &[party], package, content.zstd.clone());
                }
                Kind::Plain | Kind::Pair => {
                    breaking.put_file("none", &[party], package, content.nar.clone());
                }
            }
        }
        // The others would never be turned to if the one that is well were the fastest too.
        well.when("/nar/", Fault::Drip(0, 6_000_000));
        let ends = |after, how| Fault::Ends(Where::After(after), how);
        breaking.whenever("/nar/", Times::bursts(1, 3), ends(100_000, How::Close));
        breaking.whenever("/nar/", Times::bursts(1, 7), ends(300_000, How::Reset));
        breaking.whenever("/nar/", Times::bursts(1, 40), ends(50_000, How::Stall));
        breaking.whenever("/nar/", Times::bursts(1, 50), Fault::Drip(1000, 10_000));
        breaking.whenever(".narinfo", Times::bursts(3, 20), Fault::status(503));
        Self { well, coming_and_going: Mutex::new(going), breaking, lying, key: party.key() }
    }

    pub fn configuration(&self) -> String {
        let going = self.coming_and_going.lock().unwrap().url();
        let caches = [("well", self.well.url()), ("going", going)].into_iter();
        let caches = caches.chain([("breaking", self.breaking.url()), ("lying", self.lying.url())]);
        let caches: String =
            caches.map(|(name, url)| format!("[caches.{name}]\nurl = \"{url}\"\n")).collect();
        format!(
            "[signers.a]\nkeys = [\"{}\"]\n{caches}[[rules]]\nname = \"pairs\"\npackages = [\"pair-*\"]\n\
             signatures = [{{ at-least = 1, of = [\"a\"] }}]\noperators = 2\n[[rules]]\nname = \"all\"\n\
             signatures = [{{ at-least = 1, of = [\"a\"] }}]\n",
            self.key
        )
    }

    /// The second cache goes through all that a cache can go through, every two minutes.
    pub fn pass(&self, is_over: &AtomicBool, since: Instant) {
        let mut last = usize::MAX;
        while !is_over.load(Ordering::Acquire) {
            let now = (since.elapsed().as_secs() / 15 % 8) as usize;
            if now != last {
                let mut cache = self.coming_and_going.lock().unwrap();
                if last == 1 {
                    cache.come_back();
                }
                cache.heal();
                match now {
                    1 => cache.go_down(),
                    3 => cache.when("", Fault::Silent),
                    4 => cache.when("", Fault::Status(429, vec![("Retry-After".to_owned(), "5".to_owned())])),
                    5 => cache.when("", Fault::Drip(0, 10_000)),
                    6 => cache.whenever("", Times::bursts(5, 8), Fault::status(500)),
                    7 => cache.whenever("", Times::bursts(1, 2), Fault::Garbage),
                    _ => {}
                }
                last = now;
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// How often each fault came true.
    pub fn fired(&self) -> BTreeMap<&'static str, usize> {
        let mut all = BTreeMap::new();
        let going = self.coming_and_going.lock().unwrap().all_fired();
        for fired in [going, self.breaking.all_fired(), self.lying.all_fired()] {
            fired.into_iter().for_each(|(name, times)| *all.entry(name).or_default() += times);
        }
        all
    }
}
