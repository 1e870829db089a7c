//! Makes invisible characters visible: control characters, bidirectional controls, zero-width characters and tags. Text
//! from elsewhere can use them to hide a change or to reorder the words that a reader sees (CVE-2021-42574). So
//! wherever text is shown, they are replaced by their names.
//!
//! Joiners and variation selectors stay where the spelling of a word or emoji needs them. In a comparison they are named
//! there, too, if two words differ in nothing else.
//! Sources: <https://www.unicode.org/reports/tr36/>, <https://www.unicode.org/reports/tr9/>, the property
//! `Default_Ignorable_Code_Point` of <https://www.unicode.org/reports/tr44/>.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::{self, Write};

/// The tag sequences that turn a black flag into the emoji flags of England, Scotland and Wales.
const FLAGS: [&str; 3] = [
    "\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
    "\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
    "\u{e0067}\u{e0062}\u{e0077}\u{e006c}\u{e0073}\u{e007f}",
];
const FLAG: char = '\u{1f3f4}';
/// The marks around words, other than those of ASCII.
const MARKS: &str = "،؛؟۔«»“”‘’…–—";

/// A text for display: invisible characters are replaced by names such as `<U+202E>`. Line ends and tabs stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    rewrite(text, Named::Foreign, name)
}

/// Which sides a change has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sides {
    /// It only inserts, or only deletes.
    One,
    /// It inserts and deletes, so an inserted text may replace a deleted one.
    Both,
    /// As [`Self::Both`], with words that look the same and are not.
    Alike,
}

impl Sides {
    /// The sides of a change that deletes and inserts these texts.
    pub fn of<'a>(deleted: impl Iterator<Item = &'a str>, inserted: impl Iterator<Item = &'a str>) -> Self {
        let (mut deleted, mut inserted) = (deleted.peekable(), inserted.peekable());
        if deleted.peek().is_none() || inserted.peek().is_none() {
            return Self::One;
        }
        let texts: Vec<&str> = deleted.chain(inserted).collect();
        if !texts.iter().any(|text| text.contains(is_spelling)) {
            return Self::Both;
        }
        let is_around = |c: char| c.is_ascii_punctuation() || MARKS.contains(c);
        let words = texts.iter().flat_map(|text| text.split_whitespace()).map(|word| word.trim_matches(is_around));
        let mut spellings: HashMap<String, &str> = HashMap::new();
        for word in words {
            let appearance = word.chars().filter(|c| !is_spelling(*c)).collect();
            if *spellings.entry(appearance).or_insert(word) != word {
                return Self::Alike;
            }
        }
        Self::Both
    }
}

/// As [`visible`], for a text that was inserted or deleted. If the change has both sides, a text and its replacement
/// can differ in invisible characters alone. So characters that [`visible`] keeps are then named, too, such as soft
/// hyphens, and white space other than spaces, tabs and line ends; joiners within words and emoji only if there are words
/// that look the same.
pub fn visible_change(text: &str, sides: Sides) -> Cow<'_, str> {
    let named = match sides {
        _ if text.trim().is_empty() => Named::All,
        Sides::One => Named::Foreign,
        Sides::Both => Named::AllButSpelling,
        Sides::Alike => Named::All,
    };
    rewrite(text, named, name)
}

/// Equivalent JSON, with escapes such as `\u202e` for invisible characters.
pub fn in_json(json: &str) -> Cow<'_, str> {
    rewrite(json, Named::Foreign, |written, c| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            push(written, format_args!("\\u{unit:04x}"));
        }
    })
}

/// As [`in_json`], for YAML, whose escapes stand for whole code points.
pub fn in_yaml(text: &str) -> Cow<'_, str> {
    rewrite(text, Named::Foreign, |written, c| push(written, format_args!("\\U{:08x}", u32::from(c))))
}

/// As [`in_json`], for Markdown and HTML, with character references.
pub fn in_markup(text: &str) -> Cow<'_, str> {
    rewrite(text, Named::Foreign, |written, c| push(written, format_args!("&#x{:x};", u32::from(c))))
}

fn name(written: &mut String, c: char) {
    push(written, format_args!("<U+{:04X}>", u32::from(c)));
}

fn push(written: &mut String, text: fmt::Arguments<'_>) {
    let done = written.write_fmt(text);
    debug_assert!(done.is_ok(), "writing to a string cannot fail");
}

/// Which invisible characters are replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    /// Those that no spelling needs.
    Foreign,
    /// All but joiners and variation selectors that a spelling needs; also unusual white space.
    AllButSpelling,
    /// All; also unusual white space.
    All,
}

