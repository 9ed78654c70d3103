//! Which rows belong to a customer or a terminal.

/// Row numbers by key, ascending within each key; since rows are sorted by time, so is each group.
#[derive(Clone, Debug)]
pub struct Grouping {
    starts: Vec<u32>,
    rows: Vec<u32>,
}

impl Grouping {
    /// Groups rows by a column of keys. Every key must be below `keys`.
    #[must_use]
    pub fn new(column: &[u32], keys: u32) -> Self {
        let mut starts = vec![0u32; keys as usize + 1];
        for &key in column {
            starts[key as usize + 1] += 1;
        }
        for key in 1..starts.len() {
            starts[key] += starts[key - 1];
        }
        let mut next = starts.clone();
        let mut rows = vec![0; column.len()];
        for (row, &key) in (0u32..).zip(column) {
            let place = &mut next[key as usize];
            rows[*place as usize] = row;
            *place += 1;
        }
        Self { starts, rows }
    }

    /// Rows of one key.
    #[must_use]
    pub fn rows(&self, key: u32) -> &[u32] {
        let key = key as usize;
        &self.rows[self.starts[key] as usize..self.starts[key + 1] as usize]
    }

    /// Number of keys, with those that have no rows.
    #[must_use]
    pub fn keys(&self) -> u32 {
        (self.starts.len() - 1) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_the_order_of_rows() {
        let grouping = Grouping::new(&[2, 0, 2, 2, 0], 4);
        assert_eq!(grouping.rows(0), [1, 4]);
        assert_eq!(grouping.rows(1), [] as [u32; 0]);
        assert_eq!(grouping.rows(2), [0, 2, 3]);
        assert_eq!(grouping.rows(3), [] as [u32; 0]);
        assert_eq!(grouping.keys(), 4);
    }
}
