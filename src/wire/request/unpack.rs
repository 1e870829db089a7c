//! Decompresses messages, up to a maximum length.

use std::io::{self, Read};

use flate2::read::GzDecoder;
use http::HeaderMap;

/// The base-2 logarithm of the largest window, in bytes. A zstd frame states its window: how much earlier output the
/// decoder must keep. RFC 8878 requires support for at least 8 MiB. This is 32 MiB, more than the longest message, so
/// that every frame of a valid message can be decoded.
const ZSTD_WINDOW_LOG_MAX: u32 = 25;

/// How messages are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Zstd,
}

/// The beginning of a message, decompressed.
#[derive(Debug)]
pub(super) struct Unpacked {
    pub(super) bytes: Vec<u8>,
    /// Whether this is the whole message.
    pub(super) is_whole: bool,
}

impl Packing {
    /// How a call compresses its messages, if it does. tonic rejects other encodings.
    pub(super) fn of_call(headers: &HeaderMap) -> Option<Self> {
        match headers.get("grpc-encoding")?.as_bytes() {
            b"gzip" => Some(Self::Gzip),
            b"zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Decompresses a message, and stops after `bytes_max` bytes.
    pub(super) fn unpack(self, packed: &[u8], bytes_max: usize) -> io::Result<Unpacked> {
        match self {
            Self::Gzip => read(GzDecoder::new(packed), bytes_max),
            Self::Zstd => {
                let mut decoder = zstd::Decoder::new(packed)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                read(decoder, bytes_max)
            }
        }
    }
}

fn read(decoder: impl Read, bytes_max: usize) -> io::Result<Unpacked> {
    let mut bytes = Vec::new();
    // One byte more than allowed shows that the message is longer.
    decoder.take((bytes_max as u64).saturating_add(1)).read_to_end(&mut bytes)?;
    let is_whole = bytes.len() <= bytes_max;
    bytes.truncate(bytes_max);
    bytes.shrink_to_fit();
    Ok(Unpacked { bytes, is_whole })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::{Duration, Instant};

    use super::*;

    fn packed(bytes: &[u8]) -> [(Packing, Vec<u8>); 2] {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(bytes).unwrap();
        [(Packing::Gzip, gzip.finish().unwrap()), (Packing::Zstd, zstd::encode_all(bytes, 3).unwrap())]
    }

    #[test]
    fn decompression_stops_at_the_requested_length() {
        let bytes = vec![7; 1 << 20];
        for (packing, packed) in packed(&bytes) {
            assert!(packed.len() < 16 << 10);
            let whole = packing.unpack(&packed, bytes.len()).unwrap();
            assert!(whole.is_whole && whole.bytes == bytes, "{packing:?}");
            let cut = packing.unpack(&packed, bytes.len() - 1).unwrap();
            assert!(!cut.is_whole && cut.bytes.len() == bytes.len() - 1, "{packing:?}");
            packing.unpack(&packed[..packed.len() / 2], bytes.len()).unwrap_err();
            packing.unpack(b"neither of the two", bytes.len()).unwrap_err();
        }
    }

    /// The frame requires a window of 128 MiB, which would be allocated for a message of a few bytes.
    #[test]
    fn a_frame_that_needs_more_memory_than_the_longest_message_is_rejected() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(b"short").unwrap();
        encoder.flush().unwrap();
        let packed = encoder.finish().unwrap();
        Packing::Zstd.unpack(&packed, 100).unwrap_err();
    }

    /// Measures the times in docs/RELIABILITY.md.
    #[test]
    #[ignore = "needs a release build: cargo test --release --lib unpack -- --ignored --nocapture"]
    fn the_longest_message_is_unpacked_within_a_second() {
        const BYTES: usize = 17 << 20;
        let mut state = 1_u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        // Words from a vocabulary of 256, with lengths as in English.
        let words: Vec<Vec<u8>> = (0..256).map(|n| (0..3 + n % 8).map(|_| b'a' + noise() % 26).collect()).collect();
        let text: Vec<u8> = std::iter::repeat_with(|| words[usize::from(noise())].iter().copied().chain([b' ']))
            .flatten()
            .take(BYTES)
            .collect();
        for (packing, packed) in packed(&text) {
            let began = Instant::now();
            assert!(packing.unpack(&packed, BYTES).unwrap().is_whole);
            println!("{packing:?}: {BYTES} bytes in {:.0?}", began.elapsed());
            assert!(began.elapsed() < Duration::from_secs(1), "{packing:?}");
        }
    }
}
