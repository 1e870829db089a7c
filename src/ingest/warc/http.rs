//! Reads the page from an HTTP/1.x response, which is stored as it was sent over the wire.

use std::io::{self, Read};

use super::{MissingPage, Page, RecordContent};
use crate::ingest::DOCUMENT_BYTES_MAX;
use crate::model::Timestamp;

/// Maximum number of header fields in a response.
const FIELDS_MAX: usize = 256;

/// Whether the header shows that a response is not a page but, for example, a redirect, an error or an image. A
/// response with the status 304 Not Modified counts as a page.
pub(super) fn is_not_page(response: &[u8]) -> bool {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = httparse::Response::new(&mut fields);
    // A header that cannot be read does not show that the response is not a page.
    let is_readable = parse(&mut head, response).is_ok();
    let content_type = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-type"));
    let is_html = content_type.is_none_or(|field| is_html(&String::from_utf8_lossy(field.value)));
    is_readable && (!is_html || !matches!(head.code, None | Some(200 | 304)))
}

fn parse<'b>(head: &mut httparse::Response<'_, 'b>, response: &'b [u8]) -> httparse::Result<usize> {
    httparse::ParserConfig::default()
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .ignore_invalid_headers_in_responses(true)
        .parse_response(head, response)
}

/// Reads the page in a response. Any other response is [`RecordContent::Other`] or [`RecordContent::Broken`].
pub(super) fn page(response: &[u8], url: String, time: Timestamp) -> RecordContent {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = httparse::Response::new(&mut fields);
    let body = match parse(&mut head, response) {
        Ok(httparse::Status::Complete(head_bytes)) => response.get(head_bytes..).unwrap_or_default(),
        Ok(httparse::Status::Partial) => return RecordContent::Broken("its HTTP header is incomplete".to_owned()),
        Err(error) => return RecordContent::Broken(format!("it is not an HTTP response: {error}")),
    };
    let field = |name: &str| {
        let field = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        field.map(|field| String::from_utf8_lossy(field.value).trim().to_owned()).unwrap_or_default()
    };
    let content_type = field("content-type");
    if let Some(code @ (404 | 410)) = head.code
        && (content_type.is_empty() || is_html(&content_type))
    {
        let http_status = code.into();
        return RecordContent::Missing(MissingPage { url, time, http_status, is_permanent: code == 410 });
    }
    if head.code != Some(200) {
        return RecordContent::Other("responses that are not pages");
    }
    if !content_type.is_empty() && !is_html(&content_type) {
        return RecordContent::Other("files that are not pages");
    }
    match decoded(body, &field("transfer-encoding"), &field("content-encoding")) {
        Ok(body) => RecordContent::Page(Page {
            url,
            time,
            body,
            charset: charset(&content_type),
            etag: field("etag"),
            last_modified: field("last-modified"),
        }),
        Err(reason) => RecordContent::Broken(reason),
    }
}

/// Whether a media type is HTML or XHTML.
pub(super) fn is_html(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("text/html") || essence.eq_ignore_ascii_case("application/xhtml+xml")
}

/// The charset parameter of a content type.
pub(super) fn charset(content_type: &str) -> Option<String> {
    let parameters = content_type.split(';').skip(1);
    let mut named = parameters.filter_map(|parameter| parameter.split_once('='));
    let (_, charset) = named.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    Some(charset.trim().trim_matches(['"', '\'']).to_owned()).filter(|charset| !charset.is_empty())
}

/// Undoes the codings of a body. Many crawlers store the decoded body with header fields that still name the codings,
/// so a body that does not start as a coding requires is returned as it is.
fn decoded(body: &[u8], transfer: &str, content: &str) -> Result<Vec<u8>, String> {
    let chunked = transfer.to_ascii_lowercase().contains("chunked");
    let mut body = if chunked { joined(body)? } else { body.to_vec() };
    // The coding that was applied last is undone first.
    for coding in content.split(',').rev().map(|coding| coding.trim().to_ascii_lowercase()) {
        body = match coding.as_str() {
            "gzip" | "x-gzip" if body.starts_with(b"\x1f\x8b") => {
                read_limited(flate2::read::MultiGzDecoder::new(&*body))?
            }
            "deflate" if body.first() == Some(&0x78) => read_limited(flate2::read::ZlibDecoder::new(&*body))?,
            "zstd" if body.starts_with(b"\x28\xb5\x2f\xfd") => {
                read_limited(zstd::stream::read::Decoder::with_buffer(&*body).map_err(|error| undecodable(&error))?)?
            }
            // Brotli has no magic number, but compressed data does not start like a page.
            "br" if is_markup(&body) => body,
            "br" => read_limited(brotli::Decompressor::new(&*body, 4096))?,
            _ => body,
        };
    }
    Ok(body)
}

fn is_markup(body: &[u8]) -> bool {
    let opening = body.get(..256).unwrap_or(body);
    let opening = opening.strip_prefix(b"\xef\xbb\xbf").unwrap_or(opening).trim_ascii_start();
    opening.starts_with(b"<") && !opening.iter().any(|byte| *byte < b'\t')
}

/// Reads all output of a decoder. More bytes than a page may have are an error.
fn read_limited(from: impl Read) -> Result<Vec<u8>, String> {
    let mut decoded = Vec::new();
    from.take(DOCUMENT_BYTES_MAX as u64 + 1).read_to_end(&mut decoded).map_err(|error| undecodable(&error))?;
    if decoded.len() > DOCUMENT_BYTES_MAX {
        return Err(format!("it decompresses to over {DOCUMENT_BYTES_MAX} bytes, the limit for a page"));
    }
    Ok(decoded)
}

fn undecodable(error: &io::Error) -> String {
    format!("its compressed body is damaged: {error}")
}

/// Joins the chunks of a body (RFC 9112, 7.1). A body that is not chunked, or that the crawler has already joined, is
/// returned as it is.
fn joined(body: &[u8]) -> Result<Vec<u8>, String> {
    let mut joined = Vec::with_capacity(body.len());
    let mut rest = body;
    loop {
        let chunk = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete((start, size))) => usize::try_from(size).ok().and_then(|size| {
                let end = start.checked_add(size)?;
                Some((end, rest.get(start..end)?))
            }),
            Ok(httparse::Status::Partial) | Err(_) => None,
        };
        match chunk {
            Some((_, [])) => return Ok(joined),
            Some((end, chunk)) => {
                joined.extend_from_slice(chunk);
                rest = rest.get(end..).unwrap_or_default();
                rest = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n")).unwrap_or(rest);
            }
            None if joined.is_empty() => return Ok(body.to_vec()),
            None => return Err(format!("its body ends early, after {} bytes", joined.len())),
        }
    }
}
