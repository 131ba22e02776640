//! `countersign key public|generate|rotate`; `key include` has its own file.

mod successor;

pub(super) use successor::succeed;

use crate::cli::say::{self, say};
use crate::cli::{Exit, fail, state};
use crate::config::{Config, Listen, Mode};
use crate::format::{KeyName, SigningKey, VerifyingKey};
use crate::state::{generate_key, read_secret_key, write_new_secret_key};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// Prints the key that the configured mode countersigns with.
pub(super) fn public(config: &Config) -> Exit {
    match state(config).existing_key(config.mode) {
        Ok(key) => print_public(&key),
        Err(error) => fail(Exit::from(&error), &error),
    }
}

/// Prints the lines of nix.conf that have Nix ask us and trust the key of the configured mode, and nothing else.
pub(super) fn nix_conf(config: &Config) -> Exit {
    let Some(address) = asked_at(config) else { return Exit::Config };
    match state(config).existing_key(config.mode) {
        Ok(key) => {
            // The file that this is put at the end of may lack the end of its last line.
            say::text(format_args!("\n{}", nix_conf_lines(config.mode, address, &key.verifying_key())));
            Exit::Ok
        }
        Err(error) => fail(Exit::Io, &error),
    }
}

/// Where Nix on this machine reaches us; says so if it cannot.
pub(super) fn asked_at(config: &Config) -> Option<SocketAddr> {
    let found = config.listen.iter().find_map(address);
    if found.is_none() {
        eprintln!(
            "countersign: `listen` has no IP address with a port of its own, and Nix asks nothing else"
        );
    }
    found
}

/// The lines of nix.conf that have Nix ask us and trust this key, and nothing else.
pub(super) fn nix_conf_lines(mode: Mode, address: SocketAddr, key: &VerifyingKey) -> String {
    let effect = match mode {
        Mode::Enforce => "Nothing else is asked or trusted: this overrides what stands above.",
        Mode::Observe => "Observing only; enforce mode has another key. This overrides what stands above.",
    };
    format!(
        "# Countersign. {effect}\nsubstituters = http://{address}\ntrusted-public-keys = {key}\nrequire-sigs = true\n\
         # Asking again costs next to nothing, and verdicts change.\nnarinfo-cache-negative-ttl = 0\n\
         narinfo-cache-positive-ttl = 300\n"
    )
}

/// Where Nix on this machine reaches us.
fn address(listen: &Listen) -> Option<SocketAddr> {
    match listen {
        Listen::Tcp(address) if address.port() != 0 => {
            let loopback = match address.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => Some(Ipv4Addr::LOCALHOST.into()),
                IpAddr::V6(ip) if ip.is_unspecified() => Some(Ipv6Addr::LOCALHOST.into()),
                _ => None,
            };
            Some(SocketAddr::new(loopback.unwrap_or_else(|| address.ip()), address.port()))
        }
        Listen::Tcp(_) | Listen::Unix(_) => None,
    }
}

/// Prints the public half of a key file.
pub(super) fn public_of(file: &Path) -> Exit {
    match read_secret_key(file) {
        Ok(key) => print_public(&key),
        Err(error) => fail(Exit::Io, &error),
    }
}

/// Makes a signing key.
pub(super) fn generate(name: &str, file: &Path) -> Exit {
    let name = match KeyName::parse(name) {
        Ok(name) => name,
        Err(error) => return fail(Exit::Config, &error),
    };
    match generate_key(name).and_then(|key| write_new_secret_key(file, &key).map(|()| key)) {
        Ok(key) => {
            eprintln!(
                "wrote the secret key to {}; keep it from others, and a copy of it safe",
                file.display()
            );
            eprintln!(
                "who installs what it signs needs in nix.conf: extra-trusted-public-keys = {}",
                key.verifying_key()
            );
            print_public(&key)
        }
        Err(error) => fail(Exit::Io, &error),
    }
}

/// Replaces the key that the configured mode countersigns with.
pub(super) fn rotate(config: &Config) -> Exit {
    match state(config).rotate(config.mode) {
        Ok(key) => {
            eprintln!("replaced the {} key; now", kind(config.mode));
            eprintln!("  1. reload the service (SIGHUP): until then it countersigns with the old key");
            eprintln!("  2. put this key into trusted-public-keys of nix.conf in place of the old one");
            eprintln!("  3. restart nix-daemon");
            print_public(&key)
        }
        Err(error) => fail(Exit::from(&error), &error),
    }
}

fn kind(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "machine",
        Mode::Observe => "observe",
    }
}

fn print_public(key: &SigningKey) -> Exit {
    say!("{}", key.verifying_key());
    Exit::Ok
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nix_is_told_an_address_that_it_can_reach() {
        let told = |text: &str| address(&Listen::Tcp(text.parse().unwrap())).map(|a| a.to_string());
        for (listen, address) in [
            ("127.0.0.1:8419", Some("127.0.0.1:8419")),
            ("192.0.2.7:80", Some("192.0.2.7:80")),
            ("0.0.0.0:8419", Some("127.0.0.1:8419")),
            ("[::]:8419", Some("[::1]:8419")),
            ("127.0.0.1:0", None),
        ] {
            assert_eq!(told(listen).as_deref(), address, "{listen}");
        }
        assert_eq!(address(&Listen::Unix("/run/socket".into())), None);
    }
}
