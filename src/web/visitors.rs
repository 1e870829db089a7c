//! What visitors may read. They have no credentials: all of them are the principal `anonymous`.
//!
//! | access rules | on loopback, without a public address | elsewhere |
//! | --- | --- | --- |
//! | grant something to `anonymous` | that | that |
//! | do not mention `anonymous` | everything | nothing |
//! | none, since callers are not told apart (`--no-auth`) | everything | everything |

use std::sync::Arc;

use crate::access::{Access, Permission};
use crate::service::Caller;

/// The visitors of the pages.
pub(super) struct Visitors {
    access: Option<Arc<Access>>,
    /// Whether everything is shown if the rules do not mention visitors.
    shows_all: bool,
}

impl Visitors {
    pub(super) fn new(access: Option<Arc<Access>>, shows_all: bool) -> Self {
        Self { access, shows_all }
    }

    /// The caller that visitors are to the service; `None` if they may read nothing.
    pub(super) fn caller(&self) -> Option<Caller> {
        let Some(access) = &self.access else { return Some(Caller::default()) };
        match access.anonymous() {
            None => self.shows_all.then(Caller::default),
            Some(anonymous) => {
                anonymous.scope(Permission::Read)?;
                Some(Caller::default().authenticated(anonymous, Arc::clone(access), Arc::default()))
            }
        }
    }

    /// How many requests all visitors together may make in a second; `None` for any number.
    pub(super) fn calls_per_second_max(&self) -> Option<u32> {
        self.access.as_ref()?.anonymous()?.calls_per_second_max
    }

    /// How many streams all visitors together may have open; `None` for any number.
    pub(super) fn streams_max(&self) -> Option<u32> {
        self.access.as_ref()?.anonymous()?.streams_max
    }

    /// Changes whenever the rules do.
    pub(super) fn epoch(&self) -> u64 {
        self.access.as_ref().map_or(0, |access| *access.watch().borrow())
    }

    /// What visitors may read now, for the log.
    pub(super) fn describe(&self) -> &'static str {
        match self.caller() {
            None => "nothing; grant sources to the principal \"anonymous\" in the access rules",
            Some(caller) if caller.principal().is_none() => "everything",
            Some(_) => "the sources granted to the principal \"anonymous\"",
        }
    }
}
