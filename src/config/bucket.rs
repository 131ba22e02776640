//! The address of an S3 bucket: `s3://BUCKET/PREFIX?region=…`, with parameters named as in Nix's own s3 URLs.
//!
//! Secrets never stand in it: `profile` names a section of a file of credentials.

mod parameters;

use crate::config::address::{end_in_slash, parse_url};
use crate::config::bucket::parameters::Parameters;
use crate::config::fault::Complaint;
use crate::config::item::quoted;
use url::Url;

/// A bucket, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: Box<str>,
    /// What goes before every name in it: empty, or ending in a slash.
    pub prefix: Box<str>,
    /// The region, if it is written.
    pub region: Option<Box<str>>,
    /// The section of the file of credentials, if it is written.
    pub profile: Option<Box<str>>,
    /// Another server than Amazon's; it ends in a slash.
    pub endpoint: Option<Url>,
    /// Where the bucket's name stands in a request.
    pub style: AddressingStyle,
    /// Whether requests are not signed: the server takes uploads from anybody.
    pub is_unsigned: bool,
    /// The storage class of what is put there, if it is written; else the bucket's own.
    pub storage_class: Option<Box<str>>,
    /// What goes in parts.
    pub parts: Parts,
}

/// What goes in parts, and in which, in bytes. What goes in one piece, and each part under way, is held in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Files of this length and more do.
    pub from: u64,
    /// How long a part is: 5 MiB at least, the smallest that S3 takes.
    pub size: u64,
}

/// Where the bucket's name stands in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressingStyle {
    /// In the path at an endpoint, and where the name has a dot, which no certificate covers; else in the host's
    /// name. As Nix does it.
    Auto,
    /// First in the path.
    Path,
    /// First in the host's name.
    Virtual,
}

impl Bucket {
    /// A bucket of Amazon's, with everything else as it is where nothing is written.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            prefix: Box::default(),
            region: None,
            profile: None,
            endpoint: None,
            style: AddressingStyle::Auto,
            is_unsigned: false,
            storage_class: None,
            parts: Parts::USUAL,
        }
    }

    /// Whether its name stands in the host's.
    pub fn is_virtual(&self) -> bool {
        match self.style {
            AddressingStyle::Auto => self.endpoint.is_none() && !self.name.contains('.'),
            AddressingStyle::Path => false,
            AddressingStyle::Virtual => true,
        }
    }
}

impl Parts {
    /// 8 MiB, in parts of as much: Nix has 100 MiB and 5 MiB.
    pub const USUAL: Self = Self { from: 8 << 20, size: 8 << 20 };

    /// The most of either. A guess: what is on its way at a time holds as much each.
    const MOST: u64 = 32 << 20;

    fn read(parameters: &mut Parameters) -> Result<Self, Complaint> {
        let from = parameters.bytes("multipart-threshold", Self::MOST)?;
        let size = parameters.bytes("multipart-chunk-size", Self::MOST)?;
        if size.is_some_and(|size| size < LEAST_PART) {
            return Err(Complaint::new(
                "the URL's multipart-chunk-size is too small",
                "5 MiB, as S3 demands",
            ));
        }
        Ok(Self { from: from.unwrap_or(Self::USUAL.from), size: size.unwrap_or(Self::USUAL.size) })
    }
}

/// Reads the address of a bucket. `doubts` takes what is written in it and does not happen.
pub(super) fn parse_bucket(url: &Url, doubts: &mut Vec<Complaint>) -> Result<Bucket, Complaint> {
    let name = url.host_str().filter(|host| !host.is_empty() && url.port().is_none());
    let mut bucket = Bucket::named(name.ok_or_else(|| Complaint::new("the URL names no bucket", HINT))?);
    let mut parameters = Parameters::of(url)?;
    bucket.parts = Parts::read(&mut parameters)?;
    let value = |name: &str| parameters.value(name);
    bucket.region = value("region").map(Into::into);
    bucket.profile = value("profile").map(Into::into);
    let scheme = match value("scheme") {
        None => "https",
        Some(scheme @ ("http" | "https")) => scheme,
        Some(other) => return Err(no_choice("scheme", other, "`http` or `https`")),
    };
    bucket.endpoint = value("endpoint").map(|text| parse_endpoint(text, scheme)).transpose()?;
    if value("scheme").is_some() && bucket.endpoint.is_none() {
        return Err(Complaint::new("the URL has a scheme and no endpoint", "leave `scheme` out"));
    }
    bucket.style = match value("addressing-style") {
        None | Some("auto") => AddressingStyle::Auto,
        Some("path") => AddressingStyle::Path,
        Some("virtual") => AddressingStyle::Virtual,
        Some(other) => return Err(no_choice("addressing-style", other, "`auto`, `path` or `virtual`")),
    };
    bucket.is_unsigned = match value("unsigned") {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return Err(no_choice("unsigned", other, "`true` or `false`")),
    };
    if bucket.is_unsigned && bucket.profile.is_some() {
        let found = "the URL has a profile, and requests are not signed";
        return Err(Complaint::new(found, "leave out `profile` or `unsigned`"));
    }
    bucket.storage_class = value("storage-class").map(parse_class).transpose()?;
    let prefix = url.path().trim_matches('/');
    if !prefix.is_empty() {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
        if !prefix.bytes().all(is_plain) || prefix.split('/').any(str::is_empty) {
            let found = format!("{} is no prefix of names", quoted(prefix));
            return Err(Complaint::new(found, "letters, digits, dots, dashes and single slashes"));
        }
        bucket.prefix = format!("{prefix}/").into();
    }
    doubts.append(&mut parameters.doubts);
    Ok(bucket)
}

