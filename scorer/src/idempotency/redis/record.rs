//! What is stored under a transaction's name: one byte of format, the digest, the answer.

use bytes::Bytes;

use super::Digest;

const FORMAT: u8 = 1;
const HEAD: usize = 17;

/// The stored form.
pub fn encode(Digest(digest): Digest, answer: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + answer.len());
    bytes.push(FORMAT);
    bytes.extend_from_slice(&digest.to_le_bytes());
    bytes.extend_from_slice(answer);
    bytes
}

/// Reads it; none when somebody else wrote it.
pub fn decode(bytes: Vec<u8>) -> Option<(Digest, Bytes)> {
    let head = bytes.first_chunk::<HEAD>()?;
    if head[0] != FORMAT {
        return None;
    }
    let digest: [u8; 16] = head[1..].try_into().ok()?;
    Some((
        Digest(u128::from_le_bytes(digest)),
        Bytes::from(bytes).slice(HEAD..),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_back_and_nothing_else_is() {
        let stored = encode(Digest(77), b"answer");
        assert_eq!(
            decode(stored.clone()),
            Some((Digest(77), Bytes::from_static(b"answer")))
        );
        assert_eq!(decode(encode(Digest(0), b"")), Some((Digest(0), Bytes::new())));
        let mut other = stored;
        other[0] = 2;
        assert_eq!(decode(other), None);
        assert_eq!(decode(vec![FORMAT; 16]), None);
    }
}
