//! Random contents, within the limits of what the formats can represent.

use dateline::internals::export::Item;
use dateline::model::{
    ArticleName, Block, BlockKind, ClaimedTime, Content, ContentDigest, Precision, RevisionNumber, Timestamp,
};
use proptest::prelude::*;

/// Parts of lines: words in several scripts, and characters that have a meaning in one of the formats.
const WORD: &str = "[a-zäßéσλ日本א]{1,7}|[!-~äσ日]{1,6}|-|\\+|#|##|>|=+|1\\.|2\\)|~~~|```|\\*\\*b\\*\\*|\\[a\\]\\(b\\)|<b>|&amp;|&#65;|\\{#a\\}|:--|\\||\\\\";
/// The same without markup and character references, for fields that are read verbatim or as HTML.
const PLAIN_WORD: &str = "[a-zäßéσλ日本א]{1,7}|[!-%'-;=?-~]{1,6}|&|AT&T";

/// Words separated by spaces.
fn line(word: &'static str) -> impl Strategy<Value = String> {
    prop::collection::vec(word, 1..6).prop_map(|words| words.join(" "))
}

/// One or several lines.
fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(line(WORD), 1..4).prop_map(|lines| lines.join("\n"))
}

fn field() -> impl Strategy<Value = String> {
    prop_oneof![1 => Just(String::new()), 3 => line(PLAIN_WORD)]
}

fn url() -> impl Strategy<Value = String> {
    "https://www\\.courier\\.example/[a-z0-9_()*~!-]{1,12}(\\?a=[a-z0-9&]{0,5}amp;[a-z_]{0,3})?"
}

/// A claimed time that is no more exact than its precision.
fn claim(precision: impl Strategy<Value = Precision>) -> impl Strategy<Value = Option<ClaimedTime>> {
    let claim = (precision, 1500..2500_i16, 1..=12_i8, 1..=28_i8, 0..86_400_000_000_i64);
    let claim = claim.prop_map(|(precision, year, month, day, micros)| {
        let (month, day) = match precision {
            Precision::Instant | Precision::Day => (month, day),
            Precision::Month => (month, 1),
            Precision::Year => (1, 1),
        };
        let start = jiff::civil::date(year, month, day).to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
        let micros = if precision == Precision::Instant { micros } else { 0 };
        let time = Timestamp::from(start).saturating_add_micros(micros);
        ClaimedTime { time, precision, words: String::new(), found_in: String::new(), relative: false }
    });
    prop::option::of(claim)
}

pub(super) fn any_precision() -> impl Strategy<Value = Precision> {
    prop_oneof![Just(Precision::Instant), Just(Precision::Day), Just(Precision::Month), Just(Precision::Year)]
}

pub(super) fn block() -> impl Strategy<Value = Block> {
    let url = || prop_oneof![Just(String::new()), url()];
    let credit = || prop_oneof![Just(String::new()), line(WORD)];
    prop_oneof![
        4 => text().prop_map(|text| BlockKind::Paragraph { text }),
        1 => line(WORD).prop_map(|text| BlockKind::Subheading { text }),
        1 => (line(WORD), url(), credit()).prop_map(|(text, image_url, credit)| BlockKind::Caption { text, image_url, credit }),
        1 => (text(), credit()).prop_map(|(text, attribution)| BlockKind::Quote { text, attribution: attribution.trim_start_matches(['-', ' ']).to_owned() }),
        2 => (prop::collection::vec(text(), 1..4), any::<bool>()).prop_map(|(items, ordered)| BlockKind::List { items, ordered }),
        1 => text().prop_map(|text| BlockKind::CorrectionNote { text: format!("Correction: {text}") }),
        1 => self::url().prop_map(|url| BlockKind::Embed { url, text: String::new() }),
    ]
    .prop_map(Block::from)
}

/// A content whose claimed times have this precision.
pub(super) fn content<P: Strategy<Value = Precision>>(precision: fn() -> P) -> impl Strategy<Value = Content> {
    let keywords = prop::collection::btree_set("[a-zä]{1,6}( [a-z,]{1,4}x)?", 0..4);
    let bylines = prop::collection::btree_set("[A-Z][a-zé]{2,6} [A-Z][a-z]{2,6}", 0..4);
    let language = prop_oneof![Just(""), Just("en-GB"), Just("ar"), Just("zh-Hant-TW")];
    let fields = (line(PLAIN_WORD), field(), field(), field(), prop_oneof![Just(String::new()), url()]);
    let sets = (keywords, bylines, language);
    let blocks = prop::collection::vec(block(), 0..6);
    (fields, sets, claim(precision()), claim(precision()), blocks).prop_map(
        |((headline, standfirst, section, rights, canonical_url), sets, publish_time, modify_time, blocks)| {
            let (keywords, bylines, language) = sets;
            Content {
                headline,
                standfirst,
                bylines: bylines.into_iter().collect(),
                section,
                language: language.to_owned(),
                canonical_url,
                publish_time,
                modify_time,
                keywords: keywords.into_iter().collect(),
                rights,
                blocks,
            }
        },
    )
}

/// A revision with this content.
pub(super) fn item(content: Content) -> Item {
    let time = |micros: i64| Timestamp::from_micros(1_762_041_600_000_000 + micros).unwrap();
    Item {
        article: ArticleName::parse("sources/courier/articles/bridge-to-close").unwrap(),
        revision: RevisionNumber::FIRST,
        revision_count: 3,
        digest: ContentDigest::of(&content),
        content,
        observe_time: time(0),
        archive_time: time(1_500_000),
        valid_from: Some(time(0)),
        valid_until: Some(time(3_600_000_000)),
        withdrawn: None,
        urls: vec!["https://m.courier.example/bridge".to_owned()],
        labels: vec!["flood".to_owned(), "river, and sea".to_owned()],
    }
}
