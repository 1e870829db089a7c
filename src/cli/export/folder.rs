//! Names of documents' files.

use crate::export::Format;
use crate::model::ArticleName;

/// The path of an article's document within its folder. Ids have no separator, and begin with a letter or a digit: no
/// document's name begins with a dot.
pub(super) fn path_of(article: &ArticleName, format: Format) -> String {
    format!("{}/{}.{}", article.source.as_str(), article.article.as_str(), format.ending())
}
