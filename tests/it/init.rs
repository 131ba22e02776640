//! `countersign init` as a user runs it: from files to a configuration that `check` and `serve` take.

use crate::commands::{run, stderr, stdout};
use crate::support::client::get;
use crate::support::daemon::{Daemon, countersign};
use crate::support::dirs::Dir;
use crate::support::fake_cache::FakeCache;
use crate::support::nix::{GENERATIONS, Machine};
use crate::support::party::{Package, Party, noise};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const NIXOS_KEY: &str = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=";

fn init(dir: &Dir, conf: &Path, more: &[&str]) -> Output {
    run(dir, &[&["init", "--nix-conf", conf.to_str().unwrap()], more].concat())
}

/// The draft from a nix.conf, which must be one that `check` takes.
fn drafted(dir: &Dir, conf: &Path) -> (String, String) {
    let output = init(dir, conf, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let (draft, said) = (stdout(&output), stderr(&output));
    let file = dir.write("drafted.toml", &draft);
    let check = run(dir, &["check", "--config", file.to_str().unwrap()]);
    assert_eq!(check.status.code(), Some(0), "{}\n{draft}", stderr(&check));
    assert!(stdout(&check).contains("observed only"), "{}", stdout(&check));
    (draft, said)
}

/// What of a draft is no comment.
fn settings(draft: &str) -> String {
    draft.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).map(|l| format!("{l}\n")).collect()
}

#[test]
fn an_ordinary_nixos_machine() {
    let dir = Dir::new();
    let conf = dir.write(
        "nix.conf",
        format!(
            "# WARNING: this file is generated from the nix.* options in your NixOS configuration.\n\
             allowed-users = *\nauto-optimise-store = false\nbuilders = \nbuilders-use-substitutes = true\n\
             cores = 0\nexperimental-features = nix-command flakes\nextra-sandbox-paths = \nmax-jobs = auto\n\
             require-sigs = true\nsandbox = true\nsandbox-fallback = false\n\
             substituters = https://cache.nixos.org/\nsystem-features = nixos-test benchmark big-parallel kvm\n\
             trusted-public-keys = {NIXOS_KEY}\ntrusted-substituters = \ntrusted-users = root\n\
             extra-sandbox-paths = \n"
        ),
    );
    let (draft, said) = drafted(&dir, &conf);
    assert_eq!(
        settings(&draft),
        format!(
            "mode = \"observe\"\n[signers.nixos]\nkeys = [\"{NIXOS_KEY}\"]\n\
             [caches.nixos]\nurl = \"https://cache.nixos.org/\"\noperator = \"nixos.org\"\npriority = 40\n\
             [[rules]]\nname = \"everything else\"\nsignatures = [{{ at-least = 1, of = [\"nixos\"] }}]\n"
        )
    );
    assert!(draft.contains("# accept-signers = [\"nixos\"]"), "{draft}");
    for words in
        ["drafted 1 cache, 1 signer", "`may-vouch-for`", "check --config", "key public --nix-conf --config"]
    {
        assert!(said.contains(words) && (words.starts_with("drafted") || draft.contains(words)), "{said}");
    }
    assert!(!said.contains("not carried over:"), "{said}");
}

