//! JSON Feed 1.1: <https://www.jsonfeed.org/version/1.1/>. It has no tombstones: an item whose text was destroyed is left
//! out, and the item that says so names it in `_dateline`.

use axum::body::Body;
use http::{HeaderValue, Response};
use serde_json::{Value, json};

use super::Document;
use super::items::Item;
use crate::web::respond;

const JSON_FEED: HeaderValue = HeaderValue::from_static("application/feed+json");

pub(super) fn response(document: &Document) -> Response<Body> {
    let items = document.items.iter().filter(|item| item.is_destroyed.is_none()).map(Item::json);
    let mut feed = json!({
        "version": "https://jsonfeed.org/version/1.1",
        "title": document.title,
        "home_page_url": document.page,
        "feed_url": document.own,
        "language": "en",
        "authors": [{ "name": "Dateline" }],
        "items": items.collect::<Vec<Value>>(),
    });
    if let (Some(previous), Some(feed)) = (&document.previous, feed.as_object_mut()) {
        feed.insert("next_url".to_owned(), previous.as_str().into());
    }
    respond::bytes(JSON_FEED, format!("{feed:#}\n"))
}

impl Item {
    fn json(&self) -> Value {
        let mut item = json!({
            "id": self.id,
            "url": self.link,
            "title": self.title,
            "content_html": self.html,
            "date_published": self.archived.to_string(),
            "tags": self.labels,
        });
        if let (false, Some(item)) = (self.destroyed.is_empty(), item.as_object_mut()) {
            item.insert("_dateline".to_owned(), json!({ "destroyed": self.destroyed }));
        }
        item
    }
}
