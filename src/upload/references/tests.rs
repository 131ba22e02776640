use super::*;
use crate::format::NarHash;
use crate::format::derivation::{Derivation, Output, OutputKind};
use crate::store::PathInfo;

fn path(n: u8) -> StorePath {
    let digit = "0123456789abcdfghijklmnpqrsvwxyz".chars().nth(usize::from(n)).unwrap();
    StorePath::from_base_name(&format!("{}-{n}", String::from(digit).repeat(32))).unwrap()
}

fn found(text: &[u8], piece: usize) -> Vec<u8> {
    let mut search = Search::new((0..4).map(path), Arc::default());
    let mut out = Vec::new();
    for piece in text.chunks(piece) {
        search.beside(&mut out).write_all(piece).unwrap();
    }
    assert_eq!(out, text, "everything is passed on");
    (0..4).filter(|n| search.found.contains(&path(*n))).collect()
}

#[test]
fn hash_parts_are_found_wherever_the_pieces_end() {
    let text = format!("x/nix/store/{}yye{}e{}", path(1), path(3).hash_part(), &path(2).to_string()[..31]);
    for piece in 1..text.len() + 1 {
        assert_eq!(found(text.as_bytes(), piece), [1, 3], "pieces of {piece}");
    }
    assert_eq!(found(b"", 1), [0; 0]);
}

#[test]
fn both_differences_are_told() {
    let mut search = Search::new((0..4).map(path), Arc::default());
    let mut out = io::sink();
    write!(search.beside(&mut out), "{} {}", path(1), path(2)).unwrap();
    let of = |paths: &[u8]| References::from_unsorted(paths.iter().copied().map(path).collect());
    assert_eq!(search.difference(&of(&[1, 2])), None);
    assert_eq!(search.difference(&of(&[1, 2, 3])), Some(Difference::Missing(path(3))));
    assert_eq!(search.difference(&of(&[2])), Some(Difference::Unrecorded(path(1))));
    search.around = Arc::new(Around { forgets: true, ..Around::default() });
    assert_eq!(search.difference(&of(&[2])), None, "Nix was told to forget one");
    assert_eq!(search.difference(&of(&[1, 2, 3])), Some(Difference::Missing(path(3))));
}

/// A derivation 0 with the outputs 1 and 2 and the source 3, which refers to 4; and how often the store was asked.
#[derive(Default)]
struct FakeRecords {
    is_collected: bool,
    asked: usize,
}

impl Records for FakeRecords {
    fn path_info(&mut self, of: &StorePath) -> Result<Option<PathInfo>, StoreError> {
        self.asked += 1;
        let refers = if *of == path(3) { vec![path(4)] } else { Vec::new() };
        let core = Core {
            store_path: of.clone(),
            nar_hash: NarHash::from_digest([0; 32]),
            nar_size: 0,
            references: References::from_unsorted(refers),
        };
        let info = PathInfo {
            core,
            deriver: None,
            signatures: Vec::new(),
            content_address: None,
            registered: 1,
            ultimate: true,
            malformed_signatures: 0,
            unusable_content_address: false,
        };
        Ok(Some(info).filter(|_| !(self.is_collected && *of == path(4))))
    }

    fn derivation(&mut self, _: &StorePath) -> Result<Option<Derivation>, StoreError> {
        self.asked += 1;
        let output =
            |n: u8| Output { name: n.to_string(), path: Some(path(n)), kind: OutputKind::InputAddressed };
        Ok(Some(Derivation {
            outputs: vec![output(1), output(2)],
            input_derivations: Vec::new(),
            input_sources: vec![path(3)],
            forgets_references: false,
        }))
    }

    fn outputs(&mut self, _: &StorePath) -> Result<Vec<(String, Option<StorePath>)>, StoreError> {
        Ok(Vec::new())
    }
}

#[test]
fn what_was_around_a_build_is_asked_once_for_all_its_outputs_unless_something_was_gone() {
    let (known, mut records) = (Known::default(), FakeRecords { is_collected: true, asked: 0 });
    let unrecorded = |records: &mut FakeRecords, of: u8, recorded: &[u8], text: String| {
        let recorded = References::from_unsorted(recorded.iter().copied().map(path).collect());
        let mut search = known.search(records, &path(of), &recorded, Some(&path(0))).unwrap();
        write!(search.beside(&mut io::sink()), "{text}").unwrap();
        search.difference(&recorded)
    };
    let four = || format!("x{}", path(4));
    assert_eq!(unrecorded(&mut records, 1, &[], four()), Some(Difference::Unrecorded(path(4))));
    let before = std::mem::take(&mut records.asked);
    records.is_collected = false;
    assert_eq!(
        unrecorded(&mut records, 1, &[3], format!("{}{}", path(3), four())),
        Some(Difference::Unrecorded(path(4)))
    );
    assert!(before > 0 && records.asked > 0, "what was gone is asked for again");
    records.asked = 0;
    let both = format!("{} {}", path(1), path(3));
    assert_eq!(unrecorded(&mut records, 2, &[3], both.clone()), Some(Difference::Unrecorded(path(1))));
    assert_eq!(unrecorded(&mut records, 2, &[1, 3], both), None);
    assert_eq!(records.asked, 0);
}
