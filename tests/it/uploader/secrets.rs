//! Where the signing key is, and where it is not.

use crate::support::nix_daemon::full;
use crate::support::uploads::{SEED, Uploads, chain};
use countersign::format::{KeyName, SigningKey};
use std::fs::File;
use std::os::unix::fs::FileExt;

const DIRECTORY: &str = "[destinations.acme]\nurl = \"file://DIR/cache\"\npackages = [\"*\"]\n";

/// After an upload neither the seed nor its base64 is anywhere in the process's memory, its log or what it says;
/// and a crash would leave no core file.
#[test]
fn after_an_upload_no_secret_is_left_anywhere() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    let uploader = uploads.start();
    let built = uploads.daemon.build(&chain(8, 500));
    uploads.ok(&["push", &full(&built[7])]);
    uploads.wait();
    let key = SigningKey::from_seed(KeyName::parse("acme-1").unwrap(), &SEED);
    let secret = key.to_secret_text();
    let base64 = secret.split_once(':').unwrap().1;
    // 32 bytes of seed are 42 characters and a part of one.
    let spelled = &base64.as_bytes()[..42];
    let memory = Memory::of(uploader.id());
    assert!(memory.holds(uploads.key().bytes()), "the public key is found, so the search works");
    assert!(!memory.holds(&SEED), "the seed is in memory");
    assert!(!memory.holds(spelled), "the secret's base64 is in memory");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", uploader.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
    let said = format!("{}{}", uploads.log(), uploads.ok(&["queue", "list", "--all", "--json"]));
    assert!(!said.contains(&base64[..42]));
}

/// What a process can read of its own memory.
struct Memory(Vec<Vec<u8>>);

impl Memory {
    fn of(process: u32) -> Self {
        let memory = File::open(format!("/proc/{process}/mem")).unwrap();
        let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
        let mut regions = Vec::new();
        for line in maps.lines().filter(|line| line.split(' ').nth(1).unwrap().starts_with("rw")) {
            let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
            let number = |text: &str| u64::from_str_radix(text, 16).unwrap();
            let mut bytes = vec![0; usize::try_from(number(to) - number(from)).unwrap()];
            // Guard pages and the like cannot be read.
            if memory.read_exact_at(&mut bytes, number(from)).is_ok() {
                regions.push(bytes);
            }
        }
        Self(regions)
    }

    fn holds(&self, wanted: &[u8]) -> bool {
        self.0.iter().any(|region| region.windows(wanted.len()).any(|window| window == wanted))
    }
}

/// A key that the configuration revokes, or that others can read, signs nothing: the uploader does not start.
#[test]
fn a_key_that_may_not_sign_stops_the_start() {
    use std::os::unix::fs::PermissionsExt;
    let uploads = Uploads::new("2.34", DIRECTORY);
    let revoked = format!(
        "[signers.acme]\nkeys = [{{ key = \"{}\", revoked = \"stolen\" }}, \
         \"other-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=\"]\n\
         [caches.none]\nurl = \"http://127.0.0.1:1\"\n\
         [[rules]]\nname = \"all\"\nsignatures = [{{ at-least = 1, of = [\"acme\"] }}]\n",
        uploads.key()
    );
    uploads.configure(&revoked, "", DIRECTORY);
    let (code, _, said) = uploads.run(&["upload"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("revoked under [signers.acme] (stolen)"), "{said}");
    uploads.configure("", "", DIRECTORY);
    let file = uploads.dir.join("acme-1.sec");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, _, said) = uploads.run(&["upload"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("mode 0644"), "{said}");
}
