//! The articles of a snapshot: sorted by name, each once, all that match and no others.

use dateline::internals::wire::pb;
use dateline::model::ArticleName;

use super::fault::Fault;
use super::query::Query;
use super::truth::Truth;

/// A snapshot that is being received.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    /// The snapshot has what is known below this position.
    pub(super) bound: u64,
    /// The matching articles, sorted by name.
    expected: Vec<ArticleName>,
    /// How many of them were received or skipped.
    next: usize,
}

impl Snapshot {
    pub(super) fn new(truth: &Truth, query: &Query, bound: u64) -> Self {
        let bound = bound.min(truth.tail());
        Self { bound, expected: truth.articles(query, bound), next: 0 }
    }

    /// Checks the next article, and returns what is wrong with it.
    pub(super) fn article(&mut self, truth: &Truth, view: pb::FeedView, said: &pb::Article) -> Vec<Fault> {
        let mut faults = Vec::new();
        let name = said.name.clone();
        let Some(place) = self.expected.iter().position(|expected| expected.to_string() == name) else {
            return vec![Fault::ArticleUnwanted { name }];
        };
        let expected = truth.article(&self.expected[place], self.bound, view);
        if (pb::Article { etag: String::new(), ..said.clone() }) != expected {
            faults.push(Fault::ArticleMisreported { said: Box::new(said.clone()), truth: Box::new(expected) });
        }
        match self.next.checked_sub(1) {
            Some(last) if place == last => faults.push(Fault::ArticleRepeat { name }),
            Some(last) if place < last => {
                faults.push(Fault::ArticleDisorder { name, after: self.expected[last].to_string() });
            }
            _ => {
                let passed_over = self.expected[self.next..place].iter();
                faults.extend(passed_over.map(|name| Fault::ArticleMissing { name: name.to_string() }));
                self.next = place + 1;
            }
        }
        faults
    }

    /// The articles that were not received.
    pub(super) fn missing(&self) -> Vec<Fault> {
        let missing = self.expected[self.next..].iter();
        missing.map(|name| Fault::ArticleMissing { name: name.to_string() }).collect()
    }
}
