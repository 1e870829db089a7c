//! Names as the command line prints them.

use super::style;
use crate::model::ArticleName;

/// Shortens `sources/s/articles/a` to `s/a`, which every command accepts.
pub(super) fn short(name: &str) -> String {
    match ArticleName::parse(name) {
        Ok(name) => name.short(),
        Err(_) => style::safe_line(name.strip_prefix("sources/").unwrap_or(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_article_is_its_source_and_id() {
        assert_eq!(short("sources/a/articles/b"), "a/b");
    }
}
