//! What the shim recorded: the calls that changed files, and the process's output, in the order in which they happened.

use std::path::{Path, PathBuf};

use crate::told::Line;

/// One recorded call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Create {
        path: PathBuf,
        inode: u64,
    },
    Write {
        inode: u64,
        offset: u64,
        bytes: Vec<u8>,
    },
    Resize {
        inode: u64,
        length: u64,
    },
    Sync {
        inode: u64,
    },
    DataSync {
        inode: u64,
    },
    RangeSync,
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Link {
        from: PathBuf,
        to: PathBuf,
    },
    Unlink {
        path: PathBuf,
    },
    MakeDirectory {
        path: PathBuf,
        inode: u64,
    },
    RemoveDirectory {
        path: PathBuf,
    },
    /// The output completed these lines.
    Said(Vec<Line>),
}

const HEAD_BYTES: usize = 32;

/// Reads a trace. Paths are relative to `root`.
pub(crate) fn read(trace: &[u8], root: &Path) -> Vec<Call> {
    let (mut calls, mut rest, mut saying) = (Vec::new(), trace, Vec::new());
    while let Some((head, after)) = rest.split_at_checked(HEAD_BYTES) {
        let number = |at: usize| u32::from_ne_bytes(head[at..at + 4].try_into().unwrap());
        let wide = |at: usize| u64::from_ne_bytes(head[at..at + 8].try_into().unwrap());
        let (first, after) = after.split_at(usize::try_from(number(4)).unwrap());
        let (second, after) = after.split_at(usize::try_from(number(8)).unwrap());
        rest = after;
        let (inode, offset) = (wide(16), wide(24));
        let path = || below(first, root);
        calls.push(match number(0) {
            1 => Call::Create { path: path(), inode },
            2 => Call::Write { inode, offset, bytes: first.to_vec() },
            3 => Call::Resize { inode, length: offset },
            4 => Call::Sync { inode },
            5 => Call::DataSync { inode },
            6 => Call::RangeSync,
            7 => Call::Rename { from: path(), to: below(second, root) },
            8 => Call::Link { from: path(), to: below(second, root) },
            9 => Call::Unlink { path: path() },
            10 => Call::MakeDirectory { path: path(), inode },
            11 => Call::RemoveDirectory { path: path() },
            12 => {
                saying.extend_from_slice(first);
                Call::Said(take_lines(&mut saying))
            }
            kind => panic!("the trace has a call of unknown kind {kind}"),
        });
    }
    assert!(rest.is_empty(), "the trace ends in the middle of a call");
    calls
}

/// Takes the complete lines out of the output. A killed process may have left a partial line; it does not run into the
/// next one, because each process begins with an empty line.
fn take_lines(saying: &mut Vec<u8>) -> Vec<Line> {
    let end = saying.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let whole: Vec<u8> = saying.drain(..end).collect();
    Line::read_all(&whole)
}

fn below(path: &[u8], root: &Path) -> PathBuf {
    let path = Path::new(std::str::from_utf8(path).unwrap());
    path.strip_prefix(root)
        .unwrap_or_else(|_| panic!("{} is not below {}", path.display(), root.display()))
        .to_path_buf()
}
