//! The list of multipart uploads that were begun, which `s3s-fs` does not have (API ListMultipartUploads).

use countersign::clock;
use std::path::Path;
use std::sync::Mutex;

/// Uploads that were begun, in order of their names.
#[derive(Default)]
pub struct Begun {
    uploads: Mutex<Vec<Upload>>,
    /// How long ago each is said to have been begun beyond what is so, in seconds.
    ahead: Mutex<i64>,
}

struct Upload {
    key: String,
    id: String,
    at: i64,
}

impl Begun {
    /// Notes one, by the answer that began it.
    pub fn note(&self, key: &str, answer: &str) {
        let Some((_, rest)) = answer.split_once("<UploadId>") else { return };
        let id = rest.split('<').next().unwrap().to_owned();
        let mut uploads = self.uploads.lock().unwrap();
        uploads.push(Upload { key: key.to_owned(), id, at: clock::now().seconds() });
        uploads.sort_by(|a, b| (&a.key, &a.id).cmp(&(&b.key, &b.id)));
    }

    /// So many seconds pass, for these.
    pub fn age(&self, seconds: i64) {
        *self.ahead.lock().unwrap() += seconds;
    }

    /// A page of those that have not ended: three below the prefix that the query names, behind its markers.
    pub fn list(&self, root: &Path, query: &str) -> String {
        let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
        let value =
            |name: &str| pairs.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value.as_ref());
        let (prefix, behind) = (value("prefix"), (value("key-marker"), value("upload-id-marker")));
        let uploads = self.uploads.lock().unwrap();
        let is_open = |upload: &&Upload| root.join(format!(".upload-{}.json", upload.id)).exists();
        let mut open = uploads
            .iter()
            .filter(is_open)
            .filter(|upload| upload.key.starts_with(prefix) && (&*upload.key, &*upload.id) > behind);
        let page: Vec<_> = open.by_ref().take(3).collect();
        let mut text = String::from("<?xml version=\"1.0\"?>\n<ListMultipartUploadsResult>");
        for Upload { key, id, at } in &page {
            let at = jiff::Timestamp::from_second(at - *self.ahead.lock().unwrap()).unwrap();
            text.push_str(&format!(
                "<Upload><Key>{key}</Key><UploadId>{id}</UploadId><Initiated>{at}</Initiated></Upload>"
            ));
        }
        if let (Some(_), Some(last)) = (open.next(), page.last()) {
            text.push_str(&format!(
                "<IsTruncated>true</IsTruncated><NextKeyMarker>{}</NextKeyMarker>\
                 <NextUploadIdMarker>{}</NextUploadIdMarker>",
                last.key, last.id
            ));
        }
        text + "</ListMultipartUploadsResult>"
    }
}
