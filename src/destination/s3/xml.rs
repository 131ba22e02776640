//! The little of XML that S3's small answers need: the text of an element that has no children.
//!
//! Pure. The library reads the answers that it asks for; these are the error documents, the lists of uploads
//! that were begun, and the answer of the token service.

/// The text of the first element of this name, its five entities resolved.
pub(super) fn element(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (inner, _) = rest.split_once(&format!("</{name}>"))?;
    let mut plain = inner.trim().to_owned();
    for (entity, meant) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")] {
        plain = plain.replace(entity, meant);
    }
    Some(plain)
}

/// What is within each element of this name, in order.
pub(super) fn elements<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    text.split(open.as_str()).skip(1).filter_map(|part| Some(part.split_once(close.as_str())?.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_element() {
        let text =
            "<?xml?><Error><Code>NoSuchKey</Code><Message>no &quot;a&amp;lt;&quot;</Message><Empty/></Error>";
        assert_eq!(element(text, "Code").as_deref(), Some("NoSuchKey"));
        assert_eq!(element(text, "Message").as_deref(), Some("no \"a&lt;\""));
        assert_eq!(element(text, "Empty"), None);
        assert_eq!(element("<Code>cut", "Code"), None);
    }

    #[test]
    fn elements_of_one_name() {
        let text = "<L><Upload><Key>a</Key></Upload><Upload><Key>b</Key></Upload><Upload>cut</L>";
        assert_eq!(elements(text, "Upload"), ["<Key>a</Key>", "<Key>b</Key>"]);
    }
}
