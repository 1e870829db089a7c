//! Who may do what: principals, the rules that say how they are recognised and what each may do, and their tokens.
//!
//! ```text
//! credentials of a call ──▶ authenticate ──▶ principal ──▶ the service asks: may it do this on that source?
//!                                ▲
//!        access.toml ──▶ rules ──┘   read again when the file changes; a file with a mistake keeps the old rules
//! ```
//!
//! This module decides who calls, and knows what each may do. It does not know methods or messages: which permission a
//! call needs, and on which source, is the service's to say.

pub mod audit;
mod call_rate;
mod last_used;
mod principal;
mod rules;
mod token;

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::watch;
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value};

use self::audit::Audit;
pub use self::call_rate::{CallRate, TooManyCalls};
use self::last_used::LastUsed;
pub use self::principal::{Permission, Principal};
use self::rules::RULES_BYTES_MAX;
pub use self::rules::{Rules, RulesError};
pub use self::token::{TokenDigest, bearer_token};
use crate::clock::Clock;
use crate::model::{PrincipalName, SourcePattern, Timestamp};
pub use crate::store::engine::private_file::PrivateFileError;
use crate::store::engine::private_file::{self, PrivateFile};

/// The name of the rules file in the archive's directory.
pub const FILE: &str = "access.toml";

/// Why rules cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The file cannot be read or written, or others can read or write it.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The file has a mistake.
    #[error("{}, {source}", .path.display())]
    Rules {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: RulesError,
    },
    /// There is a principal with this name.
    #[error("there is a principal {:?} already; revoke its token first, or choose another name", .0.as_str())]
    Exists(PrincipalName),
    /// There is no principal with this name.
    #[error("there is no principal {:?}", .0.as_str())]
    Unknown(PrincipalName),
    /// The operating system returned no random bytes.
    #[error("the operating system returned no random bytes: {0}")]
    Randomness(String),
}

/// What a call comes with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credentials<'a> {
    /// The token in its `authorization` header.
    pub token: Option<&'a str>,
    /// The names in the client's certificate, which was verified.
    pub sans: &'a [String],
    /// Whether it comes from a process of the owner of the archive's files.
    pub is_owner: bool,
}

/// Why a call has no principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unauthenticated {
    /// It has no credentials.
    Missing,
    /// Its credentials belong to no principal.
    Invalid,
    /// Its credentials have ended.
    Expired,
}

/// A principal as the rules have it, for an administrator.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The principal.
    pub principal: Arc<Principal>,
    /// When it last called; `None` if it has not since this process started.
    pub last_used: Option<Timestamp>,
}

/// The rules of an open archive.
pub struct Access {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    owner: Arc<Principal>,
    rules: RwLock<RulesFile>,
    /// Changes with the rules.
    epoch: watch::Sender<u64>,
    last_used: LastUsed,
    /// Where calls that were denied, and those of administrators, are written down.
    pub audit: Audit,
    /// Held while the file is changed.
    editing: Mutex<()>,
}

/// Rules, and the file that they were read from.
#[derive(Clone, Debug, Default)]
struct RulesFile {
    rules: Arc<Rules>,
    version: Option<FileVersion>,
}

