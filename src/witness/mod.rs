//! Asks witnesses to cosign the checkpoints of a log, as C2SP's
//! [tlog-witness](https://github.com/C2SP/C2SP/blob/main/tlog-witness.md) defines.
//!
//! A witness keeps the last checkpoint that it has cosigned, and cosigns another only if that continues it. All readers who
//! require the cosignature of one honest witness therefore see the same log.
//!
//! Each witness is asked when the log has grown, at most every [`Options::every`]. A witness that does not answer delays
//! nothing: the log goes on without its cosignatures, its status says so, and it is asked again later.

mod request;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;
use url::Url;

use self::request::Answer;
use crate::archive::{Archive, ArchiveError};
use crate::fetch::{self, FetchError, Poster};
use crate::model::Seq;
use crate::proof::VerifierKey;
use crate::server::{Signer, Witness};

/// The most bytes of an answer that are read.
const ANSWER_BYTES_MAX: u64 = 16 << 10;

/// Reads a witness as the operator names it: `URL=VKEY`, where the URL is the prefix of its addresses.
pub fn parse(text: &str) -> Result<Witness, String> {
    let wanted = || {
        format!(
            "{text:?} is not a witness; expected its URL, =, and its verifier key for cosignatures, such as \
             https://witness.example/=witness.example+1a2b3c4d+BAd…"
        )
    };
    // A URL and the name of a key may contain the sign, too.
    let parts = text.match_indices('=').find_map(|(at, _)| {
        let (url, key) = (text.get(..at)?, text.get(at + 1..)?);
        Some((url, key.parse::<VerifierKey>().ok()?))
    });
    let (url, key) = parts.filter(|(_, key)| key.is_of_witness()).ok_or_else(wanted)?;
    let url = Url::parse(&format!("{}/add-checkpoint", url.trim_end_matches('/'))).map_err(|_| wanted())?;
    if matches!(url.scheme(), "http" | "https") { Ok(Witness::new(url, key)) } else { Err(wanted()) }
}

/// When witnesses are asked.
#[derive(Clone, Debug)]
pub struct Options {
    /// The time from one request to a witness to the next. Default 60 s.
    pub every: Duration,
    /// The time after a first failure; it doubles with each further one, up to `every`. Default 5 s.
    pub retry_after: Duration,
    /// How long a witness may take to answer. Default 10 s.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { every: Duration::from_secs(60), retry_after: Duration::from_secs(5), timeout: Duration::from_secs(10) }
    }
}

/// Why a witness has not cosigned.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Unreachable(#[from] FetchError),
    #[error("{0}")]
    Refused(String),
    #[error("it has cosigned {size} changes, and this log has {own}: another log signs under the same origin")]
    Ahead { size: u64, own: u64 },
    #[error("it has cosigned another tree of {0} changes: this log is not the one that it saw before")]
    OtherTree(u64),
    #[error("its answer has no cosignature of this checkpoint by its key")]
    NotCosigned,
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// Asks the witnesses of the signer, each at its own pace.
pub async fn run(archive: &Archive, signer: &Signer, options: &Options) -> Infallible {
    let poster = Poster::new(fetch::Options {
        connect_timeout: options.timeout,
        idle_timeout: options.timeout,
        timeout: options.timeout,
        body_bytes_max: ANSWER_BYTES_MAX,
        // The operator named the witnesses.
        allow_private: true,
        ..fetch::Options::default()
    });
    join_all(signer.witnesses().iter().map(|witness| follow(archive, signer, witness, &poster, options))).await;
    std::future::pending().await
}

/// Asks one witness whenever the log has grown.
async fn follow(
    archive: &Archive,
    signer: &Signer,
    witness: &Arc<Witness>,
    poster: &Poster,
    options: &Options,
) -> Infallible {
    let (mut end, mut size, mut failures) = (archive.feed_end(), 0, 0_u32);
    loop {
        end.beyond(Seq(size)).await;
        let pause = match ask(archive, signer, witness, poster, &mut size).await {
            Ok(()) => {
                failures = 0;
                options.every
            }
            Err(error) => {
                witness.failed(&error);
                // It says what it has when it is asked again.
                size = 0;
                failures = failures.saturating_add(1);
                options.retry_after.saturating_mul(1 << (failures - 1).min(16)).min(options.every)
            }
        };
        sleep(pause).await;
    }
}

/// Has a witness cosign the newest checkpoint. `size` is that of the last tree it has cosigned, as far as known.
async fn ask(
    archive: &Archive,
    signer: &Signer,
    witness: &Arc<Witness>,
    poster: &Poster,
    size: &mut u64,
) -> Result<(), AskError> {
    let signed = signer.checkpoint(archive, size.saturating_add(1)).await?;
    let own = signed.checkpoint.size;
    // Twice, because a witness that has another size than expected says which.
    for _ in 0..2 {
        if *size > own {
            return Err(AskError::Ahead { size: *size, own });
        }
        let consistency = match *size {
            0 => Vec::new(),
            size => archive.prove_continuation(archive.tree(), size, own).await?.proof,
        };
        let body = request::add_checkpoint(*size, &consistency, &signed.note.to_string());
        let reply = poster.post(witness.url(), "text/plain; charset=utf-8", body.into_bytes()).await?;
        match Answer::read(reply.status.as_u16(), &reply.body) {
            Answer::Cosigned(lines) => {
                if !signer.cosign(archive, witness, &signed, &lines).await? {
                    return Err(AskError::NotCosigned);
                }
                *size = own;
                return Ok(());
            }
            Answer::HasSize(has) if has == *size => return Err(AskError::OtherTree(has)),
            Answer::HasSize(has) => *size = has,
            Answer::Refused(why) => return Err(AskError::Refused(why)),
        }
    }
    Err(AskError::Refused("the tree that it has cosigned last changes from answer to answer".to_owned()))
}
