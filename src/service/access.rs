//! The handler of `AccessService`: who calls, and tokens.

use std::collections::BTreeMap;
use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::caller::Caller;
use super::status::Refusal;
use super::{Context, RpcResult, render};
use crate::access::{Access, Listed, Permission, Principal};
use crate::model::{PrincipalName, SourcePattern, SourceScope};
use crate::wire::pb::access_service_server::AccessService;
use crate::wire::{self, FieldError, FieldErrors, all, every, pb, timestamp_to_pb};

/// The handler of `AccessService`.
#[derive(Clone)]
pub struct AccessHandler(pub Context);

impl AccessHandler {
    fn access(&self) -> Result<&Arc<Access>, Refusal> {
        self.0.access.as_ref().ok_or_else(Refusal::callers_not_told_apart)
    }
}

#[tonic::async_trait]
impl AccessService for AccessHandler {
    async fn get_caller(&self, request: Request<pb::GetCallerRequest>) -> RpcResult<pb::GetCallerResponse> {
        let caller = Caller::of(&request).principal().map(|principal| principal_to_pb(principal));
        Ok(Response::new(pb::GetCallerResponse { caller }))
    }

    async fn create_token(&self, request: Request<pb::CreateTokenRequest>) -> RpcResult<pb::CreateTokenResponse> {
        let access = Arc::clone(self.access()?);
        let caller = Caller::of(&request);
        let pb::CreateTokenRequest { name, permissions, sources, expire_time } = request.into_inner();
        let name = principal_name(&name);
        let permissions = each("permissions", permissions.len(), permissions.into_iter().map(permission));
        let sources = each("sources", sources.len(), sources.iter().map(|source| pattern(source)));
        let now = self.0.archive.clock().now();
        let expires = expire_time.map(|time| wire::timestamp("expire_time", &time)).transpose();
        let expires = expires.and_then(|expires| match expires {
            Some(expires) if expires <= now => Err(FieldError::invalid("expire_time", "must be in the future")),
            expires => Ok(expires),
        });
        let (name, permissions, sources, expires) = all!(name, permissions, sources, expires).map_err(Refusal::from)?;
        // An administrator passes on what it has, and nothing else.
        for permission in &permissions {
            let scope = caller.scope(*permission);
            if let Some(source) = sources.iter().find(|source| !scope.covers(source)) {
                return Err(Refusal::permission_denied(*permission, &format!("sources/{source}")).into());
            }
        }
        let (token, principal) = blocking(move || {
            let token = access.create_token(&name, &permissions, &sources, expires).map_err(Refusal::of_access)?;
            let created = access.list().into_iter().find(|listed| listed.principal.name == name);
            Ok((token, created.map(|listed| listed_to_pb(&listed))))
        })
        .await?;
        Ok(Response::new(pb::CreateTokenResponse { token, principal }))
    }

    async fn list_tokens(&self, request: Request<pb::ListTokensRequest>) -> RpcResult<pb::ListTokensResponse> {
        let access = self.access()?;
        let pb::ListTokensRequest { page_size, page_token } = request.into_inner();
        let size = render::page_size(page_size, &self.0.limits).map_err(Refusal::from)?;
        let after = match page_token.as_str() {
            "" => None,
            token => Some(PrincipalName::parse(token).map_err(|_| {
                Refusal::from(FieldError::invalid("page_token", "is not the token of a page of this list"))
            })?),
        };
        let mut listed = access.list();
        listed.sort_by(|a, b| a.principal.name.cmp(&b.principal.name));
        listed.retain(|listed| after.as_ref().is_none_or(|after| listed.principal.name > *after));
        let more = listed.len() > size;
        listed.truncate(size);
        let last = listed.last().filter(|_| more).map(|last| last.principal.name.as_str().to_owned());
        let principals = listed.iter().map(listed_to_pb).collect();
        Ok(Response::new(pb::ListTokensResponse { principals, next_page_token: last.unwrap_or_default() }))
    }

    async fn revoke_token(&self, request: Request<pb::RevokeTokenRequest>) -> RpcResult<pb::RevokeTokenResponse> {
        let access = Arc::clone(self.access()?);
        let name = principal_name(&request.into_inner().name).map_err(Refusal::from)?;
        blocking(move || access.revoke(&name).map_err(Refusal::of_access)).await?;
        Ok(Response::new(pb::RevokeTokenResponse {}))
    }
}

/// Runs what writes a file.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Refusal> + Send + 'static) -> Result<T, Status> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|_| Refusal::internal())??)
}

fn principal_name(name: &str) -> Result<PrincipalName, FieldError> {
    PrincipalName::parse(name).map_err(|error| FieldError::invalid("name", error))
}

fn permission(number: i32) -> Option<Permission> {
    Some(match pb::Permission::try_from(number).ok()? {
        pb::Permission::Unspecified => return None,
        pb::Permission::Read => Permission::Read,
        pb::Permission::Write => Permission::Write,
        pb::Permission::Mark => Permission::Mark,
        pb::Permission::Subscribe => Permission::Subscribe,
        pb::Permission::Admin => Permission::Admin,
        pb::Permission::Expunge => Permission::Expunge,
    })
}

fn permission_to_pb(permission: Permission) -> pb::Permission {
    match permission {
        Permission::Read => pb::Permission::Read,
        Permission::Write => pb::Permission::Write,
        Permission::Mark => pb::Permission::Mark,
        Permission::Subscribe => pb::Permission::Subscribe,
        Permission::Admin => pb::Permission::Admin,
        Permission::Expunge => pb::Permission::Expunge,
    }
}

fn pattern(source: &str) -> Option<SourcePattern> {
    SourcePattern::parse(source.strip_prefix("sources/").unwrap_or(source))
}

fn each<T>(field: &'static str, count: usize, parsed: impl Iterator<Item = Option<T>>) -> Result<Vec<T>, FieldErrors> {
    if count == 0 {
        return Err(FieldError::invalid(field, "needs at least one").into());
    }
    every(parsed.enumerate().map(|(index, parsed)| {
        parsed.ok_or_else(|| FieldError::invalid(format!("{field}[{index}]"), "is not one that can be granted"))
    }))
}

fn principal_to_pb(principal: &Principal) -> pb::Principal {
    // Permissions on the same sources are one grant.
    let mut grants: BTreeMap<Vec<String>, Vec<i32>> = BTreeMap::new();
    for (permission, scope) in &principal.grants {
        grants.entry(sources(scope)).or_default().push(permission_to_pb(*permission).into());
    }
    let grant = |(sources, permissions)| pb::Grant { permissions, sources };
    pb::Principal {
        name: principal.name.as_str().to_owned(),
        grants: grants.into_iter().map(grant).collect(),
        expire_time: principal.expires.map(timestamp_to_pb),
        last_use_time: None,
        calls_per_second_max: principal.calls_per_second_max.unwrap_or(0),
        streams_max: principal.streams_max.unwrap_or(0),
    }
}

fn listed_to_pb(listed: &Listed) -> pb::Principal {
    pb::Principal { last_use_time: listed.last_used.map(timestamp_to_pb), ..principal_to_pb(&listed.principal) }
}

fn sources(scope: &SourceScope) -> Vec<String> {
    scope.patterns().iter().map(ToString::to_string).collect()
}
