//! Assigns the files of a repository to articles, across renames.

use std::collections::{HashMap, HashSet};

use crate::model::slug;

/// The articles of all paths in the history so far.
#[derive(Default)]
pub(super) struct Articles {
    /// By path: existing files, and removed ones, which may return.
    by_path: HashMap<String, ArticleFile>,
    /// Paths from which an article's id was derived.
    first_paths: HashSet<String>,
}

struct ArticleFile {
    /// The article's id.
    article: String,
    exists: bool,
}

impl Articles {
    /// Records that a commit writes a file, possibly renamed. Returns its article's id, and whether the file had been
    /// removed before.
    ///
    /// The id is derived from the file's first path. If another article had that path first and was renamed since, the
    /// id is derived from the path and the commit.
    pub(super) fn write(&mut self, path: &str, from: Option<&str>, commit: &str) -> (String, bool) {
        if let Some(renamed) = from.and_then(|from| self.by_path.remove(from)) {
            let article = renamed.article.clone();
            self.by_path.insert(path.to_owned(), ArticleFile { exists: true, ..renamed });
            return (article, false);
        }
        if let Some(file) = self.by_path.get_mut(path) {
            let existed = std::mem::replace(&mut file.exists, true);
            return (file.article.clone(), !existed);
        }
        let is_first = self.first_paths.insert(path.to_owned());
        let key = if is_first { path.to_owned() } else { format!("{path}\n{commit}") };
        let article = id(path, &key);
        self.by_path.insert(path.to_owned(), ArticleFile { article: article.clone(), exists: true });
        (article, false)
    }

    /// Records that a commit removes a file. Returns its article's id; `None` if there is no such file.
    pub(super) fn remove(&mut self, path: &str) -> Option<String> {
        let file = self.by_path.get_mut(path).filter(|file| file.exists)?;
        file.exists = false;
        Some(file.article.clone())
    }
}

/// A readable id: the words of the path, and digits that make it unique.
fn id(path: &str, key: &str) -> String {
    let readable = path.rsplit_once('.').map_or(path, |(stem, _)| stem);
    slug::article_id(key, readable).map(|id| id.as_str().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renamed_file_stays_the_same_article() {
        let mut articles = Articles::default();
        let (bridge, back) = articles.write("posts/bridge.md", None, "c1");
        assert!(bridge.starts_with("posts-bridge-") && !back, "{bridge}");
        assert_eq!(articles.write("posts/old-bridge.md", Some("posts/bridge.md"), "c2"), (bridge.clone(), false));
        assert_eq!(articles.write("posts/old-bridge.md", None, "c3"), (bridge.clone(), false));
        // Another file at the freed path is another article, and the same one in every import.
        let (other, _) = articles.write("posts/bridge.md", None, "c4");
        assert!(other != bridge && other.starts_with("posts-bridge-"), "{other}");
    }

    #[test]
    fn a_file_that_returns_is_the_same_article() {
        let mut articles = Articles::default();
        let (bridge, _) = articles.write("bridge.md", None, "c1");
        assert_eq!(articles.remove("bridge.md"), Some(bridge.clone()));
        assert_eq!(articles.remove("bridge.md"), None);
        assert_eq!(articles.write("bridge.md", None, "c3"), (bridge, true));
    }
}
