//! Faults in a response: some that a strict reader refuses, some that it lets through.

use crate::served::paths::{Wire, key};
use crate::support::dice::Dice;
use crate::support::party::Package;

/// One fault in what a cache answers; `next` is another path.
pub fn mangle(dice: &mut Dice, honest: &Wire, next: &Package) -> Wire {
    let fault = dice.below(44);
    let text = String::from_utf8(honest.body.clone()).unwrap();
    if honest.status != 200 || fault < 9 {
        return response(fault % 9, honest, next);
    }
    let fields = |name: &str| text.lines().find(|l| l.starts_with(name)).unwrap_or_default().to_owned();
    let (path, nar_hash, nar_size) = (fields("StorePath: "), fields("NarHash: "), fields("NarSize: "));
    let (url, references) = (fields("URL: "), fields("References: "));
    let replaced = |from: &str, to: &str| text.replacen(from, to, 1);
    let doubled = |line: &str| format!("{text}{line}\n");
    let hex = || countersign::format::NarHash::from_nix_str(&nar_hash[9..]).unwrap();
    let mangled = match fault {
        9 => text.trim_end_matches('\n').to_owned(),
        10 => text.replace('\n', "\r\n"),
        11 => doubled(&path),
        12 => doubled(&nar_hash),
        13 => doubled("NarSize: 1"),
        14 => doubled("narsize: 1"),
        15 => replaced("NarSize: ", "NarSize:"),
        16 => replaced("NarHash: ", "NarHash:  "),
        17 => replaced("References", "references"),
        18 => replaced("StorePath: ", "StorePath: /nix/store/../store/").replace("/store//nix", ""),
        19 => replaced("/nix/store/", "/gnu/store/"),
        20 => replaced("/nix/store/", ""),
        21 => replaced(&format!("{nar_hash}\n"), ""),
        22 => replaced(&format!("{url}\n"), ""),
        23 => replaced("\nNarHash", "\n\nNarHash"),
        24 => format!("{text}X\tY: z\n"),
        25 => format!("{text}Deriver: caf\u{e9}\n"),
        26 => replaced("NarSize: ", "NarSize: +"),
        27 => replaced("NarSize: ", "NarSize: 0"),
        28 => replaced(&nar_size, "NarSize: 0"),
        29 => replaced(&nar_size, "NarSize: 18446744073709551617"),
        30 => replaced("References: ", "References: /nix/store/"),
        31 => replaced("References: ", "References:  "),
        32 => replaced(&nar_hash, "NarHash: sha512:0"),
        33 => doubled("FileHash: md5:nothing"),
        // From here on nothing is wrong that a reader of the core could see.
        34 => format!("{text}FutureField: 1\nSig: junk\nSig: bob-1:AAAA\nCA: nonsense\n")
            .replace("CA: fixed", "Fixed"),
        35 => {
            let repeated = references.trim_start_matches("References: ").to_owned();
            let all = format!("{references} {repeated}");
            if repeated.is_empty() { text.clone() } else { replaced(&references, &all) }
        }
        36 => {
            // In hexadecimal.
            let digits: String = hex().digest().iter().map(|byte| format!("{byte:02x}")).collect();
            replaced(&nar_hash, &format!("NarHash: sha256:{digits}"))
        }
        37 => {
            // More signatures than are looked at in front of the good ones.
            let junk = format!("Sig: {}\n", key("mallory-1").sign(&next.core)).repeat(64);
            replaced("NarSize: ", &format!("{junk}NarSize: "))
        }
        38 => {
            let junk = format!("Sig: {}\n", key("mallory-1").sign(&next.core)).repeat(60);
            replaced("NarSize: ", &format!("{junk}NarSize: "))
        }
        39 => replaced(&url, "URL: http://127.0.0.2:1/nar/x.nar"),
        40 => replaced(&url, "URL: file:///etc/passwd"),
        41 => replaced("Compression: ", "Compression: lz4-"),
        42 => doubled("Deriver: unknown-deriver"),
        _ => text.split('\n').next().unwrap().to_owned() + "\n",
    };
    honest.clone().body(mangled)
}

/// Faults of the response rather than of the narinfo.
fn response(fault: usize, honest: &Wire, next: &Package) -> Wire {
    match fault {
        0 => Wire::status(403),
        1 => Wire::status(401),
        2 => Wire::status(200).body("<html><body>Sign in to the hotel's network</body></html>\n"),
        3 => Wire::status(200),
        4 => Wire { status: 206, ..honest.clone() },
        5 => honest.clone().with("Content-Encoding", "gzip"),
        // The honest narinfo of another path.
        6 => Wire::status(200).body(next.narinfo("xz", &[key("alice-1"), key("bob-1"), key("carol-1")])),
        7 => Wire::status(302).with("Location", "http://127.0.0.2:1/elsewhere.narinfo"),
        _ => Wire::status(204),
    }
}
