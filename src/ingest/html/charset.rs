//! Decodes the bytes of a page.
//!
//! The encoding is determined much as browsers do it (WHATWG Encoding, and HTML, "determining the character encoding").
//! The first of these counts: a byte order mark; the charset that was delivered with the page; UTF-16, if the first `<`
//! shows it; the charset that the page declares in its first kilobyte, or UTF-8 if the page is valid UTF-8; a guess
//! from the bytes.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use crate::ingest::Guess;

/// A page declares its encoding within this many bytes, or not at all.
const PRESCAN_BYTES: usize = 1024;

/// Decodes a page, and returns the text and what had to be guessed. `stated` is the charset that was delivered with the
/// page. Bytes that cannot be decoded become replacement characters, with a note among the guesses.
pub(in crate::ingest) fn decode(bytes: &[u8], stated: Option<&str>) -> (String, Vec<Guess>) {
    let mut guesses = Vec::new();
    let (encoding, bytes) = match Encoding::for_bom(bytes) {
        Some((encoding, bom_bytes)) => (encoding, bytes.get(bom_bytes..).unwrap_or_default()),
        None => (encoding_of(bytes, stated, &mut guesses), bytes),
    };
    let (text, has_errors) = encoding.decode_without_bom_handling(bytes);
    if has_errors {
        let replaced = text.matches(char::REPLACEMENT_CHARACTER).count();
        let why = format!("{replaced} places are not valid {}", encoding.name());
        guesses.push(Guess::new("charset", "replaced unreadable bytes", why));
    }
    (text.into_owned(), guesses)
}

fn encoding_of(bytes: &[u8], stated: Option<&str>, guesses: &mut Vec<Guess>) -> &'static Encoding {
    if let Some(encoding) = stated.and_then(|label| Encoding::for_label(label.as_bytes())) {
        return encoding;
    }
    if let Some(encoding) = utf_16_of_markup(bytes) {
        return encoding;
    }
    let Some(encoding) = declared(bytes.get(..PRESCAN_BYTES).unwrap_or(bytes)) else { return sniffed(bytes, guesses) };
    // A page that a browser saved is in UTF-8 but still declares its old encoding. It is very unlikely that text in
    // another encoding happens to be valid UTF-8.
    if encoding != UTF_8 && !bytes.is_ascii() && std::str::from_utf8(bytes).is_ok() {
        let why = format!("the page says {}, but its bytes are valid UTF-8", encoding.name());
        guesses.push(Guess::new("charset", UTF_8.name(), why));
        return UTF_8;
    }
    encoding
}

/// The UTF-16 variant of markup without a byte order mark, detected by the first `<` as in XML 1.0, appendix F.1.
fn utf_16_of_markup(bytes: &[u8]) -> Option<&'static Encoding> {
    match bytes {
        [0, b'<', 0, second, ..] if *second != 0 => Some(UTF_16BE),
        [b'<', 0, second, 0, ..] if *second != 0 => Some(UTF_16LE),
        _ => None,
    }
}

/// The encoding that the page declares: `<meta charset=…>`, `<meta … content="text/html; charset=…">`, or `<?xml
/// encoding=…?>`.
fn declared(opening: &[u8]) -> Option<&'static Encoding> {
    let opening = String::from_utf8_lossy(opening).to_ascii_lowercase();
    let tags = opening.split('<').filter_map(|tag| tag.split_once('>').map(|(tag, _)| tag));
    let labels = tags.filter_map(|tag| match tag {
        tag if tag.starts_with("meta") => label_after(tag, "charset"),
        tag if tag.starts_with("?xml") => label_after(tag, "encoding"),
        _ => None,
    });
    let encoding = labels.filter_map(|label| Encoding::for_label(label.as_bytes())).next()?;
    // The declaration was read as ASCII, so the page is not in UTF-16, whatever it declares.
    Some(if encoding == UTF_16LE || encoding == UTF_16BE { UTF_8 } else { encoding })
}

/// The value after `name=` in a tag, with or without quotes.
fn label_after<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    let (_, after) = tag.split_once(name)?;
    let value = after.trim_start().strip_prefix('=')?.trim_start().trim_start_matches(['"', '\'']);
    let end = value.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ';' | '/' | '?'));
    value.get(..end.unwrap_or(value.len())).filter(|label| !label.is_empty())
}

/// Guesses the encoding from the bytes. Valid UTF-8 is hardly ever anything else, so it is not noted as a guess.
fn sniffed(bytes: &[u8], guesses: &mut Vec<Guess>) -> &'static Encoding {
    if std::str::from_utf8(bytes).is_ok() {
        return UTF_8;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    let encoding = detector.guess(None, Utf8Detection::Allow);
    let encoding = if encoding == UTF_8 { WINDOWS_1252 } else { encoding };
    guesses.push(Guess::new("charset", encoding.name(), "the page declares no charset; its bytes look like this one"));
    encoding
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], stated: Option<&str>) -> (String, Vec<String>) {
        let (text, guesses) = decode(bytes, stated);
        (text, guesses.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_delivered_charset_takes_precedence_over_a_declared_one() {
        let page = b"<meta charset=utf-8><p>F\xe4hre";
        assert_eq!(read(page, Some("ISO-8859-1")).0, "<meta charset=utf-8><p>Fähre");
        assert_eq!(read("\u{feff}<p>Fähre".as_bytes(), Some("ISO-8859-1")), ("<p>Fähre".to_owned(), Vec::new()));
        assert_eq!(read("<p>Fähre".as_bytes(), Some("no-such")), ("<p>Fähre".to_owned(), Vec::new()));
    }

    #[test]
    fn a_page_may_declare_its_charset_in_several_ways() {
        for opening in [
            "<meta charset=windows-1252>",
            "<META CHARSET = 'ISO-8859-1'/>",
            "<meta http-equiv=Content-Type content=\"text/html; charset=iso-8859-1\">",
            "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>",
        ] {
            let page = [opening.as_bytes(), b"F\xe4hre"].concat();
            assert_eq!(read(&page, None), (format!("{opening}Fähre"), Vec::new()));
        }
    }

    #[test]
    fn a_saved_page_is_in_utf_8_whatever_it_declares() {
        let (text, guesses) = read("<meta charset=gb2312><p>新电脑".as_bytes(), None);
        assert!(text.ends_with("新电脑"), "{text}");
        assert_eq!(guesses, ["charset: UTF-8 (the page says GBK, but its bytes are valid UTF-8)"]);
    }

    #[test]
    fn an_undeclared_charset_is_guessed_from_the_bytes() {
        let (text, guesses) = read(b"<p>Die F\xe4hre \xfcber den Sund f\xe4llt heute aus, sagt die Reederei.", None);
        assert!(text.contains("Fähre über"), "{text}");
        assert!(guesses[0].starts_with("charset: windows-1252"), "{guesses:?}");
        assert_eq!(read("<p>Fähre".as_bytes(), None), ("<p>Fähre".to_owned(), Vec::new()));
        let utf_16: Vec<u8> = "\u{feff}<p>Fähre".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(read(&utf_16, None).0, "<p>Fähre");
    }

    #[test]
    fn undecodable_bytes_are_replaced_and_noted() {
        let (text, guesses) = read(b"<meta charset=utf-8>F\xe4hre \xfc", None);
        assert_eq!(text.matches('\u{fffd}').count(), 2);
        assert_eq!(guesses, ["charset: replaced unreadable bytes (2 places are not valid UTF-8)"]);
    }
}
