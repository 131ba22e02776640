//! `http://`: what is sent, what each answer means, and how long a server is waited for.

use crate::support::dirs::Dir;
use crate::support::fault_server::{Fault, FaultServer};
use crate::uploads::{HASTE, LEISURE, server, with_credentials};
use countersign::destination::{
    Body, Condition, ContentType, Place, PlaceError, PlaceErrorKind as Kind, Put,
};
use http::StatusCode;
use std::time::Duration;

async fn put(place: &Place, name: &str, condition: Condition) -> Result<Put, PlaceError> {
    place.put(name, Body::Bytes("text".into()), ContentType::NarInfo, condition).await
}

async fn kind(place: &Place) -> Kind {
    put(place, "x.narinfo", Condition::Always).await.unwrap_err().kind()
}

#[tokio::test]
async fn a_put_says_what_nix_copy_says() {
    let faulty = FaultServer::start();
    let place = server(&faulty.url(), LEISURE);
    place.prepare(true).await.unwrap();
    put(&place, "x.narinfo", Condition::Always).await.unwrap();
    let nar = vec![7; 300_000];
    let path = Dir::new();
    let body = Body::File { path: path.write("packed", &nar), length: 300_000 };
    place.put("nar/y.nar.zst", body, ContentType::Nar, Condition::Always).await.unwrap();
    assert_eq!(faulty.object("nar/y.nar.zst").unwrap(), nar);
    assert_eq!(faulty.object("nix-cache-info").unwrap(), b"StoreDir: /nix/store\nWantMassQuery: 1\n");
    let sent: Vec<_> = faulty
        .log()
        .iter()
        .map(|r| {
            let header = |name| r.header(name).unwrap_or("-").to_owned();
            assert!(header("user-agent").starts_with("countersign/"), "{r:?}");
            assert_eq!(r.header("transfer-encoding"), None, "{r:?}");
            format!("{} {} {} {}", r.method, r.name, header("content-type"), header("content-length"))
        })
        .collect();
    let expected = [
        "GET nix-cache-info - -",
        "PUT nix-cache-info text/x-nix-cache-info 38",
        "GET nix-cache-info - -",
        "PUT x.narinfo text/x-nix-narinfo 4",
        "PUT nar/y.nar.zst application/x-nix-nar 300000",
    ];
    assert_eq!(sent, expected);
    assert_eq!(faulty.log()[0].header("cache-control"), Some("no-cache"));
    assert_eq!(faulty.log()[0].header("accept-encoding"), Some("identity"));
}

#[tokio::test]
async fn below_a_prefix() {
    let faulty = FaultServer::start();
    let place = server(&format!("{}some/cache/", faulty.url()), LEISURE);
    put(&place, "nar/x.nar", Condition::Always).await.unwrap();
    assert_eq!(faulty.names(), ["some/cache/nar/x.nar"]);
}

#[tokio::test]
async fn conditions_are_sent_and_heeded() {
    let faulty = FaultServer::start();
    let place = server(&faulty.url(), LEISURE);
    assert_eq!(put(&place, "x", Condition::IfAbsent).await.unwrap(), Put::Stored);
    assert_eq!(put(&place, "x", Condition::IfAbsent).await.unwrap(), Put::Conflict);
    let tag = place.get("x", 10).await.unwrap().unwrap().tag.unwrap();
    assert_eq!(put(&place, "x", Condition::IfMatches(tag.clone())).await.unwrap(), Put::Stored);
    faulty.store("x", b"other");
    assert_eq!(put(&place, "x", Condition::IfMatches(tag)).await.unwrap(), Put::Conflict);
    assert_eq!(faulty.object("x").unwrap(), b"other");
    assert_eq!(faulty.log()[0].header("if-none-match"), Some("*"));
    // Some say it with 409; without a condition that means something else.
    faulty.when("PUT", "", Fault::Status(409, vec![], ""));
    assert_eq!(put(&place, "x", Condition::IfAbsent).await.unwrap(), Put::Conflict);
    let error = put(&place, "x", Condition::Always).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused(StatusCode::CONFLICT));
    assert!(error.to_string().contains("a folder may be missing there"), "{error}");
}

