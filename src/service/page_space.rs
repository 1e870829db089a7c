//! Keeps responses within gRPC's default limit of 4 MiB per message.
//!
//! Only this module measures responses. Code that reads the archive for a page has its own rough limit, so that it does
//! not read much more than is sent.

/// The items of a page take at most this many bytes together, unless the first alone takes more.
pub(super) const PAGE_BYTES_MAX: usize = 2 << 20;

/// The framing of an item in its list: a tag, and a length of up to four bytes.
const FRAME_BYTES: usize = 5;

/// The space of a page that is used so far.
#[derive(Debug, Default)]
pub(super) struct PageSpace {
    used_bytes: usize,
}

impl PageSpace {
    /// Takes the space for an item of this size if there is enough. The first item always fits.
    pub(super) fn has(&mut self, item_bytes: usize) -> bool {
        let used_bytes = self.used_bytes.saturating_add(item_bytes + FRAME_BYTES);
        let fits = self.used_bytes == 0 || used_bytes <= PAGE_BYTES_MAX;
        if fits {
            self.used_bytes = used_bytes;
        }
        fits
    }
}

/// Keeps the items that fit, given the size of each. Returns whether any were dropped.
pub(super) fn keep<T>(items: &mut Vec<T>, bytes: impl Fn(&T) -> usize) -> bool {
    let mut space = PageSpace::default();
    let kept = items.iter().take_while(|item| space.has(bytes(item))).count();
    let has_dropped = kept < items.len();
    items.truncate(kept);
    has_dropped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_before_the_item_that_does_not_fit() {
        let mut items = vec![1 << 20, 900_000, 200_000];
        assert!(keep(&mut items, |bytes| *bytes));
        assert_eq!(items.len(), 2);
        assert!(!keep(&mut items, |bytes| *bytes));
        assert_eq!(items.len(), 2);
    }

    #[test]
    fn a_page_has_its_first_item_however_large_that_is() {
        let mut items = vec![3 << 20, 1];
        assert!(keep(&mut items, |bytes| *bytes));
        assert_eq!(items.len(), 1);
        assert!(!keep(&mut Vec::new(), |bytes: &usize| *bytes));
    }
}
