//! How similar two texts are.

use std::collections::HashMap;

use dom_query::NodeRef;

/// Elements that do not separate words.
const INLINE: [&str; 30] = [
    "a", "abbr", "acronym", "b", "bdi", "bdo", "cite", "code", "del", "dfn", "em", "font", "i", "ins", "kbd", "label",
    "mark", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u", "var",
];

/// The text of a node and its descendants, with a space between blocks.
pub fn text_of(node: &NodeRef<'_>) -> String {
    let mut text = String::new();
    gather(node, &mut text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn gather(node: &NodeRef<'_>, text: &mut String) {
    if node.is_text() {
        text.push_str(&node.text());
        return;
    }
    let name = node.node_name().map(|name| name.to_string()).unwrap_or_default();
    if matches!(name.as_str(), "script" | "style" | "noscript" | "template") {
        return;
    }
    let parts = !INLINE.contains(&name.as_str());
    if parts {
        text.push(' ');
    }
    node.children().iter().for_each(|child| gather(child, text));
    if parts {
        text.push(' ');
    }
}

/// The harmonic mean of precision and recall over words; a repeated word counts as often as it occurs.
pub fn f1(found: &str, expected: &str) -> f64 {
    let (found, expected) = (words(found), words(expected));
    let count = |words: &HashMap<String, usize>| words.values().sum::<usize>() as f64;
    let both: usize = found.iter().map(|(word, count)| (*count).min(expected.get(word).copied().unwrap_or(0))).sum();
    match (count(&found), count(&expected)) {
        (found, expected) if found + expected == 0.0 => 1.0,
        (found, expected) => 2.0 * both as f64 / (found + expected),
    }
}

fn words(text: &str) -> HashMap<String, usize> {
    let mut words = HashMap::new();
    for word in text.to_lowercase().split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        *words.entry(word.to_owned()).or_default() += 1;
    }
    words
}

/// The text reduced to lower-case letters and digits.
pub fn normal(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

pub fn same(found: &str, expected: &str) -> bool {
    normal(found) == normal(expected)
}

/// Whether either text contains the other: "Ada Quay" and "By Ada Quay, harbour correspondent".
pub fn contains(found: &str, expected: &str) -> bool {
    let (found, expected) = (normal(found), normal(expected));
    !found.is_empty() && !expected.is_empty() && (found.contains(&expected) || expected.contains(&found))
}
