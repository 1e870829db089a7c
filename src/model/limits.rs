//! The limits of what a writer may send. Each can be configured, and each is answered with a clear error.

/// Limits on input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Text of one content, all fields and blocks together, in bytes of UTF-8. Default 1 MiB.
    pub content_bytes_max: usize,
    /// One kept original, in bytes. Default 8 MiB.
    pub original_bytes_max: usize,
    /// One URL, in bytes. Default 4 KiB.
    pub url_bytes_max: usize,
    /// URLs of one request, beside the canonical one. Default 16.
    pub urls_max: usize,
    /// Items of one atomic batch. Default, and greatest value, 256.
    pub batch_items_max: usize,
    /// Contents and originals of one atomic batch together, in bytes. Default 16 MiB.
    pub batch_bytes_max: usize,
    /// Labels of one content. Default 64.
    pub labels_max: usize,
    /// Items of one page of a list. Default 1,000.
    pub page_size_max: usize,
}

impl Limits {
    /// The greatest number of changes in one commit, and so the most that an atomic batch can hold.
    pub const COMMIT_CHANGES_MAX: usize = 256;
    /// The greatest value of `content_bytes_max`: an article whole, with as many URLs as may lead to it, then has less than the
    /// 4 MiB that gRPC clients take by default.
    pub const CONTENT_BYTES_CEILING: usize = 3 << 19;
    /// Blocks of one content.
    pub const BLOCKS_MAX: usize = 20_000;
    /// URLs that lead to one article.
    pub const ARTICLE_URLS_MAX: u32 = 256;
    /// A source id, article id, label, language tag or request id, in bytes.
    pub const NAME_BYTES_MAX: usize = 128;
    /// The reason given with a mark, in bytes.
    pub const REASON_BYTES_MAX: usize = 1024;
    /// An `ETag` header, in bytes.
    pub const ETAG_BYTES_MAX: usize = 1024;
    /// A `Last-Modified` header, in bytes.
    pub const LAST_MODIFIED_BYTES_MAX: usize = 128;
    /// How far ahead of the clock an observe time may lie, in microseconds: one minute.
    pub const AHEAD_MICROS_MAX: i64 = 60_000_000;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            content_bytes_max: 1 << 20,
            original_bytes_max: 8 << 20,
            url_bytes_max: 4 << 10,
            urls_max: 16,
            batch_items_max: Self::COMMIT_CHANGES_MAX,
            batch_bytes_max: 16 << 20,
            labels_max: 64,
            page_size_max: 1_000,
        }
    }
}
