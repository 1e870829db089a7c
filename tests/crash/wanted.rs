//! A child's request as a few numbers, from which both the child and the parent build the operation and its content.

use bytes::Bytes;
use dateline::internals::archive::request::{Action, ArticleTarget, Observation, Operation, Writer};
use dateline::model::{
    ArticleId, ArticleName, ArticleUrl, Block, BlockKind, Content, Original, RequestDigest, RequestId, RevisionNumber,
    SourceId, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::dice::Dice;

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) article: u16,
    /// Whether the article is looked up by its URLs first.
    pub(crate) by_url: bool,
    pub(crate) at: i64,
    pub(crate) request: Option<String>,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum What {
    Observe { text: Text, urls: Vec<u16>, original: Option<u32> },
    Rollback(u32),
    Mark { withdrawn: bool },
}

/// A content: one edit of a text, with some kilobytes that do not compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Text {
    pub(crate) base: u16,
    pub(crate) edit: u32,
    pub(crate) kilobytes: u32,
}

impl Wanted {
    pub(crate) fn source(&self) -> SourceId {
        SourceId::parse(["gazette", "courier", "herald"][usize::from(self.article % 3)]).unwrap()
    }

    pub(crate) fn name(&self) -> ArticleName {
        let article = ArticleId::parse(&format!("article-{}", self.article)).unwrap();
        ArticleName { source: self.source(), article }
    }

    pub(crate) fn observe_time(&self) -> Timestamp {
        Timestamp::from_micros(self.at).unwrap()
    }

    pub(crate) fn digest(&self) -> RequestDigest {
        RequestDigest::of(&[&serde_json::to_vec(self).unwrap()])
    }

    /// The original that goes with a new revision.
    pub(crate) fn original(&self) -> Option<Original> {
        match self.what {
            What::Observe { original: Some(number), .. } => {
                Some(Original { media_type: "text/html".to_owned(), data: page(number) })
            }
            What::Observe { .. } | What::Rollback(_) | What::Mark { .. } => None,
        }
    }

    pub(crate) fn operation(&self) -> Operation {
        let content = if let What::Observe { text, .. } = &self.what { text.content() } else { Content::default() };
        self.operation_with(content, self.original())
    }

    /// The same request, to be repeated: it is recognised by id and digest, so its content does not matter.
    pub(crate) fn operation_again(&self) -> Operation {
        self.operation_with(Content { headline: "Again".to_owned(), ..Content::default() }, None)
    }

    fn operation_with(&self, content: Content, original: Option<Original>) -> Operation {
        let target = if self.by_url {
            ArticleTarget::ByUrl { source: self.source(), derived: self.name() }
        } else {
            ArticleTarget::Named(self.name())
        };
        let action = match &self.what {
            What::Observe { urls, .. } => {
                let urls: Vec<_> = urls.iter().map(|number| url(*number)).collect();
                Action::Observe(Box::new(Observation { original, ..Observation::new(content, urls) }))
            }
            What::Rollback(number) => Action::Rollback(RevisionNumber::new(*number).unwrap()),
            What::Mark { withdrawn } => Action::SetState { withdrawn: *withdrawn, reason: format!("at {}", self.at) },
        };
        let request = self.request.as_ref().map(|id| (RequestId::parse(id).unwrap(), self.digest()));
        Operation {
            target,
            observe_time: self.observe_time(),
            precondition: None,
            request,
            by: Writer::default(),
            action,
        }
    }
}

pub(crate) fn url(number: u16) -> ArticleUrl {
    ArticleUrl::parse(&format!("https://news.example/{number}")).unwrap()
}

impl Text {
    pub(crate) fn content(self) -> Content {
        let mut paragraphs: Vec<String> =
            (0..6).map(|number| sentence(&mut Dice::for_task(u64::from(self.base), number), 30)).collect();
        let edited = usize::try_from(self.edit % 6).unwrap();
        paragraphs[edited] = sentence(&mut Dice::for_task(u64::from(self.base), 100 + u64::from(self.edit)), 30);
        if self.kilobytes > 0 {
            let mut long = noise(u64::from(self.base) << 32 | u64::from(self.kilobytes), self.kilobytes);
            let place = usize::try_from(self.edit).unwrap() % long.len();
            long.replace_range(place..=place, " ");
            paragraphs.push(long);
        }
        let paragraph = |text| Block::from(BlockKind::Paragraph { text });
        Content {
            headline: format!("Text {} in edit {}", self.base, self.edit),
            section: "World".to_owned(),
            language: "en-GB".to_owned(),
            blocks: paragraphs.into_iter().map(paragraph).collect(),
            ..Content::default()
        }
    }
}

const WORDS: &[&str] = &[
    "flood", "bridge", "minister", "said", "that", "the", "rain", "town", "school", "shut", "until", "May", "council",
    "river", "two", "hundred", "people", "were", "moved", "on", "Sunday",
];

fn sentence(dice: &mut Dice, words: usize) -> String {
    let words: Vec<&str> = (0..words).map(|_| *dice.one_of(WORDS)).collect();
    format!("{}.", words.join(" "))
}

/// Letters that compress by a quarter at most, with a space after every sixty-three.
fn noise(seed: u64, kilobytes: u32) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut dice = Dice::new(seed);
    let letter = |at: u32| if at % 64 == 63 { ' ' } else { char::from(*dice.one_of(LETTERS)) };
    (0..kilobytes * 1024).map(letter).collect()
}

/// An original with a number from this one on has as many kilobytes as the number exceeds it by.
pub(crate) const VAST: u32 = 1 << 20;

fn page(number: u32) -> Bytes {
    if let Some(kilobytes) = number.checked_sub(VAST) {
        let mut dice = Dice::new(number.into());
        return (0..kilobytes * 128).flat_map(|_| dice.below(u64::MAX).to_le_bytes()).collect();
    }
    format!("<html>{}</html>", noise(u64::from(number) | 1 << 40, 1 + number % 150)).into()
}
