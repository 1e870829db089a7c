//! The keys that sign the messages of webhooks, in a file of the archive's directory.
//!
//! They are not in the database, so that neither a backup nor a copy made from one can sign in the archive's name. Only
//! the owner of the files can read the file. Whose webhook a key belongs to, and when it is used, the layers above know.

mod file;
mod key;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

pub use self::key::SigningKey;
use crate::model::{SubscriptionId, Timestamp};
use crate::store::engine::private_file::{self, PrivateFileError};

/// The name of the file in the archive's directory.
pub const FILE: &str = "webhook-keys.toml";

/// Why the keys cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum WebhookKeysError {
    /// The file cannot be read or written, or others can read or write it.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The file has a mistake.
    #[error("{}: {detail}; correct it, or delete it and make new keys with `dateline webhook rotate-key`", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
}

type Keys = BTreeMap<SubscriptionId, Vec<Arc<SigningKey>>>;

/// The keys of an archive's webhooks.
#[derive(Debug)]
pub struct WebhookKeys {
    path: PathBuf,
    keys: RwLock<Keys>,
}

impl WebhookKeys {
    /// Reads the keys of the archive in `directory`. Without a file, there are none.
    pub fn open(directory: &Path) -> Result<Self, WebhookKeysError> {
        let path = directory.join(FILE);
        let keys = RwLock::new(file::read(&path)?);
        Ok(Self { path, keys })
    }

    /// Checks that the keys of the archive in `directory` can be read.
    pub fn check(directory: &Path) -> Result<(), WebhookKeysError> {
        file::read(&directory.join(FILE)).map(drop)
    }

    /// The keys that sign for a webhook at `now`, the newest first.
    pub fn of(&self, id: &SubscriptionId, now: Timestamp) -> Vec<Arc<SigningKey>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let signing = |key: &&Arc<SigningKey>| key.expires.is_none_or(|expires| expires > now);
        keys.get(id).into_iter().flatten().filter(signing).cloned().collect()
    }

    /// Replaces the keys of a webhook, durably. Without any, the webhook is forgotten.
    pub fn replace(&self, id: &SubscriptionId, keys: Vec<Arc<SigningKey>>) -> Result<(), WebhookKeysError> {
        self.edit(|all| match keys.is_empty() {
            true => drop(all.remove(id)),
            false => drop(all.insert(id.clone(), keys)),
        })
    }

    /// Forgets the keys of all webhooks but these, durably.
    pub fn retain(&self, ids: &[SubscriptionId]) -> Result<(), WebhookKeysError> {
        self.edit(|all| all.retain(|id, _| ids.contains(id)))
    }

    fn edit(&self, edit: impl FnOnce(&mut Keys)) -> Result<(), WebhookKeysError> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let mut edited = keys.clone();
        edit(&mut edited);
        if edited == *keys {
            return Ok(());
        }
        private_file::replace(&self.path, &file::write(&edited))?;
        *keys = edited;
        Ok(())
    }
}

/// The value of the header `webhook-signature` for a message: a signature by each of the keys.
pub fn signatures(keys: &[Arc<SigningKey>], id: &str, timestamp: i64, body: &[u8]) -> String {
    let signed = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
    let signatures: Vec<_> = keys.iter().map(|key| key.sign(&signed)).collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::model::WebhookScheme;

    #[test]
    fn keys_are_kept_for_their_owner_alone_and_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let (index, alerts) = (SubscriptionId::parse("index").unwrap(), SubscriptionId::parse("alerts").unwrap());
        let at = |micros| Timestamp::from_micros(micros).unwrap();
        let key =
            |scheme, expires| Arc::new(SigningKey::generate(scheme, at(1_000_000)).unwrap().until(expires).unwrap());
        let new = key(WebhookScheme::Ed25519, None);
        let old = key(WebhookScheme::HmacSha256, Some(at(9_000_000)));
        let keys = WebhookKeys::open(directory.path()).unwrap();
        keys.replace(&index, vec![Arc::clone(&new), Arc::clone(&old)]).unwrap();
        keys.replace(&alerts, vec![Arc::clone(&old)]).unwrap();
        let path = directory.path().join(FILE);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let read = WebhookKeys::open(directory.path()).unwrap();
        assert_eq!(read.of(&index, at(8_999_999)), [Arc::clone(&new), old]);
        assert_eq!(read.of(&index, at(9_000_000)), [new], "the old key has expired");
        read.retain(std::slice::from_ref(&index)).unwrap();
        assert!(WebhookKeys::open(directory.path()).unwrap().of(&alerts, at(0)).is_empty());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = WebhookKeys::open(directory.path()).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_file_with_a_mistake_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        for text in ["key = 1", "[[key]]\nwebhook = \"a b\"", "[[key]]\nwebhook = \"a\"\nsecret = \"whsec_AAAA\"", "["]
        {
            private_file::replace(&path, text).unwrap();
            let error = WebhookKeys::open(directory.path()).unwrap_err();
            assert!(matches!(error, WebhookKeysError::Malformed { .. }), "{text}: {error}");
        }
    }

    #[test]
    fn a_message_has_a_signature_by_each_key() {
        let (first, second) = (SigningKey::parse(key::ED25519_EXAMPLE), SigningKey::parse(key::HMAC_EXAMPLE));
        let keys = [Arc::new(first.unwrap()), Arc::new(second.unwrap())];
        let signatures = signatures(&keys, key::MESSAGE_ID, key::MESSAGE_TIMESTAMP, key::MESSAGE_BODY.as_bytes());
        let [first, second] = signatures.split(' ').collect::<Vec<_>>()[..] else { panic!("{signatures}") };
        assert!(first.starts_with("v1a,"), "{first}");
        assert_eq!(second, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
