//! Names of lists.

/// Words that CEL keeps for itself.
const KEPT: [&str; 4] = ["false", "in", "null", "true"];

/// Whether a condition can say `lists.<name>`, and a directory and a label can have the name.
pub fn is_usable(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !KEPT.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_an_identifier_of_cel() {
        for good in ["a", "blockedCustomers", "a_1", &"a".repeat(63)] {
            assert!(is_usable(good), "{good}");
        }
        for bad in [
            "",
            "1a",
            "_a",
            "a-b",
            "a.b",
            "..data",
            "in",
            "true",
            "ä",
            &"a".repeat(64),
        ] {
            assert!(!is_usable(bad), "{bad}");
        }
    }
}
