//! Which permission each method needs, and whether a caller has it.
//!
//! A method is refused before its message is read if the caller has the permission on no source at all. Which sources a
//! call is about is known once its message is read: then [`Caller::require`] is asked again, before anything is looked up,
//! so that a refusal says nothing about what exists.

use std::sync::Arc;

use super::caller::Caller;
use super::status::Refusal;
use crate::access::{Access, Permission, Principal};
use crate::archive::request::{Action, ArticleTarget, Operation};
use crate::archive::subscriptions::SubscriptionRecord;
use crate::model::{ArticleFilter, PrincipalName, SourceId, SourceScope, SubscriptionId};

/// What a caller needs to call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Required {
    /// Nothing: health checks, which load balancers make.
    Nothing,
    /// To be a principal.
    Principal,
    /// This permission on the sources that the call is about.
    On(Permission),
    /// This permission on all sources.
    Everywhere(Permission),
}

impl Required {
    /// Whether only administrators, and those who may destroy texts, have what is needed.
    pub fn is_administration(self) -> bool {
        match self {
            Self::Everywhere(_) => true,
            Self::On(permission) => matches!(permission, Permission::Admin | Permission::Expunge),
            Self::Nothing | Self::Principal => false,
        }
    }
}

/// What a method needs; `None` for a method that does not exist. `path` is that of the HTTP request, such as
/// `/dateline.v1.ArchiveService/GetArticle`.
pub fn required(path: &str) -> Option<Required> {
    use Permission::{Admin, Expunge, Mark, Read, Subscribe, Write};
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    Some(match (service, method) {
        ("dateline.v1.ArchiveService", method) => match method {
            "RecordObservation" | "BatchRecordObservations" | "ImportObservations" | "RecordAbsence" => {
                Required::On(Write)
            }
            "WithdrawArticle" | "ReinstateArticle" | "RollbackArticle" | "LabelArticle" | "MoveUrl" => {
                Required::On(Mark)
            }
            "GetArticle" | "GetRevision" | "ReadOriginal" | "BatchGetArticles" | "ListArticles" | "ListSources"
            | "ListRevisions" | "LookupArticle" | "DiffRevisions" => Required::On(Read),
            _ => return None,
        },
        ("dateline.v1.ChangeFeedService", method) => match method {
            "Subscribe" | "ListChanges" => Required::On(Read),
            "CreateSubscription"
            | "GetSubscription"
            | "ListSubscriptions"
            | "UpdateSubscription"
            | "DeleteSubscription"
            | "AcknowledgeSubscription"
            | "SeekSubscription"
            | "ParkChange"
            | "ListParkedChanges"
            | "ResolveParkedChanges"
            | "TestWebhook"
            | "RotateWebhookKey" => Required::On(Subscribe),
            _ => return None,
        },
        ("dateline.v1.AdminService", method) => match method {
            "GetStatus" => Required::Principal,
            "Verify" | "StreamBackup" => Required::Everywhere(Admin),
            "ExpungeRevisions" => Required::On(Expunge),
            _ => return None,
        },
        ("dateline.v1.IntegrityService", method) => match method {
            "GetCheckpoint" | "GetConsistencyProof" | "ListLogKeys" => Required::Principal,
            "GetInclusionProof" => Required::On(Read),
            _ => return None,
        },
        ("dateline.v1.AccessService", method) => match method {
            "GetCaller" => Required::Principal,
            "CreateToken" | "ListTokens" | "RevokeToken" => Required::Everywhere(Admin),
            _ => return None,
        },
        ("grpc.health.v1.Health", "Check" | "Watch" | "List") => Required::Nothing,
        (
            "grpc.reflection.v1.ServerReflection" | "grpc.reflection.v1alpha.ServerReflection",
            "ServerReflectionInfo",
        ) => Required::Principal,
        _ => return None,
    })
}

/// A principal that makes a call, with the rules that it was recognised by.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    pub(super) principal: Arc<Principal>,
    pub(super) access: Arc<Access>,
}

impl Caller {
    /// Fails unless the caller has what a method needs, as far as that is known before its message is read.
    pub fn check(&self, required: Required) -> Result<(), Refusal> {
        let Some(principal) = self.principal() else { return Ok(()) };
        match required {
            Required::Nothing | Required::Principal => Ok(()),
            Required::On(permission) if principal.scope(permission).is_some() => Ok(()),
            Required::Everywhere(permission) if principal.may_everywhere(permission) => Ok(()),
            Required::On(permission) | Required::Everywhere(permission) => {
                Err(Refusal::permission_denied(permission, "sources/-"))
            }
        }
    }

    /// Fails if the principal of a stream that has begun may not make this call any more.
    pub fn still_may(&self, required: Required) -> Result<(), Refusal> {
        self.renewed()?.check(required)
    }

    /// The principal; `None` if the server does not tell its callers apart.
    pub fn principal(&self) -> Option<&Arc<Principal>> {
        self.authority.as_ref().map(|authority| &authority.principal)
    }

    /// The name of the principal.
    pub(super) fn name(&self) -> Option<PrincipalName> {
        self.principal().map(|principal| principal.name.clone())
    }

