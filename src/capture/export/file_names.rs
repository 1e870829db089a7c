//! Names of the files of documents.
//!
//! The directory may later be on a disk that does not distinguish `A` from `a`, or on Windows, where `con.html` is a
//! device. If a name differs from one in use only in case, or is not valid everywhere, it gets a suffix that depends
//! only on the id. A file keeps its name: the manifest tells later exports which names earlier ones used.

use std::collections::HashMap;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::fingerprint::{Fingerprint, fingerprint};
use crate::export::Format;
use crate::model::ArticleName;

/// Bytes of the digest in a suffix.
const SUFFIX_BYTES: usize = 8;

/// The names in use.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// For each name in lower case, the one spelling that is in use.
    spellings: HashMap<Fingerprint, Fingerprint>,
}

impl Names {
    /// The path of an article's document within the directory. Ids have no path separator and begin with a letter or
    /// digit, so the name of a document never begins with a dot.
    pub(super) fn path_of(&mut self, article: &ArticleName, format: Format) -> String {
        let folder = self.name("", article.source.as_str(), "");
        self.name(&format!("{folder}/"), article.article.as_str(), &format!(".{}", format.ending()))
    }

    /// Records that the path of a file, and that of its directory, are in use.
    pub(super) fn record(&mut self, file: &str) {
        if let Some((folder, _)) = file.rsplit_once('/') {
            self.claim(folder);
        }
        self.claim(file);
    }

    /// Claims a path: it is in use from now on, unless another spelling of it is. Returns whether this spelling is the
    /// one in use.
    fn claim(&mut self, path: &str) -> bool {
        let spelling = fingerprint(path.as_bytes());
        *self.spellings.entry(fingerprint(path.to_ascii_lowercase().as_bytes())).or_insert(spelling) == spelling
    }

    fn name(&mut self, parent: &str, id: &str, ending: &str) -> String {
        let (plain, suffixed) = (format!("{parent}{id}{ending}"), format!("{parent}{}{ending}", with_suffix(id)));
        let has_suffix = self.spellings.contains_key(&fingerprint(suffixed.to_ascii_lowercase().as_bytes()));
        if !has_suffix && is_valid_everywhere(&format!("{id}{ending}")) && self.claim(&plain) {
            return plain;
        }
        self.claim(&suffixed);
        suffixed
    }
}

/// Adds a suffix to an id. No id contains `+`, so the result cannot be the name of another article. The suffix comes
/// before the first dot, since the part before that dot is what makes a name a device.
fn with_suffix(id: &str) -> String {
    let digest = Sha256::digest(id);
    let suffix = HEXLOWER.encode(digest.get(..SUFFIX_BYTES).unwrap_or(&digest));
    let (stem, rest) = id.trim_end_matches('.').split_once('.').unwrap_or((id.trim_end_matches('.'), ""));
    let dot = if rest.is_empty() { "" } else { "." };
    format!("{stem}+{suffix}{dot}{rest}")
}

/// Whether the name is valid for a file on Windows too.
/// Source: <https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file>.
fn is_valid_everywhere(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let is_numbered = |device| {
        stem.strip_prefix(device).is_some_and(|number| matches!(number.as_bytes(), [digit] if digit.is_ascii_digit()))
    };
    let is_device = matches!(stem.as_str(), "con" | "prn" | "aux" | "nul") || is_numbered("com") || is_numbered("lpt");
    !is_device && !name.ends_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(names: &mut Names, source: &str, article: &str) -> String {
        let name = ArticleName::parse(&format!("sources/{source}/articles/{article}")).unwrap();
        names.path_of(&name, Format::Html)
    }

    #[test]
    fn names_differ_in_more_than_case() {
        let mut names = Names::default();
        let ids = [("n", "a"), ("n", "A"), ("N", "a"), ("N", "A"), ("n.", "a"), ("n", "a.b"), ("n", "A.b")];
        let paths = ids.map(|(source, article)| path(&mut names, source, article));
        assert_eq!((paths[0].as_str(), paths[5].as_str()), ("n/a.html", "n/a.b.html"));
        let folded: std::collections::BTreeSet<_> = paths.iter().map(|path| path.to_lowercase()).collect();
        assert_eq!(folded.len(), ids.len(), "{paths:?}");
        assert_eq!(ids.map(|(source, article)| path(&mut names, source, article)), paths, "the same paths every time");
    }

    #[test]
    fn an_article_keeps_its_file_name_in_later_exports() {
        let mut first = Names::default();
        let (upper, lower) = (path(&mut first, "n", "A"), path(&mut first, "n", "a"));
        assert_eq!(upper, "n/A.html");
        for asked in [["A", "a"], ["a", "A"]] {
            let mut next = Names::default();
            next.record(&upper);
            next.record(&lower);
            let expected = asked.map(|article| if article == "A" { upper.clone() } else { lower.clone() });
            assert_eq!(asked.map(|article| path(&mut next, "n", article)), expected);
        }
        // The first run wrote only this file.
        let mut next = Names::default();
        next.record(&lower);
        assert_eq!(path(&mut next, "n", "a"), lower);
    }

    #[test]
    fn no_file_has_the_name_of_a_device() {
        let mut names = Names::default();
        for id in ["con", "nul", "AUX", "prn.", "Com1", "lpt9", "con.x", "aux.txt.y"] {
            let path = path(&mut names, id, id);
            let (folder, file) = path.split_once('/').unwrap();
            assert!(is_valid_everywhere(folder) && is_valid_everywhere(file), "{path}");
            let stem = id.split('.').next().unwrap();
            assert!(folder.starts_with(&format!("{stem}+")) && file.starts_with(&format!("{stem}+")), "{path}");
        }
        for id in ["console", "com", "com10", "comx", "a.con"] {
            assert_eq!(path(&mut names, id, id), format!("{id}/{id}.html"));
        }
    }
}
