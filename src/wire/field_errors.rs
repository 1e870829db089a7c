//! What is wrong with the fields of a request: all of it, as far as it fits an answer.

use std::collections::HashMap;
use std::fmt;

use tonic::Status;
use tonic_types::StatusExt;

use super::pb;

/// A field that cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct FieldError {
    /// Where it is, as a path such as `content.blocks[2].caption.image_url`.
    pub path: String,
    /// What is wrong, and what would be right.
    pub problem: String,
    /// What kind of mistake it is.
    pub kind: FieldErrorKind,
}

/// Kinds of mistake that a client may want to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// A malformed or missing value.
    Invalid,
    /// A filter that cannot be answered.
    Filter,
    /// A page or resume token that is malformed, or of another request.
    Token,
    /// More than the limits take.
    TooLarge,
}

impl FieldErrorKind {
    /// The reason of `google.rpc.ErrorInfo`.
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
    /// A malformed or missing value.
    pub fn invalid(path: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self { path: path.into(), problem: problem.to_string(), kind: FieldErrorKind::Invalid }
    }

    /// More than the limits take.
    pub fn too_large(path: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self { kind: FieldErrorKind::TooLarge, ..Self::invalid(path, problem) }
    }

    /// A filter that cannot be answered.
    pub fn filter(path: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self { kind: FieldErrorKind::Filter, ..Self::invalid(path, problem) }
    }

    /// A token that cannot be used here.
    pub fn token(path: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self { kind: FieldErrorKind::Token, ..Self::invalid(path, problem) }
    }

    /// The same mistake, one level further in.
    #[must_use]
    pub fn within(self, outer: &str) -> Self {
        Self { path: format!("{outer}.{}", self.path), ..self }
    }

    /// The metadata of `google.rpc.ErrorInfo`: the field, and the item of a batch that has it.
    pub fn metadata(&self) -> HashMap<String, String> {
        let (item, field) = match self.path.split_once('.') {
            Some((item, field)) if item.starts_with("requests[") => (Some(item), field),
            _ => (None, self.path.as_str()),
        };
        let item = item.map(|item| ("item".to_owned(), item.to_owned()));
        item.into_iter().chain([("field".to_owned(), field.to_owned())]).collect()
    }
}

/// All fields of a request that cannot be accepted. The first stands for the request where one must: its kind is that of
/// the refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors {
    listed: Vec<FieldError>,
    bytes: usize,
    has_more: bool,
}

impl FieldErrors {
    /// As many fields are named.
    pub const LISTED_MAX: usize = 32;
    /// Bytes that their paths and problems take, about: clients take 8 KiB of trailers, in base64.
    const BYTES_MAX: usize = 3 << 10;

    /// Adds to what was found. What is beyond the limits is only known to be there.
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

    /// The fields that are named, in the order of the request's checks.
    pub fn listed(&self) -> &[FieldError] {
        &self.listed
    }

    /// Whether there are more than those.
    pub fn has_more(&self) -> bool {
        self.has_more
    }

    /// Ends a check of several fields: what was read, unless something is wrong.
    pub fn finish<T>(self, read: T) -> Result<T, Self> {
        if self.listed.is_empty() { Ok(read) } else { Err(self) }
    }

    /// The same, one level further in.
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

/// The first field, and how many more are wrong.
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

/// The values of several `Result`s, in variables of these names, or all that is wrong with them.
macro_rules! all {
    ($($value:ident),+ $(,)?) => {
        match ($($value,)+) {
            ($(Ok($value),)+) => Ok(($($value,)+)),
            ($($value,)+) => {
                let mut errors = $crate::wire::FieldErrors::default();
                $(if let Err(error) = $value {
                    errors.add(error);
                })+
                Err(errors)
            }
        }
    };
}
pub(crate) use all;

/// All values, or all that is wrong with them. It ends where no more would be listed.
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

/// The bad fields that a status names.
pub fn field_violations(status: &Status) -> Vec<pb::FieldViolation> {
    let violations = status.get_details_bad_request().map(|bad| bad.field_violations);
    violations
        .into_iter()
        .flatten()
        .map(|bad| pb::FieldViolation { field: bad.field, description: bad.description })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(path: &str) -> FieldError {
        FieldError::invalid(path, "is wrong")
    }

    #[test]
    fn all_that_is_wrong_is_told_in_order() {
        let (one, two, three) = (Err::<(), _>(error("one")), Ok::<_, FieldError>(2), Err::<(), _>(error("three")));
        let errors = all!(one, two, three).unwrap_err().within("outer");
        let paths: Vec<_> = errors.listed().iter().map(|error| error.path.as_str()).collect();
        assert_eq!(paths, ["outer.one", "outer.three"]);
        assert_eq!(errors.to_string(), "outer.one: is wrong (and 1 more field is wrong)");
        let (one, two) = (Ok::<_, FieldError>(1), Ok::<_, FieldErrors>("2"));
        assert_eq!(all!(one, two), Ok((1, "2")));
    }

    #[test]
    fn what_is_told_is_bounded_and_what_is_left_out_is_told() {
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
    fn the_metadata_tell_the_item_apart_from_its_field() {
        let metadata = error("requests[2].content.blocks[1]").metadata();
        assert_eq!((metadata["item"].as_str(), metadata["field"].as_str()), ("requests[2]", "content.blocks[1]"));
        let metadata = error("content.blocks[1]").metadata();
        assert_eq!((metadata.get("item"), metadata["field"].as_str()), (None, "content.blocks[1]"));
    }
}