    /// Whether the caller has a permission on the whole archive.
    pub(super) fn may_everywhere(&self, permission: Permission) -> bool {
        self.principal().is_none_or(|principal| principal.may_everywhere(permission))
    }

    /// Fails unless the caller has a permission on a source.
    pub(super) fn require(&self, permission: Permission, source: &SourceId) -> Result<(), Refusal> {
        match self.principal() {
            Some(principal) if !principal.may(permission, source) => {
                Err(Refusal::permission_denied(permission, &format!("sources/{}", source.as_str())))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The sources on which the caller has a permission.
    pub(crate) fn scope(&self, permission: Permission) -> SourceScope {
        match self.principal() {
            None => SourceScope::all(),
            Some(principal) => principal.scope(permission).cloned().unwrap_or_else(|| SourceScope::of([])),
        }
    }

    /// The caller with what its principal may do by now; an error if the principal is no more. For streams, which last.
    pub(super) fn renewed(&self) -> Result<Self, Refusal> {
        let Some(Authority { principal, access }) = &self.authority else { return Ok(self.clone()) };
        let revoked = || Refusal::permission_denied(Permission::Read, "sources/-");
        let principal = access.renewed(principal).ok_or_else(revoked)?;
        let mut caller = self.clone();
        caller.authority = Some(Authority { principal, access: Arc::clone(access) });
        Ok(caller)
    }

    /// Fails if the caller may not read exactly these sources any more. A stream ends with it, since it would skip what the
    /// caller may see now, or send what it may not.
    pub(super) fn still_reads(&self, within: &SourceScope) -> Result<(), Refusal> {
        let Some(Authority { principal, access }) = &self.authority else { return Ok(()) };
        let denied = || Refusal::permission_denied(Permission::Read, "sources/-");
        let now = access.renewed(principal).ok_or_else(denied)?;
        match now.scope(Permission::Read) {
            None => Err(denied()),
            Some(scope) if *scope == *within => Ok(()),
            // An administrator may consume the subscription of another.
            Some(_) if now.may_everywhere(Permission::Admin) && now.may_everywhere(Permission::Read) => Ok(()),
            Some(_) => Err(Refusal::scope_changed()),
        }
    }

    /// Whether a durable subscription is the caller's own. Fails if it is another's, and the caller is no administrator.
    pub(super) fn owns(&self, id: &SubscriptionId, owner: Option<&PrincipalName>) -> Result<bool, Refusal> {
        let Some(principal) = self.principal() else { return Ok(owner.is_none()) };
        match owner == Some(&principal.name) {
            true => Ok(true),
            false if self.may_everywhere(Permission::Admin) => Ok(false),
            false => Err(Refusal::permission_denied(Permission::Admin, &id.to_string())),
        }
    }

    /// Fails unless the caller may consume a durable subscription: it is the caller's own, and delivers exactly what the
    /// caller may read; or the caller is an administrator.
    pub(super) fn require_subscription(&self, id: &SubscriptionId, record: &SubscriptionRecord) -> Result<(), Refusal> {
        if self.principal().is_some() {
            self.check(Required::On(Permission::Subscribe))?;
        }
        match self.owns(id, record.owner.as_ref())? {
            true => self.still_reads(&record.query.filter.within).map_err(|refusal| refusal.with("subscription", id)),
            false => Ok(()),
        }
    }

    /// Confines a filter to the sources that the caller may read. Fails if it names a source or an article of another one,
    /// as a list may do with its parent.
    pub(super) fn confine(&self, filter: &mut ArticleFilter, parent: Option<&SourceId>) -> Result<(), Refusal> {
        let named = filter.sources.iter().chain(filter.articles.iter().map(|article| &article.source)).chain(parent);
        for source in named {
            self.require(Permission::Read, source)?;
        }
        filter.within = self.scope(Permission::Read);
        Ok(())
    }

    /// Fails unless the caller may carry out an operation. Where the article of an operation is found by an address, which
    /// source it is in is checked when it is found: the operation is confined to the caller's sources.
    pub(super) fn authorize(&self, operation: &mut Operation) -> Result<(), Refusal> {
        let permission = match &operation.action {
            Action::Observe(_) | Action::Absent(_) => Permission::Write,
            Action::Rollback(_)
            | Action::SetState { .. }
            | Action::Label { .. }
            | Action::BindUrl(_)
            | Action::EndUrl(_) => Permission::Mark,
            Action::Expunge(_) => Permission::Expunge,
        };
        match &operation.target {
            ArticleTarget::Named(name) => self.require(permission, &name.source)?,
            ArticleTarget::ByUrl { source, .. } => self.require(permission, source)?,
            ArticleTarget::AtUrl(_) | ArticleTarget::ByAddress(_) => {}
        }
        operation.by.within = self.scope(permission);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::methods;
    use super::*;

    #[test]
    fn every_method_says_what_it_needs() {
        for (path, _) in methods() {
            assert!(required(path).is_some(), "{path}");
        }
        for path in ["", "/", "/dateline.v1.ArchiveService/DropEverything", "/other.Service/GetArticle"] {
            assert_eq!(required(path), None, "{path}");
        }
    }
}
