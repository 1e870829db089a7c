//! The archive itself: how far its log is, and what signs it.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::State;
use http::HeaderValue;
use http::Response;
use http::header::{CACHE_CONTROL, ETAG};

use super::super::Site;
use super::super::problem::Problem;
use super::super::respond;
use super::super::shown::{When, grouped, hex, when};
use super::super::visit::{Form, Visit};
use super::Frame;
use crate::wire::pb;

/// What the storage does changes without a change of the log.
const NOT_KEPT: HeaderValue = HeaderValue::from_static("no-store");

#[derive(Template)]
#[template(path = "status.html")]
struct StatusPage {
    frame: Frame,
    version: String,
    archive_id: String,
    storage: &'static str,
    changes: String,
    latest: Option<When>,
    log_digest: String,
    checkpoint: Option<Checkpoint>,
    keys: Vec<String>,
}

/// The newest checkpoint.
struct Checkpoint {
    note: String,
    signed: Option<When>,
    cosignatures: u32,
}

pub(super) async fn show(State(site): State<Arc<Site>>, visit: Visit) -> Result<Response<Body>, Problem> {
    let status = site.reads.status(&visit.caller).await?;
    let mut response = match visit.form {
        Form::Json => respond::message_json(&visit, &status),
        Form::Page => {
            let (checkpoint, keys) = match site.reads.has_proofs() {
                true => {
                    let checkpoint = site.reads.checkpoint(&visit.caller).await?.checkpoint;
                    (checkpoint, site.reads.log_keys(&visit.caller).await?.keys)
                }
                false => (None, Vec::new()),
            };
            respond::html(&StatusPage::new(&status, checkpoint, keys))
        }
    };
    response.headers_mut().remove(ETAG);
    response.headers_mut().insert(CACHE_CONTROL, NOT_KEPT);
    Ok(respond::with_canonical(&site, response, "/status"))
}

impl StatusPage {
    fn new(status: &pb::GetStatusResponse, checkpoint: Option<pb::Checkpoint>, keys: Vec<pb::LogKey>) -> Self {
        let snapshot = status.snapshot.clone().unwrap_or_default();
        Self {
            frame: Frame::at("Status", "/status"),
            version: status.version.clone(),
            archive_id: hex(&status.archive_id),
            storage: match status.storage_state() {
                pb::StorageState::Serving => "Serving",
                pb::StorageState::Full => "Reading only: the disk is full",
                pb::StorageState::Failed => "Reading only: the storage failed",
                pb::StorageState::Unspecified => "Unknown",
            },
            changes: grouped(snapshot.next_seq),
            latest: when(snapshot.archive_time.as_ref()),
            log_digest: hex(&snapshot.log_digest),
            checkpoint: checkpoint.map(|checkpoint| Checkpoint {
                signed: when(checkpoint.sign_time.as_ref()),
                cosignatures: checkpoint.cosignature_count,
                note: checkpoint.note,
            }),
            keys: keys.into_iter().map(|key| key.verifier_key).collect(),
        }
    }
}
