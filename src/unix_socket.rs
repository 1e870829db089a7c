//! Unix sockets at paths of any length.
//!
//! The address of a Unix socket has room for 107 bytes of a path (unix(7)), and the path of an archive may be longer. Such a
//! socket is reached through its open folder, as `/proc/self/fd/N/NAME` (proc(5)), which works on Linux only.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use tokio::net::{UnixListener, UnixStream};

const PATH_BYTES_MAX: usize = 107;

/// Listens at `path`, where a socket of a process that has ended may be left. The caller makes sure that no other process
/// listens there. The
/// mode of the socket, 0600, is set after it is created. Needs a runtime of tokio.
pub(crate) fn bind(path: &Path) -> io::Result<UnixListener> {
    // Its inode becomes that of the new one, if the file system has no other.
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let short = ShortPath::of(path)?;
    let listener = UnixListener::bind(&short.path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Connects to the socket at `path`. The error is `NotFound` if there is no socket, and `ConnectionRefused` if no process
/// listens on it.
pub(crate) async fn connect(path: &Path) -> io::Result<UnixStream> {
    let short = ShortPath::of(path)?;
    UnixStream::connect(&short.path).await
}

/// A path that fits into an address, as long as its folder is open.
struct ShortPath {
    path: PathBuf,
    _folder: Option<OwnedFd>,
}

impl ShortPath {
    fn of(path: &Path) -> io::Result<Self> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path of a socket ends with its name"));
        };
        if path.as_os_str().len() <= PATH_BYTES_MAX {
            return Ok(Self { path: path.to_path_buf(), _folder: None });
        }
        let folder = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
        Ok(Self { path, _folder: Some(folder) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_reached_at_a_path_longer_than_an_address() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("archive".repeat(20));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("socket");
        assert_eq!(connect(&path).await.unwrap_err().kind(), io::ErrorKind::NotFound);
        let listener = bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let _stream = connect(&path).await.unwrap();
        listener.accept().await.unwrap();

        drop(listener);
        assert_eq!(connect(&path).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let listener = bind(&path).unwrap();
        let _stream = connect(&path).await.unwrap();
        listener.accept().await.unwrap();
    }
}
