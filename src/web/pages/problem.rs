//! The page that says why another cannot be shown.

use askama::Template;

use super::super::shown::text;
use super::Frame;

/// An error as a page.
#[derive(Template)]
#[template(path = "problem.html")]
pub(in crate::web) struct ProblemPage<'a> {
    frame: Frame,
    status: u16,
    title: &'a str,
    detail: String,
    way_on: Option<&'a (String, &'static str)>,
}

impl<'a> ProblemPage<'a> {
    pub(in crate::web) fn new(
        status: u16,
        title: &'a str,
        detail: &'a str,
        way_on: Option<&'a (String, &'static str)>,
    ) -> Self {
        // It may repeat what the visitor sent.
        Self { frame: Frame::alone(title), status, title, detail: text(detail), way_on }
    }
}
