//! The text that explains an evidence file to readers who have never heard of Dateline.

use super::facts::{Facts, hex, time};
use super::{TimeStampFile, name, time_stamp_name};
use crate::model::unseen::visible;

/// The first line of the text, with the version of the format.
pub(super) const FIRST_LINE: &str = "Evidence of an archived article, version 1";

/// What is in an evidence file besides what the proof says.
pub(super) struct Parts<'a> {
    pub(super) key: String,
    /// The names in front of the signatures of the checkpoint.
    pub(super) signers: Vec<&'a str>,
    pub(super) has_headers: bool,
    pub(super) original: Option<[u8; 32]>,
    pub(super) time_stamps: &'a [TimeStampFile],
}

/// Writes the text.
pub(super) fn write(facts: &Facts<'_>, parts: &Parts<'_>) -> String {
    let mut text = format!("{FIRST_LINE}\n{}\n\n", "=".repeat(FIRST_LINE.len()));
    text.push_str(&summary(facts));
    text.push_str("\nWhat is proved\n--------------\n\n");
    text.push_str(match facts.content {
        Some(_) => PROVED,
        None => PROVED_WITHOUT_TEXT,
    });
    text.push_str(NOT_PROVED);
    text.push_str(CHECK);
    text.push_str(&format!("    {}\n", parts.key));
    if !parts.time_stamps.is_empty() {
        text.push_str(CHECK_TIME_STAMP);
    }
    let others: Vec<_> = parts.signers.iter().filter(|signer| **signer != facts.checkpoint.origin).collect();
    if !others.is_empty() {
        text.push_str(
            "\nThe checkpoint also has signatures under these names. Check each with the key of its owner\n(dateline evidence --check FILE.zip --key KEY --witness KEY-OF-THE-OWNER):\n\n",
        );
        others.iter().for_each(|signer| text.push_str(&format!("    {}\n", visible(signer))));
    }
    text.push_str(&files(facts, parts));
    text
}

fn summary(facts: &Facts<'_>) -> String {
    format!(
        "Article:   {}\nRevision:  {}\nObserved:  {}\nArchived:  {}\nLog:       {}\n",
        visible(&facts.article()),
        facts.shown.revision(),
        time(facts.shown.observe_time()),
        time(facts.shown.archive_time()),
        visible(&facts.checkpoint.origin),
    )
}

const PROVED: &str = "\
The archive that signs as the log above had this revision of the article in its log when
it signed the file checkpoint.txt, and nothing of it was altered since: not the text, not
the times, not its place among all other changes, not the bytes of the original if there
is one. If any of that were altered, the check below would fail.
";

const PROVED_WITHOUT_TEXT: &str = "\
The archive that signs as the log above had a revision of an article in its log when it
signed the file checkpoint.txt, and neither its times nor its place among all other changes
were altered since. The text is not shown: the archive has destroyed it, for example by
order of a court, or it was withheld. An evidence file that was written before shows the
same position in the log if it is about the same revision, and still proves what it says.
";

const NOT_PROVED: &str = "
What is not proved
------------------

- That the publisher's page said this. An archive can record anything. What speaks for it is
  the archive's good name, and what other archives have recorded.
- That the times are true. They are those that the archive stated when it recorded the
  revision; the signature shows that they are the same today. Only a time stamp by another
  party shows that all this existed by then.
- That the archive shows the same log to everybody. Signatures of others on the checkpoint,
  and checkpoints that others have kept, show that.
- What a publisher claims about its article, such as when it was published: it is proved
  that the article had this claim, and not that the claim is true.
";

const CHECK: &str = "
How to check it
---------------

You need the verifier key of the archive. Ask the archive for it, by a way that you trust.
The key in this file is not enough: a forger would put a key of their own into it.

With Dateline, on the file as you got it:

    dateline evidence --check FILE.zip --key KEY

Without Dateline, unpack the file into an empty folder. With Python 3.11 or newer, and its
package cryptography (pip install cryptography), run in that folder:

    python3 verify_proof.py . KEY

The program is short, so that an expert can read all of it. It is also part of Dateline's
source code: compare the two, or write your own from Dateline's docs/PROOF.md.

The key in this file is the following. Compare it with the one that you got from the archive:

";

const CHECK_TIME_STAMP: &str = "
The time stamps are by the authorities named in them, over the file checkpoint.txt. Get the
authority's certificates from the authority, and use OpenSSL:

    openssl ts -verify -data checkpoint.txt -in timestamp-1.tsr -CAfile CERTIFICATES.pem
    openssl ts -reply -in timestamp-1.tsr -text
";

/// The list of the files, each with what it is.
fn files(facts: &Facts<'_>, parts: &Parts<'_>) -> String {
    let mut list = "\nThe files\n---------\n\n".to_owned();
    let mut file = |name: &str, what: &str| list.push_str(&format!("{name}\n    {what}\n"));
    file(name::CHECKPOINT, "What the archive has signed: the state of its log.");
    if facts.content.is_some() {
        file(name::CONTENT, "The article's text and data, for programs.");
    }
    if parts.has_headers {
        file(name::HEADERS, "Where the page was fetched, and with which HTTP headers.");
    }
    file(name::KEY, "The verifier key, as this file has it.");
    if let Some(digest) = parts.original {
        let digest = hex(digest);
        let what = format!(
            "The page as it was fetched, byte for byte. Look at it with a text editor, since a\n    browser would run its \
             scripts. SHA-256:\n    {digest}"
        );
        file(name::ORIGINAL, &what);
    }
    file(name::PAGE, "The revision for reading and printing, in any browser.");
    file(name::PROOF, "What was recorded, and how it leads to the checkpoint: a C2SP tlog-proof.");
    for (number, stamp) in (1..).zip(parts.time_stamps) {
        let what = format!("A time stamp of the checkpoint (RFC 3161), which states the time {}.", stamp.time);
        file(&time_stamp_name(number), &what);
    }
    file(name::VERIFIER, "The program that checks all of this.");
    list
}
