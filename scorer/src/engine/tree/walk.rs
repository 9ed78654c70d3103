//! The walk from the roots to the leaves: eight trees side by side, without a branch that depends on the data.
//!
//! Smaller values go left, and the right child lies beside the left one, so a step is one comparison that is added to the
//! place of the left child. NaN needs no case of its own: it fails `<` and goes right; where it must go left the split looks
//! at a second copy of the column, in which NaN is minus infinity. Shallow trees are `complete`, deep ones are `linked`.

pub mod complete;
pub mod linked;

use complete::Complete;
use linked::Linked;

/// Trees that are walked side by side: enough to hide the latency of the memory, few enough for the registers.
pub const LANES: usize = 8;

/// Columns of the walk's rows that exist as compiled code; the last column holds minus infinity.
pub const STRIDES: [usize; 5] = [16, 32, 64, 128, 256];

/// Consecutive trees that are walked side by side.
#[derive(Debug)]
pub enum Group {
    /// Trees of at most four levels of splits.
    Low(Box<Complete<16>>),
    /// Trees of at most six levels of splits.
    Middle(Box<Complete<64>>),
    /// Deeper trees.
    Deep(Linked),
}

impl Group {
    /// Bytes that its trees take.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Low(_) => size_of::<Complete<16>>(),
            Self::Middle(_) => size_of::<Complete<64>>(),
            Self::Deep(trees) => size_of_val(&trees.nodes[..]),
        }
    }
}

/// Adds every tree's leaf to the sum of every row, in the order of the trees.
///
/// `rows` holds one row of `stride` columns for each sum; `stride` is one of `STRIDES`.
pub fn add_up(stride: usize, groups: &[Group], rows: &[f32], sums: &mut [f32]) {
    match stride {
        16 => add::<16>(groups, rows, sums),
        32 => add::<32>(groups, rows, sums),
        64 => add::<64>(groups, rows, sums),
        128 => add::<128>(groups, rows, sums),
        _ => add::<256>(groups, rows, sums),
    }
}

fn add<const S: usize>(groups: &[Group], rows: &[f32], sums: &mut [f32]) {
    let (rows, _) = rows.as_chunks::<S>();
    // The trees outside, the rows inside: a group's nodes stay in the cache while the rows pass.
    for group in groups {
        match group {
            Group::Low(trees) => complete::add(trees, rows, sums),
            Group::Middle(trees) => complete::add(trees, rows, sums),
            Group::Deep(trees) => linked::add(trees, rows, sums),
        }
    }
}

/// Whether a value goes right at this threshold.
#[inline(always)]
fn goes_right(value: f32, threshold: f32) -> bool {
    #[expect(clippy::neg_cmp_op_on_partial_ord, reason = "NaN must go right")]
    let right = !(value < threshold);
    right
}