fn no_choice(name: &str, found: &str, choices: &str) -> Complaint {
    Complaint::new(format!("the URL's {name} is {}", quoted(found)), choices)
}

/// A storage class: which there are is the server's business, and that it is one word ours.
fn parse_class(text: &str) -> Result<Box<str>, Complaint> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    match text.len() <= LONGEST_CLASS && text.bytes().all(is_plain) {
        true => Ok(text.into()),
        false => Err(no_choice("storage-class", text, "such as `STANDARD_IA`")),
    }
}

/// An endpoint; without scheme it has the one of the parameter.
fn parse_endpoint(text: &str, scheme: &str) -> Result<Url, Complaint> {
    let hint = "endpoint=https://HOST";
    let whole = if text.contains("://") { text.to_owned() } else { format!("{scheme}://{text}") };
    let mut url = parse_url(&whole, hint)?;
    if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
        return Err(Complaint::new(format!("{} is no endpoint", quoted(text)), hint));
    }
    end_in_slash(&mut url);
    Ok(url)
}

/// Amazon's smallest part but the last.
const LEAST_PART: u64 = 5 << 20;

/// Longer than any there is.
const LONGEST_CLASS: usize = 40;

const HINT: &str = "\"s3://BUCKET?region=REGION&endpoint=https://HOST\"";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Bucket, Complaint> {
        parse_bucket(&Url::parse(text).unwrap(), &mut Vec::new())
    }

    fn url(text: &str) -> Option<Url> {
        Some(Url::parse(text).unwrap())
    }

    #[test]
    fn an_address_as_nix_writes_it() {
        let acme = || Bucket::named("acme-cache");
        assert_eq!(parse("s3://acme-cache"), Ok(acme()));
        assert_eq!(
            parse("s3://acme-cache/a/b/?region=eu-central-1&endpoint=https://s3.acme.example&profile=ci"),
            Ok(Bucket {
                prefix: "a/b/".into(),
                region: Some("eu-central-1".into()),
                profile: Some("ci".into()),
                endpoint: url("https://s3.acme.example/"),
                ..acme()
            })
        );
        let at = |endpoint| Ok(Bucket { endpoint: url(endpoint), ..acme() });
        assert_eq!(parse("s3://acme-cache?endpoint=s3.h:9000"), at("https://s3.h:9000/"));
        assert_eq!(parse("s3://acme-cache?endpoint=s3.h:9000&scheme=http"), at("http://s3.h:9000/"));
        assert_eq!(parse("s3://acme-cache?unsigned=true"), Ok(Bucket { is_unsigned: true, ..acme() }));
    }

    #[test]
    fn the_url_of_a_nix_copy_can_be_pasted() {
        let text = "s3://acme-cache?region=eu-west-1&multipart-upload=true&multipart-threshold=20M&buffer-size=6M\
            &storage-class=STANDARD_IA&parallel-compression=true";
        let mut doubts = Vec::new();
        let bucket = parse_bucket(&Url::parse(text).unwrap(), &mut doubts).unwrap();
        assert_eq!(bucket.parts, Parts { from: 20 << 20, size: 6 << 20 });
        assert_eq!(bucket.storage_class.as_deref(), Some("STANDARD_IA"));
        assert_eq!(doubts.len(), 1, "{doubts:?}");
        assert_eq!(parse("s3://b").unwrap().parts, Parts::USUAL);
    }

    #[test]
    fn the_name_stands_in_the_path_at_an_endpoint() {
        for (text, is_virtual) in [
            ("s3://acme-cache", true),
            ("s3://acme.cache", false),
            ("s3://acme-cache?endpoint=s3.h", false),
            ("s3://acme-cache?endpoint=s3.h&addressing-style=virtual", true),
            ("s3://acme-cache?addressing-style=path", false),
            ("s3://acme-cache?addressing-style=auto", true),
        ] {
            assert_eq!(parse(text).unwrap().is_virtual(), is_virtual, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for (text, found) in [
            ("s3:///x", "the URL names no bucket"),
            ("s3://b?regoin=x", "the URL has a parameter \"regoin\" that is not known"),
            ("s3://b?secret=x", "the URL has a parameter \"secret\" that is not known"),
            ("s3://b?region=x&region=y", "the URL gives \"region\" twice"),
            ("s3://b?region=", "the URL gives \"region\" no value"),
            ("s3://b?endpoint=ftp://h", "\"ftp://h\" is no endpoint"),
            ("s3://b?endpoint=https://u:p@h", "the URL contains credentials"),
            ("s3://b?endpoint=h&scheme=gopher", "the URL's scheme is \"gopher\""),
            ("s3://b?scheme=http", "the URL has a scheme and no endpoint"),
            ("s3://b?addressing-style=x", "the URL's addressing-style is \"x\""),
            ("s3://b?unsigned=1", "the URL's unsigned is \"1\""),
            ("s3://b?unsigned=true&profile=x", "the URL has a profile, and requests are not signed"),
            ("s3://b?multipart-chunk-size=1M", "the URL's multipart-chunk-size is too small"),
            ("s3://b?storage-class=A%20B", "the URL's storage-class is \"A B\""),
            ("s3://b?compression=xz", "the URL's `compression` has no meaning here"),
            ("s3://b/a%20b", "\"a%20b\" is no prefix of names"),
            ("s3://b/a//b", "\"a//b\" is no prefix of names"),
        ] {
            assert_eq!(parse(text).map_err(|complaint| complaint.found), Err(found.to_owned()), "{text}");
        }
        let hint = parse("s3://b?regoin=x").map_err(|complaint| complaint.would_do);
        assert_eq!(hint, Err("did you mean `region`?".to_owned()));
    }
}
