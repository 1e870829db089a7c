//! What a proof proves of a revision, for the files that are made for reading.

use crate::model::unseen::in_json;
use crate::model::{Content, Timestamp};
use crate::proof::{Checked, Checkpoint, Shown};
use crate::wire::content_to_pb;
use crate::wire::json::to_pretty_json;

/// Stands in for what the proof does not show.
const WITHHELD: &str = "withheld";

/// What is proved of a revision.
pub(super) struct Facts<'a> {
    pub(super) shown: &'a Shown,
    pub(super) checkpoint: Checkpoint,
    /// The content, if it is shown.
    pub(super) content: Option<Content>,
}

impl<'a> Facts<'a> {
    pub(super) fn of(checked: Checked<'a>) -> Self {
        let Checked { shown, checkpoint } = checked;
        let content = shown.decoded_content();
        Self { shown, checkpoint, content }
    }

    /// The article's resource name, or that it is withheld.
    pub(super) fn article(&self) -> String {
        self.shown.name().unwrap_or_else(|| WITHHELD.to_owned())
    }

    /// What is proved, as labels and values; what does not exist is left out.
    pub(super) fn rows(&self) -> Vec<(&'static str, String)> {
        let (shown, content) = (self.shown, self.content.as_ref());
        let of_content = |field: fn(&Content) -> String| content.map(field).unwrap_or_default();
        let digest = |digest: Option<[u8; 32]>| digest.map_or_else(|| WITHHELD.to_owned(), hex);
        let fetch = shown.fetch().unwrap_or_default();
        let rows = [
            ("Article", self.article()),
            ("Revision", shown.revision().to_string()),
            ("Observed", time(shown.observe_time())),
            ("Archived", time(shown.archive_time())),
            ("Address", of_content(|content| content.canonical_url.clone())),
            ("Fetched from", fetch.url),
            ("Section", of_content(|content| content.section.clone())),
            ("Language", of_content(|content| content.language.clone())),
            ("Keywords", of_content(|content| content.keywords.join(", "))),
            ("SHA-256 of the content", digest(shown.content_digest().map(|digest| digest.0))),
            (
                "SHA-256 of the original",
                if shown.has_original() { digest(shown.original_digest()) } else { String::new() },
            ),
            ("Log", self.checkpoint.origin.clone()),
            ("Position in the log", shown.seq().to_string()),
            ("Size of the log", self.checkpoint.size.to_string()),
            ("Root of the log", hex(self.checkpoint.root.0)),
        ];
        rows.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The content as proto3 JSON.
    pub(super) fn content_json(&self) -> Option<String> {
        Some(to_pretty_json(&content_to_pb(self.content.as_ref()?)) + "\n")
    }

    /// How the page was fetched, and the media type of its original, under the names of the HTTP headers; `None` if nothing
    /// of that is known.
    pub(super) fn headers_json(&self) -> Option<String> {
        let fetch = self.shown.fetch().unwrap_or_default();
        let headers = [
            ("Content-Type", self.shown.media_type().unwrap_or_default()),
            ("ETag", fetch.etag),
            ("Last-Modified", fetch.last_modified),
            ("URL", fetch.url),
        ];
        let known = headers.into_iter().filter(|(_, value)| !value.is_empty());
        let known: serde_json::Map<_, _> = known.map(|(name, value)| (name.to_owned(), value.into())).collect();
        let json = format!("{:#}\n", serde_json::Value::Object(known.clone()));
        (!known.is_empty()).then(|| in_json(&json).into_owned())
    }
}

pub(super) fn hex(digest: [u8; 32]) -> String {
    data_encoding::HEXLOWER.encode(&digest)
}

/// A time as RFC 3339, or in microseconds since 1970 if it has no such form.
pub(super) fn time(micros: i64) -> String {
    Timestamp::from_micros(micros).map_or_else(|| micros.to_string(), |time| time.to_string())
}
