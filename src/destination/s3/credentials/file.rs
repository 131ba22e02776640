//! Keys in a file as Amazon's tools write it: sections of `name = value`.

use crate::destination::PlaceErrorKind;
use crate::destination::s3::fault::Fault;
use crate::http_client::{CredentialsError, is_open_to_others};
use object_store::aws::AwsCredential;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use zeroize::Zeroizing;

/// The keys of a section of a file.
pub(super) fn read_keys(path: &Path, profile: &str) -> Result<AwsCredential, Fault> {
    let text = read_secret(path)?;
    section(&text, profile).map_err(|missing| {
        unusable(format!("credentials file {}: {missing} in the section [{profile}]", path.display()))
    })
}

/// A file of secrets, which nobody else may read.
pub(super) fn read_secret(path: &Path) -> Result<Zeroizing<String>, Fault> {
    let failed = |source| unusable(CredentialsError::Read { path: path.to_owned(), source }.to_string());
    let file = std::fs::File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if is_open_to_others(mode) {
        return Err(unusable(CredentialsError::Mode { path: path.to_owned(), mode }.to_string()));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(LONGEST).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

pub(super) fn unusable(what: impl Into<String>) -> Fault {
    Fault::new(PlaceErrorKind::Credentials, what)
}

/// The keys of a section, or what it lacks. `[profile NAME]` is how the other of Amazon's two files writes it.
fn section(text: &str, profile: &str) -> Result<AwsCredential, &'static str> {
    let (mut is_ours, mut was_there) = (false, false);
    let (mut key_id, mut secret_key, mut token) = (None, None, None);
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let name = name.trim();
            is_ours = name.strip_prefix("profile ").unwrap_or(name).trim() == profile;
            was_there |= is_ours;
        } else if let Some((name, value)) = line.split_once('=').filter(|_| is_ours) {
            let place = match name.trim() {
                "aws_access_key_id" => &mut key_id,
                "aws_secret_access_key" => &mut secret_key,
                "aws_session_token" => &mut token,
                _ => continue,
            };
            *place = Some(value.trim().to_owned()).filter(|value| is_sendable(value));
        }
    }
    match (key_id, secret_key) {
        _ if !was_there => Err("there is nothing"),
        (None, _) => Err("there is no aws_access_key_id"),
        (_, None) => Err("there is no aws_secret_access_key"),
        (Some(key_id), Some(secret_key)) => Ok(AwsCredential { key_id, secret_key, token }),
    }
}

/// Whether it can stand in a header: the library takes that for granted.
pub(super) fn is_sendable(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether keys can.
pub(super) fn are_sendable(keys: &AwsCredential) -> bool {
    let all = [Some(&keys.key_id), Some(&keys.secret_key), keys.token.as_ref()];
    all.into_iter().flatten().all(|value| is_sendable(value))
}

/// What is read of a file of secrets, in bytes. Far more than any has.
const LONGEST: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# ours\n[default]\naws_access_key_id = AKIA1\naws_secret_access_key=s3cr3t=\n\
        [ci]\naws_access_key_id=AKIA2\naws_secret_access_key=two\naws_session_token = tok\nregion = x\n\
        [profile old]\naws_access_key_id=AKIA3\naws_secret_access_key=three\n[half]\naws_access_key_id=AKIA4\n\
        [odd]\naws_access_key_id=AK IA\naws_secret_access_key=x\n";

    fn keys(profile: &str) -> Result<(String, String, Option<String>), &'static str> {
        section(FILE, profile).map(|keys| (keys.key_id, keys.secret_key, keys.token))
    }

    #[test]
    fn a_section_has_the_keys_of_a_profile() {
        let of = |id: &str, secret: &str, token: Option<&str>| {
            Ok((id.into(), secret.into(), token.map(Into::into)))
        };
        assert_eq!(keys("default"), of("AKIA1", "s3cr3t=", None));
        assert_eq!(keys("ci"), of("AKIA2", "two", Some("tok")));
        assert_eq!(keys("old"), of("AKIA3", "three", None));
    }

    #[test]
    fn what_a_section_lacks_is_said() {
        assert_eq!(keys("none"), Err("there is nothing"));
        assert_eq!(keys("half"), Err("there is no aws_secret_access_key"));
        assert_eq!(keys("odd"), Err("there is no aws_access_key_id"));
    }
}
