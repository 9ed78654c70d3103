//! The rows follow from the settings alone.

use fraudops_simulator::{Features, Settings, Simulation, Transactions};
use proptest::prelude::*;

fn simulate(settings: &Settings, threads: usize) -> (Transactions, Features) {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("a pool of threads");
    pool.install(|| {
        let rows = Simulation::new(settings.clone()).expect("valid settings").run();
        let features = Features::compute(&rows, settings);
        (rows, features)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn rows_do_not_depend_on_the_number_of_threads(
        seed: u64,
        threads in 2usize..9,
        customers in 1u32..80,
        terminals in 1u32..120,
        days in 1u32..60,
    ) {
        let settings = Settings { customers, terminals, days, seed, radius: 25.0, ..Settings::default() };
        prop_assert_eq!(simulate(&settings, threads), simulate(&settings, 1));
    }
}

#[test]
fn another_seed_gives_other_rows() {
    let settings = Settings {
        customers: 50,
        days: 20,
        ..Settings::default()
    };
    let other = Settings {
        seed: settings.seed + 1,
        ..settings.clone()
    };
    assert_ne!(simulate(&settings, 1).0, simulate(&other, 1).0);
}

#[test]
fn a_customer_does_not_change_when_others_join() {
    let few = Settings {
        customers: 10,
        days: 20,
        ..Settings::default()
    };
    let many = Settings {
        customers: 30,
        ..few.clone()
    };
    let purchases = |settings: &Settings| {
        let rows = simulate(settings, 1).0;
        let of_him = (0..rows.len()).filter(|&row| rows.customer[row] == 7);
        of_him
            .map(|row| (rows.seconds[row], rows.terminal[row]))
            .collect::<Vec<_>>()
    };
    assert!(!purchases(&few).is_empty());
    assert_eq!(purchases(&few), purchases(&many));
}
