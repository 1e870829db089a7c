//! Reads WACZ: the web archives in them, one after the other, each once it was found to be as its data package says.

use std::fs::File;
use std::io;
use std::path::Path;

use rawzip::{FileReader, ReaderAt};

use super::input::Position;
use super::item::{Action, Done, Item, ItemError, ItemSender, Stopped};
use super::overrides::Overrides;
use super::web_archive::{self, Place};
use crate::ingest::wacz::{Wacz, WaczError, ZIP_START};

/// A file that says how far it is read.
#[derive(Debug)]
pub(super) struct CountedFile {
    file: FileReader,
    position: Position,
}

impl ReaderAt for CountedFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.file.read_at(into, offset)?;
        self.position.set(offset + read as u64);
        Ok(read)
    }
}

/// A WACZ in a file.
pub(super) struct WaczFile {
    wacz: Wacz<CountedFile>,
    position: Position,
}

/// Opens a WACZ of `bytes` bytes.
pub(super) fn open(path: &Path, bytes: u64) -> Result<WaczFile, WaczError> {
    let position = Position::default();
    let file = CountedFile { file: FileReader::from(File::open(path)?), position: position.clone() };
    Ok(WaczFile { wacz: Wacz::open(file, bytes)?, position })
}

/// Whether a file begins as a WACZ does, or has the name of one.
pub(super) fn may_be_wacz(path: &Path, first_bytes: &[u8]) -> bool {
    first_bytes.starts_with(ZIP_START) || path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("wacz"))
}

/// Reads the records of all web archives and sends them on, starting after the first `skip` items. A web archive that is
/// not as the data package says is an item that failed.
pub(super) fn read(
    name: &str,
    file: &WaczFile,
    overrides: &Overrides,
    skip: u64,
    items: &ItemSender,
) -> Result<(), Stopped> {
    let WaczFile { wacz, position } = file;
    let mut count = 0;
    for warc in wacz.warcs() {
        let name = format!("{name}, {}", warc.name);
        let opened = wacz.check(warc).and_then(|()| wacz.read(warc));
        count = match opened {
            Ok(bytes) => {
                let place = Place { name: &name, items: count, position };
                web_archive::read(&place, bytes, overrides, skip, items)?
            }
            Err(error) => {
                let done = Done { items: count + 1, measure: position.get() };
                if done.items > skip {
                    let action = Action::Fail(item_error(error).into());
                    items.send(Item { place: name, action, done }, 0)?;
                }
                done.items
            }
        };
    }
    Ok(())
}

fn item_error(error: WaczError) -> ItemError {
    match error {
        WaczError::Read(error) => ItemError::CutOff(error),
        WaczError::Missing => ItemError::NotPacked(WaczError::Missing),
        other @ (WaczError::NotZip
        | WaczError::Zip(_)
        | WaczError::TooMuch(_)
        | WaczError::Twice(_)
        | WaczError::Name { .. }
        | WaczError::NoPackage { .. }
        | WaczError::Package { .. }
        | WaczError::NoWarc
        | WaczError::NotListed
        | WaczError::DigestKind(_)
        | WaczError::Digest(_)
        | WaczError::Encrypted
        | WaczError::Method(_)) => ItemError::Packed(other),
    }
}
