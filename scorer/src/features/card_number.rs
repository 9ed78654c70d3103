//! Finds primary account numbers in texts, so that none is ever processed: PCI DSS forbids to store or show them.

/// Digits of a primary account number (ISO/IEC 7812).
const LENGTHS: std::ops::RangeInclusive<usize> = 13..=19;

/// Whether `text` holds a run of 13 to 19 digits, also in groups parted by a blank or a hyphen, with a right check digit
/// (Luhn, ISO/IEC 7812-1 annex B).
pub fn is_in(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() < *LENGTHS.start() {
        return false;
    }
    let (mut run, mut length) = ([0_u8; 19], 0);
    let mut parted = false;
    for &byte in bytes {
        match byte {
            b'0'..=b'9' => {
                if length < run.len() {
                    run[length] = byte - b'0';
                }
                length += 1;
                parted = false;
            }
            b' ' | b'-' if length > 0 && !parted => parted = true,
            _ => {
                if is_number(&run, length) {
                    return true;
                }
                (length, parted) = (0, false);
            }
        }
    }
    is_number(&run, length)
}

fn is_number(run: &[u8], length: usize) -> bool {
    LENGTHS.contains(&length) && luhn(&run[..length])
}

fn luhn(digits: &[u8]) -> bool {
    let doubled = |digit: u8| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let places = digits.iter().rev().enumerate();
    let sum: u32 = places
        .map(|(place, &digit)| u32::from(if place % 2 == 1 { doubled(digit) } else { digit }))
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn test_numbers_of_the_card_schemes_are_found() {
        for text in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "378282246310005",
            "6011111111111117",
            "4222222222222",
            "card 5555555555554444, thanks",
            "30569309025904",
        ] {
            assert!(is_in(text), "{text}");
        }
    }

    #[test]
    fn other_texts_are_not() {
        for text in [
            "",
            "4111111111111112",
            "411111111111111",
            "2018-04-01T00:00:31.123456789",
            "41111111111111110000",
            "4111  1111  1111  1111",
            "hello world, this is a text",
        ] {
            assert!(!is_in(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_right_check_digit_is_found_and_a_wrong_one_is_not(digits in proptest::collection::vec(0_u8..10, 12..=18)) {
            let right = (0..10).find(|check| { let mut all = digits.clone(); all.push(*check); luhn(&all) }).unwrap();
            let text = |check: u8| digits.iter().chain([&check]).map(|d| char::from(b'0' + d)).collect::<String>();
            prop_assert!(is_in(&text(right)));
            prop_assert!(!is_in(&text((right + 1) % 10)));
        }

        #[test]
        fn any_text_is_looked_at_without_a_panic(text in ".{0,80}") {
            is_in(&text);
        }
    }
}