#[test]
fn several_caches_with_cachix_and_a_netrc() {
    let dir = Dir::new();
    let netrc = dir.write("netrc", "machine cache.acme.example login u password hush\n");
    std::fs::set_permissions(&netrc, PermissionsExt::from_mode(0o644)).unwrap();
    let (acme, cachix) = (Party::new("cache.acme.example-1"), Party::new("team.cachix.org-1"));
    let conf = dir.write(
        "nix.conf",
        format!(
            "substituters = https://cache.acme.example?priority=10&trusted=1 https://cache.nixos.org s3://acme\n\
             extra-substituters = https://team.cachix.org\ntrusted-substituters = https://other.cachix.org\n\
             extra-trusted-public-keys = {} {} {}\nnetrc-file = {}\ntrusted-users = root @wheel\n\
             secret-key-files = /etc/nix/key.sec\n",
            acme.key(),
            acme.key().replace("example-1", "example-2"),
            cachix.key(),
            netrc.display()
        ),
    );
    let (draft, said) = drafted(&dir, &conf);
    let settings = settings(&draft);
    for words in [
        "[caches.acme]\nurl = \"https://cache.acme.example/\"\noperator = \"acme.example\"\npriority = 10\n",
        &format!("credentials-file = \"{}\"", netrc.display()),
        "[caches.team]\nurl = \"https://team.cachix.org/\"\noperator = \"cachix.org\"\n",
        "of = [\"nixos\", \"acme\", \"team\"]",
    ] {
        assert!(settings.contains(words), "{words} is not in\n{settings}");
    }
    assert!(!settings.contains("other.cachix.org") && draft.contains("# [caches.other]"), "{draft}");
    for words in [
        "substituter s3://acme",
        "same key as cache.acme.example-1",
        "its mode 0644",
        "in acme: `trusted=1`",
        "@wheel",
        "/etc/nix/key.sec",
    ] {
        assert!(said.contains(words), "{words} is not in\n{said}");
    }
    assert!(!draft.contains("hush") && !said.contains("hush"));
}

#[test]
fn the_effective_file_is_found_with_what_it_includes() {
    let dir = Dir::new();
    dir.write("etc/nix.conf", "include more/sub.conf\n!include absent.conf\n");
    dir.write("etc/more/sub.conf", "extra-substituters = https://sub.example\ninclude ../last.conf\n");
    dir.write("etc/last.conf", "extra-substituters = https://last.example\n");
    dir.write("etc/netrc", "machine last.example password p\n");
    dir.write(".config/nix/nix.conf", "extra-substituters = https://mine.example\n");
    let run_with = |dir: &Dir| {
        let mut command = countersign(dir, &["init"]);
        command.env("NIX_CONF_DIR", dir.join("etc")).env("NIX_CONFIG", "x = y").output().unwrap()
    };
    let output = run_with(&dir);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let settings = settings(&stdout(&output));
    for words in ["[caches.nixos]", "[caches.sub]", "[caches.last]", "etc/netrc\""] {
        assert!(settings.contains(words), "{words} is not in\n{settings}");
    }
    assert!(!settings.contains("mine.example"), "{settings}");
    for words in [".config/nix/nix.conf is for (substituters)", "$NIX_CONFIG", "and 2 further files"] {
        assert!(stderr(&output).contains(words), "{words} is not in\n{}", stderr(&output));
    }

    dir.write("etc/last.conf", "!include more/sub.conf\n");
    let circle = run_with(&dir);
    assert_eq!(circle.status.code(), Some(2), "{}", stderr(&circle));
    assert!(stderr(&circle).contains("last.conf:1: includes a file that is being read already"));
    dir.write("etc/last.conf", "include gone.conf\n");
    let gone = run_with(&dir);
    assert_eq!(gone.status.code(), Some(3));
    assert!(stderr(&gone).contains("gone.conf (included at "), "{}", stderr(&gone));
    std::fs::remove_dir_all(dir.join("etc")).unwrap();
    let defaults = run_with(&dir);
    assert_eq!(defaults.status.code(), Some(0), "{}", stderr(&defaults));
    assert!(stderr(&defaults).contains("from Nix's defaults"), "{}", stderr(&defaults));
}

