//! Counts the attributes of a tag while it is being read.

/// A tag, from its `<` on. What turns out not to be a tag, such as a comment, has no attributes.
#[derive(Debug, Default)]
pub(super) struct OpenTag {
    /// The number of attributes that have begun so far.
    pub(super) attributes: usize,
    state: TagState,
}

/// The states of the HTML tokenizer (WHATWG HTML, 13.2.5) that decide where an attribute begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum TagState {
    #[default]
    Open,
    EndTagOpen,
    NoTag,
    TagName,
    BeforeName,
    Name,
    AfterName,
    BeforeValue,
    Quoted(u8),
    Unquoted,
}

impl OpenTag {
    /// Reads the next piece. A `>` outside quotes does not end the tag, because only the parser knows where the tag
    /// ends. The part after the `>` may be another tag that the parser sees, so attributes are counted there as well.
    pub(super) fn read(&mut self, piece: &str) {
        for byte in piece.bytes() {
            let next = self.state.after(byte);
            let begins = next == TagState::Name && !matches!(self.state, TagState::Name);
            self.attributes += usize::from(begins);
            self.state = next;
        }
    }
}

impl TagState {
    fn after(self, byte: u8) -> Self {
        let blank = byte.is_ascii_whitespace();
        match self {
            Self::Open if byte == b'<' => Self::Open,
            Self::Open if byte == b'/' => Self::EndTagOpen,
            Self::Open | Self::EndTagOpen if byte.is_ascii_alphabetic() => Self::TagName,
            Self::Open | Self::EndTagOpen | Self::NoTag => Self::NoTag,
            Self::Quoted(quote) if byte == quote => Self::BeforeName,
            Self::Quoted(quote) => Self::Quoted(quote),
            Self::BeforeValue if blank => Self::BeforeValue,
            Self::BeforeValue if matches!(byte, b'"' | b'\'') => Self::Quoted(byte),
            Self::BeforeValue => Self::Unquoted,
            Self::Unquoted if !blank => Self::Unquoted,
            Self::TagName if !blank && byte != b'/' => Self::TagName,
            Self::TagName | Self::Unquoted => Self::BeforeName,
            Self::Name | Self::AfterName if byte == b'=' => Self::BeforeValue,
            Self::Name if blank => Self::AfterName,
            Self::AfterName if blank => Self::AfterName,
            Self::BeforeName if blank => Self::BeforeName,
            _ if byte == b'/' => Self::BeforeName,
            Self::BeforeName | Self::AfterName | Self::Name => Self::Name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_counted_as_the_standard_reads_them() {
        for (tag, count) in [
            ("<p", 0),
            ("<p a b  c", 3),
            ("<p a=1 b = 2 c='x y z' d=\"e f\"g", 5),
            ("<p/a/b/c", 3),
            ("<p a=b/c/d e", 2),
            ("<p\na\tb", 2),
            ("</p a b", 2),
            ("<p =a b", 2),
            ("<!-- a b c", 0),
            ("<? a b c", 0),
            ("</ a b c", 0),
            ("<p title='>' a b", 3),
        ] {
            let mut open = OpenTag::default();
            for piece in tag.split_inclusive(' ') {
                open.read(piece);
            }
            assert_eq!(open.attributes, count, "{tag:?}");
        }
    }
}