/// Replaces invisible characters with what `write` appends.
fn rewrite(text: &str, named: Named, write: impl Fn(&mut String, char)) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\t')) {
        return Cow::Borrowed(text);
    }
    let (mut written, mut copied_to) = (String::new(), 0);
    let (mut before, mut rest) = (None, text);
    while let Some(c) = rest.chars().next() {
        let at = text.len() - rest.len();
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        let belongs = || belongs(before, c, rest.chars().next());
        let is_unusual = || is_unseen(c) || (c.is_whitespace() && !matches!(c, ' ' | '\n' | '\t'));
        let is_replaced = match named {
            Named::Foreign => is_unseen(c) && !belongs(),
            Named::AllButSpelling => is_unusual() && !(is_spelling(c) && belongs()),
            Named::All => is_unusual(),
        };
        if is_replaced {
            written.push_str(text.get(copied_to..at).unwrap_or_default());
            write(&mut written, c);
            copied_to = at + c.len_utf8();
        } else if named == Named::Foreign && c == FLAG {
            rest = FLAGS.iter().find_map(|tags| rest.strip_prefix(tags)).unwrap_or(rest);
        }
        before = Some(c);
    }
    if copied_to == 0 {
        return Cow::Borrowed(text);
    }
    written.push_str(text.get(copied_to..).unwrap_or_default());
    Cow::Owned(written)
}

/// Whether a character is invisible, in any context.
fn is_unseen(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' => true,
        c => c.is_control(),
    }
}

/// Whether a character is one that words and emoji are spelled with: a joiner, a non-joiner, or the selector of colour.
fn is_spelling(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe0f}')
}

/// Whether an invisible character belongs where it is, as part of the spelling of a word or an emoji.
fn belongs(before: Option<char>, c: char, after: Option<char>) -> bool {
    let Some(before) = before else { return false };
    let is_followed_by = |is: fn(char) -> bool| after.is_some_and(is);
    match c {
        // A soft hyphen.
        '\u{ad}' => before.is_alphabetic() && is_followed_by(char::is_alphabetic),
        // Zero width non-joiner, then zero width joiner.
        '\u{200c}' => is_joined(before) && is_followed_by(is_joined),
        '\u{200d}' => is_joined(before) || (is_pictograph(before) && is_followed_by(is_pictograph)),
        '\u{180b}'..='\u{180f}' => is_mongolian(before),
        '\u{fe00}'..='\u{fe0f}' if before.is_ascii() => {
            (before.is_ascii_digit() || matches!(before, '#' | '*')) && after == Some('\u{20e3}')
        }
        // Variation selectors apply to symbols, and to letters of Asian scripts.
        '\u{fe00}'..='\u{fe0f}' => {
            !is_unseen(before) && !before.is_whitespace() && (before >= '\u{1000}' || !before.is_alphabetic())
        }
        '\u{e0100}'..='\u{e01ef}' => before >= '\u{2e80}' && before.is_alphabetic(),
        _ => false,
    }
}

fn is_mongolian(c: char) -> bool {
    ('\u{1820}'..='\u{18af}').contains(&c)
}

/// Whether a character belongs to a script in which joiners distinguish words: Arabic and the scripts derived from it,
/// those of India, and those of Southeast Asia.
fn is_joined(c: char) -> bool {
    let is_of_script = matches!(c,
        '\u{620}'..='\u{109f}'
        | '\u{1780}'..='\u{18af}'
        | '\u{1900}'..='\u{1cff}'
        | '\u{a800}'..='\u{abff}'
        | '\u{fb50}'..='\u{fdff}'
        | '\u{fe70}'..='\u{fefc}'
        | '\u{10a00}'..='\u{11fff}'
        | '\u{1e900}'..='\u{1e95f}');
    is_of_script && !is_unseen(c) && !c.is_numeric()
}