#[tokio::test]
async fn a_server_that_knows_no_conditions_is_asked_without_from_then_on() {
    for status in [501, 400] {
        let faulty = FaultServer::start();
        faulty.when("PUT", "", Fault::NoConditions(status));
        let place = server(&faulty.url(), LEISURE);
        for name in ["x", "y"] {
            assert_eq!(put(&place, name, Condition::IfAbsent).await.unwrap(), Put::Stored);
        }
        let conditional: Vec<_> =
            faulty.log().iter().map(|r| (r.name.clone(), r.header("if-none-match").is_some())).collect();
        assert_eq!(conditional, [("x".into(), true), ("x".into(), false), ("y".into(), false)]);
    }
}

#[tokio::test]
async fn a_server_that_is_broken_anyway_is_not_taken_for_one_without_conditions() {
    let faulty = FaultServer::start();
    let place = server(&faulty.url(), LEISURE);
    faulty.next(2, "PUT", "", Fault::Status(400, vec![], ""));
    let error = put(&place, "x", Condition::IfAbsent).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused(StatusCode::BAD_REQUEST));
    put(&place, "x", Condition::IfAbsent).await.unwrap();
    assert!(faulty.log()[2].header("if-none-match").is_some());
}

#[tokio::test]
async fn a_weak_tag_is_none() {
    let faulty = FaultServer::start();
    faulty.store("x", b"x");
    let place = server(&faulty.url(), LEISURE);
    assert!(place.get("x", 10).await.unwrap().unwrap().tag.is_some());
    faulty.when("GET", "", Fault::WeakTags);
    assert_eq!(place.get("x", 10).await.unwrap().unwrap().tag, None);
}

#[tokio::test]
async fn sizes_also_where_head_is_refused() {
    for refusal in [405, 501] {
        let faulty = FaultServer::start();
        faulty.store("x", b"12345");
        faulty.store("empty", b"");
        faulty.when("HEAD", "", Fault::Status(refusal, vec![], ""));
        let place = server(&faulty.url(), LEISURE);
        assert_eq!(place.size("x").await.unwrap(), Some(5));
        assert_eq!(place.size("empty").await.unwrap(), Some(0));
        assert_eq!(place.size("none").await.unwrap(), None);
        assert_eq!(faulty.count("HEAD", ""), 1, "it is remembered");
    }
}

#[tokio::test]
async fn what_is_gone_is_not_there_and_what_is_forbidden_is_an_error() {
    let faulty = FaultServer::start();
    let place = server(&faulty.url(), LEISURE);
    for status in [404, 410] {
        faulty.when("*", "", Fault::Status(status, vec![], ""));
        assert!(place.get("x", 10).await.unwrap().is_none());
        assert_eq!(place.size("x").await.unwrap(), None);
    }
    faulty.when("*", "", Fault::Status(403, vec![], ""));
    assert_eq!(place.get("x", 10).await.unwrap_err().kind(), Kind::Credentials);
    assert_eq!(place.size("x").await.unwrap_err().kind(), Kind::Credentials);
}

#[tokio::test]
async fn more_than_is_wanted_is_an_error() {
    let faulty = FaultServer::start();
    faulty.store("x", b"12345");
    let place = server(&faulty.url(), LEISURE);
    assert_eq!(place.get("x", 5).await.unwrap().unwrap().bytes, "12345");
    assert_eq!(place.get("x", 4).await.unwrap_err().kind(), Kind::Malformed);
}

