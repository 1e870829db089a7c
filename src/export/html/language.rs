//! The direction in which a language is written.

/// Scripts that are written from right to left (ISO 15924).
const RTL_SCRIPTS: [&str; 10] = ["adlm", "arab", "hebr", "mand", "mend", "nkoo", "rohg", "samr", "syrc", "thaa"];
/// Languages that are usually written in one of these scripts (BCP 47).
const RTL_LANGUAGES: [&str; 17] =
    ["ar", "arc", "ckb", "dv", "fa", "glk", "he", "khw", "ks", "lrc", "mzn", "nqo", "ps", "sd", "ug", "ur", "yi"];

/// Whether a language is written from right to left.
pub(super) fn is_rtl(tag: &str) -> bool {
    let tag = tag.to_ascii_lowercase();
    let mut subtags = tag.split('-');
    let language = subtags.next().unwrap_or_default();
    if language.len() < 2 {
        // A private-use tag (`x-...`): its meaning is unknown.
        return false;
    }
    let script = subtags.take_while(|subtag| subtag.len() > 1).find(|subtag| is_script(subtag));
    script.map_or_else(|| RTL_LANGUAGES.contains(&language), |script| RTL_SCRIPTS.contains(&script))
}

fn is_script(subtag: &str) -> bool {
    subtag.len() == 4 && subtag.bytes().all(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_direction_follows_the_script() {
        for tag in ["ar", "he-IL", "fa-AF", "az-Arab", "ur-PK", "yi"] {
            assert!(is_rtl(tag), "{tag}");
        }
        for tag in ["en", "ar-Latn", "ku-Latn", "de-DE", "x-arab", "en-x-arab"] {
            assert!(!is_rtl(tag), "{tag}");
        }
    }
}
