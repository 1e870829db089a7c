//! Zip files whose entries are stored as they are (PKWARE's APPNOTE.TXT, 4.3), as few ways as possible: no compression, no
//! folders, one fixed time, nothing between the entries.
//!
//! The same entries are always the same bytes, in every version of Dateline, and no other bytes are read as these entries.
//! That is why no library writes them: its next version may write others.

use std::borrow::Cow;

/// What begins the header before an entry.
const LOCAL_HEADER: [u8; 4] = *b"PK\x03\x04";
/// What begins an entry in the directory at the end.
const DIRECTORY_HEADER: [u8; 4] = *b"PK\x01\x02";
/// What begins the end of the directory.
const DIRECTORY_END: [u8; 4] = *b"PK\x05\x06";
/// Version 1.0, which knows stored entries.
const VERSION: u16 = 10;
/// The names are UTF-8.
const FLAGS: u16 = 1 << 11;
/// 1 January 1980, midnight: the zero of the format.
const TIME: [u16; 2] = [0, 1 << 5 | 1];
/// The length of a header before an entry, without the name.
const LOCAL_HEADER_BYTES: usize = 30;

/// A file in a zip file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// Its name, in ASCII and without a folder.
    pub(super) name: Cow<'a, str>,
    /// Its bytes.
    pub(super) data: Cow<'a, [u8]>,
}

impl Entry<'_> {
    /// What both headers of an entry have: from the version that is needed to the length of the name.
    fn description(&self) -> Option<Vec<u8>> {
        let size = u32::try_from(self.data.len()).ok()?;
        let name_bytes = u16::try_from(self.name.len()).ok()?;
        let mut bytes = Vec::new();
        for number in [VERSION, FLAGS, 0].into_iter().chain(TIME) {
            bytes.extend(number.to_le_bytes());
        }
        for number in [crc32fast::hash(&self.data), size, size] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(name_bytes.to_le_bytes());
        Some(bytes)
    }
}

/// Writes entries in this order; `None` if they do not fit into 4 GiB.
pub(super) fn write(entries: &[Entry<'_>]) -> Option<Vec<u8>> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let (offset, description) = (u32::try_from(file.len()).ok()?, entry.description()?);
        file.extend(LOCAL_HEADER);
        file.extend(&description);
        // The length of the extra field.
        file.extend([0; 2]);
        file.extend(entry.name.as_bytes());
        file.extend(&*entry.data);

        directory.extend(DIRECTORY_HEADER);
        directory.extend(VERSION.to_le_bytes());
        directory.extend(description);
        // The lengths of the extra field and of the comment, the number of the disk, and the attributes.
        directory.extend([0; 12]);
        directory.extend(offset.to_le_bytes());
        directory.extend(entry.name.as_bytes());
    }
    let (offset, count) = (u32::try_from(file.len()).ok()?, u16::try_from(entries.len()).ok()?);
    let size = u32::try_from(directory.len()).ok()?;
    file.append(&mut directory);
    file.extend(DIRECTORY_END);
    // The numbers of two disks.
    file.extend([0; 4]);
    file.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    file.extend([size.to_le_bytes(), offset.to_le_bytes()].concat());
    // The length of the comment.
    file.extend([0; 2]);
    Some(file)
}

/// Reads the entries of a file that [`write()`] has written; `None` if it differs from that in any byte.
pub(super) fn read(file: &[u8]) -> Option<Vec<Entry<'_>>> {
    let (mut rest, mut entries) = (file, Vec::new());
    while rest.starts_with(&LOCAL_HEADER) {
        let (header, after) = rest.split_at_checked(LOCAL_HEADER_BYTES)?;
        let size = u32::from_le_bytes(header.get(18..22)?.try_into().ok()?);
        let name_bytes = u16::from_le_bytes(header.get(26..28)?.try_into().ok()?);
        let (name, after) = after.split_at_checked(name_bytes.into())?;
        let (data, after) = after.split_at_checked(usize::try_from(size).ok()?)?;
        let name = std::str::from_utf8(name).ok()?;
        entries.push(Entry { name: Cow::Borrowed(name), data: Cow::Borrowed(data) });
        rest = after;
    }
    // This covers all that was not looked at: checksums, the directory, and what is between or after them.
    (write(&entries)? == file).then_some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &'static str, data: &'static [u8]) -> Entry<'static> {
        Entry { name: name.into(), data: data.into() }
    }

    #[test]
    fn entries_are_read_as_they_were_written() {
        for entries in [vec![], vec![entry("a", b"")], vec![entry("a.txt", b"text"), entry("b", b"PK\x03\x04\x00")]] {
            assert_eq!(read(&write(&entries).unwrap()), Some(entries));
        }
    }

    #[test]
    fn a_file_that_differs_in_any_byte_is_not_read() {
        let file = write(&[entry("a.txt", b"text"), entry("b", b"other text")]).unwrap();
        for at in 0..file.len() {
            for flipped in 1..=255 {
                let mut altered = file.clone();
                altered[at] ^= flipped;
                // The byte of a name is not checked here: the entry then has another name.
                let is_renamed = read(&altered).is_some_and(|entries| {
                    let names: Vec<_> = entries.iter().map(|entry| &*entry.name).collect();
                    names != ["a.txt", "b"]
                });
                assert!(read(&altered).is_none() || is_renamed, "byte {at}");
            }
            assert!(read(&file[..at]).is_none(), "cut at {at}");
        }
        assert!(read(&[&file[..], b"\0"].concat()).is_none());
    }
}
