//! Detects the format of a document and decodes its bytes.

use std::path::Path;

use super::{IngestError, json, ninjs};

/// The maximum size of a document, in bytes: 8 MiB, which is also the default limit for a kept original.
pub const DOCUMENT_BYTES_MAX: usize = 8 << 20;

/// The formats of documents that can be distinguished by their content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// A news page as extracted text.
    NewsText,
    /// Markdown, with or without front matter.
    Markdown,
    /// A web page with its HTML markup.
    Html,
    /// JSON-LD with an article of a schema.org type.
    NewsArticle,
    /// An IPTC ninjs item.
    Ninjs,
    /// Any other JSON object, assumed to be protobuf JSON, which the wire layer reads.
    Json,
}

impl Format {
    /// The format that a file's extension stands for; `None` for an extension that does not decide the format.
    pub fn of_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_ascii_lowercase();
        match extension.to_str()? {
            "md" | "markdown" => Some(Self::Markdown),
            "html" | "htm" | "xhtml" => Some(Self::Html),
            "jsonld" => Some(Self::NewsArticle),
            _ => None,
        }
    }

    /// The media type of documents of this format.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::NewsText => "text/plain; charset=utf-8",
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Html => "text/html",
            Self::NewsArticle => "application/ld+json",
            Self::Ninjs | Self::Json => "application/json",
        }
    }
}

/// Detects the format from the content.
///
/// An opening tag means HTML. An opening brace means JSON, whose kind follows from its field names; an array counts as
/// JSON only if it is JSON-LD. Front matter, a first-level heading or two different signs of Markdown mean Markdown.
/// All other text is a news page.
///
/// # Errors
/// [`IngestError::TooLarge`], [`IngestError::Empty`], [`IngestError::Binary`] and [`IngestError::NotUtf8`] if the
/// content is not text; [`IngestError::Html`] if it is XML, a feed or a web archive.
pub fn detect(bytes: &[u8]) -> Result<Format, IngestError> {
    if is_html(bytes) {
        return Ok(Format::Html);
    }
    detect_text(&decode(bytes)?)
}

/// Whether the bytes begin like a web page, in any encoding. Comments may come first, as they do on some pages.
pub(super) fn is_html(bytes: &[u8]) -> bool {
    const OPENING_BYTES_MAX: usize = 4096;
    const SKIPPED: [(&str, &str); 2] = [("<!--", "-->"), ("<?xml", "?>")];
    // In UTF-16, every other byte of ASCII text is zero.
    let opening: Vec<u8> = bytes.iter().copied().take(OPENING_BYTES_MAX).filter(|byte| *byte != 0).collect();
    let opening = String::from_utf8_lossy(&opening);
    let mut rest = opening.trim_start_matches(|c: char| is_blank(c) || c == char::REPLACEMENT_CHARACTER);
    let mut is_xml = false;
    while let Some((start, end, after)) =
        SKIPPED.iter().find_map(|(start, end)| Some((*start, *end, rest.strip_prefix(start)?)))
    {
        let Some((_, after)) = after.split_once(end) else { return false };
        is_xml |= start == "<?xml";
        rest = after.trim_start();
    }
    // After a comment, any tag means HTML, unless an XML declaration came first.
    matches!(markup(rest), Some("HTML")) || !is_xml && rest.len() < opening.trim_start().len() && rest.starts_with('<')
}

/// Like [`detect`], for text that is already decoded.
pub(super) fn detect_text(text: &str) -> Result<Format, IngestError> {
    let text = text.trim_start();
    if let Some(what) = markup(text) {
        return Err(IngestError::Html { what });
    }
    let json = text.strip_prefix('{').is_some_and(|rest| !rest.starts_with(['{', '%']));
    if json || text.starts_with('[') {
        let names = json::field_names(text);
        let has = |wanted: &[&str]| names.iter().any(|name| wanted.contains(&name.as_str()));
        if has(&["@context", "@type", "@graph", "@id"]) {
            return Ok(Format::NewsArticle);
        }
        if json && ninjs::is_item(&names) {
            return Ok(Format::Ninjs);
        }
    }
    Ok(match () {
        () if json => Format::Json,
        () if is_markdown(text) => Format::Markdown,
        () => Format::NewsText,
    })
}

/// Decodes UTF-8 text, drops a byte order mark and changes all line ends to `\n`. Binary data is an error.
pub(super) fn decode(bytes: &[u8]) -> Result<String, IngestError> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err(IngestError::TooLarge { bytes: bytes.len() });
    }
    if let Some(what) = binary(bytes) {
        return Err(IngestError::Binary { what });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| IngestError::NotUtf8 { at: error.valid_up_to() })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.chars().all(is_blank) {
        return Err(IngestError::Empty);
    }
    Ok(text.replace("\r\n", "\n").replace('\r', "\n"))
}

/// Whether a character is white space, or one of the zero-width characters that are common in extracted text.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2060}' | '\u{feff}')
}

