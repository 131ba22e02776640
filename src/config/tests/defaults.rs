//! Defaults: what an empty file gives is what the key table says, key by key.

use super::{KEYS, good};
use crate::config::{Listen, Mode, Otherwise, keys};
use crate::trust::{Dissent, Role};
use std::path::Path;

/// A file with one entry of every kind and nothing optional, into which `key = value` is put where it belongs.
fn with(path: &str, value: &str) -> String {
    let here = |table: &str| match path.strip_prefix(table).and_then(|rest| rest.strip_prefix('.')) {
        Some(key) if !key.contains('.') => format!("{key} = {value}\n"),
        _ => String::new(),
    };
    let top =
        if path.is_empty() || path.contains('.') { String::new() } else { format!("{path} = {value}\n") };
    let plain = ["serving", "limits", "evidence", "dashboard", "upload"];
    let sections: String = plain.iter().map(|name| format!("[{name}]\n{}", here(name))).collect();
    format!(
        "{top}[signers.a]\nkeys = [\"a-1:{}\"]\n{}[caches.a]\nurl = \"https://a.example\"\n{}\
         [[rules]]\nname = \"rest\"\nsignatures = [{{ at-least = 1, of = [\"a\"] }}]\n{}\
         {sections}[destinations.a]\nurl = \"file:///srv\"\npackages = [\"*\"]\n{}",
        KEYS[0],
        here("signers.*"),
        here("caches.*"),
        here("rules[]"),
        here("destinations.*"),
    )
}

#[test]
fn every_default_in_the_table_is_what_an_empty_file_gives() {
    let unwritten = format!("{:?}", good(&with("", "")));
    let mut tried = 0;
    for key in keys() {
        let Some(default) = key.default else { continue };
        let text = with(key.path, default);
        assert!(text.contains(&format!(" = {default}\n")), "{} was put nowhere", key.path);
        assert_eq!(format!("{:?}", good(&text)), unwritten, "{}", key.path);
        tried += 1;
    }
    assert!(tried > 30);
}

#[test]
fn no_file_at_all_is_the_built_in_policy() {
    let config = good("");
    let policy = &config.policy;
    assert_eq!(policy.signers().len(), 1);
    assert_eq!(
        policy.signers()[0].keys[0].key.to_string(),
        "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="
    );
    assert_eq!(config.caches[0].url.as_str(), "https://cache.nixos.org/");
    assert_eq!((policy.rules().len(), policy.exceptions().len()), (1, 0));
    let rule = &policy.rules()[0];
    assert_eq!((rule.clauses.len(), rule.clauses[0].at_least.get(), rule.operators.get()), (1, 1, 1));
    assert_eq!(rule.dissent, Dissent::Refuse);
    assert!(rule.verify_content_addressed && rule.packages.is_none() && rule.must_answer.is_empty());
    let cache = &policy.caches()[0];
    assert_eq!((cache.role, cache.priority, cache.accept_signers), (Role::Source, 50, None));
    assert!(cache.counts_as_operator);
    assert_eq!(
        (config.mode, config.when_refused, config.when_undecided),
        (Mode::Enforce, Otherwise::Build, Otherwise::Build)
    );
    assert_eq!(config.listen, [Listen::Tcp("127.0.0.1:8419".parse().unwrap())]);
    assert_eq!(config.state_directory, Path::new("/home/me/.local/state/countersign"));
    assert_eq!(config.store_dir.as_str(), "/nix/store");
    assert!(config.destinations.is_empty() && config.upload.signing_key_files.is_empty());
}

#[test]
fn what_is_written_arrives() {
    let text = "listen = [\"[::1]:1\", \"unix:/run/x\"]\nhosts = [\"Cache.LAN\"]\nstate-directory = \"/s\"\n\
        store-directory = \"/gnu/store\"\nmode = \"observe\"\nwhen-refused = \"fail\"\nwhen-undecided = \"fail\"\n\
        decision-timeout = \"1m 30s\"\nlog-format = \"json\"\n[serving]\nadvertised-priority = 1\nbuffer = \"2 KiB\"\n\
        verify-before-sending = \"whole\"\nprefetch = false\nminimum-rate = \"1 MiB/s\"\n\
        [limits]\nnarinfo = \"2 MiB\"\nsignatures = 2\nreferences = 3\nnar = \"1 GiB\"\nconnections = 4\n\
        memory = \"128 MiB\"\nspool = \"2 GiB\"\nevidence = \"3 GiB\"\n[evidence]\nkeep = \"30d\"\nurl = \"postgres://me:hidden@h/d\"\n\
        [dashboard]\nlisten = [\"127.0.0.1:2\"]\nnotify = \"/bin/n\"\n[upload]\nsigning-key-files = [\"/k\"]\n\
        spool-directory = \"/sp\"\njobs = 8\ngive-up-after = \"1h\"\nsign-remote-builds = true\ninputs = \"endorsed\"\n";
    let config = good(text);
    let shown = format!("{:?}", (&config.listen, &config.hosts, &config.state_directory, &config.store_dir));
    assert_eq!(
        shown,
        "([Tcp([::1]:1), Unix(\"/run/x\")], [\"cache.lan\"], \"/s\", StoreDir(\"/gnu/store\"))"
    );
    let shown = format!("{:?}", (config.mode, config.when_refused, config.when_undecided, config.log_format));
    assert_eq!(shown, "(Observe, Fail, Fail, Json)");
    assert_eq!(config.decision_timeout.as_secs(), 90);
    assert_eq!(
        format!("{:?}", config.serving),
        "Serving { advertised_priority: 1, buffer: ByteSize(2048), verify: Whole, prefetch: false, \
         minimum_rate: ByteRate(ByteSize(1048576)) }"
    );
    assert_eq!(
        format!("{:?}", config.limits),
        "Limits { narinfo: ByteSize(2097152), signatures: 2, references: 3, nar: ByteSize(1073741824), \
         connections: 4, memory: ByteSize(134217728), spool: ByteSize(2147483648), \
         evidence: ByteSize(3221225472) }"
    );
    assert_eq!(format!("{:?}", config.evidence), "Evidence { keep: 2592000s, database: Postgres(…) }");
    assert!(!format!("{config:?}").contains("hidden"), "no password in debugging output");
    assert_eq!(
        format!("{:?}", config.dashboard),
        "Dashboard { listen: [Tcp(127.0.0.1:2)], notify: Some(\"/bin/n\") }"
    );
    assert_eq!(
        format!("{:?}", config.upload),
        "Upload { signing_key_files: [\"/k\"], spool_directory: \"/sp\", jobs: 8, give_up_after: 3600s, \
         sign_remote_builds: true, inputs: Endorsed }"
    );
}
