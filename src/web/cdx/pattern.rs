//! Regular expressions that visitors send.
//!
//! Each becomes a deterministic automaton of limited size, so that a byte of what it is matched with takes one step,
//! whatever the expression is. One that needs a larger automaton is rejected; it is not matched in a slower way.

use std::fmt;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

/// The size of an automaton, and of each thing that it is made from, in bytes. The largest takes some 10 ms to make.
const BYTES_MAX: usize = 256 << 10;

/// A regular expression, whose classes (`\w`, `\d`) are ASCII, as in the CDX server of the Wayback Machine.
pub(super) struct Pattern(Box<dense::DFA<Vec<u32>>>);

/// Why a text cannot be used as a pattern.
pub(super) enum PatternError {
    Malformed,
    TooLarge,
}

impl Pattern {
    /// A pattern for all of a text.
    pub(super) fn of_whole(expression: &str) -> Result<Self, PatternError> {
        Self::new(expression, r"\z")
    }

    /// A pattern for a text that begins with what it matches.
    pub(super) fn of_beginning(expression: &str) -> Result<Self, PatternError> {
        Self::new(expression, "")
    }

    fn new(expression: &str, end: &str) -> Result<Self, PatternError> {
        let ascii = syntax::Config::new().unicode(false).utf8(false);
        // By itself first, so that a parenthesis in it cannot close the group around it.
        syntax::parse_with(expression, &ascii).map_err(|_| PatternError::Malformed)?;
        let limits = dense::Config::new()
            .start_kind(StartKind::Anchored)
            .dfa_size_limit(Some(BYTES_MAX))
            .determinize_size_limit(Some(BYTES_MAX));
        let automaton = dense::Builder::new()
            .syntax(ascii)
            .thompson(thompson::Config::new().nfa_size_limit(Some(BYTES_MAX)))
            .configure(limits)
            .build(&format!("(?:{expression}){end}"));
        // It has been parsed, and has nothing but the size of its automaton against it.
        automaton.map(|automaton| Self(Box::new(automaton))).map_err(|_| PatternError::TooLarge)
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
            Self::TooLarge => "the regular expression is too large, or has too many ways to match",
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
            assert_eq!(matches(Pattern::of_whole(expression)), whole, "{expression} is {text}");
            assert_eq!(matches(Pattern::of_beginning(expression)), beginning, "{expression} begins {text}");
        }
    }

    #[test]
    fn what_is_not_an_expression_or_takes_too_much_is_rejected() {
        for expression in ["(", "a)|(b", "[z-a]", "*", r"\", "(?P<", "(?x)#"] {
            assert!(Pattern::of_whole(expression).is_err(), "{expression}");
        }
        for expression in ["((a{100}){100}){100}", ".*[ae].{30}", &"(a|b)*c{9}".repeat(10_000)] {
            assert!(matches!(Pattern::of_whole(expression), Err(PatternError::TooLarge)), "{expression}");
        }
        assert!(Pattern::of_whole(&"(".repeat(100_000)).is_err());
    }
}
