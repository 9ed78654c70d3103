//! One stream of random numbers for each thing that is drawn, so that the order of drawing does not matter.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What a stream is for. Streams of one seed never overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The positions of all terminals.
    Terminals,
    /// The profile of one customer and all that he buys.
    Customer(u32),
    /// The terminals that are compromised on one day.
    CompromisedTerminals(u32),
    /// The cards that are compromised on one day.
    CompromisedCards(u32),
    /// When labels come.
    Labels,
    /// The positions of terminals that open later.
    NewTerminals,
    /// The stolen cards that are tried out on one day.
    CardTests(u32),
}

impl Stream {
    /// The generator of this stream.
    #[must_use]
    pub fn rng(self, seed: u64) -> ChaCha8Rng {
        let (kind, index) = match self {
            Self::Terminals => (0, 0),
            Self::Customer(customer) => (1, customer),
            Self::CompromisedTerminals(day) => (2, day),
            Self::CompromisedCards(day) => (3, day),
            Self::Labels => (4, 0),
            Self::NewTerminals => (5, 0),
            Self::CardTests(day) => (6, day),
        };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(kind << 32 | u64::from(index));
        rng
    }
}
