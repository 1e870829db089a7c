//! Reads response bodies. A body is decompressed and counted while it arrives, so that neither an endless page nor a
//! small one that decompresses to gigabytes takes more memory than allowed.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use bytes::{Bytes, BytesMut};
use http::Response;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use http_body_util::BodyDataStream;
use hyper::body::Incoming;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt};
use tokio_stream::StreamExt;
use tokio_util::io::StreamReader;
use url::Url;

use super::FetchError;
use super::error::TimeoutPhase;

/// The Accept-Encoding header that we send.
pub(super) const ACCEPT_ENCODING: &str = "gzip, br, zstd";

/// Maximum number of bytes reserved for a body before any of it has arrived.
const CAPACITY_MAX: u64 = 1 << 20;

/// What to do with a body that is over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    /// Fail with [`FetchError::TooLarge`].
    Refuse,
    /// Keep the beginning and discard the rest.
    Drop,
}

/// Reads the complete body of a response from `url`. A body that ends early is an error; it is never returned in part.
pub(super) async fn read(
    url: &Url,
    response: Response<Incoming>,
    bytes_max: u64,
    excess: Excess,
    idle_timeout: Duration,
) -> Result<Bytes, FetchError> {
    let (head, incoming) = response.into_parts();
    let encodings = encodings(&head.headers);
    let stated_bytes = content_length(&head.headers).unwrap_or_default();
    let too_large = || FetchError::TooLarge { url: url.to_string(), limit: bytes_max };
    if encodings.is_empty() && stated_bytes > bytes_max && excess == Excess::Refuse {
        return Err(too_large());
    }
    let wire = BodyDataStream::new(incoming).timeout(idle_timeout).map(|piece| match piece {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(io::Error::other(WireError::Broken(cause(&error)))),
        Err(_) => Err(io::Error::other(WireError::Silent)),
    });
    let bad_encoding =
        |reason: String| FetchError::BadEncoding { url: url.to_string(), encoding: encodings.join(", "), reason };
    let Some(decoder) = decoder(&encodings, Box::pin(StreamReader::new(wire))) else {
        return Err(bad_encoding(format!("only {ACCEPT_ENCODING} are supported")));
    };
    let mut body = BytesMut::with_capacity(usize::try_from(stated_bytes.min(CAPACITY_MAX)).unwrap_or_default());
    // One byte more than allowed shows that the body is too long.
    let mut limited = decoder.take(bytes_max.saturating_add(1));
    loop {
        match limited.read_buf(&mut body).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                return Err(match error.get_ref().and_then(|inner| inner.downcast_ref::<WireError>()) {
                    Some(WireError::Silent) => {
                        FetchError::Timeout { url: url.to_string(), phase: TimeoutPhase::Silence, after: idle_timeout }
                    }
                    Some(WireError::Broken(reason)) => {
                        FetchError::CutOff { url: url.to_string(), reason: reason.clone() }
                    }
                    None => bad_encoding(error.to_string()),
                });
            }
        }
    }
    let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
    if length > bytes_max {
        if excess == Excess::Refuse {
            return Err(too_large());
        }
        body.truncate(usize::try_from(bytes_max).unwrap_or(usize::MAX));
    }
    Ok(body.freeze())
}

/// Why a body stopped arriving.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{self:?}")]
enum WireError {
    Silent,
    Broken(String),
}

/// The message of an error's root cause. The outer messages only describe hyper's internals.
pub(super) fn cause(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The encodings of a body in the order in which they were applied, in lower case, without `identity`.
fn encodings(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(CONTENT_ENCODING).iter();
    values
        .flat_map(|value| value.to_str().unwrap_or("?").split(','))
        .map(|encoding| encoding.trim().to_ascii_lowercase())
        .filter(|encoding| !matches!(encoding.as_str(), "" | "identity"))
        .collect()
}

/// Creates the decoder for a body; `None` for an unknown encoding and for more than one.
///
/// A gzip or zstd body can have several members. All are read: stopping after the first would return part of the page
/// as if it were complete.
fn decoder<'a>(
    encodings: &[String],
    wire: impl AsyncBufRead + Send + Unpin + 'a,
) -> Option<Pin<Box<dyn AsyncRead + Send + 'a>>> {
    let mut encodings = encodings.iter().map(String::as_str);
    let decoder: Pin<Box<dyn AsyncRead + Send + 'a>> = match (encodings.next(), encodings.next()) {
        (None, _) => Box::pin(wire),
        (Some("gzip" | "x-gzip"), None) => {
            let mut decoder = GzipDecoder::new(wire);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
        (Some("zstd"), None) => {
            let mut decoder = ZstdDecoder::new(wire);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
        (Some("br"), None) => Box::pin(BrotliDecoder::new(wire)),
        // We do not offer deflate, since servers disagree on what it means; the standard says zlib.
        (Some("deflate"), None) => Box::pin(ZlibDecoder::new(wire)),
        _ => return None,
    };
    Some(decoder)
}