#[tokio::test]
async fn every_refusal_has_its_kind_and_says_what_the_server_said() {
    let faulty = FaultServer::start();
    let place = server(&faulty.url(), LEISURE);
    let busy = |seconds| Kind::Busy { retry_after: Some(Duration::from_secs(seconds)) };
    for (status, after, expected) in [
        (401, None, Kind::Credentials),
        (403, None, Kind::Credentials),
        (413, None, Kind::Full),
        (507, None, Kind::Full),
        (429, None, Kind::Busy { retry_after: None }),
        (429, Some("7"), busy(7)),
        (503, Some("60"), busy(60)),
        (500, None, Kind::Refused(StatusCode::INTERNAL_SERVER_ERROR)),
        (405, None, Kind::Refused(StatusCode::METHOD_NOT_ALLOWED)),
    ] {
        let headers = after.map(|after: &str| ("Retry-After", after.to_owned())).into_iter().collect();
        faulty.when("PUT", "", Fault::Status(status, headers, "\x1b[31mno, because\nand more"));
        let error = put(&place, "x.narinfo", Condition::Always).await.unwrap_err();
        assert_eq!(error.kind(), expected, "{error}");
        let said = error.to_string();
        let begin = format!("destination acme: cannot store x.narinfo: the server answers {status} ");
        assert!(said.starts_with(&begin), "{said}");
        assert!(said.contains("\"[31mno, because\"; ") && !said.contains("more"), "{said}");
    }
}

#[tokio::test]
async fn an_answer_before_the_body_was_taken_counts() {
    let faulty = FaultServer::start();
    faulty.when("PUT", "", Fault::Early(413));
    let place = server(&faulty.url(), LEISURE);
    let dir = Dir::new();
    let body = Body::File { path: dir.write("packed", vec![0; 20 << 20]), length: 20 << 20 };
    let error = place.put("nar/x", body, ContentType::Nar, Condition::Always).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Full, "{error}");
}

#[tokio::test]
async fn a_server_that_is_down_or_hangs_up_is_unreachable_until_it_is_back() {
    let mut faulty = FaultServer::start();
    let place = server(&faulty.url(), LEISURE);
    put(&place, "x", Condition::Always).await.unwrap();
    faulty.go_down();
    assert_eq!(kind(&place).await, Kind::Unreachable);
    faulty.come_back();
    put(&place, "y", Condition::Always).await.unwrap();
    assert_eq!(faulty.names(), ["x", "y"]);
    faulty.when("PUT", "", Fault::HangUp);
    assert_eq!(kind(&place).await, Kind::Unreachable);
    faulty.when("PUT", "", Fault::Cut(100_000));
    let body = Body::Bytes(vec![1; 5 << 20].into());
    let error = place.put("nar/x", body, ContentType::Nar, Condition::Always).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable, "{error}");
    faulty.heal();
    put(&place, "z", Condition::Always).await.unwrap();
}

#[tokio::test]
async fn silence_ends() {
    let faulty = FaultServer::start();
    let place = server(&faulty.url(), HASTE);
    faulty.when("*", "", Fault::Silent);
    assert_eq!(kind(&place).await, Kind::TimedOut);
    assert_eq!(place.get("x", 10).await.unwrap_err().kind(), Kind::TimedOut);
    assert_eq!(place.size("x").await.unwrap_err().kind(), Kind::TimedOut);
    // It takes a little, and then no more.
    faulty.when("PUT", "", Fault::Stuck(1000));
    let dir = Dir::new();
    let body = Body::File { path: dir.write("packed", vec![0; 50 << 20]), length: 50 << 20 };
    let error = place.put("nar/x", body, ContentType::Nar, Condition::Always).await.unwrap_err();
    assert_eq!(error.kind(), Kind::TimedOut, "{error}");
}

#[tokio::test]
async fn an_answer_that_drips_ends_too() {
    let faulty = FaultServer::start();
    faulty.store("x", &[b'x'; 1000]);
    faulty.when("GET", "", Fault::Drip(Duration::from_millis(50)));
    let place = server(&faulty.url(), HASTE);
    assert_eq!(place.get("x", 1000).await.unwrap_err().kind(), Kind::TimedOut);
}

