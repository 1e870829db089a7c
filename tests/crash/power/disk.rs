//! A disk that knows what was synced and what was not, replaying a trace in order.
//!
//! Names form a journal: they become durable in the order of their changes. Syncing a directory makes its last change
//! durable, and so everything before it. A file's bytes are durable as of its last sync. Syncing a file does not make
//! its name durable, and a `sync_file_range` makes nothing durable.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::trace::Call;

/// What a name refers to: an index into [`Disk::nodes`].
pub(super) type Node = usize;

/// A file or a directory. A directory has no bytes here.
#[derive(Clone, Debug, Default)]
pub(super) struct Bytes<'t> {
    pub(super) is_directory: bool,
    pub(super) durable: Vec<u8>,
    /// Changes since the last sync.
    pub(super) pending: Vec<Change<'t>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Change<'t> {
    Write { offset: u64, bytes: &'t [u8] },
    Resize(u64),
}

/// The names, and what they refer to.
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
    /// The directories whose entries the change affects.
    in_directories: Vec<Node>,
}

/// Which syncs are treated as having no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ignored {
    Nothing,
    /// `fdatasync` of the write-ahead log, as if the call were removed from `src/store/engine/wal/mod.rs`.
    DataSyncOfLog,
}

/// A simulated disk.
#[derive(Clone)]
pub(crate) struct Disk<'t> {
    nodes: Vec<Bytes<'t>>,
    /// Nodes by inode number on the machine of the trace, which reuses a number once its file is gone.
    inodes: HashMap<u64, Node>,
    now: Names,
    durable: Names,
    journal: Vec<Journaled>,
    ignored: Ignored,
}

impl<'t> Disk<'t> {
    /// A disk with everything below `root`, all of it synced.
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

    /// Replays a call.
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
        let node = self.inodes.get(&inode);
        let in_log = |path: &Path| path.parent().is_some_and(|folder| folder.ends_with("wal"));
        let is_log = || self.now.iter().any(|(path, at)| in_log(path) && Some(at) == node);
        self.ignored == Ignored::DataSyncOfLog && is_log()
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

    /// Number of name changes that are not durable.
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

/// Applies a change of names. Everything below a renamed directory moves with it.
fn rename_in(names: &mut Names, change: &NameChange) {
    match change {
        NameChange::Put(path, node) => drop(names.insert(path.clone(), *node)),
        NameChange::Remove(path) => drop(names.remove(path)),
        NameChange::Rename(from, to) => {
            let moved: Vec<PathBuf> = names.keys().filter(|path| path.starts_with(from)).cloned().collect();
            for path in moved {
                let node = names.remove(&path).unwrap();
                let rest = path.strip_prefix(from).unwrap();
                // Joining an empty path would append a slash to the name.
                let target = if rest == Path::new("") { to.clone() } else { to.join(rest) };
                names.insert(target, node);
            }
        }
    }
}
