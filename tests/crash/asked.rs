//! What a writer asks of the archive, in plain values that can be told and made again.

use dateline::archive::request::{Action, Observation, Operation, Target};
use dateline::model::{
    ArticleId, ArticleName, ArticleUrl, RequestDigest, RequestId, RevisionNumber, SourceId, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::text::Text;

/// One operation. Several that are asked for at once are an atomic batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) article: u32,
    /// Whether the article is found by its URLs.
    pub(crate) found: bool,
    /// Where on the observe axis, in microseconds since 1970.
    pub(crate) at: i64,
    /// The request id. In a batch it says how many operations the batch has: see [`batch_request`].
    pub(crate) request: Option<String>,
    pub(crate) what: What,
}

/// What is to be done to the article.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum What {
    Observe { text: Text, urls: Vec<u32>, original: Option<Text>, coalesce_within: i64 },
    Rollback(u32),
    Mark { withdrawn: bool, reason: u64 },
}

impl Step {
    /// The operation that the archive is asked for. It is the same whenever it is made.
    pub(crate) fn operation(&self) -> Operation {
        let name = article(self.article);
        let target =
            if self.found { Target::Found { source: name.source.clone(), derived: name } } else { Target::Named(name) };
        let digest = RequestDigest::of(&[&serde_json::to_vec(self).unwrap()]);
        Operation {
            target,
            observe_time: Timestamp::from_micros(self.at).unwrap(),
            precondition: None,
            request: self.request.as_deref().map(|id| (RequestId::parse(id).unwrap(), digest)),
            action: self.what.action(),
        }
    }
}

impl What {
    fn action(&self) -> Action {
        match self {
            Self::Observe { text, urls, original, coalesce_within } => {
                let urls = urls.iter().map(|number| url(*number)).collect();
                let mut observation = Observation::new(text.content(), urls);
                observation.original = original.map(Text::original);
                observation.coalesce_within_micros = *coalesce_within;
                Action::Observe(Box::new(observation))
            }
            Self::Rollback(number) => Action::Rollback(RevisionNumber::new(*number).unwrap()),
            Self::Mark { withdrawn, reason } => {
                Action::Mark { withdrawn: *withdrawn, reason: format!("reason {reason}") }
            }
        }
    }
}

/// The article of this number: of two sources by turns.
pub(crate) fn article(number: u32) -> ArticleName {
    let source = ["gazette", "courier"][usize::from(number % 2 == 1)];
    ArticleName {
        source: SourceId::parse(source).unwrap(),
        article: ArticleId::parse(&format!("article-{number}")).unwrap(),
    }
}

fn url(number: u32) -> ArticleUrl {
    ArticleUrl::parse(&format!("https://www.example.com/news/{number}")).unwrap()
}

/// The request id of one operation of an atomic batch. Each tells the size of the whole, so that a batch that is half
/// there gives itself away also where it was never acknowledged.
pub(crate) fn batch_request(request: &str, index: usize, size: usize) -> String {
    format!("{request}.{index}.of.{size}")
}

/// How many operations the batch has that this request is of; one that stands alone does not say.
pub(crate) fn batch_size(request: &str) -> Option<usize> {
    request.rsplit_once(".of.").map(|(_, size)| size.parse().unwrap())
}
