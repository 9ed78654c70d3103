//! Deep trees: a node is eight bytes and knows its left child.
//!
//! A leaf looks at the last column, which always holds minus infinity, and is its own left child: a walk that has arrived
//! goes on the spot. Its value is where a split has its threshold.

use super::{LANES, goes_right};

/// Steps from one look at whether all trees of a group have arrived to the next.
const STEPS_PER_LOOK: u32 = 4;

/// A split, or a leaf.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Node {
    /// Smaller values go left. A leaf's value.
    pub threshold: f32,
    /// Place of the left child in the upper 24 bits, column in the lower 8.
    pub link: u32,
}

/// Eight trees.
#[derive(Debug)]
pub struct Linked {
    /// The nodes of all of them.
    pub nodes: Vec<Node>,
    /// Places of the roots.
    pub roots: [u32; LANES],
    /// Steps to the deepest leaf.
    pub steps: u32,
}

/// Adds the leaves of the eight trees to the sum of each row.
pub fn add<const S: usize>(trees: &Linked, rows: &[[f32; S]], sums: &mut [f32]) {
    for (row, sum) in rows.iter().zip(sums) {
        for place in arrive(trees, row) {
            *sum += trees.nodes[place].threshold;
        }
    }
}

#[inline]
fn arrive<const S: usize>(trees: &Linked, row: &[f32; S]) -> [usize; LANES] {
    let nodes = &trees.nodes[..];
    let mut places = trees.roots.map(|root| root as usize);
    // Most walks end well before the deepest leaf.
    for _ in 0..trees.steps.div_ceil(STEPS_PER_LOOK) {
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
fn step<const S: usize>(nodes: &[Node], row: &[f32; S], place: usize) -> usize {
    let Node { threshold, link } = nodes[place];
    let value = row[link as usize & (S - 1)];
    (link >> 8) as usize + usize::from(goes_right(value, threshold))
}
