//! Turns documents into requests to record an observation: files, standard input, and Dateline's own JSON.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use jiff::civil::Date;
use url::Url;

use crate::capture::{CaptureError, PageError, article_of_revision};
use crate::cli::args::{AddArgs, DocumentFormat};
use crate::cli::exit::{Exit, Failure};
use crate::cli::times;
use crate::ingest::{self, DOCUMENT_BYTES_MAX, Format};
use crate::model::{ArticleName, SourceId};
use crate::wire::in_plain_words;
use crate::wire::json::from_json;
use crate::wire::{content_to_pb, pb, timestamp_to_pb};

/// The request for a document, and what to report about how it was read.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub(super) request: pb::RecordObservationRequest,
    /// What the reader inferred because the document did not state it, one line each.
    pub(super) guesses: Vec<String>,
    /// The date printed on the page.
    pub(super) page_date: Option<Date>,
}

/// What a document states about itself, whatever its format.
#[derive(Default)]
struct Reading {
    content: pb::Content,
    source: Option<String>,
    article: Option<String>,
    urls: Vec<String>,
    labels: Vec<String>,
    observe_time: Option<prost_types::Timestamp>,
    guesses: Vec<String>,
    page_date: Option<Date>,
    media_type: &'static str,
}

/// Reads a file, or standard input for `-`, and builds its request. Arguments take precedence over what the document
/// states.
pub(super) fn prepare(path: &Path, args: &AddArgs) -> Result<Prepared, Failure> {
    let bytes = bytes_of(path, args).map_err(|error| unreadable(path, error))?;
    let reading = match format_of(path, &bytes, args.format) {
        Some(Format::Json) => article_json(&bytes)?,
        format => document(format, &bytes, args)?,
    };
    let Reading { mut content, source, article, urls, labels, observe_time, guesses, page_date, media_type } = reading;
    let source = match &args.source {
        Some(source) => source.clone(),
        None => stated_source(source.as_deref())?,
    };
    if let Some(language) = &args.language {
        content.language.clone_from(language);
    }
    let original = args.originals.of_files().then(|| pb::Original {
        media_type: media_type.to_owned(),
        data: Bytes::from(bytes),
        ..pb::Original::default()
    });
    let request = pb::RecordObservationRequest {
        parent: source.to_string(),
        article_id: args.article.clone().or(article).unwrap_or_default(),
        content: Some(content),
        observe_time: args.observed_at.map(timestamp_to_pb).or(observe_time),
        urls: args.url.iter().cloned().chain(urls).collect(),
        original,
        coalesce_within: None,
        precondition: precondition(args),
        request_id: args.write.request_id.clone().unwrap_or_default(),
        validate_only: args.write.dry_run,
        fetch: None,
        labels: labels.into_iter().chain(args.label.iter().cloned()).collect(),
    };
    Ok(Prepared { request, guesses, page_date })
}

pub(super) fn precondition(args: &AddArgs) -> Option<pb::Precondition> {
    use pb::precondition::Condition;
    if args.if_new {
        return Some(pb::Precondition { condition: Some(Condition::MustNotExist(true)) });
    }
    crate::cli::precondition(&args.write)
}

fn stated_source(source: Option<&str>) -> Result<SourceId, Failure> {
    let source = source.ok_or(CaptureError::Page(PageError::NoSource))?;
    SourceId::parse(source).map_err(|error| Failure::new(Exit::Failed, error).hint("name the source with --source"))
}

/// Reads standard input, if it is one of the documents.
pub(in crate::cli) fn standard_input(documents: &[String]) -> Option<Result<Vec<u8>, String>> {
    documents.iter().any(|document| document == "-").then(|| read(io::stdin().lock()))
}

fn bytes_of(path: &Path, args: &AddArgs) -> Result<Vec<u8>, String> {
    match &args.standard_input {
        Some(read) if path == Path::new("-") => read.clone(),
        _ => File::open(path).map_err(|error| format!("cannot be read: {error}")).and_then(read),
    }
}

fn unreadable(path: &Path, error: String) -> Failure {
    let failure = Failure::new(Exit::Failed, error);
    match meant_address(path) {
        Some(address) => failure.hint(format!("for a web page, give its URL: {address}")),
        None => failure,
    }
}

/// The URL that the name of a missing file probably stands for, as `example.org/x` does.
fn meant_address(path: &Path) -> Option<String> {
    let text = path.to_str()?;
    let (host, _) = text.split_once('/')?;
    let (name, domain) = host.rsplit_once('.')?;
    let is_domain = domain.len() > 1 && domain.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_host = is_domain && name.starts_with(|character: char| character.is_ascii_alphanumeric());
    (is_host && !Path::new(host).exists()).then(|| format!("https://{text}"))
}

