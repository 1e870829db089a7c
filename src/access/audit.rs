//! The audit file: one line of JSON for each call that was denied, and for each call that only an administrator may make.
//!
//! What is written to the archive is not here: every change in the log says who made it. No line has a text of an article
//! or a token. The file is rotated by size: `audit.jsonl` is the current one, `audit.jsonl.1` the one before it.
//!
//! Rotation deletes the earliest lines, so denied calls, which anybody can make, have a budget for each principal, and one for
//! all callers without: they cannot push out what there was before within weeks. A line says how many were left out before it.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use serde::{Deserialize, Serialize};

use crate::store::engine::own_file;

/// The name of the audit file in the archive's directory.
pub const FILE: &str = "audit.jsonl";
/// The size at which the file is rotated, in bytes.
const BYTES_MAX: u64 = 16 << 20;
/// The codes of calls that were refused because of who called.
pub const CODES_DENIED: [&str; 2] = ["UNAUTHENTICATED", "PERMISSION_DENIED"];
/// How many earlier files are kept.
const EARLIER_MAX: u32 = 8;
/// The most bytes of a resource name, or of the name of a method that may not exist.
const RESOURCE_BYTES_MAX: usize = 512;

/// The denied calls of a principal that are written down at once, and how often one more is after that.
const DENIALS_MAX: NonZeroU32 = NonZeroU32::new(100).unwrap();
const DENIAL_EVERY: Duration = Duration::from_secs(10);

/// A line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLine {
    /// When the call was made, as RFC 3339.
    pub time: String,
    /// Who made it; empty if it had no valid credentials.
    pub principal: String,
    /// The address that it came from; empty for a process on this machine.
    pub peer: String,
    /// The method, such as `dateline.v1.AdminService/Verify`.
    pub method: String,
    /// What it was about, such as `sources/gazette`; empty if that is not known.
    pub resource: String,
    /// The name of its status, such as `OK` or `PERMISSION_DENIED`.
    pub code: String,
    /// How many denied calls of the principal were left out before this one, because there were too many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The audit file of an archive that this process serves.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    file: Mutex<Option<OpenFile>>,
    /// By principal; the empty name stands for callers without valid credentials.
    denials: Mutex<HashMap<String, Denials>>,
}

/// How many denied calls of a principal may be written down.
#[derive(Debug)]
struct Denials {
    limiter: DefaultDirectRateLimiter,
    left_out: u64,
}

#[derive(Debug)]
struct OpenFile {
    file: fs::File,
    bytes: u64,
}

impl Audit {
    /// The audit file of the archive in `directory`, which is created with the first line.
    pub fn of(directory: &Path) -> Self {
        Self { path: directory.join(FILE), file: Mutex::default(), denials: Mutex::default() }
    }

    /// Adds a line, unless it is of a denied call, and its principal has too many of those. If that fails, it is logged.
    pub fn add(&self, mut line: AuditLine) {
        if CODES_DENIED.contains(&line.code.as_str()) {
            let Some(left_out) = self.place(&line.principal) else { return };
            line.left_out = left_out;
        }
        crop(&mut line.resource);
        crop(&mut line.method);
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.write(&mut file, &line) {
            *file = None;
            tracing::error!(%error, method = line.method, "a call could not be written to the audit file");
        }
    }

    /// Takes a place for a denied call. Returns how many were left out before it; `None` if it is left out, too.
    fn place(&self, principal: &str) -> Option<u64> {
        let mut denials = self.denials.lock().unwrap_or_else(PoisonError::into_inner);
        let denials = denials.entry(principal.to_owned()).or_insert_with(|| {
            let quota = Quota::with_period(DENIAL_EVERY).unwrap_or(Quota::per_minute(NonZeroU32::MIN));
            Denials { limiter: RateLimiter::direct(quota.allow_burst(DENIALS_MAX)), left_out: 0 }
        });
        if denials.limiter.check().is_err() {
            denials.left_out += 1;
            return None;
        }
        Some(std::mem::take(&mut denials.left_out))
    }

