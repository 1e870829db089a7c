//! The invalid fields of a request: all that fit into a response.

use std::collections::HashMap;
use std::fmt;

/// A field whose value cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct FieldError {
    /// The field's path, such as `content.blocks[2].caption.image_url`.
    pub path: String,
    /// What is wrong with the value and what would be valid, worded so that it can follow the path.
    pub problem: String,
    /// The kind of error, which determines the reason in the response.
    pub kind: FieldErrorKind,
}

/// Kinds of error that a client may want to distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldErrorKind {
    /// The value is malformed or missing.
    Invalid,
    /// The filter is invalid.
    Filter,
    /// The page or resume token is malformed, or belongs to another request.
    Token,
    /// The value exceeds a size limit.
    TooLarge,
}

impl FieldErrorKind {
    /// The stable reason, by which a program can distinguish errors.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Invalid => "FIELD_INVALID",
            Self::Filter => "FILTER_INVALID",
            Self::Token => "PAGE_TOKEN_MISMATCH",
            Self::TooLarge => "ARTICLE_TOO_LARGE",
        }
    }
}

impl FieldError {
    /// A malformed or missing value (FIELD_INVALID).
    pub fn invalid(path: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self { path: path.into(), problem: problem.to_string(), kind: FieldErrorKind::Invalid }
    }

    /// A value over its size limit (ARTICLE_TOO_LARGE).
    pub fn too_large(path: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self { kind: FieldErrorKind::TooLarge, ..Self::invalid(path, problem) }
    }

    /// An invalid filter (FILTER_INVALID).
    pub fn filter(path: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self { kind: FieldErrorKind::Filter, ..Self::invalid(path, problem) }
    }

    /// A token that cannot be used with this request (PAGE_TOKEN_MISMATCH).
    pub fn token(path: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self { kind: FieldErrorKind::Token, ..Self::invalid(path, problem) }
    }

    /// The same error with `outer` as the parent of its path.
    #[must_use]
    pub fn within(self, outer: &str) -> Self {
        Self { path: format!("{outer}.{}", self.path), ..self }
    }

    /// The field and, in a batch, the item that contains it, as pairs for a program to read.
    pub fn metadata(&self) -> HashMap<String, String> {
        let (item, field) = match self.path.split_once('.') {
            Some((item, field)) if item.starts_with("requests[") => (Some(item), field),
            _ => (None, self.path.as_str()),
        };
        let item = item.map(|item| ("item".to_owned(), item.to_owned()));
        item.into_iter().chain([("field".to_owned(), field.to_owned())]).collect()
    }
}

/// All invalid fields of a request. The first determines the reason with which the request is rejected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors {
    listed: Vec<FieldError>,
    bytes: usize,
    has_more: bool,
}

impl FieldErrors {
    /// At most this many fields are listed.
    pub const LISTED_MAX: usize = 32;
    /// The approximate limit on the bytes of all paths and problems. Clients accept 8 KiB of trailers, and the status
    /// is base64-encoded in them.
    const BYTES_MAX: usize = 3 << 10;

    /// Appends `more`. Errors beyond the limits are dropped, and only their existence is recorded.
    pub fn add(&mut self, more: impl Into<Self>) {
        let more = more.into();
        self.has_more |= more.has_more;
        for error in more.listed {
            let bytes = self.bytes + error.path.len() + error.problem.len();
            if self.listed.is_empty() || (self.listed.len() < Self::LISTED_MAX && bytes <= Self::BYTES_MAX) {
                self.bytes = bytes;
                self.listed.push(error);
            } else {
                self.has_more = true;
            }
        }
    }

    /// The listed fields, in the order in which the request was checked.
    pub fn listed(&self) -> &[FieldError] {
        &self.listed
    }

    /// Whether there are more invalid fields than those listed.
    pub fn has_more(&self) -> bool {
        self.has_more
    }

    /// Ends the check of several fields: returns `value` if there were no errors.
    pub fn finish<T>(self, value: T) -> Result<T, Self> {
        if self.listed.is_empty() { Ok(value) } else { Err(self) }
    }

