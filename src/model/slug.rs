//! Identifiers that a person can read, for articles whose writer gave them none.
//!
//! The digits carry the identity, the words before them are for the eye. Both come from the input alone, so that the
//! same article gets the same identifier on every machine; identifiers are stored and handed out, so the derivation
//! never changes for an input that once had one.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use sha2::{Digest, Sha256};

use super::{ArticleId, NameError, UrlKey};

/// The longest slug in an identifier, in bytes.
const SLUG_BYTES_MAX: usize = 60;

/// Hexadecimal digits of the identity's digest. 40 bits: among a million articles of *one* slug at one source two
/// meet with a chance of one in three, among a hundred thousand with one in two hundred.
const DIGITS: usize = 10;

/// How much of a text is looked at. Every character that is kept gives at least a byte of slug.
const READABLE_CHARS_MAX: usize = 256;

/// The letters that make a path segment worth reading: `a-12345` says nothing, `war` does.
const LETTERS_MIN: usize = 3;

/// Segments that name a page's kind or rendering and not its subject.
const GENERIC: [&str; 12] =
    ["amp", "article", "articles", "default", "home", "index", "mobile", "news", "page", "print", "story", "view"];

/// Derives an article's identifier: a slug of `readable` (a headline, or what [`readable_from_url`] found), `-`, and
/// ten hexadecimal digits of SHA-256 over `identity_key`. `article-` and the digits where nothing readable is left.
///
/// # Errors
/// None in fact: what is derived always has the form of an identifier. The signature is [`ArticleId::parse`]'s, which
/// is the one way to make one.
pub fn article_id(identity_key: &str, readable: &str) -> Result<ArticleId, NameError> {
    let slug = slug(readable);
    let words = if slug.is_empty() { "article" } else { &slug };
    let digest = HEXLOWER.encode(&Sha256::digest(identity_key.as_bytes()));
    let digits = digest.get(..DIGITS).unwrap_or(&digest);
    ArticleId::parse(&format!("{words}-{digits}"))
}

/// The words `a-z 0-9` of `text`, transliterated where it is not Latin, joined by single `-`: as many whole words as
/// fit into 60 bytes, or the first 60 bytes of a single longer word. Empty where nothing can be written so.
pub fn slug(text: &str) -> String {
    let start: String = text.chars().take(READABLE_CHARS_MAX).collect();
    let mut slug = ::slug::slugify(start);
    if slug.len() > SLUG_BYTES_MAX {
        // One byte more, so that a word which ends exactly at the limit is kept.
        let cut = slug.get(..=SLUG_BYTES_MAX).and_then(|head| head.rfind('-')).unwrap_or(SLUG_BYTES_MAX);
        slug.truncate(cut);
    }
    slug
}

/// The last segment of a URL's path that reads like words, decoded and without its file extension; empty where there
/// is none. Numbers, ids and names such as `index.html` or `amp` are passed over.
pub fn readable_from_url(key: &UrlKey) -> String {
    // A host holds neither a bare `)` nor a `?`.
    let address = key.as_str().split_once(')').map_or("", |(_, address)| address);
    let path = address.split_once('?').map_or(address, |(path, _)| path);
    path.rsplit('/').map(readable_segment).find(|segment| is_readable(segment)).unwrap_or_default()
}

fn readable_segment(segment: &str) -> String {
    // A parameter of a segment (RFC 3986, 3.3), such as `;jsessionid=…`, is no part of its name.
    let name = segment.split_once(';').map_or(segment, |(name, _)| name);
    let name = match name.rsplit_once('.') {
        Some((stem, extension)) if is_extension(extension) => stem,
        _ => name,
    };
    percent_decoded(name)
}

