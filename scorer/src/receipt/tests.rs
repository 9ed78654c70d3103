use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const NOW: u64 = 1_795_000_000_000;
const DAY: u64 = 24 * 3600 * 1000;

fn scope(model: &str) -> Scope {
    Scope {
        namespace: "payments".to_owned(),
        model: model.to_owned(),
    }
}

fn write_key(dir: &Path, id: &str, byte: u8) {
    fs::write(dir.join(id), STANDARD.encode([byte; 32])).unwrap();
}

fn sealer() -> (TempDir, Sealer) {
    let dir = tempfile::tempdir().unwrap();
    write_key(dir.path(), "2026-11", 7);
    let sealer = Sealer::from_dir(dir.path(), scope("card-fraud")).unwrap();
    (dir, sealer)
}

fn receipt(features: usize) -> Receipt<'static> {
    Receipt {
        row: Cow::Owned((0..features).map(|i| i as f32 * 12.5).collect()),
        score: Some(0.125),
        version: "00c0ffee".parse().unwrap(),
        decision: Decision::Review,
        time: NOW,
        transaction: Some(4_111_111_111_111_111),
        customer: 596,
    }
}

fn same(a: &Receipt<'_>, b: &Receipt<'_>) -> bool {
    let bits = |r: &Receipt<'_>| r.row.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    bits(a) == bits(b)
        && a.score.map(f32::to_bits) == b.score.map(f32::to_bits)
        && (a.version, a.decision, a.time, a.transaction, a.customer)
            == (b.version, b.decision, b.time, b.transaction, b.customer)
}

#[test]
fn fifteen_features_are_194_characters() {
    let (_dir, sealer) = sealer();
    let text = sealer.seal(&receipt(15));
    // 1 format + 4 FraudModel + 4 key + 24 nonce + 36 fixed + 15 · 4 features + 16 tag = 145 bytes.
    assert_eq!(text.len(), (145_usize * 4).div_ceil(3));
    assert_eq!(text.len(), 194);
    assert!(text.len() <= 250);
    assert!(
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    );
}

#[test]
fn nothing_of_a_receipt_is_in_its_text_or_its_debug_output() {
    let (_dir, sealer) = sealer();
    let one = receipt(15);
    assert_ne!(
        sealer.seal(&one),
        sealer.seal(&one),
        "the same receipt twice is two texts"
    );
    let shown = format!("{one:?} {sealer:?}");
    for secret in ["4111111111111111", "596", "12.5", "0.125"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("2026-11") && shown.contains("00c0ffee"), "{shown}");
}

#[test]
fn a_rotated_key_still_opens_and_a_removed_one_does_not() {
    let (dir, sealer) = sealer();
    let old = sealer.seal(&receipt(2));
    assert!(!sealer.reload().unwrap());
    write_key(dir.path(), "2026-12", 8);
    assert!(sealer.reload().unwrap());
    assert_eq!(sealer.newest_key(), "2026-12");
    let new = sealer.seal(&receipt(2));
    assert!(sealer.open(&old, NOW).is_ok() && sealer.open(&new, NOW).is_ok());
    fs::remove_file(dir.path().join("2026-11")).unwrap();
    assert!(sealer.reload().unwrap());
    assert_eq!(sealer.open(&old, NOW).unwrap_err(), ReceiptError::UnknownKey);
    assert!(sealer.open(&new, NOW).is_ok());
}

#[test]
fn a_directory_that_became_unusable_leaves_the_keys_as_they_were() {
    let (dir, sealer) = sealer();
    let text = sealer.seal(&receipt(2));
    fs::write(dir.path().join("2026-12"), "c2hvcnQ=").unwrap();
    assert!(sealer.reload().is_err());
    assert!(sealer.open(&text, NOW).is_ok());
    assert_eq!(sealer.newest_key(), "2026-11");
}