    /// The same errors with `outer` as the parent of their paths.
    #[must_use]
    pub fn within(self, outer: &str) -> Self {
        Self { listed: self.listed.into_iter().map(|error| error.within(outer)).collect(), ..self }
    }
}

impl From<FieldError> for FieldErrors {
    fn from(error: FieldError) -> Self {
        let bytes = error.path.len() + error.problem.len();
        Self { listed: vec![error], bytes, has_more: false }
    }
}

/// The first error, followed by the number of further ones.
impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, others)) = self.listed.split_first() else { return Ok(()) };
        write!(f, "{first}")?;
        match (others.len(), self.has_more) {
            (0, false) => Ok(()),
            (1, false) => f.write_str(" (and 1 more field is wrong)"),
            (count, false) => write!(f, " (and {count} more fields are wrong)"),
            (count, true) => write!(f, " (and more than {count} more fields are wrong)"),
        }
    }
}

impl std::error::Error for FieldErrors {}

/// Combines the `Result`s in the named variables: `Ok` with a tuple of all values, or all errors.
macro_rules! all {
    ($($value:ident),+ $(,)?) => {
        match ($($value,)+) {
            ($(Ok($value),)+) => Ok(($($value,)+)),
            ($($value,)+) => {
                let mut errors = $crate::model::FieldErrors::default();
                $(if let Err(error) = $value {
                    errors.add(error);
                })+
                Err(errors)
            }
        }
    };
}
pub(crate) use all;

/// Collects all values, or all errors. Stops at the first error that could no longer be listed.
pub fn every<T, E: Into<FieldErrors>>(values: impl IntoIterator<Item = Result<T, E>>) -> Result<Vec<T>, FieldErrors> {
    let mut read = Vec::new();
    let mut errors = FieldErrors::default();
    for value in values {
        match value {
            Ok(value) => read.push(value),
            Err(error) => errors.add(error),
        }
        if errors.has_more() {
            break;
        }
    }
    errors.finish(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(path: &str) -> FieldError {
        FieldError::invalid(path, "is wrong")
    }

    #[test]
    fn all_errors_are_listed_in_order() {
        let (one, two, three) = (Err::<(), _>(error("one")), Ok::<_, FieldError>(2), Err::<(), _>(error("three")));
        let errors = all!(one, two, three).unwrap_err().within("outer");
        let paths: Vec<_> = errors.listed().iter().map(|error| error.path.as_str()).collect();
        assert_eq!(paths, ["outer.one", "outer.three"]);
        assert_eq!(errors.to_string(), "outer.one: is wrong (and 1 more field is wrong)");
        let (one, two) = (Ok::<_, FieldError>(1), Ok::<_, FieldErrors>("2"));
        assert_eq!(all!(one, two), Ok((1, "2")));
    }

    #[test]
    fn the_list_of_errors_is_bounded_and_says_when_it_is_incomplete() {
        let mut checked = 0;
        let many = std::iter::repeat_with(|| {
            checked += 1;
            Err::<(), _>(error("field"))
        });
        let errors = every(many.take(1_000)).unwrap_err();
        assert_eq!((errors.listed().len(), errors.has_more()), (FieldErrors::LISTED_MAX, true));
        assert_eq!(checked, FieldErrors::LISTED_MAX + 1, "what would not be reported is not looked for");
        assert!(errors.to_string().ends_with("(and more than 31 more fields are wrong)"), "{errors}");
        let long = every([Err::<(), _>(error(&"x".repeat(5_000))), Err(error("y"))]).unwrap_err();
        assert_eq!((long.listed().len(), long.has_more()), (1, true));
    }

    #[test]
    fn the_metadata_name_the_item_and_its_field_separately() {
        let metadata = error("requests[2].content.blocks[1]").metadata();
        assert_eq!((metadata["item"].as_str(), metadata["field"].as_str()), ("requests[2]", "content.blocks[1]"));
        let metadata = error("content.blocks[1]").metadata();
        assert_eq!((metadata.get("item"), metadata["field"].as_str()), (None, "content.blocks[1]"));
    }
}
