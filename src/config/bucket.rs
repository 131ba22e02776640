//! The address of an S3 bucket: `s3://BUCKET/PREFIX?region=…`, with parameters named as in Nix's own s3 URLs.
//!
//! Secrets never stand in it: `profile` names a section of a file of credentials.

use crate::config::address::{end_in_slash, parse_url};
use crate::config::fault::Complaint;
use crate::config::item::quoted;
use crate::config::near::nearest;
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

/// Reads the address of a bucket.
pub(super) fn parse_bucket(url: &Url) -> Result<Bucket, Complaint> {
    let name = url.host_str().filter(|host| !host.is_empty() && url.port().is_none());
    let mut bucket = Bucket::named(name.ok_or_else(|| Complaint::new("the URL names no bucket", HINT))?);
    let mut written: Vec<(&str, String)> = Vec::new();
    for (name, value) in url.query_pairs() {
        let Some(name) = PARAMETERS.into_iter().find(|known| *known == name) else {
            let hint = nearest(&name, PARAMETERS)
                .map_or_else(|| HINT.to_owned(), |near| format!("did you mean `{near}`?"));
            let found = format!("the URL has a parameter {} that is not known", quoted(&name));
            return Err(Complaint::new(found, hint));
        };
        if written.iter().any(|(known, _)| *known == name) {
            return Err(Complaint::new(format!("the URL gives {name:?} twice"), "once is enough"));
        }
        if value.is_empty() {
            return Err(Complaint::new(format!("the URL gives {name:?} no value"), "leave it out"));
        }
        written.push((name, value.into_owned()));
    }
    let value = |name: &str| written.iter().find(|(known, _)| *known == name).map(|(_, v)| v.as_str());
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
    let prefix = url.path().trim_matches('/');
    if !prefix.is_empty() {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
        if !prefix.bytes().all(is_plain) || prefix.split('/').any(str::is_empty) {
            let found = format!("{} is no prefix of names", quoted(prefix));
            return Err(Complaint::new(found, "letters, digits, dots, dashes and single slashes"));
        }
        bucket.prefix = format!("{prefix}/").into();
    }
    Ok(bucket)
}

fn no_choice(name: &str, found: &str, choices: &str) -> Complaint {
    Complaint::new(format!("the URL's {name} is {}", quoted(found)), choices)
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

/// All but `unsigned` are Nix's, which signs whenever it finds credentials.
const PARAMETERS: [&str; 6] = ["region", "endpoint", "scheme", "profile", "addressing-style", "unsigned"];

const HINT: &str = "\"s3://BUCKET?region=REGION&endpoint=https://HOST\"";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Bucket, Complaint> {
        parse_bucket(&Url::parse(text).unwrap())
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
            ("s3://b/a%20b", "\"a%20b\" is no prefix of names"),
            ("s3://b/a//b", "\"a//b\" is no prefix of names"),
        ] {
            assert_eq!(parse(text).map_err(|complaint| complaint.found), Err(found.to_owned()), "{text}");
        }
        let hint = parse("s3://b?regoin=x").map_err(|complaint| complaint.would_do);
        assert_eq!(hint, Err("did you mean `region`?".to_owned()));
    }
}
