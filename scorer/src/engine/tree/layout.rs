//! Trees in the form in which they are walked.

use super::{
    Unsupported, unsupported,
    walk::{
        Group, LANES,
        complete::{self, Complete},
        linked::{Linked, Node},
    },
};

/// Places of linked nodes have 24 bits.
const MAX_PLACES: usize = 1 << 24;

/// A decision in the form `value < threshold goes left`.
#[derive(Clone, Copy, Debug)]
pub struct Split {
    pub threshold: f32,
    /// The node that follows for smaller values.
    pub left: u32,
    /// The node that follows for the others.
    pub right: u32,
    /// Whether NaN goes left.
    pub missing_left: bool,
}

/// What is known of the nodes.
pub struct Layout<'a> {
    /// By node; none for leaves.
    pub splits: &'a [Option<Split>],
    /// By node, the column of the input.
    pub features: &'a [i32],
    /// By node, what a leaf adds.
    pub weights: &'a [f32],
    /// First column of the copy in which NaN goes left.
    pub lefts: usize,
    /// Columns of the walk's rows.
    pub stride: usize,
}

impl Layout<'_> {
    /// Lays out the trees with these roots, in this order.
    pub fn groups(&self, roots: &[u32]) -> Result<Vec<Group>, Unsupported> {
        let groups = roots.chunks(LANES).map(|roots| {
            let depth = roots
                .iter()
                .map(|root| self.depth(*root))
                .max()
                .unwrap_or_default();
            Ok(match depth {
                0..=4 => Group::Low(self.complete(roots, depth)),
                5..=6 => Group::Middle(self.complete(roots, depth)),
                _ => Group::Deep(self.linked(roots, depth)?),
            })
        });
        groups.collect()
    }

    /// Levels of splits of a tree.
    fn depth(&self, root: u32) -> u32 {
        let (mut level, mut depth) = (vec![root], 0);
        loop {
            let children = level.iter().filter_map(|node| self.splits[*node as usize]);
            level = children.flat_map(|split| [split.left, split.right]).collect();
            if level.is_empty() {
                return depth;
            }
            depth += 1;
        }
    }

    /// Column of the walk's row that a node looks at.
    fn column(&self, node: u32, split: Split) -> u32 {
        let copy = if split.missing_left { self.lefts } else { 0 };
        copy as u32 + self.features[node as usize] as u32
    }

    fn complete<const N: usize>(&self, roots: &[u32], depth: u32) -> Box<Complete<N>> {
        let mut trees = Box::new(Complete::new(depth));
        for (lane, root) in roots.iter().enumerate() {
            let mut waiting = vec![(*root, 1, 0)];
            while let Some((node, place, level)) = waiting.pop() {
                let Some(split) = self.splits[node as usize] else {
                    trees.leaf(lane, place, level, self.weights[node as usize]);
                    continue;
                };
                let (threshold, column) = (split.threshold, self.column(node, split));
                trees.split(lane, place, complete::Split { threshold, column });
                waiting.extend([
                    (split.left, 2 * place, level + 1),
                    (split.right, 2 * place + 1, level + 1),
                ]);
            }
        }
        trees
    }

    fn linked(&self, roots: &[u32], steps: u32) -> Result<Linked, Unsupported> {
        // The first node is a leaf that adds nothing: the tree of the lanes that are left over.
        let mut nodes = vec![self.leaf(0, 0.0)];
        let mut places = [0; LANES];
        for (place, root) in places.iter_mut().zip(roots) {
            *place = nodes.len() as u32;
            nodes.push(Node::default());
            self.link(*root, *place, &mut nodes)?;
        }
        Ok(Linked {
            nodes,
            roots: places,
            steps,
        })
    }

    /// Lays out one tree level by level, so that the nodes that every row passes lie together.
    fn link(&self, root: u32, place: u32, nodes: &mut Vec<Node>) -> Result<(), Unsupported> {
        let mut level = vec![(root, place)];
        while !level.is_empty() {
            let mut next = Vec::new();
            for (node, place) in level {
                nodes[place as usize] = match self.splits[node as usize] {
                    None => self.leaf(place, self.weights[node as usize]),
                    Some(split) => {
                        let children = nodes.len() as u32;
                        if nodes.len() + 2 > MAX_PLACES {
                            return unsupported(format!("eight trees have more than {MAX_PLACES} nodes"));
                        }
                        nodes.resize(nodes.len() + 2, Node::default());
                        next.extend([(split.left, children), (split.right, children + 1)]);
                        Node {
                            threshold: split.threshold,
                            link: children << 8 | self.column(node, split),
                        }
                    }
                };
            }
            level = next;
        }
        Ok(())
    }

    fn leaf(&self, place: u32, value: f32) -> Node {
        Node {
            threshold: value,
            link: place << 8 | (self.stride as u32 - 1),
        }
    }
}
