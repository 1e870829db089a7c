//! A disk that remembers what was synced and what was not, in the order of a trace.
//!
//! Names are a journal: they become durable in the order in which they were made, and a sync of a directory makes its
//! last change durable and so all before it. A file's bytes are durable as of its last sync. A sync of a file says nothing
//! of its name, and a `sync_file_range` says nothing at all.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::trace::Call;

/// What a name leads to: a number of [`Disk::nodes`].
pub(super) type Node = usize;

/// A file or a directory. A directory has no bytes of its own here.
#[derive(Clone, Debug, Default)]
pub(super) struct Bytes<'t> {
    pub(super) is_directory: bool,
    pub(super) durable: Vec<u8>,
    /// What was done since the last sync.
    pub(super) pending: Vec<Change<'t>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Change<'t> {
    Write { offset: u64, bytes: &'t [u8] },
    Resize(u64),
}

/// The names, with what they lead to.
pub(super) type Names = BTreeMap<PathBuf, Node>;

/// A change of names.
#[derive(Clone, Debug)]
enum NameChange {
    Put(PathBuf, Node),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

#[derive(Clone, Debug)]
struct Journaled {
    change: NameChange,
    /// The directories whose entries it changes.
    in_directories: Vec<Node>,
}

/// What syncs count for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ignored {
    Nothing,
    /// `fdatasync` of the engine's log: as if the line that calls it were taken out of `src/store/engine/sled.rs`.
    DataSyncOfLog,
}

/// A disk.
#[derive(Clone)]
pub(crate) struct Disk<'t> {
    nodes: Vec<Bytes<'t>>,
    /// The nodes by the inode numbers of the machine the trace is of. A number is used again when its file is gone.
    inodes: HashMap<u64, Node>,
    now: Names,
    durable: Names,
    journal: Vec<Journaled>,
    ignored: Ignored,
}

impl<'t> Disk<'t> {
    /// A disk with what lies below `root`, all of it synced.
    pub(crate) fn holding(root: &Path, ignored: Ignored) -> Self {
        let mut disk = Self {
            nodes: Vec::new(),
            inodes: HashMap::new(),
            now: Names::new(),
            durable: Names::new(),
            journal: Vec::new(),
            ignored,
        };
        disk.load(root, root);
        disk.durable = disk.now.clone();
        disk
    }

    fn load(&mut self, root: &Path, path: &Path) {
        use std::os::unix::fs::MetadataExt;
        let metadata = fs::symlink_metadata(path).unwrap();
        let (inode, is_directory) = (metadata.ino(), metadata.is_dir());
        let known = self.inodes.get(&inode).copied();
        let node = known.unwrap_or_else(|| {
            let durable = if is_directory { Vec::new() } else { fs::read(path).unwrap() };
            self.add(inode, Bytes { is_directory, durable, pending: Vec::new() })
        });
        self.now.insert(path.strip_prefix(root).unwrap().to_path_buf(), node);
        if is_directory {
            for entry in fs::read_dir(path).unwrap() {
                self.load(root, &entry.unwrap().path());
            }
        }
    }