#[tokio::test]
async fn a_slow_server_gets_it_all() {
    let faulty = FaultServer::start();
    faulty.when("PUT", "", Fault::Slow(Duration::from_millis(1)));
    let place = server(&faulty.url(), LEISURE);
    let dir = Dir::new();
    let nar = vec![3; 2_000_000];
    let body = Body::File { path: dir.write("packed", &nar), length: nar.len() as u64 };
    place.put("nar/x", body, ContentType::Nar, Condition::Always).await.unwrap();
    assert_eq!(faulty.object("nar/x").unwrap(), nar);
}

#[tokio::test]
async fn redirects_stay_at_home_and_keep_the_method() {
    let (faulty, other) = (FaultServer::start(), FaultServer::start());
    let place = server(&faulty.url(), LEISURE);
    for status in [307, 308] {
        faulty.when("PUT", "old", Fault::Redirect(status, "/new".to_owned()));
        assert_eq!(put(&place, "old", Condition::Always).await.unwrap(), Put::Stored);
        assert_eq!(faulty.object("new").unwrap(), b"text");
        faulty.remove("new");
    }
    for (status, to) in
        [(307, format!("{}x", other.url())), (302, "/new".to_owned()), (307, "file:///x".to_owned())]
    {
        faulty.when("PUT", "old", Fault::Redirect(status, to));
        let error = put(&place, "old", Condition::Always).await.unwrap_err();
        let refused = Kind::Refused(StatusCode::from_u16(status).unwrap());
        assert_eq!(error.kind(), refused, "{error}");
        assert!(error.to_string().contains("leads where we do not follow"), "{error}");
    }
    assert!(other.log().is_empty() && faulty.names().is_empty());
    faulty.when("PUT", "old", Fault::Redirect(307, "/old".to_owned()));
    let error = put(&place, "old", Condition::Always).await.unwrap_err();
    assert!(error.to_string().contains("more than 3 redirects"), "{error}");
}

#[tokio::test]
async fn credentials_are_sent_and_never_shown() {
    let dir = Dir::new();
    let secret = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt;
        let path = dir.write(name, text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    let faulty = FaultServer::start();
    for (file, sent, words) in [
        (secret("token", "Bearer abc.def\n"), "Bearer abc.def", ["abc.def", "abc"]),
        (
            secret("netrc", "machine 127.0.0.1 login u password hunter2"),
            "Basic dTpodW50ZXIy",
            ["hunter2", "dTpo"],
        ),
    ] {
        let place = with_credentials(&faulty.url(), file).unwrap();
        faulty.heal();
        faulty.require(sent);
        put(&place, "x", Condition::Always).await.unwrap();
        assert_eq!(faulty.log().last().unwrap().header("authorization"), Some(sent));
        faulty.when("*", "", Fault::Echo(500));
        let error = put(&place, "x", Condition::Always).await.unwrap_err();
        let all = format!("{error} {error:?} {place:?}");
        assert!(error.to_string().contains("authorization"), "{error}");
        assert!(!words.iter().any(|word| all.contains(word)), "{all}");
    }
    let nobody = server(&faulty.url(), LEISURE);
    faulty.heal();
    assert_eq!(kind(&nobody).await, Kind::Credentials);
    let open = dir.write("open", "Bearer x");
    let error = with_credentials(&faulty.url(), open).unwrap_err();
    assert_eq!(error.kind(), Kind::Credentials);
    assert!(error.to_string().starts_with("destination acme: cannot open it: credentials file "), "{error}");
}

#[tokio::test]
async fn a_file_that_shrinks_while_it_is_sent_is_our_own_fault() {
    let faulty = FaultServer::start();
    let place = server(&faulty.url(), LEISURE);
    let dir = Dir::new();
    let body = Body::File { path: dir.write("packed", "short"), length: 1000 };
    let error = place.put("nar/x", body, ContentType::Nar, Condition::Always).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Local(std::io::ErrorKind::UnexpectedEof), "{error}");
    let body = Body::File { path: dir.join("none"), length: 1000 };
    let error = place.put("nar/x", body, ContentType::Nar, Condition::Always).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Local(std::io::ErrorKind::NotFound), "{error}");
    assert!(faulty.names().is_empty());
}
