//! Answers remembered and forgotten.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::*;

fn path(n: u32) -> HashPart {
    let mut digest = [0; HashPart::DIGEST_LEN];
    digest[..4].copy_from_slice(&n.to_le_bytes());
    HashPart::from_digest(digest)
}

fn claim(cache: u16, at: Instant, text: &str) -> Known {
    Known { cache: CacheId(cache), at, said: Said::Claim(Bytes::copy_from_slice(text.as_bytes())) }
}

fn not_found(cache: u16, at: Instant) -> Known {
    Known { cache: CacheId(cache), at, said: Said::NotFound }
}

/// What is remembered, in the order of the caches, without times.
fn words(mut said: Vec<Known>) -> Vec<(u16, Option<String>)> {
    said.sort_by_key(|known| known.cache);
    let text = |said| match said {
        Said::Claim(text) => Some(String::from_utf8(text.to_vec()).unwrap()),
        Said::NotFound => None,
    };
    said.into_iter().map(|known| (known.cache.0, text(known.said))).collect()
}

fn remembered(folder: &tempfile::TempDir) -> Remembered {
    Remembered::new(folder.path().join("spool"))
}

#[tokio::test]
async fn what_was_said_is_remembered_word_for_word() {
    let folder = tempfile::tempdir().unwrap();
    let answers = remembered(&folder);
    let now = Instant::now();
    assert!(answers.of(path(1)).await.is_empty());
    answers.add(path(1), &[claim(0, now, "StorePath: …\n"), not_found(2, now), claim(1, now, "")]).await;
    answers.add(path(2), &[not_found(0, now)]).await;
    let said = answers.of(path(1)).await;
    assert!(said.iter().all(|known| known.at == now));
    assert_eq!(words(said), [(0, Some("StorePath: …\n".to_owned())), (1, Some(String::new())), (2, None)]);
    assert_eq!(words(answers.of(path(2)).await), [(0, None)]);
    assert!(answers.of(path(3)).await.is_empty());
    assert_eq!(answers.count(), 2);
    assert!(answers.is_recent(path(1)) && !answers.is_recent(path(3)));
}

#[tokio::test]
async fn of_each_cache_the_newest_word_is_remembered_whoever_adds_last() {
    let folder = tempfile::tempdir().unwrap();
    let answers = remembered(&folder);
    let before = Instant::now();
    let after = before + Duration::from_millis(1);
    answers.add(path(1), &[claim(0, before, "a"), claim(1, after, "new")]).await;
    answers.add(path(1), &[claim(1, before, "old"), not_found(2, before), not_found(0, after)]).await;
    assert_eq!(words(answers.of(path(1)).await), [(0, None), (1, Some("new".to_owned())), (2, None)]);
    assert_eq!(answers.count(), 1);
}

#[tokio::test]
async fn the_file_has_no_name_and_nothing_is_made_before_it_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let answers = remembered(&folder);
    assert!(answers.of(path(1)).await.is_empty());
    answers.add(path(1), &[]).await;
    assert!(!folder.path().join("spool").exists());
    answers.add(path(1), &[not_found(0, Instant::now())]).await;
    assert_eq!(std::fs::read_dir(folder.path().join("spool")).unwrap().count(), 0);
    assert_eq!(words(answers.of(path(1)).await), [(0, None)]);
}

#[tokio::test]
async fn what_cannot_be_written_is_not_remembered() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("spool"), "no folder").unwrap();
    let answers = remembered(&folder);
    answers.add(path(1), &[not_found(0, Instant::now())]).await;
    assert!(answers.of(path(1)).await.is_empty());
    assert_eq!(answers.count(), 0);
}

#[test]
fn the_oldest_records_make_room() {
    let mut index = Index::default();
    let length = u32::try_from(RING / 10 + 1).unwrap();
    let mut held = Vec::new();
    for n in 0..12 {
        let place = index.reserve(length, 0);
        assert!(place.offset() + u64::from(length) <= RING, "a record does not go round the end");
        index.put(path(n), place);
        held.push(index.count());
    }
    // Nine fit; the gap behind the ninth counts with the first.
    assert_eq!(held[..9], [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert!(held[9..].iter().all(|held| (8..=9).contains(held)), "{held:?}");
    assert!(index.get(path(0)).is_none() && index.get(path(11)).is_some());
    let places = (0..12).filter_map(|n| index.get(path(n)));
    let mut places: Vec<_> = places.map(|p| (p.offset(), p.length)).collect();
    places.sort_unstable();
    assert!(places.windows(2).all(|two| two[0].0 + u64::from(two[0].1) <= two[1].0), "records overlap");
}

#[test]
fn a_record_is_given_up_before_it_is_written_over() {
    let mut index = Index::default();
    let place = index.reserve(1, 0);
    index.put(path(1), place);
    index.end = RING;
    assert_eq!(index.get(path(1)), Some(place));
    index.reserve(1, 0);
    assert_eq!(index.get(path(1)), None);
}

#[test]
fn the_oldest_generation_is_forgotten_but_what_was_written_anew_is_kept() {
    let mut index = Index::default();
    let most = u32::try_from(GENERATION * GENERATIONS).unwrap();
    let mut put = |n| {
        let place = index.reserve(8, 0);
        index.put(path(n), place);
    };
    (0..most).chain([0, most]).for_each(&mut put);
    assert!(index.get(path(0)).is_some(), "it is in the youngest generation now");
    assert!(index.get(path(1)).is_none());
    assert!(index.get(path(most)).is_some());
    assert!(index.count() >= 100_000, "{}", index.count());
    assert!(index.generations.len() <= GENERATIONS);
    assert!(index.generations.iter().all(|places| places.len() <= GENERATION));
}

#[test]
fn a_record_that_was_cut_gives_what_is_whole() {
    let began = Instant::now();
    let record = encode(&[claim(0, began, "first"), claim(1, began, "second")], began);
    for length in 0..=record.len() {
        let said = words(decode(Bytes::copy_from_slice(&record[..length]), began));
        let first = HEAD + "first".len();
        let whole = usize::from(length >= first) + usize::from(length == record.len());
        assert_eq!(said.len(), whole, "{length}");
    }
}
