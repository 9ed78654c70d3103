//! Where the ids of a tree ensemble lead: every one to a node of the same tree, and never in a circle.

use super::{Mode, Refusal, Trees, refuse};

/// Levels of one tree; ONNX Runtime builds trees by recursion.
const MAX_LEVELS: u32 = 1024;

/// A place in the list of nodes that is none.
pub const NOWHERE: u32 = u32::MAX;

/// The ids of an ensemble, resolved to places in its list of nodes.
#[derive(Debug)]
pub struct Links {
    /// Where true leads from each node; `NOWHERE` for leaves.
    pub yes: Vec<u32>,
    /// Where false leads from each node; `NOWHERE` for leaves.
    pub no: Vec<u32>,
    /// The node of each weight.
    pub weights: Vec<u32>,
    /// How many nodes lead to each node.
    pub parents: Vec<u32>,
}

impl Links {
    /// Resolves all ids of an ensemble whose lists have equal lengths.
    pub fn of(trees: &Trees) -> Result<Self, Refusal> {
        let index = Index::of(trees)?;
        let nodes = trees.modes.len();
        let mut links = Self {
            yes: vec![NOWHERE; nodes],
            no: vec![NOWHERE; nodes],
            weights: Vec::with_capacity(trees.weights.ids.len()),
            parents: vec![0; nodes],
        };
        for node in 0..nodes {
            if trees.modes[node] == Mode::Leaf {
                continue;
            }
            for (ids, places) in [(&trees.yes, &mut links.yes), (&trees.no, &mut links.no)] {
                let place = index.find(trees.trees[node], ids[node])?;
                places[node] = place;
                links.parents[place as usize] += 1;
            }
        }
        for (tree, id) in trees.weights.trees.iter().zip(&trees.weights.ids) {
            links.weights.push(index.find(*tree, *id)?);
        }
        links.check_order()?;
        Ok(links)
    }

    /// Walks from the roots down, a node after all that lead to it: what is never reached is part of a circle.
    fn check_order(&self) -> Result<(), Refusal> {
        let mut waiting = self.parents.clone();
        let mut levels = vec![1_u32; waiting.len()];
        let mut free: Vec<_> = (0..waiting.len()).filter(|node| waiting[*node] == 0).collect();
        let mut done = 0;
        while let Some(node) = free.pop() {
            done += 1;
            for child in [self.yes[node], self.no[node]] {
                if child == NOWHERE {
                    continue;
                }
                let child = child as usize;
                levels[child] = levels[child].max(levels[node] + 1);
                if levels[child] > MAX_LEVELS {
                    return refuse(format!("a tree has more than {MAX_LEVELS} levels"));
                }
                waiting[child] -= 1;
                if waiting[child] == 0 {
                    free.push(child);
                }
            }
        }
        if done < waiting.len() {
            return refuse("the nodes of a tree lead in a circle");
        }
        Ok(())
    }
}

/// Finds nodes by tree and number.
struct Index(Vec<(i32, i32, u32)>);

impl Index {
    fn of(trees: &Trees) -> Result<Self, Refusal> {
        let ids = trees.trees.iter().zip(&trees.ids).zip(0_u32..);
        let mut nodes: Vec<_> = ids.map(|((tree, id), place)| (*tree, *id, place)).collect();
        // Exporters write the nodes in order: then this only looks.
        nodes.sort_unstable();
        for pair in nodes.windows(2) {
            let [(tree, id, _), (next_tree, next_id, _)] = pair else {
                continue;
            };
            if (tree, id) == (next_tree, next_id) {
                return refuse(format!("node {id} of tree {tree} occurs twice"));
            }
        }
        Ok(Self(nodes))
    }

    fn find(&self, tree: i32, id: i32) -> Result<u32, Refusal> {
        let found = self
            .0
            .binary_search_by_key(&(tree, id), |(tree, id, _)| (*tree, *id));
        match found {
            Ok(at) => Ok(self.0[at].2),
            Err(_) => refuse(format!(
                "the trees name node {id} of tree {tree}, which does not exist"
            )),
        }
    }
}