#[test]
fn hostile_files_are_refused_or_made_harmless() {
    let dir = Dir::new();
    let secret = "A".repeat(88);
    let conf = dir.write(
        "nix.conf",
        format!(
            "extra-substituters = https://a\u{1b}[2J.example https://b.example/\"\u{2028}[rules] \
             https://c.example/\"]# https://u:hush@d.example?x=hush {}\n\
             extra-trusted-public-keys = k-1:{secret} \u{7}:AAAA \"]\u{b}mode=\"enforce\"\n\
             trusted-users = \u{202e}root\u{0}\nnetrc-file = /a\u{1b}b\n",
            "x".repeat(100_000)
        ),
    );
    let (draft, said) = drafted(&dir, &conf);
    for text in [&draft, &said] {
        assert!(text.chars().all(|c| c == '\n' || c == ' ' || c.is_ascii_graphic()), "{text:?}");
        assert!(!text.contains("hush") && !text.contains(&secret) && text.len() < 20_000, "{text}");
    }
    assert!(settings(&draft).contains("url = \"https://c.example/%22]"), "{draft}");

    let large = dir.write("large.conf", vec![b'#'; 10 << 20]);
    let refused = init(&dir, &large, &[]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(stderr(&refused).contains("larger than 1 MiB"), "{}", stderr(&refused));
    let endless = dir.write("endless.conf", "!include /dev/zero\ninclude /dev/zero\n");
    assert_eq!(init(&dir, &endless, &[]).status.code(), Some(3));
    assert_eq!(init(&dir, Path::new("/dev/zero"), &[]).status.code(), Some(3));
    assert!(Command::new("mkfifo").arg(dir.join("pipe")).status().unwrap().success());
    let waiting = dir.write("waiting.conf", "include pipe\n");
    let refused = init(&dir, &waiting, &[]);
    assert!(stderr(&refused).contains("no regular file"), "{}", stderr(&refused));

    let itself = dir.write("itself.conf", "!include itself.conf\n");
    assert_eq!(init(&dir, &itself, &[]).status.code(), Some(2));
    std::os::unix::fs::symlink(".", dir.join("loop")).unwrap();
    let spelled = dir.write("spelled.conf", "include loop/spelled.conf\n");
    assert_eq!(init(&dir, &spelled, &[]).status.code(), Some(2), "under ever longer names");
    let broken = dir.write("broken.conf", "\naccess-tokens hush\n");
    let refused = init(&dir, &broken, &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("broken.conf:2: neither") && !stderr(&refused).contains("hush"));
}

#[test]
fn a_file_is_written_whole_for_all_to_read_and_never_over_another() {
    let dir = Dir::new();
    let conf = dir.write("nix.conf", "");
    let file = dir.join("c.toml");
    let output = ["--output", file.to_str().unwrap()];
    let made = init(&dir, &conf, &output);
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    assert!(stdout(&made).is_empty() && stderr(&made).contains("wrote "));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);

    dir.write("c.toml", "mine");
    let kept = init(&dir, &conf, &output);
    assert_eq!(kept.status.code(), Some(2));
    assert!(stderr(&kept).contains("--force"), "{}", stderr(&kept));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    assert_eq!(init(&dir, &conf, &[&output[..], &["--force"]].concat()).status.code(), Some(0));
    assert!(std::fs::read_to_string(&file).unwrap().contains("mode = \"observe\""));
    std::os::unix::fs::symlink("/nonexistent", dir.join("link")).unwrap();
    let link = dir.join("link");
    assert_eq!(init(&dir, &conf, &["--output", link.to_str().unwrap()]).status.code(), Some(2));
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "nothing else is left: {left:?}");

    let fresh = dir.join("etc/countersign/c.toml");
    assert_eq!(init(&dir, &conf, &["--output", fresh.to_str().unwrap()]).status.code(), Some(0));
    assert!(std::fs::read_to_string(&fresh).unwrap().contains("mode = \"observe\""));

    let nowhere = init(&dir, &conf, &["--output", "/proc/nonexistent/c.toml"]);
    assert_eq!(nowhere.status.code(), Some(3));
    assert!(stderr(&nowhere).contains("cannot write /proc/nonexistent/c.toml"), "{}", stderr(&nowhere));
}

#[test]
fn what_cannot_be_asked_for_exits_with_2_and_what_cannot_be_read_with_3() {
    let dir = Dir::new();
    let conf = dir.write("nix.conf", "");
    assert_eq!(init(&dir, &conf, &["--force"]).status.code(), Some(2));
    assert_eq!(init(&dir, &conf, &["--config", "x"]).status.code(), Some(2));
    assert_eq!(init(&dir, Path::new("/nonexistent/nix.conf"), &[]).status.code(), Some(3));
    assert_eq!(init(&dir, dir.path(), &[]).status.code(), Some(3));
    let ours = dir.write("ours.conf", "substituters = http://127.0.0.1:8419\n");
    let refused = init(&dir, &ours, &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("where Countersign itself listens"), "{}", stderr(&refused));
    assert!(stdout(&run(&dir, &["init", "--help"])).contains("nix config show | countersign init"));
}

