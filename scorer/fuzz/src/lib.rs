//! What several fuzz targets share.

use std::{fs, sync::LazyLock};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use fraudops_scorer::receipt::{Scope, Sealer};

/// The time at which receipts are opened, in milliseconds since 1970.
pub const NOW: u64 = 1_795_000_000_000;

/// Seals and opens the receipts of `payments/card-fraud`, by one key.
pub static SEALER: LazyLock<Sealer> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder for the key");
    fs::write(folder.path().join("2026-11"), STANDARD.encode([7; 32])).expect("the key is written");
    let scope = Scope {
        namespace: "payments".to_owned(),
        model: "card-fraud".to_owned(),
    };
    Sealer::from_dir(folder.path(), scope).expect("the key is a good one")
});
