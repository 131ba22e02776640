//! A source breaks off at a byte: another one goes on there, or it does itself, and the client sees one answer.

use crate::faults::places::Framed;
use crate::faults::scene::{PATIENCE, configuration, faults_of, is_right, packages, party};
use crate::support::bad_cache::{BadCache, Fault, How, Times, Where, WrongPart, nar_path};
use crate::support::party::{Package, file_nar, noise};
use crate::support::service::Served;
use countersign::config::Patience;
use std::time::{Duration, Instant};

/// Larger than all that is read ahead, checked whole, or withheld.
const SIZE: usize = 1_900_000;

fn nar() -> Vec<u8> {
    file_nar(&noise(11, SIZE))
}

/// Two caches with packages, each of which the first breaks off at another place, and the second gives only once it
/// has; the places beside the packages.
struct Broken {
    served: Served,
    caches: [BadCache; 2],
    packages: Vec<Package>,
    places: Vec<usize>,
    compressions: [&'static str; 2],
}

impl Broken {
    fn at_every_place(compressions: [&'static str; 2]) -> Self {
        let files = compressions.map(|c| Framed::of(&nar(), c));
        let places = files[0].places();
        assert!(places.len() >= 40, "{places:?}");
        Self::at(compressions, places, How::Close)
    }

    fn at_some_places(compressions: [&'static str; 2], how: How) -> Self {
        Self::at(compressions, Framed::of(&nar(), compressions[0]).some_places(16), how)
    }

    fn at(compressions: [&'static str; 2], places: Vec<usize>, how: How) -> Self {
        let files = compressions.map(|c| Framed::of(&nar(), c));
        let packages = packages(places.len(), &nar());
        let caches = [BadCache::start(), BadCache::start()];
        for (package, place) in packages.iter().zip(&places) {
            for ((cache, file), compression) in caches.iter().zip(&files).zip(compressions) {
                cache.put_file(compression, &[&party()], package, file.bytes.clone());
            }
            let once = Times::always();
            let [first, second] = compressions.map(|c| nar_path(package, c));
            caches[0].whenever(&first, once.clone(), Fault::Ends(Where::Byte(*place), how));
            caches[1].when(&second, Fault::After(once));
        }
        // A hedge begins at the start of the file; these are to be seen going on.
        let patience = Patience { hedge: Duration::from_secs(5), ..PATIENCE };
        let served = Served::patiently(patience, &configuration(&[&caches[0], &caches[1]], ""));
        Self { served, caches, packages, places, compressions }
    }

    fn assert_all_arrive(&self) {
        let [first, second] = self.compressions;
        let wrong = faults_of(&self.served, &self.packages);
        assert!(wrong.is_empty(), "{first} then {second}, at {:?}: {wrong:#?}", self.places);
        let fired: usize =
            ["cut", "reset in the body", "stall"].iter().map(|f| self.caches[0].fired(f)).sum();
        assert!(fired >= self.packages.len(), "{fired} of {} faults came true", self.packages.len());
    }

    /// How many of the second cache's NARs were asked for from some byte on.
    fn resumed(&self) -> usize {
        let log = self.caches[1].log();
        log.iter().filter(|asked| asked.path.contains("/nar/") && asked.header("range").is_some()).count()
    }
}

#[test]
fn the_same_file_goes_on_at_the_byte_where_it_stopped() {
    for compression in ["none", "zstd", "xz"] {
        let broken = Broken::at_every_place([compression, compression]);
        broken.assert_all_arrive();
        // Nothing had come of the first two.
        let (resumed, most) = (broken.resumed(), broken.places.len() - 2);
        assert!(resumed >= most, "{compression}: only {resumed} of {most} were resumed with Range");
    }
}

#[test]
fn another_compression_goes_on_at_the_byte_where_it_stopped() {
    for compressions in [["zstd", "xz"], ["xz", "none"], ["none", "zstd"]] {
        Broken::at_every_place(compressions).assert_all_arrive();
    }
}

#[test]
fn a_reset_is_no_different() {
    Broken::at_some_places(["zstd", "zstd"], How::Reset).assert_all_arrive();
    Broken::at_some_places(["none", "xz"], How::Reset).assert_all_arrive();
}

#[test]
fn nor_is_a_stall() {
    Broken::at_some_places(["zstd", "zstd"], How::Stall).assert_all_arrive();
    Broken::at_some_places(["xz", "none"], How::Stall).assert_all_arrive();
}

#[test]
fn a_wrong_answer_to_the_request_for_the_rest_is_found_out() {
    for compression in ["none", "zstd", "xz"] {
        let file = Framed::of(&nar(), compression);
        for wrong in [
            WrongPart::Later(1),
            WrongPart::Later(100_000),
            WrongPart::Shifted(1),
            WrongPart::Shifted(65_536),
            WrongPart::OfAnother(10),
            WrongPart::Unsaid,
            WrongPart::Unsatisfiable,
            WrongPart::Whole,
        ] {
            let package = Package::of_nar("thing-1.0", nar(), &[]);
            let caches = [BadCache::start(), BadCache::start(), BadCache::start()];
            let once = Times::always();
            for cache in &caches {
                cache.put_file(compression, &[&party()], &package, file.bytes.clone());
            }
            caches[0].whenever("/nar/", once.clone(), Fault::cut(file.bytes.len() / 2));
            caches[1].when("/nar/", Fault::Part(wrong));
            caches[2].when("/nar/", Fault::After(once));
            let served =
                Served::patiently(PATIENCE, &configuration(&[&caches[0], &caches[1], &caches[2]], ""));
            let reply = served.nar(&package);
            // What says that it is the rest of the same file and is not is a lie, and nothing is finished.
            let is_lie = matches!(wrong, WrongPart::Shifted(_));
            match is_right(&reply, &package) {
                Ok(()) => {}
                Err(_) if is_lie && !reply.is_whole() => {}
                Err(fault) => panic!("{compression}, {wrong:?}: {fault}"),
            }
            assert_eq!(
                is_right(&served.nar(&package), &package),
                Ok(()),
                "{compression}, again after {wrong:?}"
            );
        }
    }
}

#[test]
fn a_cache_that_knows_no_ranges_is_read_from_the_start() {
    let file = Framed::of(&nar(), "zstd");
    let package = Package::of_nar("thing-1.0", nar(), &[]);
    let caches = [BadCache::start(), BadCache::start()];
    for cache in &caches {
        cache.put_file("zstd", &[&party()], &package, file.bytes.clone());
    }
    caches[0].when("/nar/", Fault::cut(file.bytes.len() / 2));
    caches[1].ignore_ranges();
    let served = Served::patiently(PATIENCE, &configuration(&[&caches[0], &caches[1]], ""));
    assert_eq!(is_right(&served.nar(&package), &package), Ok(()));
}

/// The only cache there is breaks every connection off, each a little further on.
#[test]
fn a_cache_goes_on_where_it_stopped_itself() {
    for compression in ["none", "zstd", "xz"] {
        let file = Framed::of(&nar(), compression);
        let package = Package::of_nar("thing-1.0", nar(), &[]);
        let cache = BadCache::start();
        cache.put_file(compression, &[&party()], &package, file.bytes.clone());
        let third = file.bytes.len().div_ceil(3) + 1;
        cache.when("/nar/", Fault::Ends(Where::After(third), How::Close));
        let served = Served::patiently(PATIENCE, &configuration(&[&cache], ""));
        assert_eq!(is_right(&served.nar(&package), &package), Ok(()), "{compression}");
        assert_eq!(cache.fired("cut"), 2, "{compression}");
    }
}

/// The only cache there is never gets past one byte: that is found out soon, and not by asking for ever.
#[test]
fn a_cache_that_never_gets_further_is_given_up() {
    for how in [How::Close, How::Reset, How::Stall] {
        let file = Framed::of(&nar(), "zstd");
        let package = Package::of_nar("thing-1.0", nar(), &[]);
        let cache = BadCache::start();
        cache.put_file("zstd", &[&party()], &package, file.bytes.clone());
        cache.when("/nar/", Fault::Ends(Where::Byte(file.bytes.len() - 10), how));
        let served = Served::patiently(PATIENCE, &configuration(&[&cache], ""));
        let since = Instant::now();
        let reply = served.nar(&package);
        assert!(reply.status == 200 && !reply.is_whole() && package.nar.starts_with(&reply.body), "{how:?}");
        assert!(since.elapsed() < Duration::from_secs(30), "{how:?}: {:?}", since.elapsed());
        assert!(cache.count("/nar/") <= 20, "{how:?}: asked {} times", cache.count("/nar/"));
        cache.heal();
        assert_eq!(is_right(&served.nar(&package), &package), Ok(()), "{how:?}: it is back");
    }
}
