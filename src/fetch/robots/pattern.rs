//! Path patterns of robots.txt: `*` matches any characters, and `$` at the end matches the end of the path (RFC 9309,
//! 2.2.2 and 2.2.3).

/// The path pattern of a rule. Matching takes time in proportion to the path, whatever the pattern.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// The text before, between and after the stars; at least one part.
    parts: Vec<String>,
    anchored_at_end: bool,
    length: usize,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        let (text, anchored_at_end) = text.strip_suffix('$').map_or((text, false), |text| (text, true));
        let mut parts: Vec<String> = text.split('*').map(normalise).collect();
        let length = parts.iter().map(String::len).sum::<usize>() + (parts.len() - 1) + usize::from(anchored_at_end);
        // Several stars in a row mean the same as one.
        let last = parts.len() - 1;
        let mut index = 0;
        parts.retain(|part| {
            let kept = index == 0 || index == last || !part.is_empty();
            index += 1;
            kept
        });
        Self { parts, anchored_at_end, length }
    }

    /// Length of the normalised pattern in bytes, with its stars and `$`. Of all matching rules, the one with the
    /// longest pattern decides.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Whether a path matches; it must have been passed through [`normalise`]. Each part is searched for from the end
    /// of the previous one; this greedy search finds a match if there is one.
    pub(super) fn fits(&self, path: &str) -> bool {
        let Some((first, others)) = self.parts.split_first() else { return false };
        let Some(mut rest) = path.strip_prefix(first.as_str()) else { return false };
        let Some((last, between)) = others.split_last() else { return !self.anchored_at_end || rest.is_empty() };
        for part in between {
            let Some((_, after)) = rest.split_once(part.as_str()) else { return false };
            rest = after;
        }
        if self.anchored_at_end { rest.ends_with(last.as_str()) } else { rest.contains(last.as_str()) }
    }

    /// Approximate number of bytes allocated on the heap.
    pub(super) fn weight(&self) -> usize {
        self.parts.iter().map(|part| size_of::<String>() + part.capacity()).sum()
    }
}

/// Normalises a path for matching: percent-encodes only what has to be, and also `*` and `$`, which have another
/// meaning in a pattern.
pub(super) fn normalise(path: &str) -> String {
    let mut normalised = String::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let digits = (byte == b'%').then(|| Some((digit(ahead.next())?, digit(ahead.next())?))).flatten();
        let (byte, encoded) = match digits {
            Some((high, low)) => {
                bytes = ahead;
                let byte = high << 4 | low;
                (byte, !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')))
            }
            None => (byte, !byte.is_ascii_graphic() || matches!(byte, b'*' | b'$')),
        };
        if encoded {
            normalised.push('%');
            normalised.extend(
                [byte >> 4, byte & 15]
                    .iter()
                    .filter_map(|digit| char::from_digit(u32::from(*digit), 16))
                    .map(|c| c.to_ascii_uppercase()),
            );
        } else {
            normalised.push(char::from(byte));
        }
    }
    normalised
}

fn digit(byte: Option<u8>) -> Option<u8> {
    char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, path: &str) -> bool {
        Pattern::new(pattern).fits(&normalise(path))
    }

    #[test]
    fn a_pattern_matches_the_beginning_of_a_path() {
        assert!(fits("/", "/a"));
        assert!(fits("/fish", "/fish.html"));
        assert!(fits("/fish", "/fishheads/yummy.html"));
        assert!(!fits("/fish", "/Fish.asp"));
        assert!(!fits("/fish/", "/fish"));
        assert!(!fits("fish", "/fish"));
        assert!(fits("/a?b=c", "/a?b=cd"));
    }

    #[test]
    fn a_star_matches_anything_and_a_final_dollar_the_end() {
        assert!(fits("/*.php", "/folder/any.php.file?x"));
        assert!(!fits("/*.php", "/windows.PHP"));
        assert!(fits("/*.php$", "/a.php/b.php"));
        assert!(!fits("/*.php$", "/a.php?x"));
        assert!(fits("/fish*.php", "/fishheads/catfish.php?parameters"));
        assert!(fits("/a*b*c$", "/abbcc"));
        assert!(!fits("/a*b*c$", "/acb"));
        assert!(!fits("/ab*bc$", "/abc"));
        assert!(fits("*", "/x") && fits("*$", "/x") && fits("/**x", "/x") && fits("/***", "/"));
        assert!(fits("/$", "/") && !fits("/$", "/a"));
        assert!(fits("/a$b", "/a$bc"));
        assert!(!fits("/a*$$", "/ab"));
        assert!(fits("/a*$$", "/ab$"));
    }

    #[test]
    fn percent_encoding_makes_no_difference() {
        assert!(fits("/%7ejoe/", "/~joe/index.html"));
        assert!(fits("/~joe/", "/%7Ejoe/"));
        assert!(fits("/ü", "/%c3%bc"));
        assert!(fits("/%C3%BC", "/ü"));
        assert!(!fits("/a%2fb", "/a/b"));
        assert!(fits("/a%2fb", "/a%2Fb"));
        assert!(fits("/a%2a", "/a*") && !fits("/a%2a", "/ab"));
        assert!(fits("/a%24", "/a$b"));
        assert!(fits("/100%", "/100%") && fits("/%g1%2", "/%g1%2x"));
    }

    #[test]
    fn many_stars_do_not_slow_down_matching() {
        let pattern = Pattern::new(&format!("/{}", "a*".repeat(100_000)));
        assert!(!pattern.fits(&normalise(&format!("/{}", "a".repeat(50_000)))));
    }
}
