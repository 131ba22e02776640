use super::*;
use crate::queue::{Entry, Origin};

#[test]
fn the_screen_says_what_is_wrong_in_one_line_each() {
    let at = Timestamp::from_seconds;
    let path =
        |name: &str| StorePath::from_base_name(&format!("00000000000000000000000000000000-{name}")).unwrap();
    let row =
        |id, name, entry| Row { id, destination: "acme".into(), path: path(name), derivation: None, entry };
    let waiting = Entry { trouble: "it waits for lib".to_owned(), ..Entry::new(Origin::Built, at(0)) };
    let dead =
        Entry { state: State::Dead, trouble: "dissent".to_owned(), ..Entry::new(Origin::Pushed, at(3600)) };
    let trouble = Trouble {
        destination: "acme".into(),
        text: "destination acme: cannot store x: no room".to_owned(),
        since: at(7000),
        until: at(7300),
    };
    let rows =
        [row(1, "app", waiting), row(2, "tool", dead), row(3, "new", Entry::new(Origin::Swept, at(7200)))];
    let expected = "\
destination acme: cannot store x: no room (for 3 min; tried again in 1 min)

STATE       FOR  DESTINATION  PATH
queued      2 h  acme         00000000000000000000000000000000-app
                 it waits for lib
dead        1 h  acme         00000000000000000000000000000000-tool
                 dissent
queued     10 s  acme         00000000000000000000000000000000-new  (found by the sweep)
";
    assert_eq!(table(&rows, &[trouble], at(7210)), expected);
    assert_eq!(table(&[], &[], at(0)), "nothing waits\n");
}

#[test]
fn spans_are_said_in_the_largest_unit() {
    for (seconds, said) in [(-5, "0 s"), (59, "59 s"), (60, "1 min"), (7199, "1 h"), (200_000, "2 d")] {
        assert_eq!(span(seconds), said);
    }
}

#[test]
fn times_are_read_as_people_write_them() {
    for (text, seconds) in [("90s", 90), ("10m", 600), ("2h", 7200), ("1h 30m", 5400)] {
        assert_eq!(parse_time(text), Ok(Duration::from_secs(seconds)), "{text}");
    }
    assert!(parse_time("soon").is_err());
    assert!(parse_time("-5s").is_err());
}