/// Whether a character can be part of a joined emoji. A variation selector may come between the parts.
fn is_pictograph(c: char) -> bool {
    matches!(c, '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}' | '\u{fe0f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIDING: [char; 28] = [
        '\u{202a}',
        '\u{202b}',
        '\u{202c}',
        '\u{202d}',
        '\u{202e}',
        '\u{2066}',
        '\u{2067}',
        '\u{2068}',
        '\u{2069}',
        '\u{200e}',
        '\u{200f}',
        '\u{61c}',
        '\u{200b}',
        '\u{2060}',
        '\u{feff}',
        '\u{2028}',
        '\u{2029}',
        '\u{e0001}',
        '\u{e0041}',
        '\u{e007f}',
        '\u{200c}',
        '\u{200d}',
        '\u{fe0f}',
        '\u{e0100}',
        '\u{ad}',
        '\u{34f}',
        '\u{3164}',
        '\u{180e}',
    ];

    #[test]
    fn characters_that_hide_or_reorder_words_are_named_everywhere() {
        for c in HIDING {
            let name = format!("<U+{:04X}>", u32::from(c));
            for (before, after) in [("pay ", " me"), ("pay", ""), ("", "me"), ("pay", "1"), ("\u{202e}", "")] {
                let shown = visible(&format!("{before}{c}{after}")).into_owned();
                assert!(shown.contains(&name) && !shown.contains(c), "{shown}");
            }
        }
    }

    #[test]
    fn no_text_can_send_a_command_to_a_terminal() {
        assert_eq!(visible("a\u{1b}[2Jb\u{9b}c\u{7f}\rd\n\te"), "a<U+001B>[2Jb<U+009B>c<U+007F><U+000D>d\n\te");
    }

    #[test]
    fn joiners_stay_in_words_and_emoji_that_need_them() {
        let texts = [
            "می\u{200c}خواهم",
            "क\u{94d}\u{200d}ष \u{b28}\u{b4d}\u{200c}\u{b28}",
            "👨\u{200d}👩\u{200d}👧 ❤\u{fe0f}\u{200d}🔥 1\u{fe0f}\u{20e3} ©\u{fe0f}",
            "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}!",
            "葛\u{e0100}城",
            "Donau\u{ad}dampf",
        ];
        for text in texts {
            assert!(matches!(visible(text), Cow::Borrowed(_)), "{}", visible(text));
        }
    }

    #[test]
    fn joiners_that_no_spelling_needs_are_named() {
        for (text, expected) in [
            ("می\u{200c}\u{200c}خواهم", "می<U+200C><U+200C>خواهم"),
            ("می\u{200c} خواهم", "می<U+200C> خواهم"),
            ("❤\u{fe0f}\u{fe0e}", "❤\u{fe0f}<U+FE0E>"),
            ("🏴\u{e0075}\u{e0073}\u{e007f}", "🏴<U+E0075><U+E0073><U+E007F>"),
        ] {
            assert_eq!(visible(text), expected);
        }
    }

    #[test]
    fn a_text_and_its_replacement_never_look_the_same() {
        let pairs = [
            ("می\u{200c}خواهم", "میخواهم"),
            ("👨\u{200d}👩", "👨👩"),
            ("❤\u{fe0f}", "❤"),
            ("12\u{a0}km", "12 km"),
            ("Donau\u{ad}dampf", "Donaudampf"),
            ("🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}", "🏴"),
        ];
        for (one, other) in pairs {
            let is_plain = |text: &str| !text.chars().any(|c| is_unseen(c) || (c.is_whitespace() && c != ' '));
            let sides = Sides::of([one].into_iter(), [other].into_iter());
            let [one, other] = [one, other].map(|text| visible_change(text, sides).into_owned());
            assert!(one != other && is_plain(&one) && is_plain(&other), "{one} {other}");
        }
        assert_eq!(
            visible_change("می\u{200c}خواهم", Sides::One),
            "می\u{200c}خواهم",
            "a whole new word keeps its joiner"
        );
        assert_eq!(visible_change("\u{a0}", Sides::One), "<U+00A0>", "inserted space alone is named");
    }

    #[test]
    fn joiners_stay_in_a_comparison_of_words_that_look_different() {
        let shown = |old: &str, new: &str| {
            let sides = Sides::of([old].into_iter(), [new].into_iter());
            [old, new].map(|text| visible_change(text, sides).into_owned())
        };
        for (old, new) in [
            ("نمی\u{200c}آیم", "می\u{200c}آیم"),
            ("👩\u{200d}👩\u{200d}👧 came", "👨\u{200d}👩\u{200d}👧 came"),
            ("❤\u{fe0f}", "🔥"),
        ] {
            assert_eq!(shown(old, new), [old, new]);
        }
        assert_eq!(shown("pa\u{200d}y \u{202e}me", "me")[0], "pa<U+200D>y <U+202E>me", "none of this spells a word");
        assert_eq!(
            shown("«می\u{200c}خواهم» کتاب", "میخواهم، دفتر")[0],
            "«می<U+200C>خواهم» کتاب",
            "the word is among others"
        );
        assert_eq!(Sides::of(["a"].into_iter(), [].into_iter()), Sides::One);
    }

    #[test]
    fn escapes_stand_for_the_same_characters() {
        let text = "a\u{9b}\u{7f}\u{202e}\u{e0041}b\u{85}";
        let json = serde_json::to_string(text).unwrap();
        let escaped = in_json(&json);
        assert_eq!(escaped, r#""a\u009b\u007f\u202e\udb40\udc41b\u0085""#);
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
        assert_eq!(in_yaml(text), r"a\U0000009b\U0000007f\U0000202e\U000e0041b\U00000085");
        assert_eq!(in_markup(text), "a&#x9b;&#x7f;&#x202e;&#xe0041;b&#x85;");
    }
}
