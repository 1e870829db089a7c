//! The method that destroys texts.

use tonic::Request;

use super::status::Refusal;
use super::{Caller, Context};
use crate::access::Permission;
use crate::archive::ArchiveError;
use crate::archive::expunge::{Destroyed, ExpungePlan, ExpungeRequest, ExpungeScope};
use crate::model::{ArticleName, ExpungeReason, Limits, RevisionNumber, SubscriptionId};
use crate::wire::{FieldError, FieldErrors, all, pb, snapshot_to_pb};

/// The maximum length of a reference in bytes.
const REFERENCE_BYTES_MAX: usize = 512;

impl Context {
    pub(super) async fn expunge_revisions(
        &self,
        request: Request<pb::ExpungeRevisionsRequest>,
        is_allowed: bool,
    ) -> Result<pb::ExpungeRevisionsResponse, Refusal> {
        let caller = Caller::of(&request);
        if !is_allowed || caller.is_remote {
            return Err(Refusal::expunge_not_allowed());
        }
        let pb::ExpungeRevisionsRequest { plan_digest, validate_only, .. } = request.get_ref();
        let plan_digest = match (*validate_only, plan_digest.as_slice().try_into()) {
            (true, _) => Ok(None),
            (false, Ok(digest)) => Ok(Some(digest)),
            (false, Err(_)) => Err(FieldError::invalid("plan_digest", "must be the 32 bytes of the plan's digest")),
        };
        let expunge = parse(request.get_ref());
        let plan_digest = plan_digest.map_err(FieldErrors::from);
        let (plan_digest, expunge) = all!(plan_digest, expunge)?;
        caller.require(Permission::Expunge, &expunge.article.source)?;
        let Some(plan_digest) = plan_digest else {
            let plan = self.archive.plan_expunge(expunge).await.map_err(refusal)?;
            let article = plan.article.to_string();
            return Ok(pb::ExpungeRevisionsResponse { plan: Some(plan_to_pb(plan)), article, seq: 0, snapshot: None });
        };
        let Destroyed { plan, seq, article, snapshot } =
            self.archive.expunge(&caller.origin, expunge, plan_digest).await.map_err(refusal)?;
        tracing::warn!(
            seq = seq.0,
            changes = plan.changes,
            "texts were destroyed; the database's files have them until it is compacted"
        );
        Ok(pb::ExpungeRevisionsResponse {
            plan: Some(plan_to_pb(plan)),
            seq: seq.0,
            snapshot: Some(snapshot_to_pb(&snapshot)),
            article: article.to_string(),
        })
    }
}

/// What is too large is the request, not a content.
fn refusal(error: ArchiveError) -> Refusal {
    if matches!(error, ArchiveError::TooLarge { .. }) {
        FieldError::too_large("revision_numbers", error).into()
    } else {
        error.into()
    }
}

fn parse(request: &pb::ExpungeRevisionsRequest) -> Result<ExpungeRequest, FieldErrors> {
    let article = ArticleName::parse(&request.article).map_err(|error| FieldError::invalid("article", error));
    let reason = match request.reason() {
        pb::ExpungeReason::Unspecified => Err(FieldError::invalid("reason", "is required")),
        pb::ExpungeReason::CourtOrder => Ok(ExpungeReason::CourtOrder),
        pb::ExpungeReason::PersonalData => Ok(ExpungeReason::PersonalData),
        pb::ExpungeReason::Copyright => Ok(ExpungeReason::Copyright),
        pb::ExpungeReason::Other => Ok(ExpungeReason::Other),
    };
    let reference = match request.reference.len() {
        0..=REFERENCE_BYTES_MAX => Ok(request.reference.clone()),
        bytes => {
            let problem = format!("has {bytes} bytes; at most {REFERENCE_BYTES_MAX} are allowed");
            Err(FieldError::invalid("reference", problem))
        }
    };
    let scope = scope(request);
    let (article, scope, reason, reference) = all!(article, scope, reason, reference)?;
    Ok(ExpungeRequest { article, scope, reason, reference })
}

fn scope(request: &pb::ExpungeRevisionsRequest) -> Result<ExpungeScope, FieldError> {
    let invalid = |problem: String| FieldError::invalid("revision_numbers", problem);
    let numbers = &request.revision_numbers;
    match request.scope() {
        pb::ExpungeScope::Unspecified => Err(FieldError::invalid("scope", "is required")),
        pb::ExpungeScope::Revisions => {
            if numbers.is_empty() || numbers.len() > Limits::EXPUNGED_REVISIONS_MAX {
                return Err(invalid(format!(
                    "has {} numbers; give 1 to {}",
                    numbers.len(),
                    Limits::EXPUNGED_REVISIONS_MAX
                )));
            }
            let parsed = numbers.iter().map(|number| RevisionNumber::new(*number)).collect::<Option<_>>();
            parsed.map(ExpungeScope::Revisions).ok_or_else(|| invalid("revisions are numbered from 1".to_owned()))
        }
        _ if !numbers.is_empty() => Err(invalid("is only for the scope REVISIONS".to_owned())),
        pb::ExpungeScope::Article => Ok(ExpungeScope::Article),
        pb::ExpungeScope::ArticleAndName => Ok(ExpungeScope::ArticleAndName),
    }
}

fn plan_to_pb(plan: ExpungePlan) -> pb::ExpungePlan {
    let numbers = |numbers: &[RevisionNumber]| numbers.iter().map(|number| number.get()).collect();
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    pb::ExpungePlan {
        revision_numbers: numbers(&plan.revisions),
        change_count: plan.changes as u64,
        original_count: count(plan.originals),
        reencoded_count: count(plan.reencoded),
        same_content_revision_numbers: numbers(&plan.same_content),
        subscriptions: plan.subscriptions.iter().map(SubscriptionId::to_string).collect(),
        digest: plan.digest.to_vec(),
    }
}