/// What tells one version of a file from the next without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileVersion {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    mode: u32,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Access {
    /// Reads the rules of the archive in `directory`. Without a file, only its owner may do anything.
    pub fn open(directory: &Path, clock: Arc<dyn Clock>) -> Result<Self, AccessError> {
        let path = directory.join(FILE);
        let read = read(&path)?;
        Ok(Self {
            path,
            clock,
            owner: Arc::new(Principal::owner()),
            rules: RwLock::new(read),
            epoch: watch::Sender::new(0),
            last_used: LastUsed::open(directory),
            audit: Audit::of(directory),
            editing: Mutex::default(),
        })
    }

    /// Checks that the rules of the archive in `directory` can be read.
    pub fn check(directory: &Path) -> Result<(), AccessError> {
        read(&directory.join(FILE)).map(drop)
    }

    /// Whether there is a rules file.
    pub fn has_rules(&self) -> bool {
        self.current().version.is_some()
    }

    /// Reads the file again if it has changed. A file with a mistake leaves the rules as they are, and the error is
    /// logged once.
    pub fn refresh(&self) {
        self.last_used.keep_when_due(self.clock.now());
        let editing = self.begin_edit();
        let is_current = version(&self.path).is_ok_and(|version| version == self.current().version);
        if !is_current && let Err(error) = self.read_again(&editing) {
            tracing::error!(%error, "the rules were not read again; the old ones stay in force");
        }
    }

    /// Reads the file again, whether or not it seems to have changed. A file with a mistake leaves the rules as they are.
    pub fn reload(&self) -> Result<(), AccessError> {
        self.read_again(&self.begin_edit())
    }

    fn read_again(&self, _editing: &MutexGuard<'_, ()>) -> Result<(), AccessError> {
        let version = version(&self.path);
        let read = read(&self.path).inspect_err(|_| {
            // `refresh` does not try again until the file changes once more.
            let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
            rules.version = version.unwrap_or(rules.version);
        })?;
        self.replace(read);
        Ok(())
    }

    /// Waits for whatever else changes the rules. Otherwise what was read before an edit could replace what the edit left.
    fn begin_edit(&self) -> MutexGuard<'_, ()> {
        self.editing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes whenever the rules do.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.epoch.subscribe()
    }

    /// The principal that calls with these credentials. A token counts before a certificate, and that before the owner.
    pub fn authenticate(&self, credentials: Credentials<'_>) -> Result<Arc<Principal>, Unauthenticated> {
        let rules = self.current().rules;
        let found = match credentials {
            Credentials { token: Some(token), .. } => {
                TokenDigest::of(token).and_then(|digest| rules.with_token(digest))
            }
            Credentials { is_owner: true, .. } => return Ok(Arc::clone(&self.owner)),
            Credentials { sans: [], .. } => return Err(Unauthenticated::Missing),
            Credentials { sans, .. } => rules.with_san(sans),
        };
        let principal = found.ok_or(Unauthenticated::Invalid)?;
        let now = self.clock.now();
        if principal.expires.is_some_and(|expires| expires <= now) {
            return Err(Unauthenticated::Expired);
        }
        self.last_used.note(&principal.name, now);
        Ok(Arc::clone(principal))
    }

    /// The principal `anonymous`, which stands for visitors of the web pages; `None` if the rules do not mention it. Once
    /// it has expired, it has no permission.
    pub fn anonymous(&self) -> Option<Arc<Principal>> {
        let rules = self.current().rules;
        let anonymous = rules.anonymous()?;
        if anonymous.expires.is_some_and(|expires| expires <= self.clock.now()) {
            let without_grants = Principal { grants: Default::default(), ..Principal::clone(anonymous) };
            return Some(Arc::new(without_grants));
        }
        Some(Arc::clone(anonymous))
    }

    /// The principal as the rules have it now; `None` if it was revoked, has other credentials by now, or has expired.
    pub fn renewed(&self, principal: &Principal) -> Option<Arc<Principal>> {
        if principal.name == self.owner.name {
            return Some(Arc::clone(&self.owner));
        }
        let rules = self.current().rules;
        let now = self.clock.now();
        let is_the_same = |current: &&Arc<Principal>| {
            current.token == principal.token
                && current.sans == principal.sans
                && current.expires.is_none_or(|expires| expires > now)
        };
        rules.named(&principal.name).filter(is_the_same).cloned()
    }

    /// The principal with this name; `None` if it was revoked or has expired.
    pub fn named(&self, name: &PrincipalName) -> Option<Arc<Principal>> {
        if *name == self.owner.name {
            return Some(Arc::clone(&self.owner));
        }
        let (rules, now) = (self.current().rules, self.clock.now());
        rules.named(name).filter(|principal| principal.expires.is_none_or(|expires| expires > now)).cloned()
    }

    /// The principals, in the order of the file.
    pub fn list(&self) -> Vec<Listed> {
        let listed = |principal: &Arc<Principal>| Listed {
            principal: Arc::clone(principal),
            last_used: self.last_used.get(&principal.name),
        };
        self.current().rules.principals().iter().map(listed).collect()
    }

    /// Adds a principal with a new token, durably. The rest of the file, comments included, stays as it is. Returns the
    /// token, which is kept nowhere else.
    pub fn create_token(
        &self,
        name: &PrincipalName,
        permissions: &[Permission],
        sources: &[SourcePattern],
        expires: Option<Timestamp>,
    ) -> Result<String, AccessError> {
        let token = token::new_token().map_err(|error| AccessError::Randomness(error.to_string()))?;
        let digest = TokenDigest::of(&token).map(|digest| digest.to_string()).unwrap_or_default();
        let texts = |texts: &mut dyn Iterator<Item = String>| Value::Array(texts.collect::<Array>());
        let mut grant = InlineTable::new();
        grant.insert("may", texts(&mut permissions.iter().map(ToString::to_string)));
        grant.insert("sources", texts(&mut sources.iter().map(ToString::to_string)));
        let mut entry = Table::new();
        entry.insert("name", name.as_str().into());
        entry.insert("token", digest.into());
        if let Some(expires) = expires.and_then(|expires| expires.to_string().parse::<toml_edit::Datetime>().ok()) {
            entry.insert("expires", expires.into());
        }
        entry.insert("grant", Item::Value(Value::Array([grant].into_iter().collect())));
        self.edit(|principals| {
            if principals.iter().any(|entry| is_named(entry, name)) {
                return Err(AccessError::Exists(name.clone()));
            }
            principals.push(entry);
            Ok(())
        })?;
        self.last_used.forget(name);
        Ok(token)
    }

    /// Keeps when each principal last called. A server does so once a minute, and when it stops.
    pub fn keep_last_used(&self) {
        self.last_used.keep(self.clock.now());
    }

    /// The time, for what is written down.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Removes a principal, durably. Its calls are refused from now on, and its streams end.
    pub fn revoke(&self, name: &PrincipalName) -> Result<(), AccessError> {
        self.edit(|principals| {
            let before = principals.len();
            principals.retain(|entry| !is_named(entry, name));
            if principals.len() == before { Err(AccessError::Unknown(name.clone())) } else { Ok(()) }
        })
    }

    fn edit(&self, edit: impl FnOnce(&mut ArrayOfTables) -> Result<(), AccessError>) -> Result<(), AccessError> {
        let _editing = self.begin_edit();
        let text = read_text(&self.path)?.map(|(text, _)| text).unwrap_or_default();
        // What is there must be right, or an edit could hide what is wrong.
        parse(&self.path, &text)?;
        let mut document = text.parse::<DocumentMut>().map_err(|error| AccessError::Rules {
            path: self.path.clone(),
            source: RulesError { line: 1, detail: error.message().to_owned() },
        })?;
        let principals = document.entry("principal").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
        let malformed = || AccessError::Rules {
            path: self.path.clone(),
            source: RulesError { line: 1, detail: "principals are written as [[principal]]".to_owned() },
        };
        edit(principals.as_array_of_tables_mut().ok_or_else(malformed)?)?;
        let text = document.to_string();
        parse(&self.path, &text)?;
        private_file::replace(&self.path, &text)?;
        self.replace(read(&self.path)?);
        Ok(())
    }

    fn replace(&self, read: RulesFile) {
        tracing::info!(principals = read.rules.principals().len(), "the rules are in force");
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = read;
        self.epoch.send_modify(|epoch| *epoch += 1);
    }

    fn current(&self) -> RulesFile {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn is_named(entry: &Table, name: &PrincipalName) -> bool {
    entry.get("name").and_then(Item::as_str) == Some(name.as_str())
}

fn read(path: &Path) -> Result<RulesFile, AccessError> {
    match read_text(path)? {
        None => Ok(RulesFile::default()),
        Some((text, version)) => Ok(RulesFile { rules: Arc::new(parse(path, &text)?), version: Some(version) }),
    }
}

fn parse(path: &Path, text: &str) -> Result<Rules, AccessError> {
    Rules::parse(text).map_err(|source| AccessError::Rules { path: path.to_path_buf(), source })
}

/// The text of the file; `None` if it does not exist.
fn read_text(path: &Path) -> Result<Option<(String, FileVersion)>, AccessError> {
    let file = private_file::read(path, RULES_BYTES_MAX)?;
    Ok(file.map(|PrivateFile { text, metadata }| (text, FileVersion::of(&metadata))))
}

/// The version of the file; `None` if it does not exist.
fn version(path: &Path) -> io::Result<Option<FileVersion>> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        metadata => Ok(Some(FileVersion::of(&metadata?))),
    }
}

impl FileVersion {
    fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            mode: metadata.mode() & 0o7777,
        }
    }
}
