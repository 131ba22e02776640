use super::*;
use crate::evidence::Outcome;
use crate::evidence::tests::samples::{claim, claims, core, path, verdict, verdicts};
use crate::format::{Core, References};
use std::sync::Arc;

fn now() -> Instant {
    Instant::now()
}

fn later() -> Instant {
    now().checked_add(Duration::from_secs(60)).unwrap()
}

fn one(n: u32) -> Batch {
    claims(vec![claim(n, 1, "one", 0)])
}

fn refusal(n: u32) -> Batch {
    verdicts(vec![verdict(n, Outcome::Refuse, 0)])
}

#[test]
fn what_is_routine_gathers_and_is_taken_in_its_order() {
    let backlog = Backlog::default();
    let nothing = backlog.take(now(), false);
    assert!(nothing.routine.is_empty() && nothing.urgent.is_empty() && !nothing.is_stopping);
    (1..=3).for_each(|n| assert_eq!(backlog.put(one(n)), 0));
    assert!(backlog.take(now(), false).routine.is_empty(), "it has just come");
    let work = backlog.take(later(), false);
    assert_eq!(work.routine, [one(1), one(2), one(3)]);
    assert_eq!(backlog.counts(), (3, 0), "what is taken is not written yet");
    backlog.take(now(), false);
    assert_eq!(backlog.counts(), (0, 0));
}

#[test]
fn a_full_transaction_is_taken_at_once_and_no_more_than_that() {
    let backlog = Backlog::default();
    (0..700).for_each(|n| assert_eq!(backlog.put(one(n)), 0));
    assert_eq!(backlog.take(now(), false).routine.len(), FULL);
    assert_eq!(backlog.counts().0, 700);
    assert_eq!(backlog.take(later(), false).routine.len(), 700 - FULL);
}

#[test]
fn a_refusal_is_taken_before_what_is_routine() {
    let backlog = Backlog::default();
    (0..700).for_each(|n| assert_eq!(backlog.put(one(n)), 0));
    let mut written = backlog.put_urgent(refusal(1));
    assert!(backlog.is_urgent());
    let work = backlog.take(later(), false);
    assert_eq!((work.urgent.len(), work.routine.len()), (1, 0));
    assert!(written.try_recv().is_err());
    work.urgent.into_iter().for_each(|(_, ack)| ack.send(()).unwrap());
    written.try_recv().unwrap();
}

#[test]
fn what_has_no_room_is_lost_and_counted() {
    let backlog = Backlog::default();
    let gone: u64 = (0..9000).map(|n| backlog.put(one(n))).sum();
    assert_eq!(gone, 9000 - MOST_ROWS as u64);
    assert_eq!(backlog.counts(), (MOST_ROWS as u64, 9000 - MOST_ROWS as u64));
    let backlog = Backlog::default();
    let references: References = (0..20_000).map(path).collect();
    let huge = Arc::new(Core { references, ..Core::clone(&core(1, 1)) });
    let seen = ClaimSeen { core: huge, ..claim(1, 1, "one", 0) };
    let gone: u64 = (0..100).map(|_| backlog.put(claims(vec![seen.clone()]))).sum();
    let (waiting, lost) = backlog.counts();
    assert!(waiting < 25, "by memory too: {waiting}");
    assert_eq!((waiting + lost, lost), (100, gone));
    drop(backlog.take(later(), false));
    assert_eq!(backlog.put(one(1)), 0, "there is room again");
}

#[test]
fn refusals_that_nobody_takes_are_bounded_too() {
    let backlog = Backlog::default();
    let mut written: Vec<_> = (0..600).map(|n| backlog.put_urgent(refusal(n))).collect();
    let is_given_up = |written: &mut oneshot::Receiver<()>| {
        matches!(written.try_recv(), Err(oneshot::error::TryRecvError::Closed))
    };
    assert_eq!(
        written.iter_mut().filter_map(|one| is_given_up(one).then_some(())).count(),
        600 - MOST_URGENT
    );
    assert_eq!(backlog.counts(), (600, 0), "their rows are kept for later");
}

#[test]
fn what_could_not_be_written_comes_first_again() {
    let backlog = Backlog::default();
    backlog.put(one(2));
    backlog.put_back(one(1));
    assert!(backlog.take(now(), true).routine.is_empty(), "in trouble it is left to wait");
    assert_eq!(backlog.take(later(), false).routine, [one(1), one(2)]);
}

#[test]
fn a_stop_takes_all_that_waits_and_nothing_after() {
    let backlog = Backlog::default();
    backlog.put(one(1));
    let mut stopped = backlog.stop();
    backlog.put(one(2));
    let mut written = backlog.put_urgent(refusal(3));
    assert!(written.try_recv().is_err());
    let work = backlog.take(later(), false);
    assert!(work.is_stopping);
    assert_eq!((work.routine, work.urgent.len()), (vec![one(1)], 0));
    assert_eq!(backlog.counts().1, 2, "what came after the stop is lost");
    assert!(stopped.try_recv().is_err());
    backlog.closed();
    stopped.try_recv().unwrap();
}

#[test]
fn a_nudge_wakes_without_rows() {
    let backlog = Backlog::default();
    backlog.nudge();
    let work = backlog.take(later(), false);
    assert!(work.routine.is_empty() && !work.is_stopping);
}
