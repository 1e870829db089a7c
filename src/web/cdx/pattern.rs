//! Regular expressions that visitors send.
//!
//! Each becomes a deterministic automaton, so that a byte of what it is matched with takes one step, whatever the expression
//! is. The automata of a request share a limit on their size, and so on the time that it takes to make them. An expression
//! that needs a larger one is rejected; it is not matched in a slower way.

use std::fmt;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

/// The size of all automata of a request, and of each thing that one is made from, in bytes. They take some 10 ms to make,
/// and so does one that turns out to be too large.
const BYTES_MAX: usize = 256 << 10;

/// What is left of the size of a request's automata, in bytes.
pub(super) struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(BYTES_MAX)
    }
}

/// A regular expression, whose classes (`\w`, `\d`) are ASCII, as in the CDX server of the Wayback Machine.
pub(super) struct Pattern(Box<dense::DFA<Vec<u32>>>);

/// Why a text cannot be used as a pattern.
pub(super) enum PatternError {
    Malformed,
    TooLarge,
}

impl Pattern {
    /// A pattern for all of a text.
    pub(super) fn of_whole(expression: &str, room: &mut Room) -> Result<Self, PatternError> {
        Self::new(expression, r"\z", room)
    }

    /// A pattern for a text that begins with what it matches.
    pub(super) fn of_beginning(expression: &str, room: &mut Room) -> Result<Self, PatternError> {
        Self::new(expression, "", room)
    }

    fn new(expression: &str, end: &str, room: &mut Room) -> Result<Self, PatternError> {
        let ascii = syntax::Config::new().unicode(false).utf8(false);
        // By itself first, so that a parenthesis in it cannot close the group around it.
        syntax::parse_with(expression, &ascii).map_err(|_| PatternError::Malformed)?;
        let limits = dense::Config::new()
            .start_kind(StartKind::Anchored)
            .dfa_size_limit(Some(room.0))
            .determinize_size_limit(Some(room.0));
        let automaton = dense::Builder::new()
            .syntax(ascii)
            .thompson(thompson::Config::new().nfa_size_limit(Some(room.0)))
            .configure(limits)
            .build(&format!("(?:{expression}){end}"));
        // It has been parsed, and has nothing but the size of its automaton against it.
        let automaton = automaton.map_err(|_| PatternError::TooLarge)?;
        room.0 = room.0.saturating_sub(automaton.memory_usage());
        Ok(Self(Box::new(automaton)))
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let input = Input::new(text).anchored(Anchored::Yes).earliest(true);
        self.0.try_search_fwd(&input).is_ok_and(|found| found.is_some())
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it is not a regular expression",
            Self::TooLarge => {
                "the regular expression is too large or has too many ways to match, by itself or with those before it"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_for_a_whole_text_or_its_beginning() {
        for (expression, text, whole, beginning) in [
            ("text/.*", "text/html", true, true),
            ("text", "text/html", false, true),
            ("html", "text/html", false, false),
            ("text|html", "text", true, true),
            (".*html", "text/html", true, true),
            ("[23]..", "404", false, false),
            ("^200$", "200", true, true),
            (r"\d{3}", "200", true, true),
            ("(?i)HTTPS://.*", "https://example.com/é", true, true),
            (".*é", "https://example.com/é", true, true),
            ("", "", true, true),
            ("", "x", false, true),
        ] {
            let matches = |pattern: Result<Pattern, _>| pattern.is_ok_and(|pattern| pattern.matches(text));
            let room = &mut Room::default();
            assert_eq!(matches(Pattern::of_whole(expression, room)), whole, "{expression} is {text}");
            assert_eq!(matches(Pattern::of_beginning(expression, room)), beginning, "{expression} begins {text}");
        }
    }

    #[test]
    fn what_is_not_an_expression_or_takes_too_much_is_rejected() {
        for expression in ["(", "a)|(b", "[z-a]", "*", r"\", "(?P<", "(?x)#"] {
            assert!(Pattern::of_whole(expression, &mut Room::default()).is_err(), "{expression}");
        }
        for expression in ["((a{100}){100}){100}", ".*[ae].{30}", &"(a|b)*c{9}".repeat(10_000)] {
            let pattern = Pattern::of_whole(expression, &mut Room::default());
            assert!(matches!(pattern, Err(PatternError::TooLarge)), "{expression}");
        }
        assert!(Pattern::of_whole(&"(".repeat(100_000), &mut Room::default()).is_err());
    }

    /// Each of them had a limit of its own, so eight of them took eight times as long.
    #[test]
    fn the_patterns_of_a_request_share_a_limit() {
        let (large, mut room) = (".*[ae].{10}", Room::default());
        let made = (0..8).take_while(|_| Pattern::of_whole(large, &mut room).is_ok()).count();
        assert!((1..8).contains(&made), "{made}");
        assert!(Pattern::of_whole("text/.*", &mut room).is_ok(), "there is room for a small one");
    }
}