/// What the bytes are if they are not text, according to the magic numbers of files that people mistake for text, or to
/// a zero byte; `None` if they may be text.
fn binary(bytes: &[u8]) -> Option<&'static str> {
    const MAGIC: [(&[u8], &str); 8] = [
        (b"%PDF-", "a PDF file"),
        (b"PK\x03\x04", "a zip file, such as .docx or .epub"),
        (b"\x1f\x8b", "a gzip file"),
        (b"\x28\xb5\x2f\xfd", "a zstd file"),
        (b"\x89PNG", "a PNG image"),
        (b"\xff\xd8\xff", "a JPEG image"),
        (b"\xff\xfe", "UTF-16"),
        (b"\xfe\xff", "UTF-16"),
    ];
    let by_magic = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, what)| *what);
    by_magic.or_else(|| bytes.contains(&0).then_some("binary data"))
}

/// What kind of markup or container a text begins with, in words for a person; `None` if it is not a listed one.
pub(super) fn markup(text: &str) -> Option<&'static str> {
    const OPENINGS: [(&str, &str); 8] = [
        ("<!doctype html", "HTML"),
        ("<html", "HTML"),
        ("<head", "HTML"),
        ("<body", "HTML"),
        ("<?xml", "XML"),
        ("<rss", "an RSS feed"),
        ("<feed", "an Atom feed"),
        ("warc/", "a web archive"),
    ];
    let opening: String = text.chars().take(16).map(|c| c.to_ascii_lowercase()).collect();
    OPENINGS.iter().find(|(prefix, _)| opening.starts_with(prefix)).map(|(_, what)| *what)
}

/// Whether a text is Markdown. Front matter or a first-level heading at the start is enough. Otherwise two different
/// signs are needed, since a news page may also have a line that begins with `>` or a word between asterisks.
fn is_markdown(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default().trim_end();
    if matches!(first, "---" | "+++") || first.starts_with("# ") {
        return true;
    }
    let is_heading = |line: &str| line.trim_start_matches('#').starts_with(' ') && line.starts_with("##");
    let signs = [
        text.lines().any(is_heading),
        text.lines().any(|line| line.starts_with("```") || line.starts_with("~~~")),
        text.contains("](http") || text.contains("](/"),
        text.contains("!["),
        text.lines().any(|line| line.starts_with("> ")),
        text.contains("**"),
    ];
    signs.iter().filter(|sign| **sign).count() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_detected_from_the_content() {
        for (document, format) in [
            ("---\ntitle: A\n---\n", Format::Markdown),
            ("\n+++\ntitle = \"A\"\n+++\n", Format::Markdown),
            ("# Ferry returns\n\nText.", Format::Markdown),
            ("Ferry returns\n\nIt **did**, see [the log](https://a.example/).\n", Format::Markdown),
            ("{\"content\": {}}", Format::Json),
            ("{\"@context\": \"https://schema.org\", \"@type\": \"NewsArticle\"}", Format::NewsArticle),
            (" [{\"x\": [{}], \"@graph\": []}]", Format::NewsArticle),
            ("{\"uri\": \"urn:x\", \"headlines\": []}", Format::Ninjs),
            ("{\"uri\": \"urn:x\", \"versionCreated\": \"\"}", Format::Ninjs),
            ("{\"uri\": \"urn:x\", \"body_xhtml\": \"\"}", Format::Ninjs),
            ("{\"headline\": \"A\", \"canonicalUrl\": \"https://a.example/\"}", Format::Json),
            ("{\"content\": {\"@type\": 1}}", Format::Json),
            ("[Update] Ferry returns\n\nText.", Format::NewsText),
            ("[]", Format::NewsText),
            ("{{< figure >}}\n\nText.", Format::NewsText),
            ("#Ferry is back\n\nText - with a dash.", Format::NewsText),
            ("\u{feff}Ferry returns\r\n\r\nText.", Format::NewsText),
            ("\n <!DOCTYPE html><p>", Format::Html),
            ("<!-- cached -->\n<html>", Format::Html),
            ("<?xml version='1.0'?><!DOCTYPE html><html>", Format::Html),
        ] {
            assert_eq!(detect(document.as_bytes()), Ok(format), "{document:?}");
        }
    }

    #[test]
    fn content_that_is_not_text_is_rejected_by_name() {
        for (bytes, error) in [
            (&b""[..], IngestError::Empty),
            (b"\xef\xbb\xbf \r\n\t", IngestError::Empty),
            (b"abc\xe9t", IngestError::NotUtf8 { at: 3 }),
            (b"%PDF-1.7", IngestError::Binary { what: "a PDF file" }),
            (b"a\0b", IngestError::Binary { what: "binary data" }),
            (b"\xff\xfea\0", IngestError::Binary { what: "UTF-16" }),
            (b"<?xml version='1.0'?>", IngestError::Html { what: "XML" }),
        ] {
            assert_eq!(detect(bytes), Err(error), "{bytes:?}");
        }
        assert!(matches!(detect(&vec![b'a'; DOCUMENT_BYTES_MAX + 1]), Err(IngestError::TooLarge { .. })));
    }

    #[test]
    fn every_line_end_becomes_a_line_feed() {
        assert_eq!(decode(b"\xef\xbb\xbfa\r\nb\rc\n").unwrap(), "a\nb\nc\n");
    }
}
