//! What was said before: a signer with two cores is dissent with itself (§3.5), and only the last credible claim of a
//! silent cache is heard (§3.6).

use crate::trust::tests::lab::{Lab, needs};
use crate::trust::tests::sheet::{hello, other};

fn lab() -> Lab {
    Lab::of("p q", "a b").rule(needs(1, "p q").ignore_content())
}

#[test]
fn a_signer_that_vouched_for_another_core_before_has_no_voice() {
    let case = lab().ask().says("a", hello().signed("p-1"));
    case.clone().remembering("a", other().signed("p-1")).refuses("contradiction");
    // Whichever cache showed it, and whatever that one says now.
    case.clone().remembering("b", other().signed("p-1")).refuses("contradiction");
    case.clone()
        .says("b", hello().signed("p-1"))
        .remembering("b", other().signed("p-1"))
        .refuses("contradiction");
    case.clone().remembering("a", hello().signed("p-1")).endorses(&hello());
    case.remembering("a", other().signed("q-1")).endorses(&hello());
}

#[test]
fn who_never_contradicted_itself_is_enough() {
    let case = lab().ask().says("a", hello().signed("p-1")).remembering("a", other().signed("p-1"));
    case.clone().says("b", hello().signed("q-1")).endorses(&hello());
    case.says("b", hello().signed("p-1")).refuses("contradiction");
}

#[test]
fn an_earlier_core_makes_no_dissent_of_its_own() {
    // q vouches for what p vouches for now; what p vouched for before is nobody's word any more.
    let strict = Lab::of("p q r", "a b").rule(needs(2, "p q r"));
    let case = strict.ask().says("a", hello().signed("p-1 q-1 r-1")).remembering("b", other().signed("p-1"));
    case.clone().endorses(&hello());
    case.says("a", hello().signed("p-1 q-1")).refuses("contradiction");
}

#[test]
fn a_key_that_counts_no_more_contradicts_nothing() {
    let lab = |lab: Lab| lab.rule(needs(1, "p").ignore_content());
    let case = |l: Lab| {
        let case = lab(l).ask().says("a", hello().signed("p-1"));
        case.remembering("a", other().signed("p-2"))
    };
    case(Lab::of("p", "a").key("p-2")).refuses("contradiction");
    case(Lab::of("p", "a").key("p-2").revoked()).endorses(&hello());
}

#[test]
fn a_missing_answer_of_another_signer_could_lift_it() {
    let case = lab().ask().says("a", hello().signed("p-1")).remembering("a", other().signed("p-1"));
    case.clone().silent("b").defers("contradiction");
    let narrow = Lab::of("p q", "a").cache("b").accepts("p").rule(needs(1, "p q").ignore_content());
    let case = narrow.ask().says("a", hello().signed("p-1")).remembering("a", other().signed("p-1"));
    case.silent("b").refuses("contradiction");
}

/// The one who vouched for two cores may still bring the one that it vouched for first.
#[test]
fn a_missing_answer_could_bring_what_was_said_before() {
    let lab = Lab::of("p", "a b").rule(needs(1, "p").ignore_content());
    let case = lab.ask().silent("b").remembering("a", hello().signed("p-1"));
    case.clone().defers("no-claim");
    case.says("b", hello().signed("p-1")).endorses(&hello());
}

#[test]
fn prefer_passes_over_who_contradicts_itself_over_time() {
    let lab = Lab::of("p q", "a b").rule(needs(1, "p q").prefer("p q"));
    let case = lab.ask().says("a", hello().signed("p-1")).says("b", other().signed("q-1"));
    case.clone().endorses(&hello());
    case.remembering("a", hello().contents("third").signed("p-1")).endorses(&other());
}

/// Memories never help (§3.6), not to settle a dissent either.
#[test]
fn prefer_is_settled_by_what_is_said_now() {
    let lab = Lab::of("p q r", "a b c").rule(needs(1, "q r").prefer("p"));
    let case = lab.ask().says("a", hello().signed("q-1")).says("b", other().signed("r-1"));
    case.clone().silent("c").remembering("c", hello().signed("p-1")).defers("dissent");
    case.says("c", hello().signed("p-1")).endorses(&hello());
}

#[test]
fn outvote_does_not_count_who_contradicts_itself_over_time() {
    let lab = Lab::of("p q r", "a b").rule(needs(1, "p q r").outvote());
    let case = lab.ask().says("a", hello().signed("p-1 q-1")).says("b", other().signed("r-1"));
    case.clone().endorses(&hello());
    case.remembering("a", hello().contents("third").signed("p-1")).refuses("dissent");
}

#[test]
fn a_pinned_build_lifts_it() {
    let strict = Lab::of("p", "a").rule(needs(1, "p").called("all").ignore_content());
    let case = |lab: Lab| {
        let case = lab.ask().says("a", hello().signed("p-1"));
        case.remembering("a", other().signed("p-1"))
    };
    case(strict.clone()).refuses("contradiction");
    case(strict.clone().pin(&hello(), "all", i64::MAX)).endorses(&hello());
    case(strict.pin(&other(), "all", i64::MAX)).refuses("contradiction");
}

#[test]
fn of_a_silent_cache_the_last_credible_claim_is_heard() {
    let case = lab().ask().says("a", hello().signed("p-1")).silent("b");
    // It took its word back before it fell silent: what it said last stands, what is noise does not.
    let took_back =
        case.clone().remembering("b", other().signed("q-1")).remembering("b", hello().signed("p-1"));
    took_back.endorses(&hello());
    let noise = case.remembering("b", other().signed("q-1")).remembering("b", hello().signed("mallory-1"));
    noise.defers("dissent");
}
