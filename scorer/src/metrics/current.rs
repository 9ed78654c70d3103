//! A collector that gives way to another one of its kind.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{Collect, Exposition};

/// Shows whichever collector is the current one: registered once, however often its content is exchanged.
///
/// What the one before had counted is not shown any more.
#[derive(Debug)]
pub struct Current<C>(ArcSwap<C>);

impl<C> Current<C> {
    /// Shows `first`.
    pub fn new(first: Arc<C>) -> Self {
        Self(ArcSwap::new(first))
    }

    /// Shows `next` from now on.
    pub fn set(&self, next: Arc<C>) {
        self.0.store(next);
    }
}

impl<C: Collect> Collect for Current<C> {
    fn collect(&self, out: &mut Exposition) {
        self.0.load_full().collect(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Format, Metrics};

    struct Number(u64);

    impl Collect for Number {
        fn collect(&self, out: &mut Exposition) {
            out.counter("number", "A number.").sample(&[], self.0);
        }
    }

    #[test]
    fn only_the_current_collector_is_shown_and_kept() {
        let metrics = Metrics::new(1);
        let first = Arc::new(Number(1));
        let current = Arc::new(Current::new(Arc::clone(&first)));
        metrics.register(Arc::<Current<Number>>::clone(&current));
        assert!(metrics.expose(Format::Text, true).contains("number_total 1\n"));
        for number in 2..1_000 {
            current.set(Arc::new(Number(number)));
        }
        let page = metrics.expose(Format::Text, true);
        assert_eq!(page.matches("number_total").count(), 3, "{page}");
        assert!(page.contains("number_total 999\n"));
        assert_eq!(Arc::strong_count(&first), 1);
    }
}
