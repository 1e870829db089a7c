//! The floor of a durable write: append and fdatasync, in a loop.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Records made durable per second, with `batch` of them per sync.
pub(crate) fn records_per_second(folder: &Path, record: &[u8], batch: usize, length: Duration) -> anyhow::Result<f64> {
    let path = folder.join("sync-loop");
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let bytes = record.repeat(batch);
    file.write_all(&bytes)?;
    file.sync_all()?;
    let begun = Instant::now();
    let mut syncs = 0_u32;
    while begun.elapsed() < length {
        file.write_all(&bytes)?;
        file.sync_data()?;
        syncs += 1;
    }
    let elapsed = begun.elapsed();
    std::fs::remove_file(path)?;
    Ok(f64::from(syncs) * batch as f64 / elapsed.as_secs_f64())
}
