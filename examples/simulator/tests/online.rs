//! The full world, replayed as a feature store sees it: the model's inputs equal those of the table.

use fraudops_simulator::{
    Features, Settings, Simulation,
    feed::{Feed, Period},
    labels::{LabelDelay, Labels},
};

#[test]
fn a_day_replayed_online_equals_the_table() {
    let simulation = Simulation::new(Settings::default()).expect("the defaults are valid");
    let settings = simulation.settings();
    let rows = simulation.run();
    let features = Features::compute(&rows, settings);
    let labels = Labels::new(LabelDelay::default(), settings.seed).expect("the defaults are valid");
    let day = Period::new(120, Some(121), settings.days).expect("the day is there");
    let mut compared = 0;
    let mut risky = 0;
    for step in Feed::new(rows, settings, labels, day) {
        let row = step.transaction.row as usize;
        assert_eq!(
            step.transaction.customer_windows, features.customer[row],
            "row {row}"
        );
        assert_eq!(
            step.transaction.terminal_windows, features.terminal[row],
            "row {row}"
        );
        compared += 1;
        risky += u32::from(step.transaction.terminal_windows[2].sum > 0);
    }
    assert!(compared > 9_000, "{compared}");
    assert!(risky > 100, "{risky} rows at terminals with known frauds");
}
