//! The walk from the roots to the leaves: eight trees side by side, without a branch that depends on the data.
//!
//! A node is eight bytes. Its children lie side by side, so a step is one comparison that is added to the place of the
//! left one. A leaf looks at a column that always holds minus infinity and is its own left child: a walk that has arrived
//! goes on the spot, and its value is where a split has its threshold. NaN needs no case of its own: it fails `<` and goes
//! right; where it must go left the node looks at a second copy of the column, in which NaN is minus infinity.

/// Trees that are walked side by side: enough to hide the latency of the memory, few enough for the registers.
pub const LANES: usize = 8;

/// Steps of a deep walk from one look at whether all trees of the group have arrived to the next.
const STEPS_PER_LOOK: u32 = 4;

/// Columns of the walk's rows that exist as compiled code; the last column is the one that leaves look at.
pub const STRIDES: [usize; 5] = [16, 32, 64, 128, 256];

/// A split, or a leaf.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Node {
    /// Smaller values go left. A leaf's value.
    pub threshold: f32,
    /// Place of the left child in the upper 24 bits, column in the lower 8.
    pub link: u32,
}

/// Trees that are walked side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Places of the roots.
    pub roots: [u32; LANES],
    /// Steps to the deepest leaf of the group.
    pub steps: u32,
    /// Whether most walks end well before the deepest leaf, so that looking for it pays.
    pub early: bool,
}

/// Adds every tree's leaf to the sum of every row, in the order of the trees.
///
/// `rows` holds one row of `stride` columns for each sum; `stride` is one of `STRIDES`. The number of nodes is a power of
/// two, and all places are below it: a place beyond would be brought back into the list, and the sum be wrong.
pub fn add_up(stride: usize, nodes: &[Node], groups: &[Group], rows: &[f32], sums: &mut [f32]) {
    match stride {
        16 => add::<16>(nodes, groups, rows, sums),
        32 => add::<32>(nodes, groups, rows, sums),
        64 => add::<64>(nodes, groups, rows, sums),
        128 => add::<128>(nodes, groups, rows, sums),
        _ => add::<256>(nodes, groups, rows, sums),
    }
}

fn add<const S: usize>(nodes: &[Node], groups: &[Group], rows: &[f32], sums: &mut [f32]) {
    let (rows, _) = rows.as_chunks::<S>();
    // The trees outside, the rows inside: a group's nodes stay in the cache while the rows pass.
    for group in groups {
        for (row, sum) in rows.iter().zip(sums.iter_mut()) {
            let places = if group.early {
                arrive_early(nodes, row, group)
            } else {
                arrive(nodes, row, group)
            };
            for place in places {
                *sum += at(nodes, place).threshold;
            }
        }
    }
}

#[inline]
fn arrive<const S: usize>(nodes: &[Node], row: &[f32; S], group: &Group) -> [u32; LANES] {
    let mut places = group.roots;
    for _ in 0..group.steps {
        for place in &mut places {
            *place = step(nodes, row, *place);
        }
    }
    places
}

#[inline]
fn arrive_early<const S: usize>(nodes: &[Node], row: &[f32; S], group: &Group) -> [u32; LANES] {
    let mut places = group.roots;
    for _ in 0..group.steps.div_ceil(STEPS_PER_LOOK) {
        for _ in 1..STEPS_PER_LOOK {
            for place in &mut places {
                *place = step(nodes, row, *place);
            }
        }
        let before = places;
        for place in &mut places {
            *place = step(nodes, row, *place);
        }
        if before == places {
            break;
        }
    }
    places
}

#[inline(always)]
fn step<const S: usize>(nodes: &[Node], row: &[f32; S], place: u32) -> u32 {
    let Node { threshold, link } = at(nodes, place);
    let value = row[link as usize & (S - 1)];
    #[expect(clippy::neg_cmp_op_on_partial_ord, reason = "NaN must go right")]
    let right = !(value < threshold);
    (link >> 8) + u32::from(right)
}

/// The mask saves the branch of a bounds check: the list's length is a power of two.
#[inline(always)]
fn at(nodes: &[Node], place: u32) -> Node {
    nodes[place as usize & (nodes.len() - 1)]
}