#[test]
fn from_nix_conf_to_an_observing_service() {
    let (a, b, stranger) = (Party::new("a-1"), Party::new("b-1"), Party::new("c-1"));
    let [one, other, foreign, forged] =
        ["one-1.0", "other-1.0", "foreign-1.0", "forged-1.0"].map(|name| Package::new(name, &noise(7, 3000)));
    let first = FakeCache::with("xz", &[&a], &[&one, &forged]);
    let second = FakeCache::with("zstd", &[&b], &[&other]);
    second.put("zstd", &[&stranger], &foreign);
    second.put("zstd", &[&b], &forged.forged(b"evil"));

    let dir = Dir::new();
    let conf = dir.write(
        "nix.conf",
        format!(
            "substituters = {} {}\ntrusted-public-keys = {} {}\n",
            first.url(),
            second.url(),
            a.key(),
            b.key()
        ),
    );
    let (draft, _) = drafted(&dir, &conf);
    let config = dir.write("c.toml", format!("listen = [\"127.0.0.1:0\"]\n{draft}"));
    let config = config.to_str().unwrap();
    let daemon = Daemon::start(&dir, config);
    let status = |package: &Package| get(daemon.port, &format!("/{}.narinfo", package.hash())).status;
    assert_eq!((status(&one), status(&other)), (200, 200));
    assert_eq!(status(&foreign), 404, "plain Nix did not know the key either");
    assert_eq!(status(&forged), 200, "dissent is observed only");
    let public = stdout(&run(&dir, &["key", "public", "--config", config]));
    assert!(public.starts_with("countersign-observe-"), "{public}");
    let narinfo = get(daemon.port, &format!("/{}.narinfo", one.hash())).text();
    assert!(narinfo.contains(public.split(':').next().unwrap()), "{narinfo}");
    assert_eq!(daemon.stop(), Some(0));
}

/// What we read in nix.conf is what Nix reads: its own account of its settings gives the same draft.
fn reads_as_nix_does(generation: &'static str) {
    let machine = Machine::new(generation);
    let dir = &machine.dir;
    let [one, two] = ["one.example-1", "two.example-1"].map(|name| Party::new(name).key());
    let conf = dir.write(
        "nix.conf",
        format!(
            "experimental-features = nix-command\nextra-substituters = https://lost.example\n\
             binary-caches = https://a.example?priority=5\thttps://b.example # https://c.example\r\n\
             !include none.conf\ninclude sub/more.conf\nextra-trusted-binary-caches = https://t.example\n\
             extra-binary-cache-public-keys = {one}\nrequire-sigs = false\ntrusted-users = root @wheel\n"
        ),
    );
    dir.write("sub/more.conf", format!("include ./../last.conf\nextra-trusted-public-keys = {two}\n"));
    dir.write(
        "last.conf",
        "  extra-binary-caches   =  https://d.example\nnetrc-file = /none\nfallback = true",
    );
    let effective = dir.write("effective.conf", machine.ok("nix", &["show-config"]));

    let (ours, said) = drafted(dir, &conf);
    let (nixs, nix_said) = drafted(dir, &effective);
    assert_eq!(settings(&ours), settings(&nixs), "Nix {generation}");
    assert_eq!(settings(&ours).matches("[caches.").count(), 3, "{ours}");
    let decide = |said: &str| said.lines().filter(|line| line.contains("trusted-users")).count();
    assert_eq!((decide(&said), decide(&nix_said)), (1, 1), "{nix_said}");
}

#[test]
fn nix_conf_is_read_as_real_nix_reads_it() {
    GENERATIONS.into_iter().for_each(reads_as_nix_does);
}
