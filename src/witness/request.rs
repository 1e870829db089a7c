//! The request that C2SP's [tlog-witness](https://github.com/C2SP/C2SP/blob/main/tlog-witness.md) defines, and its reply.

use data_encoding::BASE64;

use crate::model::TreeHash;

/// The body of a request to cosign the checkpoint in `note`, for a witness that has cosigned a tree of `old_size`
/// changes before. `consistency` proves that the checkpoint continues that one; it has at most 63 hashes.
pub(super) fn add_checkpoint(old_size: u64, consistency: &[TreeHash], note: &str) -> String {
    let hashes: String = consistency.iter().map(|hash| BASE64.encode(&hash.0) + "\n").collect();
    format!("old {old_size}\n{hashes}\n{note}")
}

/// What a witness answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It cosigned: these are the lines with its signatures.
    Cosigned(String),
    /// The last tree that it cosigned has another size, which is this one.
    HasSize(u64),
    /// It refused.
    Refused(String),
}

impl Answer {
    /// Reads an answer from the status and the body of a reply.
    pub(super) fn read(status: u16, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let size = text.strip_suffix('\n').and_then(|digits| digits.parse().ok());
        match (status, size) {
            (200, _) => Self::Cosigned(text.into_owned()),
            (409, Some(size)) => Self::HasSize(size),
            _ => Self::Refused(refusal(status)),
        }
    }
}

/// What a status means, for the operator.
fn refusal(status: u16) -> String {
    let meaning = match status {
        403 => "it does not trust the key of this log; give it the verifier key",
        404 => "it does not know this log; give it the origin and the verifier key",
        409 => "it has another tree of this size: this log is not the one that it saw before",
        422 => "it does not accept that this log continues the one that it saw before",
        429 | 500.. => "it cannot answer at the moment",
        _ => "it does not accept the request; check its address",
    };
    format!("{meaning} (status {status})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_written_as_the_standard_says() {
        let hashes = [TreeHash([0; 32]), TreeHash([255; 32])];
        let body = add_checkpoint(7, &hashes, "example.org\n9\nAAA=\n\n— example.org AAAA\n");
        let expected = "old 7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\
                        //////////////////////////////////////////8=\n\nexample.org\n9\nAAA=\n\n— example.org AAAA\n";
        assert_eq!(body, expected);
        assert_eq!(add_checkpoint(0, &[], "note\n"), "old 0\n\nnote\n");
    }

    #[test]
    fn an_answer_is_read_by_its_status() {
        assert_eq!(Answer::read(200, "— w AAAA\n".as_bytes()), Answer::Cosigned("— w AAAA\n".to_owned()));
        assert_eq!(Answer::read(409, b"42\n"), Answer::HasSize(42));
        for (status, body) in [(409, "42"), (409, "-1\n"), (409, ""), (404, "42\n"), (302, ""), (599, "\u{1b}[2J")] {
            let Answer::Refused(why) = Answer::read(status, body.as_bytes()) else { panic!("{status} {body}") };
            assert!(why.contains(&status.to_string()) && !why.contains('\u{1b}'), "{why}");
        }
    }
}
