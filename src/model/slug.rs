//! Readable identifiers for articles whose client does not supply one.
//!
//! The hexadecimal digits carry the identity; the words before them are for people. Both are derived from the input
//! alone, so that an article gets the same identifier on every machine. Identifiers are stored and published, so their
//! derivation must never change.

use data_encoding::HEXLOWER;
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

use super::{ArticleId, NameError, UrlKey};

/// The maximum length of the slug in an identifier, in bytes.
const SLUG_BYTES_MAX: usize = 60;

/// The number of hexadecimal digits taken from the digest of the identity key: 40 bits. Among a million articles with
/// the *same* slug at one source, two collide with a probability of one in three; among a hundred thousand, of one in
/// two hundred.
const DIGITS: usize = 10;

/// How many characters of a text are considered. Every character that the slug keeps yields at least one byte of it.
const READABLE_CHARS_MAX: usize = 256;

/// The number of letters that make a path segment readable: `a-12345` says nothing, `war` does.
const LETTERS_MIN: usize = 3;

/// Path segments that name a page's type or rendering rather than its subject.
const GENERIC: [&str; 12] =
    ["amp", "article", "articles", "default", "home", "index", "mobile", "news", "page", "print", "story", "view"];

/// Derives an article's identifier: a slug of `readable` (a headline, or the result of [`readable_from_url`]), `-`, and
/// ten hexadecimal digits of SHA-256 over `identity_key`. If the slug is empty, `article` takes its place.
///
/// # Errors
/// Never in practice, since the result always has the form of an identifier. The signature follows
/// [`ArticleId::parse`], the only constructor.
pub fn article_id(identity_key: &str, readable: &str) -> Result<ArticleId, NameError> {
    let slug = slug(readable);
    let words = if slug.is_empty() { "article" } else { &slug };
    let digest = HEXLOWER.encode(&Sha256::digest(identity_key.as_bytes()));
    let digits = digest.get(..DIGITS).unwrap_or(&digest);
    ArticleId::parse(&format!("{words}-{digits}"))
}

/// The words of `text` in the characters `a-z 0-9`, transliterated if they are not Latin, and joined by single `-`. The
/// slug has as many whole words as fit into 60 bytes, or the first 60 bytes of a longer first word. It is empty if no
/// character of the text can be transliterated.
pub fn slug(text: &str) -> String {
    let start: String = text.chars().take(READABLE_CHARS_MAX).collect();
    let mut slug = ::slug::slugify(start);
    if slug.len() > SLUG_BYTES_MAX {
        // One byte more, so that a word that ends exactly at the limit is kept.
        let cut = slug.get(..=SLUG_BYTES_MAX).and_then(|head| head.rfind('-')).unwrap_or(SLUG_BYTES_MAX);
        slug.truncate(cut);
    }
    slug
}

/// The last segment of a URL's path that reads like words, decoded and without its file extension; empty if there is
/// none. Numbers, ids and generic names such as `index.html` or `amp` are skipped.
pub fn readable_from_url(key: &UrlKey) -> String {
    // A host contains neither a bare `)` nor a `?`.
    let address = key.as_str().split_once(')').map_or("", |(_, address)| address);
    let path = address.split_once('?').map_or(address, |(path, _)| path);
    path.rsplit('/').map(readable_segment).find(|segment| is_readable(segment)).unwrap_or_default()
}

fn readable_segment(segment: &str) -> String {
    // A parameter of a segment (RFC 3986, 3.3), such as `;jsessionid=…`, is not part of its name.
    let name = segment.split_once(';').map_or(segment, |(name, _)| name);
    let name = match name.rsplit_once('.') {
        Some((stem, extension)) if is_extension(extension) => stem,
        _ => name,
    };
    percent_decode_str(name).decode_utf8_lossy().into_owned()
}

fn is_extension(text: &str) -> bool {
    matches!(text.len(), 2..=5)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

fn is_readable(segment: &str) -> bool {
    let letters = segment.chars().filter(|c| c.is_alphabetic());
    // In scripts without an alphabet, a single character can be a word.
    let enough = letters.clone().count() >= LETTERS_MIN || letters.clone().any(|c| !c.is_ascii());
    enough && !is_hexadecimal_id(segment) && !GENERIC.iter().any(|generic| segment.eq_ignore_ascii_case(generic))
}

/// Whether the text is a UUID, a digest or the like. It must contain a digit, because words such as `facade` also
/// consist of the letters a to f.
fn is_hexadecimal_id(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') && text.bytes().any(|byte| byte.is_ascii_digit())
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
    fn an_id_is_a_slug_and_the_first_digits_of_a_digest() {
        // printf %s abc | sha256sum (FIPS 180-2, appendix B.1)
        assert_eq!(id("abc", "Harbour wall gives way"), "harbour-wall-gives-way-ba7816bf8f");
        assert_eq!(id("abc", "  Flut: „Größte“ seit 1962!  "), "flut-grosste-seit-1962-ba7816bf8f");
        assert_eq!(id("abc", "北京"), "bei-jing-ba7816bf8f");
    }

    #[test]
    fn without_words_the_id_begins_with_article() {
        for nothing in ["", " \n", "—?!", "\u{fffd}", "\u{10ffff}"] {
            assert_eq!(id("abc", nothing), "article-ba7816bf8f", "{nothing:?}");
        }
    }

    #[test]
    fn the_identity_key_makes_the_id_unique_not_the_words() {
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
    fn the_last_readable_segment_of_a_url_is_used() {
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
    fn a_url_may_have_no_readable_segment() {
        for url in ["https://example.com", "https://example.com/?headline=x", "https://example.com/2024/05/12345"] {
            assert_eq!(readable(url), "", "{url}");
        }
        assert_eq!(readable_from_url(&UrlKey::from_stored("no key at all")), "");
    }

    proptest! {
        #[test]
        fn every_text_yields_a_valid_id(identity in any::<String>(), text in "\\PC{0,300}|[a-zé—–%. ]{0,100}") {
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
        fn no_url_panics(text in any::<String>(), path in "[a-z%C3A9./;?)-]{0,40}") {
            let _ = readable_from_url(&UrlKey::from_stored(&text));
            if let Ok(key) = UrlKey::of(&format!("https://example.com/{path}")) {
                prop_assert!(article_id("", &readable_from_url(&key)).is_ok());
            }
        }
    }
}