#[test]
fn a_secret_as_kubernetes_mounts_it_is_read_and_its_swap_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    for (version, byte) in [("..2026_a", 1), ("..2026_b", 2)] {
        fs::create_dir(dir.path().join(version)).unwrap();
        write_key(&dir.path().join(version), "key", byte);
    }
    symlink("..2026_a", dir.path().join("..data")).unwrap();
    symlink("..data/key", dir.path().join("key")).unwrap();
    let sealer = Sealer::from_dir(dir.path(), scope("card-fraud")).unwrap();
    let before = sealer.seal(&receipt(1));
    symlink("..2026_b", dir.path().join("..tmp")).unwrap();
    fs::rename(dir.path().join("..tmp"), dir.path().join("..data")).unwrap();
    assert!(sealer.reload().unwrap());
    assert_eq!(sealer.open(&before, NOW).unwrap_err(), ReceiptError::Forged);
}

#[test]
fn every_way_to_write_a_key_is_the_same_key() {
    let bytes = [0xfb_u8; 32];
    let standard = STANDARD.encode(bytes);
    let url = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("key"), &standard).unwrap();
    let sealer = Sealer::from_dir(dir.path(), scope("card-fraud")).unwrap();
    for text in [
        format!("{standard}\n"),
        standard.trim_end_matches('=').to_owned(),
        url,
        format!("{standard}\r\n"),
    ] {
        fs::write(dir.path().join("key"), text).unwrap();
        assert!(!sealer.reload().unwrap());
    }
}

#[test]
fn an_unusable_key_is_named_and_never_shown() {
    let long = STANDARD.encode([9_u8; 33]);
    for (content, problem) in [
        ("not base64 at all!", "it is not base64"),
        ("c2VjcmV0", "it holds 6 bytes"),
        (long.as_str(), "it holds 33 bytes"),
        ("", "it holds 0 bytes"),
        (&"A".repeat(300), "it has 300 bytes"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("k1"), content).unwrap();
        let error = Sealer::from_dir(dir.path(), scope("m")).unwrap_err().to_string();
        assert!(error.contains(problem) && error.contains("/k1"), "{error}");
        assert!(content.is_empty() || !error.contains(content), "{error}");
    }
    let empty = tempfile::tempdir().unwrap();
    let error = Sealer::from_dir(empty.path(), scope("m")).unwrap_err();
    assert!(matches!(error, KeyError::Empty(_)), "{error}");
    let error = Sealer::from_dir(&empty.path().join("no"), scope("m")).unwrap_err();
    assert!(matches!(error, KeyError::Directory { .. }), "{error}");
}

#[test]
fn a_receipt_of_another_fraud_model_is_foreign_whatever_the_key() {
    let (dir, ours) = sealer();
    let elsewhere = Scope {
        namespace: "other".to_owned(),
        ..scope("card-fraud")
    };
    for other in [scope("card-fraud-2"), elsewhere] {
        let theirs = Sealer::from_dir(dir.path(), other).unwrap();
        assert_eq!(
            ours.open(&theirs.seal(&receipt(3)), NOW).unwrap_err(),
            ReceiptError::Foreign
        );
        // Relabelled as ours it is no better: namespace and name are authenticated.
        let decode = |text: &str| {
            base64::engine::general_purpose::URL_SAFE_NO_PAD
                .decode(text)
                .unwrap()
        };
        let mut bytes = decode(&theirs.seal(&receipt(3)));
        bytes[1..5].copy_from_slice(&decode(&ours.seal(&receipt(3)))[1..5]);
        let relabelled = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        assert_eq!(ours.open(&relabelled, NOW).unwrap_err(), ReceiptError::Forged);
    }
}

#[test]
fn a_key_under_another_name_is_another_key() {
    let (dir, sealer) = sealer();
    let text = sealer.seal(&receipt(1));
    fs::rename(dir.path().join("2026-11"), dir.path().join("2026-10")).unwrap();
    assert!(sealer.reload().unwrap());
    assert_eq!(sealer.open(&text, NOW).unwrap_err(), ReceiptError::UnknownKey);
}

