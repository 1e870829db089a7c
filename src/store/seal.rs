//! Sealed values: each value in the database ends in a CRC-32C over its key and its payload.
//!
//! The checksum includes the key, so that a value that appears under another key is detected too.

use super::StoreError;

const CHECKSUM_BYTES: usize = 4;

/// Appends the checksum for `key` to `payload`.
pub fn seal(key: &[u8], mut payload: Vec<u8>) -> Vec<u8> {
    let checksum = checksum(key, &payload);
    payload.extend_from_slice(&checksum);
    payload
}

/// The payload of `value`. Fails with [`StoreError::Damaged`] if the checksum does not match.
pub fn unseal<'a>(key: &[u8], value: &'a [u8]) -> Result<&'a [u8], StoreError> {
    let payload_bytes =
        value.len().checked_sub(CHECKSUM_BYTES).ok_or_else(|| StoreError::damaged(key, "a value is cut short"))?;
    let (payload, stored) = value.split_at(payload_bytes);
    if checksum(key, payload) != stored {
        return Err(StoreError::damaged(key, "a checksum does not match"));
    }
    Ok(payload)
}

fn checksum(key: &[u8], payload: &[u8]) -> [u8; CHECKSUM_BYTES] {
    crc32c::crc32c_append(crc32c::crc32c(key), payload).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_other_key_is_detected() {
        let sealed = seal(b"key", b"value".to_vec());
        assert_eq!(unseal(b"key", &sealed).unwrap(), b"value");
        assert!(unseal(b"kez", &sealed).is_err());
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal(b"key", &flipped).is_err(), "bit {bit}");
        }
        assert!(unseal(b"key", b"abc").is_err());
    }
}
