//! Outside conditions: what is missing, lost or taken is said in a clear sentence, with the right exit code, and
//! nothing is lost.

mod clock;
mod network;
mod state;

use crate::support::dirs::Dir;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

fn serve(dir: &Dir, text: &str) -> Output {
    let config = dir.write("c.toml", text);
    Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["serve", "--config"])
        .arg(config)
        .env_clear()
        .env("HOME", dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// What `serve` says when it cannot start.
fn refusal(dir: &Dir, text: &str) -> String {
    let output = serve(dir, text);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

const LISTEN: &str = "listen = [\"127.0.0.1:0\"]\n";

/// A cache over plain http, so that no certificates are needed.
const PLAIN: &str = "\
[signers.a]
keys = [\"cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=\"]
[caches.a]
url = \"http://127.0.0.1:9\"
[[rules]]
name = \"all\"
signatures = [{ at-least = 1, of = [\"a\"] }]
";

#[test]
fn a_state_directory_that_cannot_be_made() {
    let dir = Dir::new();
    let file = dir.write("taken", "a file");
    let text = format!("{LISTEN}state-directory = \"{}/state\"\n{PLAIN}", file.display());
    let said = refusal(&dir, &text);
    assert!(said.contains("state") && said.contains(&file.display().to_string()), "{said}");
}

#[test]
fn a_machine_key_that_is_none_is_left_where_it_is() {
    let dir = Dir::new();
    let secret = dir.write("state/machine.sec", "countersign-machine-1:not base64\n");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let text = format!("{LISTEN}state-directory = \"{}\"\n{PLAIN}", dir.join("state").display());
    let said = refusal(&dir, &text);
    assert!(said.contains("machine.sec holds no usable secret key") && said.contains("key rotate"), "{said}");
    assert!(!said.contains("not base64"), "what is in a key file is not shown: {said}");
    assert_eq!(fs::read_to_string(secret).unwrap(), "countersign-machine-1:not base64\n");
}

#[test]
fn a_port_that_is_taken() {
    let dir = Dir::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let said = refusal(&dir, &format!("listen = [\"127.0.0.1:{port}\"]\n{PLAIN}"));
    assert!(
        said.contains(&format!("cannot listen on 127.0.0.1:{port}")) && said.contains("see `listen`"),
        "{said}"
    );
}

#[test]
fn credentials_that_others_can_read() {
    let dir = Dir::new();
    let secret = dir.write("netrc", "machine 127.0.0.1 login me password sesame\n");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    let with = format!("url = \"http://127.0.0.1:9\"\ncredentials-file = \"{}\"", secret.display());
    let said = refusal(&dir, &format!("{LISTEN}{}", PLAIN.replace("url = \"http://127.0.0.1:9\"", &with)));
    assert!(said.contains("mode 0644") && said.contains("use 0600"), "{said}");
    assert!(!said.contains("sesame"), "{said}");
}

#[test]
fn no_home_and_no_state_directory() {
    let dir = Dir::new();
    let config = dir.write("c.toml", format!("{LISTEN}{PLAIN}"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    let output = command.args(["serve", "--config"]).arg(config).env_clear().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("state-directory"), "{said}");
}