/// Reads at most the largest size of a document, and fails if there is more.
fn read(from: impl Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    match from.take(DOCUMENT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes) {
        Err(error) => Err(format!("cannot be read: {error}")),
        Ok(_) if bytes.len() > DOCUMENT_BYTES_MAX => {
            Err(format!("is larger than {DOCUMENT_BYTES_MAX} bytes, the maximum size of a document"))
        }
        Ok(_) => Ok(bytes),
    }
}

/// The format as stated, or else detected from the file's extension and content; `None` if neither identifies it.
fn format_of(path: &Path, bytes: &[u8], stated: DocumentFormat) -> Option<Format> {
    match stated {
        DocumentFormat::Text => Some(Format::NewsText),
        DocumentFormat::Markdown => Some(Format::Markdown),
        DocumentFormat::NewsArticle => Some(Format::NewsArticle),
        DocumentFormat::Ninjs => Some(Format::Ninjs),
        DocumentFormat::Html => Some(Format::Html),
        DocumentFormat::Json => Some(Format::Json),
        DocumentFormat::Auto if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json")) => {
            match ingest::detect(bytes) {
                Ok(format @ (Format::NewsArticle | Format::Ninjs)) => Some(format),
                Ok(Format::NewsText | Format::Markdown | Format::Html | Format::Json) | Err(_) => Some(Format::Json),
            }
        }
        DocumentFormat::Auto => Format::of_path(path).or_else(|| ingest::detect(bytes).ok()),
    }
}

/// Reads a document in any format other than Dateline's own JSON.
fn document(format: Option<Format>, bytes: &[u8], args: &AddArgs) -> Result<Reading, Failure> {
    let observed = args.observed_at.unwrap_or_else(times::now);
    let reference_date = Some(observed.day());
    // The first URL given for a page is the one it was fetched from.
    let url = args.url.first().and_then(|url| Url::parse(url).ok());
    let options = ingest::Options { format, reference_date, url, ..ingest::Options::default() };
    let document = ingest::read(bytes, &options).map_err(|error| Failure::new(Exit::Failed, error))?;
    Ok(Reading {
        content: content_to_pb(&document.content),
        source: document.source,
        article: None,
        urls: document.urls,
        labels: document.labels,
        observe_time: document.observe_time.map(timestamp_to_pb),
        guesses: document.guesses.iter().map(ToString::to_string).collect(),
        page_date: document.page_date,
        media_type: format.unwrap_or(Format::NewsText).media_type(),
    })
}

/// Reads the proto3 JSON of an article (as `show --json` prints it), of a revision or of a content. Their fields tell
/// which one it is.
fn article_json(bytes: &[u8]) -> Result<Reading, Failure> {
    let failed = |error: String| Failure::new(Exit::Failed, error);
    let text = std::str::from_utf8(bytes)
        .map_err(|error| failed(format!("byte {} is not UTF-8, and JSON must be", error.valid_up_to())))?;
    let text = text.trim_start_matches('\u{feff}');
    let fields: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|error| failed(format!("no JSON object: {}", in_plain_words(&error))))?;
    let has = |field: &str| fields.contains_key(field);
    let refused = |kind: &str, error: crate::wire::json::JsonError| failed(format!("as {kind}, {error}"));
    let mut reading = Reading { media_type: Format::Json.media_type(), ..Reading::default() };
    let (name, revision) = if has("revision") {
        let article: pb::Article = from_json(text).map_err(|error| refused("an article", error))?;
        if article.state == i32::from(pb::ArticleState::Withdrawn) {
            return Err(failed(
                "this article is withdrawn, so its text is left out; give one of its revisions".to_owned(),
            ));
        }
        reading.urls = article.urls.into_iter().map(|url| url.url).collect();
        reading.labels = article.labels;
        (article.name, article.revision.unwrap_or_default())
    } else if has("content") {
        let revision: pb::Revision = from_json(text).map_err(|error| refused("a revision", error))?;
        (article_of_revision(&revision.name).to_owned(), revision)
    } else {
        reading.content = from_json(text).map_err(|error| refused("an article's content", error))?;
        return Ok(reading);
    };
    if let Ok(name) = ArticleName::parse(&name) {
        reading.source = Some(name.source.as_str().to_owned());
        reading.article = Some(name.article.as_str().to_owned());
    }
    reading.content = revision.content.unwrap_or_default();
    reading.observe_time = revision.observe_time;
    // The canonical URL counts as a URL of the article in any case.
    reading.urls.retain(|url| *url != reading.content.canonical_url);
    Ok(reading)
}
