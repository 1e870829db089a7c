//! The ZIP file of a WACZ: its files, one after the other, and the digests of all of them.

use std::io::{self, Seek, Write};

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A WACZ that is being written.
pub(super) struct Package<W: Write + Seek> {
    zip: ZipWriter<UntilFailure<W>>,
    /// The files already written, as the data package lists them.
    resources: Vec<Value>,
    /// The file that is being written.
    current: Current,
}

#[derive(Default)]
struct Current {
    path: &'static str,
    digest: Sha256,
    bytes: u64,
}

/// Passes bytes on until that fails. `ZipWriter` tries to end the file when it is dropped, and would report the same
/// failure once more, on standard error.
struct UntilFailure<W> {
    to: W,
    has_failed: bool,
}

impl<W: Write> Write for UntilFailure<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.has_failed {
            return Ok(bytes.len());
        }
        let written = self.to.write(bytes);
        self.has_failed = written.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.has_failed { Ok(()) } else { self.to.flush() }
    }
}

impl<W: Seek> Seek for UntilFailure<W> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        if self.has_failed { Ok(0) } else { self.to.seek(to) }
    }
}

/// How a file is stored in the ZIP file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// As it is: what is compressed already, so that readers can seek in it.
    Stored,
    /// Compressed.
    Deflated,
}

impl<W: Write + Seek> Package<W> {
    pub(super) fn new(to: W) -> Self {
        Self {
            zip: ZipWriter::new(UntilFailure { to, has_failed: false }),
            resources: Vec::new(),
            current: Current::default(),
        }
    }

    /// Begins a file. What is written from here on is part of it.
    pub(super) fn begin(&mut self, path: &'static str, method: Method) -> io::Result<()> {
        let method = match method {
            Method::Stored => CompressionMethod::Stored,
            Method::Deflated => CompressionMethod::Deflated,
        };
        // No time of day, so that the same export is the same bytes; and room for a size beyond 4 GiB, because it is not
        // known yet.
        let options = SimpleFileOptions::DEFAULT.compression_method(method).large_file(true);
        self.zip.start_file(path, options)?;
        self.current = Current { path, ..Current::default() };
        Ok(())
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.current.digest.update(bytes);
        self.current.bytes += bytes.len() as u64;
        self.zip.write_all(bytes)
    }

    /// How much of the present file is written, in bytes.
    pub(super) fn offset(&self) -> u64 {
        self.current.bytes
    }

    /// Ends a file, and adds it to the data package.
    pub(super) fn end(&mut self) {
        let Current { path, digest, bytes } = std::mem::take(&mut self.current);
        let name = path.rsplit('/').next().unwrap_or(path);
        let hash = format!("sha256:{}", HEXLOWER.encode(&digest.finalize()));
        self.resources.push(json!({ "name": name, "path": path, "hash": hash, "bytes": bytes }));
    }

    /// Writes the data package, which has the fields of `description` and lists all files, and its digest.
    pub(super) fn finish(mut self, mut description: Value) -> io::Result<W> {
        if let Some(fields) = description.as_object_mut() {
            fields.insert("resources".to_owned(), std::mem::take(&mut self.resources).into());
        }
        let package = format!("{description:#}\n");
        let hash = format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(&package)));
        let digest = json!({ "path": "datapackage.json", "hash": hash });
        for (path, text) in [("datapackage.json", package), ("datapackage-digest.json", format!("{digest:#}\n"))] {
            self.begin(path, Method::Deflated)?;
            self.write(text.as_bytes())?;
        }
        Ok(self.zip.finish()?.to)
    }
}
