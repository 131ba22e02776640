//! What the environment says, and what it must not say.

use super::*;

fn address(remote: &str, socket: &str) -> Result<StoreAddress, AddressError> {
    StoreAddress::from_environment(|name| match name {
        "NIX_REMOTE" => Some(remote.into()),
        "NIX_DAEMON_SOCKET_PATH" => Some(socket.into()),
        _ => None,
    })
}

fn at(socket: &str, root: Option<&str>) -> Result<StoreAddress, AddressError> {
    Ok(StoreAddress { socket: socket.into(), root: root.map(PathBuf::from) })
}

#[test]
fn the_usual_daemon() {
    assert_eq!(StoreAddress::from_environment(|_| None), at(StoreAddress::USUAL_SOCKET, None));
    for remote in ["", "auto", "daemon", "unix://"] {
        assert_eq!(address(remote, ""), at("/nix/var/nix/daemon-socket/socket", None), "{remote}");
        assert_eq!(address(remote, "/run/s"), at("/run/s", None), "{remote}");
    }
}

#[test]
fn a_socket_and_a_root() {
    assert_eq!(address("unix:///run/s", "/elsewhere"), at("/run/s", None));
    assert_eq!(address("unix:///run/s?root=/mnt", ""), at("/run/s", Some("/mnt")));
    assert_eq!(address("unix://?root=/mnt", "/run/s"), at("/run/s", Some("/mnt")));
    assert_eq!(address("unix:///run/s?root=/mnt%20x%2Fy", ""), at("/run/s", Some("/mnt x/y")));
    assert_eq!(address("unix:///run/s?root=", ""), at("/run/s", None));
    assert_eq!(address("unix:///run/s?", ""), at("/run/s", None));
}

#[test]
fn everything_else_is_refused() {
    for remote in ["local", "/mnt", "ssh://host", "https://cache", "unix:/run/s", "Daemon", "auto?x"] {
        let error = address(remote, "").unwrap_err();
        assert_eq!(error, AddressError::Kind { found: remote.into() });
        assert!(error.to_string().contains(remote) && error.to_string().contains("unix://SOCKET"));
    }
    for parameter in ["real=/x", "store=/x", "state=/x", "root", "Root=/x"] {
        let name = parameter.split('=').next().unwrap().to_owned();
        for remote in [format!("unix:///s?{parameter}"), format!("unix:///s?root=/a&{parameter}")] {
            assert_eq!(address(&remote, ""), Err(AddressError::Parameter { name: name.clone() }));
        }
    }
    for remote in ["unix:///s%20", "unix:///s?root=/a%2", "unix:///s?root=/a%zz"] {
        assert_eq!(address(remote, ""), Err(AddressError::Percent), "{remote}");
    }
    let relative = [("unix://s", ""), ("unix:///s?root=a", ""), ("daemon", "s")];
    for (remote, socket) in relative {
        assert!(matches!(address(remote, socket), Err(AddressError::NotAbsolute { .. })), "{remote}");
    }
}

#[test]
fn where_files_lie() {
    let dir = StoreDir::default();
    let path = StorePath::from_base_name("y25hsnq1kd1hjmsvvhp24bygpai69li3-hello.txt").unwrap();
    let physical = |address: Result<StoreAddress, _>| address.unwrap().physical(&dir, &path);
    let logical = PathBuf::from("/nix/store/y25hsnq1kd1hjmsvvhp24bygpai69li3-hello.txt");
    assert_eq!(physical(address("", "")), logical);
    assert_eq!(
        physical(address("unix:///s?root=/mnt", "")),
        Path::new("/mnt").join(logical.strip_prefix("/").unwrap())
    );
}
