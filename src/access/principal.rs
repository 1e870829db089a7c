//! Principals: who calls, and what each may do.

use std::collections::BTreeMap;
use std::fmt;

use super::token::TokenDigest;
use crate::model::{PrincipalName, SourceId, SourceScope, Timestamp};

/// What a principal may do, each on some sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// Read articles, and follow the change feed.
    Read,
    /// Record observations and absences.
    Write,
    /// Say something about articles: withdraw, reinstate, roll back, label, and move addresses.
    Mark,
    /// Have durable subscriptions of its own. What they deliver is what it may read.
    Subscribe,
    /// Verify and back up, see the server's state, and deal with tokens and the subscriptions of others. This is about
    /// the whole archive, so it needs all sources.
    Admin,
    /// Destroy texts.
    Expunge,
}

impl Permission {
    /// All permissions, in order.
    pub const ALL: [Self; 6] = [Self::Read, Self::Write, Self::Mark, Self::Subscribe, Self::Admin, Self::Expunge];

    /// Its name in rules and errors.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Mark => "mark",
            Self::Subscribe => "subscribe",
            Self::Admin => "admin",
            Self::Expunge => "expunge",
        }
    }

    /// The permission with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.as_str() == name)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Its name, which goes into the log with what it writes.
    pub name: PrincipalName,
    /// The sources on which it has each permission.
    pub grants: BTreeMap<Permission, SourceScope>,
    /// The token by which it is recognised, if it has one.
    pub token: Option<TokenDigest>,
    /// The names in its certificate by which it is recognised.
    pub sans: Vec<String>,
    /// When its credentials end; `None` if they do not.
    pub expires: Option<Timestamp>,
    /// How many calls a second it may make; `None` for any number.
    pub calls_per_second_max: Option<u32>,
    /// How many streams it may have open; `None` for any number.
    pub streams_max: Option<u32>,
}

impl Principal {
    /// The owner of the archive's files, who may do everything.
    pub fn owner() -> Self {
        let grants = Permission::ALL.into_iter().map(|permission| (permission, SourceScope::all())).collect();
        #[expect(clippy::expect_used, reason = "a constant")]
        let name = PrincipalName::parse(OWNER).expect("a valid name");
        Self {
            name,
            grants,
            token: None,
            sans: Vec::new(),
            expires: None,
            calls_per_second_max: None,
            streams_max: None,
        }
    }

    /// The sources on which it has a permission; `None` if there are none.
    pub fn scope(&self, permission: Permission) -> Option<&SourceScope> {
        self.grants.get(&permission).filter(|scope| !scope.is_empty())
    }

    /// Whether it has a permission on a source.
    pub fn may(&self, permission: Permission, source: &SourceId) -> bool {
        self.scope(permission).is_some_and(|scope| scope.has(source))
    }

    /// Whether it has a permission on the whole archive.
    pub fn may_everywhere(&self, permission: Permission) -> bool {
        self.scope(permission).is_some_and(SourceScope::is_all)
    }
}

/// The name of the principal that stands for visitors of the web pages, who have no credentials.
pub(super) const ANONYMOUS: &str = "anonymous";
/// The name of the owner of the archive's files.
pub(super) const OWNER: &str = "owner";
