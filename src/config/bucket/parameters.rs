//! The parameters of Nix's own s3 URLs (2.34, `S3BinaryCacheStoreConfig` and the settings that it inherits), so that
//! the URL which somebody gave to `nix copy` can be pasted: each is heeded, said to do nothing here, or refused with
//! the key that does the same.

use crate::config::bucket::HINT;
use crate::config::fault::Complaint;
use crate::config::item::quoted;
use crate::config::near::nearest;
use url::Url;

/// The parameters of a URL.
#[derive(Debug)]
pub(super) struct Parameters {
    written: Vec<(&'static str, String)>,
    /// What they ask for and does not happen: warnings.
    pub(super) doubts: Vec<Complaint>,
}

/// What becomes of a parameter.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// It is heeded.
    Heeded,
    /// It does nothing, which is said unless its value is one of these: then nothing is missing.
    Moot(&'static [&'static str], &'static str),
    /// Something else does the same, and differently.
    Refused(&'static str),
}

impl Parameters {
    pub(super) fn of(url: &Url) -> Result<Self, Complaint> {
        let mut parameters = Self { written: Vec::new(), doubts: Vec::new() };
        for (found, value) in url.query_pairs() {
            let Some((name, fate)) = PARAMETERS.into_iter().find(|(known, _)| *known == found) else {
                let hint = nearest(&found, PARAMETERS.map(|(known, _)| known))
                    .map_or_else(|| HINT.to_owned(), |near| format!("did you mean `{near}`?"));
                let found = format!("the URL has a parameter {} that is not known", quoted(&found));
                return Err(Complaint::new(found, hint));
            };
            // Nix's other name for it.
            let name = if name == "buffer-size" { "multipart-chunk-size" } else { name };
            if parameters.value(name).is_some() {
                return Err(Complaint::new(format!("the URL gives {name:?} twice"), "once is enough"));
            }
            if value.is_empty() {
                return Err(Complaint::new(format!("the URL gives {name:?} no value"), "leave it out"));
            }
            match fate {
                Fate::Moot(meant, instead) if !meant.contains(&&*value) => {
                    parameters.doubt(format!("the URL's `{name}` does nothing here: {instead}"));
                }
                Fate::Refused(instead) => {
                    return Err(Complaint::new(format!("the URL's `{name}` has no meaning here"), instead));
                }
                Fate::Heeded | Fate::Moot(..) => {}
            }
            parameters.written.push((name, value.into_owned()));
        }
        Ok(parameters)
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.written.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// A number of bytes, as Nix writes it: a unit is K, M, G or T, or is left out. What is more than is ever held in
    /// memory is made that, with a warning.
    pub(super) fn bytes(&mut self, name: &str, most: u64) -> Result<Option<u64>, Complaint> {
        let Some(text) = self.value(name) else { return Ok(None) };
        let wrong = || {
            let found = format!("the URL's {name} is {}", quoted(text));
            Complaint::new(found, "a number of bytes, such as 8388608 or 8M")
        };
        let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
        let power = match text.strip_prefix(digits).unwrap_or_default().to_ascii_uppercase().as_str() {
            "" => 0,
            "K" => 10,
            "M" => 20,
            "G" => 30,
            "T" => 40,
            _ => return Err(wrong()),
        };
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        let bytes = number.checked_mul(1 << power).filter(|bytes| *bytes > 0).ok_or_else(wrong)?;
        if bytes > most {
            self.doubt(format!(
                "the URL's `{name}` is more than {} MiB, and that is what is taken, since it is held in memory",
                most >> 20
            ));
        }
        Ok(Some(bytes.min(most)))
    }

    fn doubt(&mut self, found: String) {
        self.doubts.push(Complaint::new(found, "leave it out"));
    }
}

/// What Nix reads as no.
const OFF: &[&str] = &["false", "no", "0"];

/// What Nix reads as yes.
const ON: &[&str] = &["true", "yes", "1"];

const READING: &str = "it is about reading from the bucket, and this is where builds are sent";

/// All but `unsigned` are Nix's, which signs whenever it finds credentials.
const PARAMETERS: [(&str, Fate); 30] = [
    ("region", Fate::Heeded),
    ("endpoint", Fate::Heeded),
    ("scheme", Fate::Heeded),
    ("profile", Fate::Heeded),
    ("addressing-style", Fate::Heeded),
    ("unsigned", Fate::Heeded),
    ("storage-class", Fate::Heeded),
    ("multipart-threshold", Fate::Heeded),
    ("multipart-chunk-size", Fate::Heeded),
    ("buffer-size", Fate::Heeded),
    (
        "multipart-upload",
        Fate::Moot(ON, "what has `multipart-threshold` bytes and more always goes in parts"),
    ),
    (
        "parallel-compression",
        Fate::Moot(
            OFF,
            "a NAR is compressed by one thread, and `jobs` in [upload] says how many NARs at a time",
        ),
    ),
    ("narinfo-compression", Fate::Moot(&["none"], "narinfos are not compressed")),
    ("ls-compression", Fate::Moot(&["none"], "no listings of NARs are sent")),
    ("log-compression", Fate::Moot(&["none"], "no logs of builds are sent")),
    ("write-nar-listing", Fate::Moot(OFF, "no listings of NARs are sent")),
    ("index-debug-info", Fate::Moot(OFF, "no index of debug information is sent")),
    ("local-nar-cache", Fate::Moot(&[], "NARs that were sent are not kept")),
    ("want-mass-query", Fate::Moot(ON, READING)),
    ("priority", Fate::Moot(&[], READING)),
    ("trusted", Fate::Moot(OFF, READING)),
    ("path-info-cache-size", Fate::Moot(&[], READING)),
    ("system-features", Fate::Moot(&[], READING)),
    ("compression", Fate::Refused("write `compression = \"zstd\"`, \"xz\" or \"none\" beside the `url`")),
    ("compression-level", Fate::Refused("write `level = 3` beside the `url`")),
    ("secret-key", Fate::Refused(SIGNING)),
    ("secret-keys", Fate::Refused(SIGNING)),
    ("store", Fate::Refused("write `store-directory`")),
    ("tls-certificate", Fate::Refused(NO_CLIENT_CERTIFICATE)),
    ("tls-private-key", Fate::Refused(NO_CLIENT_CERTIFICATE)),
];

const SIGNING: &str = "write `signing-key-files` in [upload]";

const NO_CLIENT_CERTIFICATE: &str =
    "a server that asks for a client's certificate is not supported: leave it out, and use keys";

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &str) -> Result<Parameters, Complaint> {
        Parameters::of(&Url::parse(&format!("s3://b?{query}")).unwrap())
    }

