//! The processor time of a server, from /proc.

use std::fs;

/// A tick of the clock in which the kernel counts, in microseconds.
const TICK_US: f64 = 10_000.0;

/// The processor time that a process and its children have used, in microseconds. PostgreSQL has a child per connection.
pub fn time_us(pid: u32) -> f64 {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let with_parents = pids.filter_map(|process| Some((process, read(process)?)));
    with_parents.filter(|(process, (parent, _))| *process == pid || *parent == pid).map(|(_, (_, time))| time).sum()
}

/// A process's parent and processor time.
fn read(pid: u32) -> Option<(u32, f64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in front of this may contain anything.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some((fields.get(1)?.parse().ok()?, (ticks(11)? + ticks(12)?) * TICK_US))
}
