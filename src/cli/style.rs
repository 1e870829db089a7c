//! Text for a terminal: styles, wrapping, and escaping of characters that a terminal must not receive.

use std::fmt::Write;

use crate::model::unseen::visible;
use anstyle::{AnsiColor, Style};
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

pub(super) const STRONG: Style = Style::new().bold();
pub(super) const FAINT: Style = Style::new().dimmed();
pub(super) const ITALIC: Style = Style::new().italic();
pub(super) const NAME: Style = AnsiColor::Cyan.on_default();
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const CHANGED: Style = AnsiColor::Yellow.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(super) const INSERTED: Style = AnsiColor::Green.on_default();
pub(super) const DELETED: Style = AnsiColor::Red.on_default().strikethrough();

/// Applies styles to text, or leaves it plain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Painter {
    /// Whether styles are shown.
    pub(super) colored: bool,
}

impl Painter {
    /// `text` in `style`. The text must already be safe to show.
    pub(super) fn paint(self, style: Style, text: &str) -> String {
        if self.colored && !text.is_empty() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// Makes foreign text safe to show: a control character could move the cursor, hide words, or worse.
pub(super) fn safe(text: &str) -> String {
    visible(text).into_owned()
}

/// Like [`safe`], with all white space folded so that the text is one line.
pub(super) fn safe_line(text: &str) -> String {
    safe(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Makes a whole line safe: no escape sequence remains except our own styles.
pub(super) fn safe_styled(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let mut written = safe(parts.next().unwrap_or_default());
    for part in parts {
        let is_style =
            |codes: &str| codes.starts_with('[') && codes.bytes().skip(1).all(|byte| b"0123456789;".contains(&byte));
        match part.split_once('m').filter(|(codes, _)| is_style(codes)) {
            Some((codes, text)) => written.extend(["\u{1b}", codes, "m", &visible(text)]),
            None => written.push_str(&visible(&format!("\u{1b}{part}"))),
        }
    }
    written
}

/// Wraps each line of a text to `width` columns; `None` leaves lines as they are. A style ends with its line and starts
/// again on the next, since pagers do not carry styles over.
pub(super) fn wrap(text: &str, first_indent: &str, indent: &str, width: Option<usize>) -> String {
    let lines: Vec<String> = match width {
        None => text
            .lines()
            .enumerate()
            .map(|(index, line)| format!("{}{line}", if index == 0 { first_indent } else { indent }))
            .collect(),
        Some(width) => {
            let options = Options::new(width.max(20))
                .initial_indent(first_indent)
                .subsequent_indent(indent)
                .word_separator(WordSeparator::AsciiSpace)
                .word_splitter(WordSplitter::NoHyphenation)
                .wrap_algorithm(WrapAlgorithm::FirstFit);
            textwrap::wrap(text, options).into_iter().map(|line| line.into_owned()).collect()
        }
    };
    carry_styles(&lines).join("\n")
}

/// Ends each line's styles with the line, and starts them again on the next.
fn carry_styles(lines: &[String]) -> Vec<String> {
    let mut active = String::new();
    let carry = |line: &String| {
        let mut carried = format!("{active}{line}");
        for sequence in line.split('\u{1b}').skip(1) {
            let Some((codes, _)) = sequence.split_once('m') else { continue };
            if codes == "[0" {
                active.clear();
            } else if write!(active, "\u{1b}{codes}m").is_err() {
                continue;
            }
        }
        if !active.is_empty() {
            carried.push_str("\u{1b}[0m");
        }
        carried
    };
    lines.iter().map(carry).collect()
}

/// Truncates a line that is wider than `width` columns, and ends it with an ellipsis.
pub(super) fn truncate(line: &str, width: usize) -> String {
    if textwrap::core::display_width(line) <= width {
        return line.to_owned();
    }
    let mut kept = String::new();
    // One column is for the ellipsis.
    let mut columns = 1;
    for character in line.chars() {
        columns += textwrap::core::display_width(character.encode_utf8(&mut [0; 4]));
        if columns > width {
            break;
        }
        kept.push(character);
    }
    kept.truncate(kept.trim_end().len());
    kept.push('…');
    kept
}

/// Pads with spaces to `width` columns.
pub(super) fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(textwrap::core::display_width(text));
    format!("{text}{}", " ".repeat(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_send_commands_to_the_terminal() {
        assert_eq!(safe("a\u{1b}[2Jb\u{9b}c\nd"), "a<U+001B>[2Jb<U+009B>c\nd");
        assert_eq!(safe_line(" a\n\tb\u{7}\u{2028}c "), "a b<U+0007><U+2028>c");
        let painted = Painter { colored: true }.paint(INSERTED, "new");
        assert_eq!(safe_styled(&painted), painted);
        assert_eq!(safe_styled("a\u{1b}[1;31mb\u{1b}[2Jc\u{1b}\u{202e}"), "a\u{1b}[1;31mb<U+001B>[2Jc<U+001B><U+202E>");
    }

    #[test]
    fn a_style_ends_with_its_line_and_starts_again_on_the_next() {
        let painted = Painter { colored: true }.paint(STRONG, "one two three four five six");
        let wrapped = wrap(&painted, "", "  ", Some(20));
        assert_eq!(wrapped, "\u{1b}[1mone two three four\u{1b}[0m\n\u{1b}[1m  five six\u{1b}[0m");
    }

    #[test]
    fn text_is_not_wrapped_without_a_width() {
        assert_eq!(wrap("a b c\nd", "- ", "  ", None), "- a b c\n  d");
    }

    #[test]
    fn wide_characters_count_as_two_columns() {
        assert_eq!(truncate("abcdef", 6), "abcdef");
        assert_eq!(truncate("abcdefg", 6), "abcde…");
        assert_eq!(truncate("東京の朝", 6), "東京…");
        assert_eq!(pad("東京", 6), "東京  ");
    }
}
