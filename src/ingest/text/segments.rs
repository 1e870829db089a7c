//! Groups lines into segments. A segment is one paragraph, headline, caption or the like, joined to a single line.

use super::super::format::is_blank;

/// A paragraph, headline, caption or the like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TextSegment {
    /// The text on one line, trimmed.
    pub(super) text: String,
    /// The number of the line on which the segment starts, from 1.
    pub(super) line: usize,
    /// Whether no blank line separates the segment from the previous one.
    pub(super) follows_directly: bool,
}

impl TextSegment {
    /// The number of words, separated by white space. In scripts without spaces between words, two characters count as
    /// one word.
    pub(super) fn words(&self) -> usize {
        let is_unspaced = |c: &char| matches!(c, '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}');
        self.text.split_whitespace().count() + self.text.chars().filter(is_unspaced).count() / 2
    }
}

/// Splits a page into segments.
pub(super) fn segments(text: &str) -> Vec<TextSegment> {
    let lines: Vec<(usize, &str)> = text.lines().enumerate().map(|(index, line)| (index + 1, clean(line))).collect();
    let chunks: Vec<&[(usize, &str)]> =
        lines.split(|(_, line)| line.is_empty()).filter(|chunk| !chunk.is_empty()).collect();
    let width = wrap_width(&chunks);
    chunks.into_iter().flat_map(|chunk| chunk_segments(chunk, width)).collect()
}

fn clean(line: &str) -> &str {
    line.trim_matches(is_blank)
}

/// The segments of a chunk, which is a run of lines without a blank line: one segment if the chunk is hard-wrapped, or
/// else one for each line.
fn chunk_segments(chunk: &[(usize, &str)], width: Option<usize>) -> Vec<TextSegment> {
    let segment = |(index, (line, text)): (usize, &(usize, &str))| TextSegment {
        text: (*text).to_owned(),
        line: *line,
        follows_directly: index > 0,
    };
    if !width.is_some_and(|width| is_wrapped(chunk, width)) {
        return chunk.iter().enumerate().map(segment).collect();
    }
    let text = chunk.iter().map(|(_, text)| *text).collect::<Vec<_>>().join(" ");
    let line = chunk.first().map_or(1, |(line, _)| *line);
    vec![TextSegment { text, line, follows_directly: false }]
}

/// The width at which the document is hard-wrapped; `None` if each line is a segment of its own.
///
/// A line counts as wrapped if the first word of the next line would not have fitted on it. The lines of a chunk that
/// is not hard-wrapped rarely all look like that. A document is hard-wrapped if its longest line has 50 to 120
/// characters, and at least two line breaks and two thirds of all line breaks are in chunks that look wrapped.
fn wrap_width(chunks: &[&[(usize, &str)]]) -> Option<usize> {
    const WIDTHS: std::ops::RangeInclusive<usize> = 50..=120;
    let width = chunks.iter().flat_map(|chunk| chunk.iter()).map(|(_, line)| chars(line)).max()?;
    let breaks: usize = chunks.iter().map(|chunk| chunk.len() - 1).sum();
    let wrapped: usize = chunks.iter().filter(|chunk| is_wrapped(chunk, width)).map(|chunk| chunk.len() - 1).sum();
    (WIDTHS.contains(&width) && wrapped >= 2 && wrapped * 3 >= breaks * 2).then_some(width)
}

fn is_wrapped(chunk: &[(usize, &str)], width: usize) -> bool {
    chunk.len() > 1
        && chunk.windows(2).all(|pair| match pair {
            [(_, line), (_, next)] => {
                let word = next.split_whitespace().next().unwrap_or_default();
                !is_bullet(word) && chars(line) + 1 + chars(word) > width
            }
            _ => false,
        })
}

fn chars(text: &str) -> usize {
    text.chars().count()
}

/// Whether a line's first word is a list bullet.
fn is_bullet(word: &str) -> bool {
    matches!(word, "-" | "•" | "*" | "–")
}

/// The text of a list item, and whether the item has a number, of at most two digits; `None` if the line is not a list
/// item.
pub(super) fn list_item(text: &str) -> Option<(&str, bool)> {
    let (bullet, item) = text.split_once(char::is_whitespace)?;
    let digits = bullet.strip_suffix(['.', ')']);
    let is_number = digits.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    (is_bullet(bullet) || is_number && bullet.len() <= 3).then(|| (item.trim(), is_number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(page: &str) -> Vec<String> {
        segments(page).into_iter().map(|segment| segment.text).collect()
    }

    #[test]
    fn blank_lines_separate_segments_and_so_do_line_breaks() {
        assert_eq!(
            texts("TP\nThe Post\n\n \u{a0}\n Ferry returns \n\nText."),
            ["TP", "The Post", "Ferry returns", "Text."]
        );
        let page = segments("A\nB\n\nC");
        assert_eq!(
            page.iter().map(|segment| (segment.line, segment.follows_directly)).collect::<Vec<_>>(),
            [(1, false), (2, true), (4, false)]
        );
    }

    #[test]
    fn hard_wrapped_paragraphs_are_joined() {
        let page = "Ferry returns\n\n\
            The ferry came back to the quay on Monday after\n\
            eleven weeks in dock, and the first passengers were\n\
            children on their way to school.\n\n\
            \"We had forgotten how slow it is,\" said one of them.";
        assert_eq!(texts(page).len(), 3);
    }

    #[test]
    fn paragraphs_on_lines_of_their_own_are_not_joined() {
        let page = "Ferry returns\nThe ferry came back to the quay on Monday.\nIt was slow.\nNobody minded, said the \
            master, who had been away as long as his ship and looked the better for it, as did the ship.";
        assert_eq!(texts(page).len(), 4);
    }

    #[test]
    fn list_items_start_with_a_bullet_or_number() {
        assert_eq!(list_item("- one way"), Some(("one way", false)));
        assert_eq!(list_item("12. twelfth"), Some(("twelfth", true)));
        assert_eq!(list_item("2025. A year"), None);
        assert_eq!(list_item("No item"), None);
    }
}
