//! Tests of reading nix.conf; `tests/it/init.rs` compares it with real Nix.

use super::*;

/// Reads `/n/nix.conf` out of these files.
fn read(files: &[(&str, &str)]) -> Result<NixConf, NixConfError> {
    NixConf::read(Path::new("/n/nix.conf"), &|path| {
        let plain = plain(path);
        let found = files.iter().find(|(name, _)| Path::new(name) == plain);
        found.map(|(_, text)| text.as_bytes().to_vec()).ok_or_else(|| io::ErrorKind::NotFound.into())
    })
}

fn texts<'a>(conf: &'a NixConf, name: &str) -> Vec<&'a str> {
    conf.words(name).iter().map(|word| word.text.as_str()).collect()
}

#[test]
fn nothing_written_is_nixs_default() {
    let conf = read(&[("/n/nix.conf", "# nothing\n\n")]).unwrap();
    assert_eq!(texts(&conf, "substituters"), ["https://cache.nixos.org/"]);
    assert_eq!(texts(&conf, "trusted-users"), ["root"]);
    assert!(texts(&conf, "trusted-public-keys")[0].starts_with("cache.nixos.org-1:"));
    assert!(conf.words("substituters")[0].origin.is_none());
    assert_eq!(conf.written().count(), 0);
    assert!(conf.flag("require-sigs").is_none());
}

#[test]
fn later_replaces_and_extra_adds_also_to_the_default() {
    let conf = read(&[("/n/nix.conf", "extra-substituters = a\tb # c\r\nextra-binary-caches = d")]).unwrap();
    assert_eq!(texts(&conf, "substituters"), ["https://cache.nixos.org/", "a", "b", "d"]);
    let conf = read(&[("/n/nix.conf", "extra-substituters = a\nbinary-caches = b\nextra-substituters = c")]);
    assert_eq!(texts(&conf.unwrap(), "substituters"), ["b", "c"]);
    assert!(texts(&read(&[("/n/nix.conf", "substituters =")]).unwrap(), "substituters").is_empty());
    let conf = read(&[("/n/nix.conf", "netrc-file = /a b\nrequire-sigs = false\nextra-netrc-file = /c")]);
    let conf = conf.unwrap();
    assert_eq!(texts(&conf, "netrc-file"), ["/a b"]);
    assert!(matches!(conf.flag("require-sigs"), Some((false, _))));
}

#[test]
fn includes_are_relative_to_their_file_and_keep_their_place() {
    let conf = read(&[
        ("/n/nix.conf", "include sub/b.conf\n!include none.conf\nextra-substituters = z"),
        ("/n/sub/b.conf", "substituters = a\ninclude ../c.conf"),
        ("/n/c.conf", "\nextra-substituters = b"),
    ])
    .unwrap();
    assert_eq!(texts(&conf, "substituters"), ["a", "b", "z"]);
    assert_eq!(conf.words("substituters")[1].place(), "/n/sub/../c.conf:2");
    assert_eq!(conf.files.len(), 3);
}

#[test]
fn a_file_may_be_included_twice_but_not_in_itself() {
    let twice = [("/n/nix.conf", "include a\ninclude a"), ("/n/a", "extra-substituters = x")];
    assert_eq!(texts(&read(&twice).unwrap(), "substituters"), ["https://cache.nixos.org/", "x", "x"]);
    for files in [
        &[("/n/nix.conf", "!include ./nix.conf")][..],
        &[("/n/nix.conf", "include a"), ("/n/a", "include ../n/nix.conf")],
    ] {
        assert!(matches!(read(files), Err(NixConfError::Circle(_))));
    }
}

#[test]
fn depth_number_and_size_are_bounded() {
    // Each includes the next twice: a file for every leaf of a tree.
    let doubling: Vec<(String, String)> = (0..12)
        .map(|n| {
            let name = if n == 0 { "/n/nix.conf".to_owned() } else { format!("/n/{n}") };
            (name, format!("!include {0}\n!include {0}", n + 1))
        })
        .collect();
    let line: Vec<(String, String)> = (0..40)
        .map(|n| {
            let name = if n == 0 { "/n/nix.conf".to_owned() } else { format!("/n/{n}") };
            (name, format!("include {}", n + 1))
        })
        .collect();
    for files in [doubling, line] {
        let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let error = read(&files).unwrap_err();
        assert!(matches!(error, NixConfError::TooMany(_)), "{error}");
        assert!(!error.is_unreadable());
    }
    let large = "#".repeat(LARGEST / 2);
    let error = read(&[("/n/nix.conf", "!include a\n!include a\n!include a"), ("/n/a", &large)]).unwrap_err();
    assert!(matches!(error, NixConfError::TooLarge { .. }) && error.is_unreadable(), "{error}");
}

#[test]
fn lines_that_nix_refuses_are_named_and_not_repeated() {
    for bad in ["secret", "a b", "substituters=a", "include a b", "=", "= =  ="] {
        let error = read(&[("/n/nix.conf", &format!("\n{bad}"))]).map(|_| ());
        // Nix takes `= = =` for a setting called `=`.
        if bad == "= =  =" {
            assert!(error.is_ok());
            continue;
        }
        let words = error.unwrap_err().to_string();
        assert!(words.starts_with("/n/nix.conf:2: neither") && !words.contains("secret"), "{words}");
    }
}

#[test]
fn what_must_be_there_and_is_not_is_an_error_with_its_place() {
    let error = read(&[("/n/nix.conf", "\ninclude gone.conf")]).unwrap_err();
    assert!(error.is_unreadable());
    let words = error.to_string();
    assert!(words.starts_with("cannot read /n/gone.conf (included at /n/nix.conf:2)"), "{words}");
    // The missing one is the inner: that `!include` may be missing does not excuse it.
    let inner = [("/n/nix.conf", "!include a"), ("/n/a", "include gone")];
    assert!(matches!(read(&inner), Err(NixConfError::Read { .. })));
}

#[test]
fn what_include_may_miss_is_listed_if_it_is_there_and_cannot_be_read() {
    let conf = NixConf::read(Path::new("/n/nix.conf"), &|path| match path.ends_with("nix.conf") {
        true => Ok(b"!include tokens.conf".to_vec()),
        false => Err(io::ErrorKind::PermissionDenied.into()),
    })
    .unwrap();
    assert_eq!(conf.skipped, ["/n/tokens.conf (included at /n/nix.conf:1): permission denied"]);
}

#[test]
fn what_was_replaced_is_kept_and_is_no_part_of_a_draft() {
    let conf =
        read(&[("/n/nix.conf", "post-build-hook = /a b\npost-build-hook = /c\nsubstituters = x")]).unwrap();
    assert_eq!(texts(&conf, "post-build-hook"), ["/c"]);
    let replaced: Vec<_> = conf.replaced.iter().map(|(name, word)| (*name, word.text.as_str())).collect();
    assert_eq!(replaced, [("post-build-hook", "/a b")]);
    assert_eq!(conf.written().map(|(name, _)| name).collect::<Vec<_>>(), ["substituters"]);
    assert_eq!(
        conf.all_written().map(|(name, _)| name).collect::<Vec<_>>(),
        ["post-build-hook", "substituters"]
    );
    // A default is replaced too, and by nobody's mistake.
    let once = read(&[("/n/nix.conf", "narinfo-cache-negative-ttl = 0")]).unwrap();
    assert!(once.replaced.is_empty());
}
