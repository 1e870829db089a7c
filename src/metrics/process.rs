//! What the operating system and the allocator say of this process.
//!
//! The names of these metrics, which start with `process_`, are those that Prometheus recommends to all programs:
//! "Writing client libraries", section "Process metrics".

use std::fs;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};
use tikv_jemalloc_ctl::{epoch, stats};

/// What is known of this process; `None` where the system does not say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process {
    /// The memory that it has in RAM, in bytes.
    pub(super) resident_bytes: Option<u64>,
    /// The memory that the program has allocated and not freed, in bytes.
    pub(super) allocated_bytes: Option<u64>,
    /// Its open file descriptors.
    pub(super) open_descriptors: Option<u64>,
    /// How many it may open.
    pub(super) descriptors_max: Option<u64>,
    /// The time that processors have worked for it.
    pub(super) processor_time: Duration,
}

impl Process {
    pub(super) fn now() -> Self {
        let used = clock_gettime(ClockId::ProcessCPUTime);
        let seconds = Duration::from_secs(u64::try_from(used.tv_sec).unwrap_or(0));
        Self {
            resident_bytes: resident_bytes(),
            allocated_bytes: allocated_bytes(),
            open_descriptors: fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64),
            descriptors_max: getrlimit(Resource::Nofile).current,
            processor_time: seconds + Duration::from_nanos(u64::try_from(used.tv_nsec).unwrap_or(0)),
        }
    }
}

/// Source: Linux's Documentation/filesystems/proc.rst, on the file `status`.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}

/// The allocator keeps its counts apart by thread, and adds them up only when the epoch advances.
fn allocated_bytes() -> Option<u64> {
    epoch::advance().ok()?;
    stats::allocated::read().ok().map(|bytes| bytes as u64)
}
