//! `X-Request-ID`: the client's, when it is harmless, else one of ours.

use std::cell::Cell;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::features::card_number;

/// The header.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const MAX_LENGTH: usize = 64;

/// Makes ids for one thread: unique in the process, unlikely to collide elsewhere.
pub struct RequestIds {
    state: Cell<u64>,
}

impl RequestIds {
    /// Different seeds give different ids.
    pub fn new(seed: u64) -> Self {
        Self {
            state: Cell::new(seed),
        }
    }

    /// The id of a request.
    pub fn of(&self, headers: &HeaderMap) -> HeaderValue {
        let given = headers
            .get(REQUEST_ID)
            .filter(|value| is_harmless(value.as_bytes()));
        given.cloned().unwrap_or_else(|| self.next())
    }

    fn next(&self) -> HeaderValue {
        // SplitMix64: one addition and two multiplications, a full period.
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let id = mixed ^ (mixed >> 31);
        let mut text = [0_u8; 16];
        for (place, digit) in text.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(id >> (60 - 4 * place)) as usize & 15];
        }
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("0"))
    }
}

fn is_harmless(id: &[u8]) -> bool {
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    (1..=MAX_LENGTH).contains(&id.len()) && id.iter().all(allowed) && !may_be_card_number(id)
}

/// Ids go into logs and traces. UUIDs and other hexadecimal words, in which a run of digits means nothing, stay.
fn may_be_card_number(id: &[u8]) -> bool {
    let hexadecimal = id.iter().all(|b| b.is_ascii_hexdigit() || *b == b'-');
    let word = hexadecimal && id.iter().any(u8::is_ascii_alphabetic);
    !word && std::str::from_utf8(id).is_ok_and(card_number::is_in)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_for(given: &[u8]) -> HeaderValue {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_bytes(given).unwrap());
        RequestIds::new(1).of(&headers)
    }

    #[test]
    fn a_harmless_id_comes_back() {
        for id in ["a", "4f0c-1:2_3.4", &"x".repeat(64)] {
            assert_eq!(id_for(id.as_bytes()), id);
        }
    }

    #[test]
    fn other_ids_are_replaced_by_16_hex_digits() {
        let long = "x".repeat(65);
        for id in [&b""[..], b"a b", b"<script>", b"\xc3\xa9", long.as_bytes()] {
            let ours = id_for(id);
            let ours = ours.to_str().unwrap();
            assert!(
                ours.len() == 16 && ours.bytes().all(|b| b.is_ascii_hexdigit()),
                "{ours}"
            );
        }
    }

    #[test]
    fn an_id_that_may_be_a_card_number_is_replaced_and_a_hexadecimal_one_is_not() {
        for id in [
            "4111111111111111",
            "4111-1111-1111-1111",
            "order-4111111111111111",
            "txn:378282246310005.1",
        ] {
            assert_ne!(id_for(id.as_bytes()), id);
        }
        for id in [
            "4111111111111112",
            "20181795483684007",
            "4111111111111111abcdef0123456789",
            "f4111111-1111-1111-1111-111111111111",
        ] {
            assert_eq!(id_for(id.as_bytes()), id);
        }
    }

    #[test]
    fn ids_do_not_repeat() {
        let ids = RequestIds::new(7);
        let mut seen: Vec<_> = (0..1000)
            .map(|_| ids.of(&HeaderMap::new()).to_str().unwrap().to_owned())
            .collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 1000);
    }
}
