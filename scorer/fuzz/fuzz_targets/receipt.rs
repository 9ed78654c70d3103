//! Any text as a receipt: never a panic, nothing opens that was not sealed, and what was sealed comes back as it was.

#![no_main]

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use fraudops_scorer::{decision::Decision, receipt::Receipt};
use fraudops_scorer_fuzz::{NOW, SEALER};
use libfuzzer_sys::fuzz_target;

const DAY: u64 = 24 * 3600 * 1000;
/// Bytes in front of the nonce, the same in all receipts of one key.
const PUBLIC: usize = 9;

fuzz_target!(|input: &[u8]| {
    assert!(SEALER.open(&String::from_utf8_lossy(input), NOW).is_err());

    let mut bytes = Bytes(input);
    let receipt = receipt(&mut bytes);
    let sealed = SEALER.seal(&receipt);
    let (id, opened) = SEALER.open(&sealed, NOW).expect("what was sealed is opened");
    assert!(is_same(&receipt, &opened));
    assert_eq!(SEALER.open(&sealed, NOW).map(|(again, _)| again), Ok(id));
    // Too old or too early it may be, and no more than that.
    let _ = SEALER.open(&sealed, u64::from_le_bytes(bytes.take()));

    let damaged = damage(&sealed, &mut bytes);
    if damaged != sealed {
        assert!(SEALER.open(&damaged, NOW).is_err(), "{sealed} became {damaged}");
    }
    // With the names of the key and of the FraudModel, which are no secrets.
    let mut forged = URL_SAFE_NO_PAD.decode(&sealed).expect("a receipt is base64url");
    forged.truncate(PUBLIC);
    forged.extend_from_slice(input);
    assert!(SEALER.open(&URL_SAFE_NO_PAD.encode(forged), NOW).is_err());
});

/// What is left of the input; at its end zeros follow.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut taken = [0; N];
        let (these, rest) = self.0.split_at(N.min(self.0.len()));
        taken[..these.len()].copy_from_slice(these);
        self.0 = rest;
        taken
    }
}

fn receipt(bytes: &mut Bytes<'_>) -> Receipt<'static> {
    let [flags, features] = bytes.take();
    let version = u32::from_le_bytes(bytes.take());
    let time = NOW - u64::from_le_bytes(bytes.take()) % DAY;
    let customer = i64::from_le_bytes(bytes.take());
    let transaction = i64::from_le_bytes(bytes.take());
    let score = f32::from_le_bytes(bytes.take());
    let row: Vec<f32> = (0..features).map(|_| f32::from_le_bytes(bytes.take())).collect();
    Receipt {
        row: Cow::Owned(row),
        score: (flags & 4 != 0).then_some(score),
        version: format!("{version:08x}").parse().expect("eight digits"),
        decision: Decision::ALL[usize::from(flags) % 3],
        time,
        transaction: (flags & 8 != 0).then_some(transaction),
        customer,
    }
}

fn is_same(a: &Receipt<'_>, b: &Receipt<'_>) -> bool {
    let bits = |row: &[f32]| row.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    bits(&a.row) == bits(&b.row)
        && a.score.map(f32::to_bits) == b.score.map(f32::to_bits)
        && (a.version, a.decision, a.time) == (b.version, b.decision, b.time)
        && (a.transaction, a.customer) == (b.transaction, b.customer)
}

/// Up to four changes, each of three bytes of the input: what, where, and by what.
fn damage(sealed: &str, bytes: &mut Bytes<'_>) -> String {
    let mut text = sealed.as_bytes().to_vec();
    let [changes] = bytes.take();
    for _ in 0..changes % 5 {
        let [what, place, value] = bytes.take();
        let place = usize::from(place) % (text.len() + 1);
        match what % 6 {
            0 => text.truncate(place),
            1 => text.insert(place, value),
            2 => text.extend_from_slice(&[value, value]),
            3 => text.rotate_left(place),
            4 => flip(&mut text, place, value),
            _ => {
                if let Some(there) = text.get_mut(place) {
                    *there = value;
                }
            }
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Changes bits of what the text stands for.
fn flip(text: &mut Vec<u8>, place: usize, bits: u8) {
    if let Ok(mut raw) = URL_SAFE_NO_PAD.decode(&*text)
        && !raw.is_empty()
    {
        let place = place % raw.len();
        raw[place] ^= bits;
        *text = URL_SAFE_NO_PAD.encode(raw).into_bytes();
    }
}