    fn doubts(query: &str) -> Vec<String> {
        of(query).unwrap().doubts.into_iter().map(|doubt| doubt.found).collect()
    }

    #[test]
    fn what_is_asked_for_and_does_not_happen_is_said() {
        for (name, fate) in PARAMETERS {
            match fate {
                Fate::Heeded => assert_eq!(doubts(&format!("{name}=7")), [""; 0], "{name}"),
                Fate::Moot(meant, instead) => {
                    let said = doubts(&format!("{name}=something"));
                    assert_eq!(said, [format!("the URL's `{name}` does nothing here: {instead}")]);
                    for value in meant {
                        assert_eq!(doubts(&format!("{name}={value}")), [""; 0], "{name}={value}");
                    }
                }
                Fate::Refused(instead) => {
                    let complaint = of(&format!("{name}=x")).unwrap_err();
                    assert_eq!(complaint.found, format!("the URL's `{name}` has no meaning here"));
                    assert_eq!(complaint.would_do, instead);
                }
            }
        }
        assert_eq!(doubts("priority=3&region=x&parallel-compression=true").len(), 2);
    }

    #[test]
    fn numbers_of_bytes_as_nix_writes_them() {
        let bytes = |text: &str| {
            let mut parameters = of(&format!("multipart-threshold={text}")).unwrap();
            let bytes = parameters.bytes("multipart-threshold", 32 << 20);
            bytes.map(|bytes| (bytes, parameters.doubts.len())).map_err(|complaint| complaint.found)
        };
        assert_eq!(bytes("1"), Ok((Some(1), 0)));
        assert_eq!(bytes("8388608"), Ok((Some(8 << 20), 0)));
        assert_eq!(bytes("8M"), Ok((Some(8 << 20), 0)));
        assert_eq!(bytes("512k"), Ok((Some(512 << 10), 0)));
        // Nix's own default.
        assert_eq!(bytes("104857600"), Ok((Some(32 << 20), 1)));
        assert_eq!(bytes("5G"), Ok((Some(32 << 20), 1)));
        for wrong in ["0", "-1", "8MB", "x", "M", "8 M", "99999999999999999999", "99999999T"] {
            let found = format!("the URL's multipart-threshold is {wrong:?}");
            assert_eq!(bytes(&wrong.replace(' ', "%20")), Err(found), "{wrong}");
        }
        let mut parameters = of("buffer-size=6M").unwrap();
        assert_eq!(parameters.bytes("multipart-chunk-size", 32 << 20).unwrap(), Some(6 << 20));
        assert!(of("buffer-size=6M&multipart-chunk-size=7M").unwrap_err().found.contains("twice"));
    }
}