fn is_extension(text: &str) -> bool {
    matches!(text.len(), 2..=5)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

fn is_readable(segment: &str) -> bool {
    let letters = segment.chars().filter(|c| c.is_alphabetic());
    // In scripts without an alphabet a single character is a word.
    let enough = letters.clone().count() >= LETTERS_MIN || letters.clone().any(|c| !c.is_ascii());
    enough && !is_hexadecimal_id(segment) && !GENERIC.iter().any(|generic| segment.eq_ignore_ascii_case(generic))
}

/// Whether the text is a UUID, a digest or the like. A word of the letters a to f alone has no digit.
fn is_hexadecimal_id(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') && text.bytes().any(|byte| byte.is_ascii_digit())
}

/// `%C3%A9` → `é`; what is no escape stays, and what is no UTF-8 becomes U+FFFD.
fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escape = if first == b'%' { after.split_first_chunk::<2>() } else { None };
        let escaped = escape.and_then(|(digits, after)| {
            let byte = HEXLOWER_PERMISSIVE.decode(digits).ok()?.pop()?;
            Some((byte, after))
        });
        let (byte, after) = escaped.unwrap_or((first, after));
        decoded.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(identity_key: &str, readable: &str) -> String {
        article_id(identity_key, readable).unwrap().as_str().to_owned()
    }

    fn readable(url: &str) -> String {
        readable_from_url(&UrlKey::of(url).unwrap())
    }

    #[test]
    fn an_id_is_words_and_the_first_digits_of_a_digest() {
        // printf %s abc | sha256sum (FIPS 180-2, appendix B.1)
        assert_eq!(id("abc", "Harbour wall gives way"), "harbour-wall-gives-way-ba7816bf8f");
        assert_eq!(id("abc", "  Flut: „Größte“ seit 1962!  "), "flut-grosste-seit-1962-ba7816bf8f");
        assert_eq!(id("abc", "北京"), "bei-jing-ba7816bf8f");
    }

    #[test]
    fn without_words_the_id_says_article() {
        for nothing in ["", " \n", "—?!", "\u{fffd}", "\u{10ffff}"] {
            assert_eq!(id("abc", nothing), "article-ba7816bf8f", "{nothing:?}");
        }
    }

    #[test]
    fn the_identity_decides_and_not_the_words() {
        assert_ne!(id("a", "Same headline"), id("b", "Same headline"));
        assert_eq!(id("a", "Same headline"), id("a", "Same headline"));
    }

    #[test]
    fn a_slug_ends_with_a_whole_word() {
        let words = "a ".repeat(40);
        assert_eq!(slug(&words).len(), 59);
        assert_eq!(slug(&format!("{} tail", "x".repeat(60))), "x".repeat(60));
        assert_eq!(slug(&format!("{} tail", "x".repeat(59))), "x".repeat(59));
        assert_eq!(slug(&"x".repeat(61)), "x".repeat(60));
        assert_eq!(slug(&format!("short {}", "x".repeat(80))), "short");
    }

    #[test]
    fn a_url_is_read_from_its_end() {
        assert_eq!(readable("https://example.com/2024/05/harbour-wall"), "harbour-wall");
        assert_eq!(readable("https://example.com/harbour-wall/"), "harbour-wall");
        assert_eq!(readable("https://example.com/harbour-wall/a-12345?page=all"), "harbour-wall");
        assert_eq!(readable("https://example.com/harbour-wall/amp/"), "harbour-wall");
        assert_eq!(readable("https://example.com/harbour-wall/index.html"), "harbour-wall");
        assert_eq!(readable("https://example.com/harbour-wall/9b2f1c30-77aa-4e5b-9c1d-2f00a1b2c3d4"), "harbour-wall");
        assert_eq!(readable("https://example.com/harbour-wall.html;jsessionid=A1B2"), "harbour-wall");
        assert_eq!(readable("https://example.com/gro%C3%9Fe-flut.html"), "große-flut");
        assert_eq!(readable("https://example.com/%E6%B4%AA%E6%B0%B4"), "洪水");
        assert_eq!(readable("https://example.com/100%25-of-votes-%zz"), "100%-of-votes-%zz");
        assert_eq!(readable("http://[2001:db8::1]/harbour-wall"), "harbour-wall");
    }

    #[test]
    fn a_url_may_say_nothing() {
        for url in ["https://example.com", "https://example.com/?headline=x", "https://example.com/2024/05/12345"] {
            assert_eq!(readable(url), "", "{url}");
        }
        assert_eq!(readable_from_url(&UrlKey::from_stored("no key at all")), "");
    }

    proptest! {
        #[test]
        fn every_text_gives_an_id(identity in any::<String>(), text in "\\PC{0,300}|[a-zé—–%. ]{0,100}") {
            let id = article_id(&identity, &text).unwrap();
            let (words, digits) = id.as_str().rsplit_once('-').unwrap();
            prop_assert!(words.len() <= SLUG_BYTES_MAX && !words.ends_with('-'));
            prop_assert_eq!(digits.len(), DIGITS);
        }

        #[test]
        fn a_slug_is_its_own_slug(text in "\\PC{0,300}|[a-zé—–%. ]{0,100}") {
            let once = slug(&text);
            prop_assert_eq!(slug(&once), once);
        }

        #[test]
        fn every_url_can_be_read(text in any::<String>(), path in "[a-z%C3A9./;?)-]{0,40}") {
            let _ = readable_from_url(&UrlKey::from_stored(&text));
            if let Ok(key) = UrlKey::of(&format!("https://example.com/{path}")) {
                prop_assert!(article_id("", &readable_from_url(&key)).is_ok());
            }
        }
    }
}
