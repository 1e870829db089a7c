//! The file that has the keys, as TOML.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table};

use super::{Keys, SigningKey, WebhookKeysError};
use crate::model::{Limits, SubscriptionId, Timestamp};
use crate::store::engine::private_file;

/// The longest file that is read, in bytes: far more than all keys need.
const BYTES_MAX: u64 = 4 << 20;

const HEADER: &str = "# The keys that sign webhooks. Whoever has one can sign in the name of this archive.\n\n";

/// Reads the file; no keys if it does not exist.
pub(super) fn read(path: &Path) -> Result<Keys, WebhookKeysError> {
    let Some(file) = private_file::read(path, BYTES_MAX)? else { return Ok(Keys::new()) };
    parse(&file.text).map_err(|detail| WebhookKeysError::Malformed { path: path.to_path_buf(), detail })
}

fn parse(text: &str) -> Result<Keys, String> {
    let document = text.parse::<DocumentMut>().map_err(|error| error.message().to_owned())?;
    let mut keys: Keys = BTreeMap::new();
    let Some(entries) = document.get("key") else { return Ok(keys) };
    let entries = entries.as_array_of_tables().ok_or("keys are written as [[key]]")?;
    for (number, entry) in entries.iter().enumerate() {
        let (id, key) = read_key(entry).map_err(|detail| format!("key {}: {detail}", number + 1))?;
        let of_webhook = keys.entry(id).or_default();
        if of_webhook.len() >= Limits::WEBHOOK_KEYS_MAX {
            return Err(format!("a webhook has more than {} keys", Limits::WEBHOOK_KEYS_MAX));
        }
        of_webhook.push(Arc::new(key));
    }
    Ok(keys)
}

fn read_key(entry: &Table) -> Result<(SubscriptionId, SigningKey), String> {
    let text = |name: &str| entry.get(name).and_then(Item::as_str);
    let required = |name: &str| text(name).ok_or_else(|| format!("{name} is missing"));
    let time = |text: &str| text.parse::<Timestamp>().map_err(|error| error.to_string());
    let id = SubscriptionId::parse(required("webhook")?).map_err(|error| error.to_string())?;
    let mut key = SigningKey::parse(required("secret")?).map_err(|error| error.to_string())?;
    key.created = time(required("created")?)?;
    key.expires = text("expires").map(time).transpose()?;
    Ok((id, key))
}

/// The text of the file.
pub(super) fn write(keys: &Keys) -> String {
    let mut entries = ArrayOfTables::new();
    for (id, key) in keys.iter().flat_map(|(id, keys)| keys.iter().map(move |key| (id, key))) {
        let mut entry = Table::new();
        entry.insert("webhook", id.as_str().into());
        entry.insert("secret", key.reveal().into());
        entry.insert("created", key.created.to_string().into());
        if let Some(expires) = key.expires {
            entry.insert("expires", expires.to_string().into());
        }
        entries.push(entry);
    }
    let mut document = DocumentMut::new();
    document.insert("key", Item::ArrayOfTables(entries));
    format!("{HEADER}{document}")
}
