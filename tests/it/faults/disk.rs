//! A disk that is really full: a small file system in a file, which is removed at the end of the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A mounted file system of 160 MiB.
pub(crate) struct Disk {
    dir: TempDir,
}

impl Disk {
    /// Creates and mounts the file system. If this machine does not allow that, reports it and returns `None`.
    pub(crate) fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        match Self::mount_in(dir.path()) {
            Ok(()) => Some(Self { dir }),
            Err(reason) => {
                eprintln!("SKIPPED: a full disk was not tried, since no file system can be mounted here: {reason}");
                None
            }
        }
    }

    fn mount_in(dir: &Path) -> Result<(), String> {
        let (image, mounted) = (dir.join("image"), dir.join("mounted"));
        fs::File::create(&image).and_then(|file| file.set_len(160 << 20)).map_err(|error| error.to_string())?;
        fs::create_dir(&mounted).map_err(|error| error.to_string())?;
        // No blocks are reserved for root, as whom the test may run, so what is free is free for everyone. With blocks
        // larger than mkfs would choose, the allocations below can fill the disk exactly.
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0", "-b", "4096"]).arg(&image))?;
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mounted))
    }

    /// Like [`Self::mount`], but a file system in memory with this many inodes.
    pub(crate) fn with_inodes(inodes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = dir.path().join("mounted");
        fs::create_dir(&mounted).unwrap();
        let options = format!("size=640m,nr_inodes={inodes}");
        match run(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&mounted)) {
            Ok(()) => Some(Self { dir }),
            Err(reason) => {
                eprintln!("SKIPPED: a disk without inodes was not tried, since none can be mounted here: {reason}");
                None
            }
        }
    }

    /// Creates empty files until no inode is left.
    pub(crate) fn take_all_inodes(&self, name: &str) {
        let taken =
            (0..10_000).take_while(|number| fs::File::create(self.path().join(format!("{name} {number}"))).is_ok());
        assert!(taken.count() < 10_000);
        assert_eq!(rustix::fs::statvfs(self.path()).unwrap().f_favail, 0);
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("mounted")
    }

    /// The free space in bytes.
    pub(crate) fn free_bytes(&self) -> u64 {
        let disk = rustix::fs::statvfs(self.path()).unwrap();
        disk.f_bavail * disk.f_frsize
    }

    /// Fills the disk until `left_bytes` are free, as another user's file would.
    pub(crate) fn fill_up_to(&self, name: &str, left_bytes: u64) {
        let file = fs::File::create(self.path().join(name)).unwrap();
        let mut taken = 0;
        loop {
            let more = self.free_bytes().saturating_sub(left_bytes) & !4095;
            // The file system needs some blocks for itself, so it takes several rounds to get close.
            let allocated = (0..).map(|half| more >> half).take_while(|bytes| *bytes >= 4096).find(|bytes| {
                rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), taken, *bytes & !4095).is_ok()
            });
            match allocated {
                Some(bytes) => taken += bytes & !4095,
                None => return file.sync_all().unwrap(),
            }
        }
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path().join(name)).unwrap();
        // The blocks are free once the journal has been committed.
        run(Command::new("sync").arg("-f").arg(self.path())).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The loop device is removed with the mount. Files that are still open keep it until they are closed.
        if let Err(reason) = run(Command::new("umount").arg("-l").arg(self.path())) {
            eprintln!("{} stays mounted: {reason}", self.path().display());
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let done = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if done.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&done.stderr).trim()))
}
