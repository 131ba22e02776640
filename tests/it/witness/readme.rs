//! What README says of two friends, word by word: its commands and its configuration, with this machine's paths.

use super::Witness;
use crate::support::nix::Nginx;
use crate::support::nix_daemon::full;
use crate::support::service::Served;
use std::process::Command;

/// The fenced blocks of the section, by their kind.
fn blocks(kind: &str) -> Vec<String> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, section) = readme.split_once("## Become each other's second signer\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let fence = format!("```{kind}\n");
    section.split(&fence).skip(1).map(|block| block.split("\n```").next().unwrap().to_owned()).collect()
}

/// Runs a command line of README's on the machine, as root would.
fn run(witness: &Witness, line: &str, expression: &str) -> String {
    let line = line
        .replace("sudo ", "")
        .replace("'<nixpkgs>' -A openssl", expression)
        .replace("/etc/countersign", &witness.uploads.dir.path().display().to_string());
    let program = env!("CARGO_BIN_EXE_countersign");
    let mut shell: Command = witness.command(&[]);
    let path = shell.get_envs().find(|(name, _)| *name == "PATH").unwrap().1.unwrap().to_owned();
    let environment: Vec<_> =
        shell.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
    let function = format!("countersign() {{ {program} \"$@\"; }}; {line}");
    shell = Command::new("bash");
    let output =
        shell.env_clear().envs(environment).env("PATH", path).args(["-c", &function]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {said}\n{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn two_friends_become_each_others_second_signer() {
    let witness = Witness::with("2.34", "", "");
    let (commands, configuration) = (blocks("sh"), blocks("toml"));
    assert_eq!((commands.len(), configuration.len()), (3, 2));
    // Alice's key and folder. Her machine was set up with another key.
    let keys: Vec<&str> = commands[0].lines().collect();
    run(&witness, keys[0], "");
    let public = run(&witness, keys[1], "");
    let dir = witness.uploads.dir.path().display().to_string();
    let alice =
        configuration[0].replace("/etc/countersign", &dir).replace("/srv/claims", &format!("{dir}/claims"));
    let spool = "[upload]\nspool-directory = ";
    let config = format!("state-directory = \"{dir}/state\"\n{alice}\n");
    let config = config.replacen("[upload]\n", &format!("{spool}\"{dir}/spool\"\n"), 1);
    assert!(config.contains(spool), "{config}");
    witness.uploads.dir.write("config.toml", config);
    // What she uses: downloaded from a cache whose key Bob knows.
    let expression = "shell \"openssl-3\" \"echo a > $out\" {}";
    let other = &witness.other.machine;
    let [secret, nixos] = ["nixos.sec", "nixos.pub"].map(|name| other.dir.join(name).display().to_string());
    other.ok("nix-store", &["--generate-binary-cache-key", "nixos-1", &secret, &nixos]);
    let path = witness.other.build_one(expression);
    let cache = format!("file://{}?secret-key={secret}", witness.binary().display());
    witness.other.ok("nix", &["copy", "--to", &cache, &full(&path)]);
    let derivation = witness.daemon().instantiate(expression).remove(0);
    assert!(!derivation.to_string().is_empty());
    let file = witness.daemon().machine.dir.join("expression.nix").display().to_string();
    for line in commands[1].lines() {
        run(&witness, line, &file);
    }
    // Bob.
    let nginx = Nginx::serve(&[&witness.binary(), &witness.uploads.dir.join("claims")]);
    let bob = configuration[1]
        .replace("alice-1:…", public.trim())
        .replace("https://claims.alice.example", &nginx.url(1));
    let (before, rules) = bob.split_once("[[rules]]").unwrap();
    let served = Served::with(&format!(
        "[signers.nixos]\nkeys = [\"{}\"]\n[caches.nixos]\nurl = \"{}\"\n{before}\n[[rules]]{rules}\n\
         [[rules]]\nname = \"everything else\"\nsignatures = [{{ at-least = 1, of = [\"nixos\"] }}]\n",
        std::fs::read_to_string(nixos).unwrap().trim(),
        nginx.url(0),
    ));
    let url = format!("/{}.narinfo", path.hash_part());
    let reply = crate::support::client::get(served.port(), &url);
    assert_eq!((reply.status, reply.verdict()), (200, "endorse"), "{}", reply.reason());
    let text = reply.text();
    assert!(text.contains("Sig: alice-1:") && text.contains("Sig: nixos-1:"), "both have vouched: {text}");
}