#[test]
fn age_is_bounded_on_both_sides() {
    let (_dir, sealer) = sealer();
    let text = sealer.seal(&receipt(1));
    for (now, expected) in [
        (NOW, None),
        (NOW + 180 * DAY, None),
        (NOW + 180 * DAY + 1, Some(ReceiptError::Expired)),
        (NOW - 300_000, None),
        (NOW - 300_001, Some(ReceiptError::FromFuture)),
        (0, Some(ReceiptError::FromFuture)),
        (u64::MAX, Some(ReceiptError::Expired)),
    ] {
        assert_eq!(sealer.open(&text, now).err(), expected, "{now}");
    }
    let short = sealer.with_max_age(Duration::from_secs(60));
    assert_eq!(
        short.open(&text, NOW + 60_001).unwrap_err(),
        ReceiptError::Expired
    );
}

#[test]
fn what_is_no_receipt_is_malformed() {
    let (_dir, sealer) = sealer();
    let good = sealer.seal(&receipt(15));
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(&good)
        .unwrap();
    let mut other_format = bytes.clone();
    other_format[0] = 2;
    let other_format = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(other_format);
    let padded = format!("{good}==");
    let huge = "A".repeat(1 << 20);
    for text in [
        "",
        "A",
        "hello world",
        "é",
        &good[..60],
        &padded,
        &huge,
        &other_format,
    ] {
        assert_eq!(
            sealer.open(text, NOW).unwrap_err(),
            ReceiptError::Malformed,
            "{}",
            text.len()
        );
    }
}

#[test]
fn version_hashes_are_eight_lower_case_hex_digits() {
    let hash: VersionHash = "0a1b2c3d".parse().unwrap();
    assert_eq!(
        (hash.to_string().as_str(), hash.bytes()),
        ("0a1b2c3d", [10, 27, 44, 61])
    );
    for wrong in ["", "0A1B2C3D", "0a1b2c3", "0a1b2c3d4", "+a1b2c3d", "zzzzzzzz"] {
        assert!(wrong.parse::<VersionHash>().is_err(), "{wrong}");
    }
}

fn any_receipt() -> impl Strategy<Value = Receipt<'static>> {
    let row = prop::collection::vec(any::<u32>().prop_map(f32::from_bits), 0..40);
    let head = (
        any::<Option<u32>>(),
        any::<u32>(),
        0_usize..3,
        any::<Option<i64>>(),
        any::<i64>(),
    );
    (row, head, NOW - DAY..NOW).prop_map(|(row, (score, version, decision, transaction, customer), time)| {
        Receipt {
            row: Cow::Owned(row),
            score: score.map(f32::from_bits),
            version: VersionHash(version.to_be_bytes()),
            decision: Decision::ALL[decision],
            time,
            transaction,
            customer,
        }
    })
}

proptest! {
    #[test]
    fn what_was_sealed_is_what_is_opened(one in any_receipt()) {
        let (_dir, sealer) = sealer();
        let (_, opened) = sealer.open(&sealer.seal(&one), NOW).unwrap();
        prop_assert!(same(&one, &opened));
    }

    #[test]
    fn any_flipped_bit_is_found(one in any_receipt(), at in any::<prop::sample::Index>()) {
        let (_dir, sealer) = sealer();
        let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let mut bytes = engine.decode(sealer.seal(&one)).unwrap();
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(sealer.open(&engine.encode(bytes), NOW).is_err());
    }

    #[test]
    fn any_other_character_is_found(at in any::<prop::sample::Index>(), other in any::<char>()) {
        let (_dir, sealer) = sealer();
        let mut text: Vec<char> = sealer.seal(&receipt(15)).chars().collect();
        let index = at.index(text.len());
        prop_assume!(text[index] != other);
        text[index] = other;
        prop_assert!(sealer.open(&text.into_iter().collect::<String>(), NOW).is_err());
    }

    #[test]
    fn no_text_panics(text in ".{0,300}") {
        let (_dir, sealer) = sealer();
        prop_assert!(sealer.open(&text, NOW).is_err());
    }

    #[test]
    fn no_sealed_content_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(decoded) = layout::decode(&bytes) {
            prop_assert_eq!(layout::length(decoded.row.len()), bytes.len());
        }
    }
}
