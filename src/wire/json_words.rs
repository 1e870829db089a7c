//! The words of errors in JSON.

/// The message of a JSON error, without the terms of the parser's implementation.
pub(crate) fn in_plain_words(error: &serde_json::Error) -> String {
    const TERMS: [(&str, &str); 4] = [
        ("expected ident", "expected true, false or null"),
        ("invalid type: sequence", "this is a list"),
        ("expected a map", "expected an object"),
        ("EOF while parsing", "the text ends inside"),
    ];
    TERMS.iter().fold(error.to_string(), |text, (term, words)| text.replace(term, words))
}
