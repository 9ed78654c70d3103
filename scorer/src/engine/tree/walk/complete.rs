//! Shallow trees, filled up to complete ones: children are found by arithmetic, and all arrays have a fixed length, so
//! that neither a link nor a bounds check is left in a step.

use super::{LANES, goes_right};

/// Eight trees of fewer than `N` splits on as many levels as `N` has bits.
#[derive(Debug)]
pub struct Complete<const N: usize> {
    steps: u32,
    splits: [[Split; N]; LANES],
    leaves: [[f32; N]; LANES],
}

/// A split.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Split {
    /// Smaller values go left.
    pub threshold: f32,
    /// Column of the walk's row.
    pub column: u32,
}

impl<const N: usize> Complete<N> {
    /// Trees of `steps` levels that add nothing yet; 2 to the power of `steps` is at most `N`.
    pub fn new(steps: u32) -> Self {
        Self {
            steps: steps.min(N.ilog2()),
            splits: [[Split::default(); N]; LANES],
            leaves: [[0.0; N]; LANES],
        }
    }

    /// Puts a split into a tree. The root is place 1; the children of place `i` are `2 i` and `2 i + 1`.
    pub fn split(&mut self, lane: usize, place: usize, split: Split) {
        self.splits[lane][place] = split;
    }

    /// Ends a tree at a place that is so many levels below the root: whatever would follow leads to this value.
    pub fn leaf(&mut self, lane: usize, place: usize, level: u32, value: f32) {
        let below = self.steps - level;
        let first = (place << below) - (1 << self.steps);
        self.leaves[lane][first..first + (1 << below)].fill(value);
    }
}

/// Adds the leaves of the eight trees to the sum of each row.
pub fn add<const N: usize, const S: usize>(trees: &Complete<N>, rows: &[[f32; S]], sums: &mut [f32]) {
    for (row, sum) in rows.iter().zip(sums) {
        let mut places = [1_u32; LANES];
        for _ in 0..trees.steps {
            for (place, splits) in places.iter_mut().zip(&trees.splits) {
                let Split { threshold, column } = splits[*place as usize & (N - 1)];
                let value = row[column as usize & (S - 1)];
                *place = 2 * *place + u32::from(goes_right(value, threshold));
            }
        }
        // Places of leaves begin at their number: the mask takes that off.
        let mask = (1 << trees.steps) - 1;
        for (place, leaves) in places.iter().zip(&trees.leaves) {
            *sum += leaves[*place as usize & mask & (N - 1)];
        }
    }
}
