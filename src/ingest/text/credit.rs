//! Recognises picture credits. A line with a picture credit is certainly a caption.

use super::super::words::SMALL_IN_CREDITS;
use super::head::ends_sentence;

/// Splits a line with a picture credit or label into caption and credit, either of which may be empty:
/// `The quay. Photograph: Ana Reis`, `Image: The quay`. `None` for any other line.
pub(super) fn credited(text: &str) -> Option<(String, String)> {
    const WORDS_MAX: usize = 60;
    const LABELS: [&str; 12] = [
        "Photograph: ",
        "Photograph by ",
        "Photo: ",
        "Photo by ",
        "Picture: ",
        "Picture by ",
        "Image: ",
        "Credit: ",
        "Illustration: ",
        "Source: ",
        "Foto: ",
        "Bild: ",
    ];
    if text.split_whitespace().count() > WORDS_MAX {
        return None;
    }
    if is_agency_line(text) {
        return Some((String::new(), text.to_owned()));
    }
    if let Some((caption, name)) = text.rsplit_once("Credit").filter(|(_, name)| !name.starts_with([' ', ':'])) {
        // Extraction may drop the spaces around the label: "The quay at dusk.CreditAna Reis".
        let ends_before = caption.is_empty() || ends_sentence(caption);
        return (ends_before && is_credit(name)).then(|| (caption.to_owned(), name.to_owned()));
    }
    let (at, label) = LABELS.iter().filter_map(|label| Some((text.rfind(label)?, label))).max()?;
    let (before, after) = (text.get(..at)?, text.get(at + label.len()..)?.trim_end_matches([')', ']']).trim());
    let caption = before.trim_end().trim_end_matches(['(', '[', '|', '/']).trim_end();
    match (caption.is_empty(), is_credit(after)) {
        (true, false) => Some((after.to_owned(), String::new())),
        (_, true) => Some((caption.to_owned(), after.to_owned())),
        (false, false) => None,
    }
}

/// Whether the line is a credit without a caption: `Ana Reis/AFP/Getty Images`.
fn is_agency_line(text: &str) -> bool {
    const AGENCIES: [&str; 6] = ["Getty Images", "/AFP", "/Reuters", "/AP", "/EPA", "/PA"];
    is_credit(text) && AGENCIES.iter().any(|agency| text.ends_with(agency))
}

/// Whether the text looks like names of people and agencies: up to eight words, each capitalised.
fn is_credit(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_name = |word: &&str| {
        word.starts_with(char::is_uppercase) || SMALL_IN_CREDITS.contains(word) || word.starts_with(['/', '©'])
    };
    (1..=8).contains(&words.len()) && words.iter().all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credits_are_separated_from_captions() {
        let parts = |caption: &str, credit: &str| Some((caption.to_owned(), credit.to_owned()));
        assert_eq!(
            credited("The quay at dusk. Photograph: Ana Reis/Tidewater"),
            parts("The quay at dusk.", "Ana Reis/Tidewater")
        );
        assert_eq!(credited("The quay at dusk (Photo: Ana Reis)"), parts("The quay at dusk", "Ana Reis"));
        assert_eq!(credited("Image: the quay at dusk"), parts("the quay at dusk", ""));
        assert_eq!(credited("Photo: Ana Reis"), parts("", "Ana Reis"));
        assert_eq!(credited("Ana Reis/AFP/Getty Images"), parts("", "Ana Reis/AFP/Getty Images"));
        assert_eq!(credited("The quay at dusk.CreditAna Reis"), parts("The quay at dusk.", "Ana Reis"));
        assert_eq!(credited("Shares in Credit Suisse"), None);
        assert_eq!(credited("She held up the Photo: it showed nothing at all"), None);
    }
}
