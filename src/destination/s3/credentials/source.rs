//! Where keys come from, by what is written and by the variables of Amazon's tools.

use crate::config::Bucket;
use crate::destination::s3::credentials::Held;
use crate::destination::s3::credentials::fetch::{Document, Form, ask, document, form, identity};
use crate::destination::s3::credentials::file::{
    are_sendable, is_sendable, read_keys, read_secret, unusable,
};
use crate::destination::s3::fault::Fault;
use crate::destination::s3::service::Service;
use http::Method;
use object_store::aws::AwsCredential;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use url::{Host, Url};

/// Where keys come from.
#[derive(Debug)]
pub(in crate::destination::s3) enum Source {
    /// A section of a file, read anew each time.
    File { path: PathBuf, profile: String },
    /// The environment.
    Given(Arc<AwsCredential>),
    /// A role, for a token in a file, at the token service.
    WebIdentity { service: Url, role: String, session: String, token_file: PathBuf },
    /// Whatever runs the container.
    Container { url: Url, token: Option<Token> },
    /// The machine's own role, as its metadata service tells it.
    Instance(Url),
}

/// What shows a container's right to keys.
pub(in crate::destination::s3) enum Token {
    Given(String),
    File(PathBuf),
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Source {
    /// The first that is there.
    pub(in crate::destination::s3) fn choose(
        bucket: &Bucket,
        region: &str,
        file: Option<&Path>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Fault> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        if file.is_some() || bucket.profile.is_some() {
            let home = || Some(PathBuf::from(variable("HOME")?).join(".aws/credentials"));
            let usual = || variable("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from).or_else(home);
            let path = file.map(Path::to_owned).or_else(usual);
            let path = path.ok_or_else(|| {
                unusable("its `url` names a profile, and there is no file with it: write `credentials-file`")
            })?;
            let profile = bucket.profile.as_deref().unwrap_or("default").to_owned();
            return Ok(Self::File { path, profile });
        }
        if let Some(key_id) = variable("AWS_ACCESS_KEY_ID") {
            let secret_key = variable("AWS_SECRET_ACCESS_KEY")
                .ok_or_else(|| unusable("AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not"))?;
            let keys = AwsCredential { key_id, secret_key, token: variable("AWS_SESSION_TOKEN") };
            if !are_sendable(&keys) {
                return Err(unusable("the keys in the environment have characters that no key has"));
            }
            return Ok(Self::Given(Arc::new(keys)));
        }
        if let (Some(token_file), Some(role)) =
            (variable("AWS_WEB_IDENTITY_TOKEN_FILE"), variable("AWS_ROLE_ARN"))
        {
            let usual = || format!("https://sts.{region}.amazonaws.com/");
            let service =
                safe_url("AWS_ENDPOINT_URL_STS", &variable("AWS_ENDPOINT_URL_STS").unwrap_or_else(usual))?;
            let session = variable("AWS_ROLE_SESSION_NAME").unwrap_or_else(|| "countersign".to_owned());
            return Ok(Self::WebIdentity { service, role, session, token_file: token_file.into() });
        }
        let token = || {
            let file =
                variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(|path| Token::File(path.into()));
            file.or_else(|| variable("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(Token::Given))
        };
        if let Some(path) = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
            let name = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
            let url = safe_url(name, &format!("http://169.254.170.2/{}", path.trim_start_matches('/')))?;
            return Ok(Self::Container { url, token: token() });
        }
        if let Some(url) = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
            let url = safe_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)?;
            return Ok(Self::Container { url, token: token() });
        }
        let metadata = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
        let is_off =
            variable("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        match metadata {
            _ if is_off => Err(unusable(NOWHERE)),
            Some(url) => Ok(Self::Instance(safe_url("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)?)),
            // Nobody else's server takes the keys of a machine of Amazon's.
            None if bucket.endpoint.is_some() => Err(unusable(NOWHERE)),
            None => Ok(Self::Instance(safe_url("AWS_EC2_METADATA_SERVICE_ENDPOINT", INSTANCE)?)),
        }
    }

    /// Keys, as they are now.
    pub(super) async fn fetch(&self, service: &Service) -> Result<Held, Fault> {
        let fetched = timeout(PATIENCE, self.fetch_whole(service)).await;
        fetched.unwrap_or_else(|_| {
            Err(unusable(format!(
                "no credentials came in {} seconds from {}",
                PATIENCE.as_secs(),
                self.name()
            )))
        })
    }

    async fn fetch_whole(&self, service: &Service) -> Result<Held, Fault> {
        match self {
            Self::Given(keys) => Ok(Held { keys: Arc::clone(keys), until: None }),
            Self::File { path, profile } => {
                let (path, profile) = (path.clone(), profile.clone());
                let read = tokio::task::spawn_blocking(move || read_keys(&path, &profile)).await;
                let keys = read.map_err(|fault| unusable(fault.to_string())).flatten()?;
                Ok(Held { keys: Arc::new(keys), until: None })
            }
            Self::WebIdentity { service: url, role, session, token_file } => {
                let body = form(role, session, &secret(token_file).await?);
                let text = ask(service, Method::POST, url, &[], &body, &self.name()).await?;
                identity(&text)
            }
            Self::Container { url, token } => {
                let token = match token {
                    Some(Token::Given(token)) => Some(token.clone()),
                    Some(Token::File(path)) => Some(secret(path).await?),
                    None => None,
                };
                let headers: Vec<_> = token.iter().map(|token| ("authorization", token.as_str())).collect();
                let text = ask(service, Method::GET, url, &headers, &Form::default(), &self.name()).await?;
                document(&text)?.held()
            }
            Self::Instance(base) => self.of_instance(service, base).await?.held(),
        }
    }

    /// By the second version of the instance metadata service: a token first.
    async fn of_instance(&self, service: &Service, base: &Url) -> Result<Document, Fault> {
        let below = |path: &str| base.join(path).map_err(|error| unusable(error.to_string()));
        let name = self.name();
        let lasting = [("x-aws-ec2-metadata-token-ttl-seconds", "300")];
        let token =
            ask(service, Method::PUT, &below("latest/api/token")?, &lasting, &Form::default(), &name).await?;
        let shown = [("x-aws-ec2-metadata-token", token.trim())];
        let roles = below("latest/meta-data/iam/security-credentials/")?;
        let listed = ask(service, Method::GET, &roles, &shown, &Form::default(), &name).await?;
        let role = listed.lines().next().unwrap_or_default().trim();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
        if role.is_empty() || matches!(role, "." | "..") || !role.bytes().all(is_plain) {
            return Err(unusable("the instance has no role: give it one, or write `credentials-file`"));
        }
        let role = roles.join(&format!("./{role}")).map_err(|error| unusable(error.to_string()))?;
        document(&ask(service, Method::GET, &role, &shown, &Form::default(), &name).await?)
    }

    /// What it is called in a message.
    fn name(&self) -> String {
        let host = |url: &Url| url.host_str().unwrap_or_default().to_owned();
        match self {
            Self::File { path, .. } => path.display().to_string(),
            Self::Given(_) => "the environment".to_owned(),
            Self::WebIdentity { service, .. } => format!("the token service at {}", host(service)),
            Self::Container { url, .. } => format!("the container's credentials at {}", host(url)),
            Self::Instance(url) => {
                format!("the instance's metadata at {}, since no others are given", host(url))
            }
        }
    }
}

async fn secret(path: &Path) -> Result<String, Fault> {
    let owned = path.to_owned();
    let read = tokio::task::spawn_blocking(move || read_secret(&owned)).await;
    let text = read.map_err(|fault| unusable(fault.to_string())).flatten()?;
    let token = text.trim();
    match is_sendable(token) {
        true => Ok(token.to_owned()),
        false => Err(unusable(format!("credentials file {}: it holds no token", path.display()))),
    }
}

/// A URL that secrets may be asked from: https, this machine, or an address that only the machine's own host
/// answers, as in Amazon's tools.
fn safe_url(name: &str, text: &str) -> Result<Url, Fault> {
    let mut url = Url::parse(text).map_err(|error| unusable(format!("{name}: {error}")))?;
    let is_own = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_link_local(),
        Some(Host::Ipv6(address)) => {
            address.is_loopback() || address.segments().starts_with(&[0xfd00, 0x0ec2])
        }
        Some(Host::Domain(domain)) => domain == "localhost",
        None => false,
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && is_own) {
        return Err(unusable(format!("{name}: secrets are asked over https alone")));
    }
    if url.query().is_none() && !url.path().ends_with('/') && name.ends_with("_ENDPOINT") {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

/// Where instances of Amazon's ask about themselves.
const INSTANCE: &str = "http://169.254.169.254/";

/// How long keys are waited for: three short answers of a neighbour.
const PATIENCE: Duration = Duration::from_secs(15);

const NOWHERE: &str = "there are no credentials: write `credentials-file`, or `unsigned=true` in its `url` if the \
                       server takes uploads from anybody";
