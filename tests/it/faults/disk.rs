//! A disk that is really full: a small file system of its own, in a file, which ends with the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A mounted file system of 160 MiB.
pub(crate) struct Disk {
    dir: TempDir,
}

impl Disk {
    /// Makes and mounts it. Where this machine does not allow that, says so and answers nothing.
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
        // No blocks are kept back for root, as whom this may run: free is then what anybody can have. Larger blocks
        // than mkfs would choose come out even with what is allocated below, to the last.
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0", "-b", "4096"]).arg(&image))?;
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mounted))
    }

    /// As [`Self::mount`], a file system in memory that takes this many files.
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

    /// Makes empty files until there is no inode left for another.
    pub(crate) fn take_all_inodes(&self, name: &str) {
        let taken =
            (0..10_000).take_while(|number| fs::File::create(self.path().join(format!("{name} {number}"))).is_ok());
        assert!(taken.count() < 10_000);
        assert_eq!(rustix::fs::statvfs(self.path()).unwrap().f_favail, 0);
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("mounted")
    }

    /// What is free on it.
    pub(crate) fn free_bytes(&self) -> u64 {
        let disk = rustix::fs::statvfs(self.path()).unwrap();
        disk.f_bavail * disk.f_frsize
    }

    /// Fills it until so much is left, as somebody else's file does.
    pub(crate) fn fill_up_to(&self, name: &str, left_bytes: u64) {
        let file = fs::File::create(self.path().join(name)).unwrap();
        let mut taken = 0;
        loop {
            let more = self.free_bytes().saturating_sub(left_bytes) & !4095;
            // The file system needs some blocks for itself, so that it takes some rounds to come near.
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
        // The blocks are free once the journal says so.
        run(Command::new("sync").arg("-f").arg(self.path())).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The loop device goes with the mount. What still has files open keeps it for as long, and no longer.
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
