//! A process's memory and processor time, as reported by Linux.

use std::fs;
use std::time::Duration;

/// Resident bytes now, and their maximum since the last [`reset_peak`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    pub(crate) peak: u64,
}

/// The memory of this process, from `/proc/self/status`; zeroes if that file does not exist.
pub(crate) fn memory() -> Memory {
    memory_of("self")
}

/// The memory of the process with this id.
pub(crate) fn memory_of(process: &str) -> Memory {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let bytes = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) << 10
    };
    Memory { resident: bytes("VmRSS:"), peak: bytes("VmHWM:") }
}

/// Resets the peak. Without the permission to do so, the peak stays as it is.
pub(crate) fn reset_peak() {
    drop(fs::write("/proc/self/clear_refs", "5"));
}

/// Formats bytes as mebibytes.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}

/// The processor time of all threads of this process so far, user and system together.
pub(crate) fn processor() -> Duration {
    processor_of("self")
}

/// The processor time of the process with this id.
pub(crate) fn processor_of(process: &str) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The program's name is in parentheses; user and system time are the 12th and 13th field after it.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