    fn add(&mut self, inode: u64, bytes: Bytes<'t>) -> Node {
        self.nodes.push(bytes);
        self.inodes.insert(inode, self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    /// Does what a call did.
    pub(crate) fn apply(&mut self, call: &'t Call) {
        match call {
            Call::Create { path, inode } => self.create(path, *inode, false),
            Call::MakeDirectory { path, inode } => self.create(path, *inode, true),
            Call::Write { inode, offset, bytes } => self.change(*inode, Change::Write { offset: *offset, bytes }),
            Call::Resize { inode, length } => self.change(*inode, Change::Resize(*length)),
            Call::Sync { inode } => self.sync(*inode),
            Call::DataSync { inode } if self.is_ignored(*inode) => {}
            Call::DataSync { inode } => self.sync(*inode),
            Call::Rename { from, to } => self.rename(from, to),
            Call::Link { from, to } => {
                let node = self.now[from];
                self.journal(NameChange::Put(to.clone(), node), &[to]);
            }
            Call::Unlink { path } | Call::RemoveDirectory { path } => {
                self.journal(NameChange::Remove(path.clone()), &[path]);
            }
            Call::RangeSync | Call::Said(_) => {}
        }
    }

    fn create(&mut self, path: &Path, inode: u64, is_directory: bool) {
        let node = self.add(inode, Bytes { is_directory, ..Bytes::default() });
        self.journal(NameChange::Put(path.to_path_buf(), node), &[path]);
    }

    fn change(&mut self, inode: u64, change: Change<'t>) {
        let node = self.inodes[&inode];
        self.nodes[node].pending.push(change);
    }

    fn rename(&mut self, from: &Path, to: &Path) {
        self.journal(NameChange::Rename(from.to_path_buf(), to.to_path_buf()), &[from, to]);
    }

    fn journal(&mut self, change: NameChange, paths: &[&Path]) {
        let in_directories = paths.iter().filter_map(|path| self.now.get(path.parent()?).copied()).collect();
        rename_in(&mut self.now, &change);
        self.journal.push(Journaled { change, in_directories });
    }

    fn is_ignored(&self, inode: u64) -> bool {
        let log = self.now.get(Path::new("archive/db/db")).or_else(|| self.now.get(Path::new("archive/db.new/db")));
        self.ignored == Ignored::DataSyncOfLog && log == self.inodes.get(&inode)
    }

    fn sync(&mut self, inode: u64) {
        let node = self.inodes[&inode];
        if !self.nodes[node].is_directory {
            let Bytes { durable, pending, .. } = &mut self.nodes[node];
            pending.drain(..).for_each(|change| change.apply_to(durable));
            return;
        }
        let last = self.journal.iter().rposition(|journaled| journaled.in_directories.contains(&node));
        for journaled in self.journal.drain(..last.map_or(0, |last| last + 1)) {
            rename_in(&mut self.durable, &journaled.change);
        }
    }

    /// How many changes of names are not durable.
    pub(super) fn names_pending(&self) -> usize {
        self.journal.len()
    }

    /// The names, if the first `kept` of those changes became durable.
    pub(super) fn names_with(&self, kept: usize) -> Names {
        let mut names = self.durable.clone();
        self.journal.iter().take(kept).for_each(|journaled| rename_in(&mut names, &journaled.change));
        names
    }

    pub(super) fn bytes(&self, node: Node) -> &Bytes<'t> {
        &self.nodes[node]
    }
}

impl Change<'_> {
    pub(super) fn apply_to(self, bytes: &mut Vec<u8>) {
        match self {
            Self::Resize(length) => bytes.resize(usize::try_from(length).unwrap(), 0),
            Self::Write { offset, bytes: written } => {
                let start = usize::try_from(offset).unwrap();
                if bytes.len() < start + written.len() {
                    bytes.resize(start + written.len(), 0);
                }
                bytes[start..start + written.len()].copy_from_slice(written);
            }
        }
    }
}

/// Changes names. What lies below a directory goes with it.
fn rename_in(names: &mut Names, change: &NameChange) {
    match change {
        NameChange::Put(path, node) => drop(names.insert(path.clone(), *node)),
        NameChange::Remove(path) => drop(names.remove(path)),
        NameChange::Rename(from, to) => {
            let moved: Vec<PathBuf> = names.keys().filter(|path| path.starts_with(from)).cloned().collect();
            for path in moved {
                let node = names.remove(&path).unwrap();
                let rest = path.strip_prefix(from).unwrap();
                // Joining nothing would put a slash behind the name.
                let target = if rest == Path::new("") { to.clone() } else { to.join(rest) };
                names.insert(target, node);
            }
        }
    }
}