    fn write(&self, open: &mut Option<OpenFile>, line: &AuditLine) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        let current = match open {
            Some(current) => current,
            None => open.insert(OpenFile::append(&self.path)?),
        };
        if current.bytes > 0 && current.bytes + bytes.len() as u64 > BYTES_MAX {
            self.rotate()?;
            *current = OpenFile::append(&self.path)?;
        }
        current.file.write_all(&bytes)?;
        current.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Renames the file to the first earlier one, that to the second, and so on. The last one is deleted.
    fn rotate(&self) -> io::Result<()> {
        for number in (1..=EARLIER_MAX).rev() {
            let newer = if number == 1 { self.path.clone() } else { earlier(&self.path, number - 1) };
            match fs::rename(newer, earlier(&self.path, number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

impl OpenFile {
    fn append(path: &Path) -> io::Result<Self> {
        use io::{Seek, SeekFrom};
        let mut file = own_file::create(path)?;
        let bytes = file.seek(SeekFrom::End(0))?;
        Ok(Self { file, bytes })
    }
}

/// The files of the archive in `directory`, from the earliest to the current one.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let path = directory.join(FILE);
    let earlier = (1..=EARLIER_MAX).rev().map(|number| earlier(&path, number));
    earlier.chain([path.clone()]).filter(|path| path.exists()).collect()
}

fn earlier(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn crop(text: &mut String) {
    if text.len() > RESOURCE_BYTES_MAX {
        text.truncate(text.floor_char_boundary(RESOURCE_BYTES_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_and_files_rotated() {
        let directory = tempfile::TempDir::new().unwrap();
        let line = |number: u32| AuditLine {
            time: number.to_string(),
            principal: String::new(),
            peer: "203.0.113.9".to_owned(),
            method: "dateline.v1.AdminService/Verify".to_owned(),
            resource: "é".repeat(400),
            code: "PERMISSION_DENIED".to_owned(),
            left_out: 0,
        };
        let audit = Audit::of(directory.path());
        audit.add(line(1));
        // Another process had written a full file.
        fs::OpenOptions::new().append(true).open(directory.path().join(FILE)).unwrap().set_len(BYTES_MAX).unwrap();
        let audit = Audit::of(directory.path());
        audit.add(line(2));
        audit.add(line(3));
        let files = files(directory.path());
        assert_eq!(files.len(), 2);
        let last = fs::read_to_string(&files[1]).unwrap();
        assert_eq!(last.lines().count(), 2);
        let read: AuditLine = serde_json::from_str(last.lines().next().unwrap()).unwrap();
        assert_eq!((read.time.as_str(), read.resource.len()), ("2", RESOURCE_BYTES_MAX));
    }

    #[test]
    fn denied_calls_cannot_push_out_what_there_was_before() {
        let directory = tempfile::TempDir::new().unwrap();
        let audit = Audit::of(directory.path());
        let line = |principal: &str, code: &str| AuditLine {
            time: String::new(),
            principal: principal.to_owned(),
            peer: String::new(),
            method: "dateline.v1.AdminService/Verify".to_owned(),
            resource: String::new(),
            code: code.to_owned(),
            left_out: 0,
        };
        let lines = || fs::read_to_string(directory.path().join(FILE)).unwrap().lines().count();
        for _ in 0..100_000 {
            audit.add(line("", "UNAUTHENTICATED"));
        }
        let of_nobody = lines();
        // One more for every ten seconds that this takes.
        assert!((100..200).contains(&of_nobody), "{of_nobody}");
        // Others have budgets of their own, and administrators need none.
        audit.add(line("desk", "PERMISSION_DENIED"));
        for _ in 0..200 {
            audit.add(line("operator", "OK"));
        }
        assert_eq!(lines() - of_nobody, 201);
        audit.denials.lock().unwrap().get_mut("desk").unwrap().left_out = 7;
        audit.add(line("desk", "PERMISSION_DENIED"));
        assert!(fs::read_to_string(directory.path().join(FILE)).unwrap().ends_with("\"left_out\":7}\n"));
    }
}
