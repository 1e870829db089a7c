//! The stylesheet, the script and the icon. Their addresses contain a digest of what they have, so that browsers can keep
//! them, and a new version is another address.

use std::sync::LazyLock;

use axum::body::Body;
use data_encoding::HEXLOWER;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, Uri};
use sha2::{Digest, Sha256};

use super::problem::Problem;
use super::respond;

const STYLE: &str = include_str!("templates/style.css");
const SCRIPT: &str = include_str!("templates/script.js");
const ICON: &str = include_str!("templates/icon.svg");
/// How much of a digest is in an address, in bytes.
const DIGEST_BYTES: usize = 6;
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// A file that pages refer to.
struct Asset {
    path: String,
    media_type: HeaderValue,
    text: &'static str,
}

impl Asset {
    fn new(name: &str, media_type: &'static str, text: &'static str) -> Self {
        let digest = Sha256::digest(text);
        let digest = HEXLOWER.encode(digest.get(..DIGEST_BYTES).unwrap_or_default());
        Self { path: format!("/static/{digest}/{name}"), media_type: HeaderValue::from_static(media_type), text }
    }
}

static STYLESHEET: LazyLock<Asset> = LazyLock::new(|| Asset::new("style.css", "text/css; charset=utf-8", STYLE));
static LIVE: LazyLock<Asset> = LazyLock::new(|| Asset::new("script.js", "text/javascript; charset=utf-8", SCRIPT));
static FAVICON: LazyLock<Asset> = LazyLock::new(|| Asset::new("icon.svg", "image/svg+xml", ICON));

/// The address of the stylesheet.
pub(super) fn style() -> &'static str {
    &STYLESHEET.path
}

/// The address of the script.
pub(super) fn script() -> &'static str {
    &LIVE.path
}

/// The address of the icon.
pub(super) fn icon() -> &'static str {
    &FAVICON.path
}

/// Serves one of them.
pub(super) async fn serve(uri: Uri) -> Result<Response<Body>, Problem> {
    let assets = [&*STYLESHEET, &*LIVE, &*FAVICON];
    let asset = assets.into_iter().find(|asset| asset.path == uri.path()).ok_or_else(Problem::not_found)?;
    let mut response = respond::bytes(asset.media_type.clone(), asset.text);
    response.headers_mut().insert(CONTENT_TYPE, asset.media_type.clone());
    response.headers_mut().insert(CACHE_CONTROL, FOREVER);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_small() {
        assert!(STYLE.len() <= 9 << 10, "{}", STYLE.len());
        assert!(SCRIPT.len() <= 4 << 10, "{}", SCRIPT.len());
    }
}
