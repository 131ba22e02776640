//! The bytes of one file of a cache, from its start or from where another transfer stopped.

use crate::trust::Location;
use crate::upstream::cache::{FetchError, Outside, RemoteCache, plain};
use http::header::{CONTENT_RANGE, ETAG, HeaderValue, IF_RANGE, RANGE};
use http::{HeaderMap, Response, StatusCode};
use hyper::body::Incoming;
use url::Url;

/// Which bytes of a file are asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The first of them; 0 asks for the whole file.
    pub first: u64,
    /// The entity tag that the file had when its first bytes came from the same cache, if it gave a strong one.
    pub tag: Option<HeaderValue>,
}

impl Wanted {
    /// The whole file.
    pub const WHOLE: Self = Self { first: 0, tag: None };
}

/// A file as it begins to come.
#[derive(Debug)]
pub struct Part {
    /// The first byte that comes: the one that was asked for, or 0 if the cache gives no parts.
    pub first: u64,
    /// The file's strong entity tag.
    pub tag: Option<HeaderValue>,
    /// The bytes.
    pub body: Incoming,
}

impl RemoteCache {
    /// Fetches what a location holds, or the rest of it.
    ///
    /// # Errors
    /// [`FetchError`]; a status other than 200 is one, and so is a 206 that is not what was asked for.
    pub async fn fetch_part(&self, location: &Location, wanted: &Wanted) -> Result<Part, FetchError> {
        let url = Url::parse(&location.0).map_err(|_| Outside::NoUrl)?;
        let url = self.permit_own(url)?;
        let response = plain(self.fetch_with(url, &wanted.headers()).await?)?;
        let first = match response.status() {
            StatusCode::PARTIAL_CONTENT => first_byte(&response).filter(|first| *first == wanted.first),
            _ => Some(0),
        };
        let first = first.ok_or(FetchError::Status(StatusCode::PARTIAL_CONTENT))?;
        let tag = response.headers().get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\"")).cloned();
        Ok(Part { first, tag, body: response.into_body() })
    }
}

impl Wanted {
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.first > 0
            && let Ok(range) = HeaderValue::try_from(format!("bytes={}-", self.first))
        {
            headers.insert(RANGE, range);
            if let Some(tag) = &self.tag {
                headers.insert(IF_RANGE, tag.clone());
            }
        }
        headers
    }
}

/// Where the bytes of a 206 begin (RFC 9110 §14.4).
fn first_byte<B>(response: &Response<B>) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_of_a_part_is_read_strictly() {
        let of =
            |range: &str| first_byte(&Response::builder().header(CONTENT_RANGE, range).body(()).unwrap());
        assert_eq!(of("bytes 5-9/10"), Some(5));
        assert_eq!(of("bytes 5-9/*"), Some(5));
        for other in ["bytes */10", "5-9/10", "bytes 5", "bytes x-9/10", "items 5-9/10", ""] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn a_condition_goes_only_with_a_part() {
        let tag = Some(HeaderValue::from_static("\"x\""));
        assert!(Wanted { first: 0, tag: tag.clone() }.headers().is_empty());
        let headers = Wanted { first: 7, tag }.headers();
        assert_eq!(
            (&headers[RANGE], &headers[IF_RANGE]),
            (&"bytes=7-".parse().unwrap(), &"\"x\"".parse().unwrap())
        );
    }
}
