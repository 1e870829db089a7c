//! Repairs the faults that JSON in web pages often has, where only one reading is possible: comments and CDATA around
//! the JSON, commas before a closing bracket, line breaks within strings, and escapes of unpaired surrogates.

/// Repairs the text. Text without such faults stays the same, apart from white space.
pub(super) fn repair(text: &str) -> String {
    let text = unwrapped(text);
    // The text may be escaped as a whole, as in an attribute of HTML.
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).take("[{&quot;".len()).collect();
    if compact.starts_with("{&quot;") || compact.starts_with("[{&quot;") {
        return repair_values(&htmlize::unescape(text));
    }
    repair_values(text)
}

/// Strips the comment, CDATA section or statement that the text is wrapped in.
fn unwrapped(mut text: &str) -> &str {
    const OPENINGS: [&str; 5] = ["\u{feff}", "<!--", "<![CDATA[", "//<![CDATA[", "/*<![CDATA[*/"];
    const CLOSINGS: [&str; 6] = ["-->", "/*]]>*/", "//]]>", "]]>", ";", "//"];
    loop {
        let before = text;
        text = text.trim();
        for opening in OPENINGS {
            text = text.strip_prefix(opening).unwrap_or(text);
        }
        for closing in CLOSINGS {
            text = text.strip_suffix(closing).unwrap_or(text);
        }
        if text == before {
            return text;
        }
    }
}

fn repair_values(text: &str) -> String {
    let mut repaired = String::with_capacity(text.len());
    let mut rest = text;
    // Whether a comma has been read but not yet written, because it is written only if a value follows.
    let mut has_pending_comma = false;
    // A `/*` after the last `*/` does not begin a comment.
    let last_comment_end = text.rfind("*/").unwrap_or(0);
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        let comment_closes = text.len() - after.len() < last_comment_end;
        rest = after;
        match c {
            '/' if after.starts_with('/') => rest = after.split_once('\n').map_or("", |(_, rest)| rest),
            '/' if after.starts_with('*') && comment_closes => {
                rest = after.get(1..).and_then(|after| after.split_once("*/")).map_or(after, |(_, rest)| rest);
            }
            c if c.is_whitespace() => repaired.push(' '),
            c if c.is_control() => {}
            _ => {
                if has_pending_comma && !matches!(c, '}' | ']') {
                    repaired.push(',');
                }
                has_pending_comma = c == ',';
                if c == '"' {
                    rest = repair_string(after, &mut repaired);
                } else if !has_pending_comma {
                    repaired.push(c);
                }
            }
        }
    }
    repaired
}

/// Repairs a string, from after its opening quotation mark, and returns the text after the string.
fn repair_string<'a>(text: &'a str, repaired: &mut String) -> &'a str {
    repaired.push('"');
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        match c {
            '"' => {
                repaired.push('"');
                return rest;
            }
            '\\' => rest = repair_escape(rest, repaired),
            '\n' => repaired.push_str("\\n"),
            '\t' => repaired.push_str("\\t"),
            c if c.is_control() => {}
            c => repaired.push(c),
        }
    }
    rest
}

/// Repairs an escape, from after its backslash, and returns the text after the escape.
fn repair_escape<'a>(text: &'a str, repaired: &mut String) -> &'a str {
    let Some(c) = text.chars().next() else { return text };
    let after = text.get(c.len_utf8()..).unwrap_or_default();
    match c {
        '\'' => repaired.push('\''),
        '\n' => repaired.push_str("\\n"),
        'u' => return repair_unicode(after, repaired),
        c => repaired.extend(['\\', c]),
    }
    after
}

/// Repairs `\uXXXX`, from after the `u`: an unpaired surrogate becomes the replacement character.
fn repair_unicode<'a>(text: &'a str, repaired: &mut String) -> &'a str {
    const HIGH: std::ops::Range<u32> = 0xd800..0xdc00;
    const LOW: std::ops::Range<u32> = 0xdc00..0xe000;
    let unit = |text: &'a str| Some((u32::from_str_radix(text.get(..4)?, 16).ok()?, text.get(4..)?));
    let Some((first, after)) = unit(text) else {
        repaired.push_str("\\u");
        return text;
    };
    let second = after.strip_prefix("\\u").and_then(unit).filter(|(second, _)| LOW.contains(second));
    match second {
        Some((second, after)) if HIGH.contains(&first) => {
            repaired.push_str(&format!("\\u{first:04x}\\u{second:04x}"));
            after
        }
        _ if HIGH.contains(&first) || LOW.contains(&first) => {
            repaired.push('\u{fffd}');
            after
        }
        _ => {
            repaired.push_str(&format!("\\u{first:04x}"));
            after
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn faults_with_one_possible_reading_are_repaired() {
        for (text, meant) in [
            ("<!-- {\"a\": 1} -->", json!({"a": 1})),
            ("//<![CDATA[\n{\"a\": 1}\n//]]>", json!({"a": 1})),
            ("/*<![CDATA[*/ {\"a\": 1} /*]]>*/", json!({"a": 1})),
            ("{\"a\": 1};", json!({"a": 1})),
            ("{\"a\": [1, 2, ], }", json!({"a": [1, 2]})),
            ("{\"a\": \"one\ntwo\tthree\u{1}\"}", json!({"a": "one\ntwo\tthree"})),
            ("{\"a\": \"it\\'s\"}", json!({"a": "it's"})),
            ("{\"a\": 1, // one\n /* two, */ \"b\": \"// /* , ]\"}", json!({"a": 1, "b": "// /* , ]"})),
            ("{&quot;a&quot;: &quot;b &amp;amp; c&quot;}", json!({"a": "b &amp; c"})),
            ("{\"a\": \"\\ud83d x \\ud83d\\ude00 \\u00e9\"}", json!({"a": "\u{fffd} x 😀 é"})),
        ] {
            assert_eq!(serde_json::from_str::<Value>(&repair(text)).ok(), Some(meant), "{text:?}: {}", repair(text));
        }
    }

    #[test]
    fn faults_with_several_possible_readings_are_not_repaired() {
        for text in
            ["{'a': 1}", "{a: 1}", "{\"a\": 1 \"b\": 2}", "{\"a\": \"b\" c\"}", "{\"a\": 1", "{\"a\": 1,, \"b\": 2}"]
        {
            assert!(serde_json::from_str::<Value>(&repair(text)).is_err(), "{text:?}: {}", repair(text));
        }
    }

    proptest! {
        #[test]
        fn valid_json_stays_as_it_is(texts in prop::collection::vec("\\PC{0,20}|[\\\\\"/*,}\n\u{0}]{0,6}", 0..6)) {
            let value = json!({"a": texts, "b": [{}, [], 1.5, null]});
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                prop_assert_eq!(&serde_json::from_str::<Value>(&repair(&text)).unwrap(), &value);
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}|([{}\\[\\],:\"\\\\/*\n]|\\\\u|d83d|<!--|-->){0,30}") {
            repair(&text);
        }
    }
}
