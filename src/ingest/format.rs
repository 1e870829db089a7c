//! Which format a document has, and its bytes as text.

use std::path::Path;

use super::{IngestError, json, ninjs};

/// The largest document that is read, in bytes: 8 MiB, as large as an original can be kept by default.
pub const DOCUMENT_BYTES_MAX: usize = 8 << 20;

/// The formats that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// A news page as extracted text.
    NewsText,
    /// Markdown, with or without front matter.
    Markdown,
    /// A page of the web.
    Html,
    /// An article of schema.org's types as JSON-LD.
    NewsArticle,
    /// An item of IPTC ninjs.
    Ninjs,
    /// Other JSON. It is protobuf JSON, which another layer reads.
    Json,
}

impl Format {
    /// The format that a file's ending tells; `None` where it tells none.
    pub fn of_path(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_ascii_lowercase();
        match ending.to_str()? {
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

/// Finds the format from the content: front matter or a few unmistakable marks make Markdown, an opening brace makes
/// JSON, of which the names of its fields tell more, and all other text is a news page.
pub fn detect(bytes: &[u8]) -> Result<Format, IngestError> {
    if is_html(bytes) {
        return Ok(Format::Html);
    }
    detect_text(&decode(bytes)?)
}

/// Whether the bytes open as a page does, in whatever encoding: after comments, which some pages begin with.
pub(super) fn is_html(bytes: &[u8]) -> bool {
    const OPENING_BYTES: usize = 4096;
    // In UTF-16 every other byte of the opening is zero.
    let opening: Vec<u8> = bytes.iter().copied().take(OPENING_BYTES).filter(|byte| *byte != 0).collect();
    let opening = String::from_utf8_lossy(&opening);
    let mut rest = opening.trim_start_matches(|c: char| is_blank(c) || c == char::REPLACEMENT_CHARACTER);
    let mut is_xml = false;
    while let Some((passed, after)) = ["<!--", "<?xml"].iter().find_map(|mark| Some((*mark, rest.strip_prefix(mark)?)))
    {
        let (end, length) = if passed == "<!--" { (after.find("-->"), 3) } else { (after.find("?>"), 2) };
        let Some(end) = end else { return false };
        is_xml |= passed == "<?xml";
        rest = after.get(end + length..).unwrap_or_default().trim_start();
    }
    matches!(markup(rest), Some("HTML")) || !is_xml && rest.len() < opening.trim_start().len() && rest.starts_with('<')
}

/// As [`detect`], for text that is already decoded.
pub(super) fn detect_text(text: &str) -> Result<Format, IngestError> {
    let text = text.trim_start();
    if let Some(what) = markup(text) {
        return Err(IngestError::Html { what });
    }
    let json = text.strip_prefix('{').is_some_and(|rest| !rest.starts_with(['{', '%']));
    if json || text.starts_with('[') {
        let names = json::field_names(text);
        let has = |known: &[&str]| names.iter().any(|name| known.contains(&name.as_str()));
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

/// The bytes as text with `\n` line ends and without a byte order mark, NUL or other marks of binary data.
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

/// White space, and characters without width that extracted text is strewn with.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2060}' | '\u{feff}')
}

/// What the bytes are when they are not text, by the magic numbers of the files that people mistake for it.
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
    let known = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, what)| *what);
    known.or_else(|| bytes.contains(&0).then_some("binary data"))
}

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
    OPENINGS.iter().find(|(known, _)| opening.starts_with(known)).map(|(_, what)| *what)
}

/// Front matter or a first-level heading at the start settles it. Otherwise two different marks are needed, since
/// a news page too may have a line that begins with a dash or a `#hashtag`.
fn is_markdown(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default().trim_end();
    if matches!(first, "---" | "+++") || first.starts_with("# ") {
        return true;
    }
    let heading = |line: &str| line.trim_start_matches('#').starts_with(' ') && line.starts_with("##");
    let marks = [
        text.lines().any(heading),
        text.lines().any(|line| line.starts_with("```") || line.starts_with("~~~")),
        text.contains("](http") || text.contains("](/"),
        text.contains("!["),
        text.lines().any(|line| line.starts_with("> ")),
        text.contains("**"),
    ];
    marks.iter().filter(|mark| **mark).count() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_found_from_the_content() {
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
    fn what_is_not_text_is_named() {
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
    fn line_ends_become_one() {
        assert_eq!(decode(b"\xef\xbb\xbfa\r\nb\rc\n").unwrap(), "a\nb\nc\n");
    }
}
