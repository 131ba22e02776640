//! Multipart uploads that were begun and never ended: they cost their owner money, and nothing shows them.
//!
//! Those of NARs below our prefix, named as uploaders name them, that are old enough are aborted, whoever began them: an
//! upload that takes longer than a day is taken for one that a crash broke off. What has any other name is left alone.

use crate::clock;
use crate::destination::PlaceError;
use crate::destination::PlaceErrorKind;
use crate::destination::error::Act;
use crate::destination::s3::fault::Fault;
use crate::destination::s3::xml::{element, elements};
use crate::destination::s3::{Bucket, Once};
use crate::pack::Packed;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use object_store::aws::AwsAuthorizer;
use object_store::client::HttpRequestBody;
use object_store::multipart::MultipartStore;
use object_store::path::Path as Key;
use std::time::Duration;
use url::form_urlencoded::Serializer;

/// An upload that was begun.
#[derive(Debug, PartialEq, Eq)]
struct Begun {
    key: String,
    id: String,
    /// Seconds since 1970.
    at: i64,
}

/// Uploads that were begun, and where the list goes on.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    begun: Vec<Begun>,
    next: Option<(String, String)>,
}

impl Bucket {
    /// Aborts uploads that were begun so long ago; how many. One that cannot be aborted keeps no other from it.
    pub(in crate::destination) async fn sweep(&self, age: Duration) -> Result<usize, PlaceError> {
        let age = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        let latest = clock::now().seconds().saturating_sub(age);
        let (mut next, mut aborted, mut trouble) = (None, 0, None);
        for _ in 0..MOST_PAGES {
            let page = self.attempt(Once, || self.page(next.as_ref())).await;
            let page = page.map_err(|fault| fault.within(Act::Read, LISTING))?;
            let is_left = |begun: &&Begun| begun.at <= latest && self.is_nar(&begun.key);
            for Begun { key, id, .. } in page.begun.iter().filter(is_left) {
                let Ok(key) = Key::parse(key) else { continue };
                let ended = self.attempt(Once, || async {
                    let ended = self.store.abort_multipart(&key, id).await;
                    match ended.map_err(|error| Fault::of(&error)) {
                        // It ended meanwhile.
                        Err(fault) if fault.kind == PlaceErrorKind::Refused(StatusCode::NOT_FOUND) => Ok(()),
                        ended => ended,
                    }
                });
                match ended.await {
                    Ok(()) => aborted += 1,
                    Err(fault) => {
                        trouble.get_or_insert_with(|| fault.within(Act::Store, ABORTING));
                    }
                }
            }
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        trouble.map_or(Ok(aborted), Err)
    }

    fn is_nar(&self, key: &str) -> bool {
        key.strip_prefix(&*self.prefix).is_some_and(Packed::could_be_named)
    }

    /// A page of the list (API ListMultipartUploads), which the library does not ask for.
    async fn page(&self, from: Option<&(String, String)>) -> Result<Page, Fault> {
        let mut query = Serializer::new(String::new());
        query.append_pair("prefix", &format!("{}nar/", self.prefix)).append_pair("uploads", "");
        if let Some((key, id)) = from {
            query.append_pair("key-marker", key).append_pair("upload-id-marker", id);
        }
        let url = format!("{}/?{}", self.base, query.finish());
        let unusable = |_| Fault::new(PlaceErrorKind::Malformed, "the question cannot be put");
        let mut request = http::Request::builder()
            .method(Method::GET)
            .uri(url)
            .body(HttpRequestBody::empty())
            .map_err(unusable)?;
        if let Some(credentials) = &self.credentials {
            let keys = credentials.keys().await?;
            let signing = AwsAuthorizer::new(&keys, "s3", &self.region).try_authorize(&mut request, None);
            signing.map_err(|error| Fault::of(&error))?;
        }
        let answer = self.in_time(self.service.exchange(request, Vec::new())).await?;
        if !answer.status().is_success() {
            let what = format!("the server answers {}", answer.status());
            return Err(Fault::new(PlaceErrorKind::Refused(answer.status()), what));
        }
        let reading = async {
            let text = Limited::new(answer.into_body(), LONGEST_PAGE).collect().await;
            text.map_err(|_| Fault::new(PlaceErrorKind::Unreachable, "its answer broke off"))
        };
        Ok(read(&String::from_utf8_lossy(&self.in_time(reading).await?.to_bytes())))
    }
}

fn read(text: &str) -> Page {
    let begun = |upload: &&str| {
        let at = element(upload, "Initiated")?.parse::<jiff::Timestamp>().ok()?.as_second();
        Some(Begun { key: element(upload, "Key")?, id: element(upload, "UploadId")?, at })
    };
    let is_cut = element(text, "IsTruncated").as_deref() == Some("true");
    let next = || Some((element(text, "NextKeyMarker")?, element(text, "NextUploadIdMarker")?));
    Page {
        begun: elements(text, "Upload").iter().filter_map(begun).collect(),
        next: is_cut.then(next).flatten(),
    }
}

/// Pages that are read at once, of a thousand uploads at most and often fewer; the rest is for the next day.
const MOST_PAGES: usize = 100;

const LISTING: &str = "listing what was begun takes the permission s3:ListBucketMultipartUploads";

const ABORTING: &str = "aborting it takes the permission s3:AbortMultipartUpload";

/// What is read of one, in bytes: each upload has less than two thousand.
const LONGEST_PAGE: usize = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_uploads() {
        let text = "<R><IsTruncated>true</IsTruncated><NextKeyMarker>nar/a&amp;b</NextKeyMarker>\
            <NextUploadIdMarker>2</NextUploadIdMarker><Upload><Key>nar/a</Key><UploadId>1</UploadId>\
            <Initiated>2026-01-02T03:04:05.000Z</Initiated></Upload><Upload><Key>nar/b</Key>\
            <UploadId>2</UploadId><Initiated>some day</Initiated></Upload></R>";
        let begun = vec![Begun { key: "nar/a".into(), id: "1".into(), at: 1_767_323_045 }];
        assert_eq!(read(text), Page { begun, next: Some(("nar/a&b".into(), "2".into())) });
        assert_eq!(read(&text.replace("true", "false")).next, None);
    }
}
