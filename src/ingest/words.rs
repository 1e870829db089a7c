//! The words by which lines of a page are recognised, whether the page is read as HTML or as text.
//!
//! HTML and text have separate lists where a false match costs more in one of them. HTML also has elements and classes
//! to go by, so words alone decide only if they cannot mean anything else; in text, words are the only evidence.

/// The letters and digits of a text, in lower case, so that texts can be compared without regard to typography.
pub(super) fn fold_text(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whether two texts differ only in typography.
pub(super) fn is_same_text(one: &str, other: &str) -> bool {
    fold_text(one) == fold_text(other)
}

/// Whether the words are a reading time with a number in digits, such as "4 min read", and nothing else.
pub(super) fn is_reading_time(words: &str) -> bool {
    let folded = fold_text(words);
    let unit = folded.trim_start_matches(|c: char| c.is_ascii_digit());
    unit.len() < folded.len() && matches!(unit, "minread" | "minuteread" | "minutesread" | "minsread" | "mnread")
}

/// Like [`is_reading_time`], for a part of a line between separators. These are evidence too, so any word is accepted
/// in place of the number: "Quick read", "five minute read".
pub(super) fn is_separated_reading_time(part: &str) -> bool {
    let words: Vec<String> = part.split_whitespace().map(str::to_lowercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    matches!(words.as_slice(), [_, "min" | "mins" | "minute" | "minutes" | "minute's", "read"] | [_, "read"])
}

/// What a line prints before a publication time, in text.
pub(super) const PUBLISHED_LABELS: [&str; 3] = ["first published", "published", "posted"];
/// What a line prints before a modification time, in text.
pub(super) const MODIFIED_LABELS: [&str; 5] = ["last updated", "last modified", "updated", "modified", "amended"];
/// Words that end a byline and begin a time.
pub(super) const TIME_WORDS: [&str; 4] = ["published", "updated", "posted", "modified"];
/// What HTML pages print before a time that their metadata also states. Longer labels come first, because shorter ones
/// are parts of them.
pub(super) const REPEATED_TIME_LABELS: [&str; 13] = [
    "first published on",
    "first published",
    "last updated on",
    "last updated",
    "last modified",
    "published on",
    "published",
    "updated on",
    "updated",
    "posted on",
    "posted",
    "publié le",
    "veröffentlicht am",
];
/// Words that pages print before, between and after authors.
pub(super) const BYLINE_CONNECTORS: [&str; 9] = ["by", "and", "on", "par", "von", "por", "door", "di", "et"];

/// Whole texts of boilerplate blocks, as [`fold_text`] reduces them. None of these could be a sentence of an article.
pub(super) const BOILERPLATE_TEXTS: [&str; 34] = [
    "advertisement",
    "advertisementcontinuereadingthemainstory",
    "advertisementscrolltocontinue",
    "advertising",
    "anuncio",
    "anzeige",
    "articlecontinuesafterad",
    "articlecontinuesafteradvertisement",
    "articlecontinuesbelow",
    "backtotop",
    "clickheretosubscribe",
    "continuereadingthemainstory",
    "copylink",
    "gotocomments",
    "playvideo",
    "publicidad",
    "publicidade",
    "publicité",
    "reklama",
    "reusecontent",
    "scrolltocontinue",
    "sharethis",
    "sharethisarticle",
    "sharethisstory",
    "signupforournewsletter",
    "signuptoournewsletter",
    "skipadvertisement",
    "skiptocontent",
    "skiptomaincontent",
    "sponsored",
    "storycontinuesbelow",
    "storycontinuesbelowadvertisement",
    "viewphoto",
    "werbung",
];

/// The first words of buttons and links. In text, a short line that starts with one is neither a caption nor a
/// subheading.
pub(super) const BOILERPLATE_FIRST_WORDS: [&str; 10] =
    ["advertisement", "click", "continue", "listen", "read", "related", "share", "sign", "subscribe", "watch"];

/// Labels that pages have above a picture or video for readers who cannot see, as [`fold_text`] reduces them.
pub(super) const PICTURE_LABELS: [&str; 7] = ["photo", "image", "video", "foto", "bild", "play", "slideshow"];

/// Labels of pictures in text, as printed. A line that is one of these is not a caption.
pub(super) const PRINTED_PICTURE_LABELS: [&str; 4] = ["Image", "Photo", "Picture", "Video"];

/// Words that stay in lower case within the name of a section.
pub(super) const SMALL_IN_SECTIONS: [&str; 9] = ["and", "of", "the", "in", "to", "on", "&", "for", "news"];
/// Words that stay in lower case within the name of a newspaper.
pub(super) const SMALL_IN_MASTHEADS: [&str; 6] = ["of", "and", "the", "&", "for", "on"];
/// Words that stay in lower case within a picture credit.
pub(super) const SMALL_IN_CREDITS: [&str; 6] = ["and", "for", "via", "of", "the", "de"];
/// Words that stay in lower case after the first name in a byline.
pub(super) const SMALL_IN_BYLINES: [&str; 6] = ["and", "de", "van", "von", "da", "del"];

/// Section names that are common enough to be recognised without a time next to them.
pub(super) const SECTIONS: [&str; 24] = [
    "World",
    "Politics",
    "Business",
    "Sport",
    "Sports",
    "Culture",
    "Opinion",
    "Science",
    "Technology",
    "Tech",
    "Health",
    "Local",
    "National",
    "International",
    "Economy",
    "Environment",
    "Education",
    "Travel",
    "Arts",
    "Entertainment",
    "News",
    "Local news",
    "World news",
    "City",
];

/// Words that are common in the names of newspapers.
pub(super) const PRESS_WORDS: [&str; 40] = [
    "advertiser",
    "argus",
    "bulletin",
    "chronicle",
    "courier",
    "daily",
    "dispatch",
    "echo",
    "enquirer",
    "evening",
    "examiner",
    "express",
    "gazette",
    "globe",
    "guardian",
    "herald",
    "independent",
    "inquirer",
    "journal",
    "leader",
    "ledger",
    "mail",
    "mercury",
    "mirror",
    "monitor",
    "news",
    "observer",
    "post",
    "press",
    "record",
    "recorder",
    "register",
    "review",
    "sentinel",
    "standard",
    "star",
    "telegraph",
    "times",
    "tribune",
    "weekly",
];
