//! The limits on what a client may write. Exceeding one is an error that names the limit.

/// The configurable limits on input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The size of one content, over all fields and blocks, as `Content::encoded_bytes` counts it. Default 1 MiB.
    pub content_bytes_max: usize,
    /// The size of one kept original, in bytes. Default 8 MiB.
    pub original_bytes_max: usize,
    /// The length of one URL, in bytes. Default 4 KiB.
    pub url_bytes_max: usize,
    /// The number of URLs in one request besides the canonical one. Default 16.
    pub urls_max: usize,
    /// The number of items in one atomic batch. Default, and greatest value, 256.
    pub batch_items_max: usize,
    /// The total size of the contents and originals in one atomic batch, in bytes. Default 16 MiB.
    pub batch_bytes_max: usize,
    /// The number of labels of one article. Default 64.
    pub labels_max: usize,
    /// The number of items on one page of a list. Default 1,000.
    pub page_size_max: usize,
}

impl Limits {
    /// The maximum number of durable subscriptions of an archive.
    pub const SUBSCRIPTIONS_MAX: usize = 10_000;
    /// The maximum number of webhooks of an archive. Each has at most one message on its way, of about 1 MiB.
    pub const WEBHOOKS_MAX: usize = 100;
    /// The length of the URL of a webhook, in bytes.
    pub const WEBHOOK_URL_BYTES_MAX: usize = 2_048;
    /// The maximum number of keys that sign the messages of one webhook.
    pub const WEBHOOK_KEYS_MAX: usize = 4;
    /// The maximum number of revisions that one request to destroy texts names.
    pub const EXPUNGED_REVISIONS_MAX: usize = 1_000;
    /// The most sources that one token is granted.
    pub const GRANTED_SOURCES_MAX: usize = 64;
    /// The maximum number of parked changes of one durable subscription.
    pub const PARKED_MAX: usize = 1_000;
    /// The maximum number of parked changes of all durable subscriptions. They are kept in memory.
    pub const PARKED_TOTAL_MAX: usize = 100_000;
    /// The length of the reason given with a parked change, in bytes.
    pub const PARK_REASON_BYTES_MAX: usize = 512;
    /// How many moves with a request id a durable subscription remembers.
    pub const MOVES_REMEMBERED: usize = 16;
    /// The greatest number of changes in one commit, and therefore in one atomic batch.
    pub const COMMIT_CHANGES_MAX: usize = 256;
    /// The greatest value of `content_bytes_max`. A complete article with the maximum number of URLs then stays below
    /// the 4 MiB that gRPC clients accept by default.
    pub const CONTENT_BYTES_CEILING: usize = 3 << 19;
    /// The number of blocks in one content, of items in one list of it, of its bylines, and of its keywords.
    pub const BLOCKS_MAX: usize = 20_000;
    /// The number of URLs that lead to one article.
    pub const ARTICLE_URLS_MAX: u32 = 256;
    /// How often one URL may end or lead to another article, before it cannot be moved any more.
    pub const URL_CHANGES_MAX: usize = 1_024;
    /// The length of a source id, article id, label, language tag or request id, in bytes.
    pub const NAME_BYTES_MAX: usize = 128;
    /// The length of the reason given with a state change or with labels, in bytes.
    pub const REASON_BYTES_MAX: usize = 1024;
    /// How many absences in a row a writer may require at most, before the article counts as gone.
    pub const GONE_AFTER_MAX: u32 = 1_000;
    /// The length of an `ETag` header, in bytes.
    pub const ETAG_BYTES_MAX: usize = 1024;
    /// The length of a `Last-Modified` header, in bytes.
    pub const LAST_MODIFIED_BYTES_MAX: usize = 128;
    /// The longest time within which sightings can be coalesced, in seconds: 10,000 years of 365.25 days.
    pub const COALESCE_SECONDS_MAX: u64 = 315_576_000_000;
    /// How far an observe time may be ahead of the server's clock, in microseconds: one minute.
    pub const AHEAD_MICROS_MAX: i64 = 60_000_000;
}

impl Limits {
    /// The greatest value of each limit.
    pub const GREATEST: Self = Self {
        content_bytes_max: Self::CONTENT_BYTES_CEILING,
        original_bytes_max: 256 << 20,
        url_bytes_max: 4 << 10,
        urls_max: 256,
        batch_items_max: Self::COMMIT_CHANGES_MAX,
        batch_bytes_max: 256 << 20,
        labels_max: 256,
        page_size_max: 10_000,
    };

    /// These limits, each lowered to its greatest value.
    #[must_use]
    pub fn capped(self) -> Self {
        let most = Self::GREATEST;
        Self {
            content_bytes_max: self.content_bytes_max.min(most.content_bytes_max),
            original_bytes_max: self.original_bytes_max.min(most.original_bytes_max),
            url_bytes_max: self.url_bytes_max.min(most.url_bytes_max),
            urls_max: self.urls_max.min(most.urls_max),
            batch_items_max: self.batch_items_max.min(most.batch_items_max),
            batch_bytes_max: self.batch_bytes_max.min(most.batch_bytes_max),
            labels_max: self.labels_max.min(most.labels_max),
            page_size_max: self.page_size_max.min(most.page_size_max),
        }
    }
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
