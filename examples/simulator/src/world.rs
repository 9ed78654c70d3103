//! The map: where customers and terminals are, and who reaches what.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::{random::Stream, settings::Settings};

/// Length of a side of the map.
const SIDE: f64 = 100.0;
/// More cells than this cost more memory than they save time.
const MAX_CELLS: usize = 256;

/// A place on the map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// From west to east.
    pub x: f64,
    /// From south to north.
    pub y: f64,
}

impl Point {
    fn draw(rng: &mut impl Rng) -> Self {
        Self {
            x: rng.random_range(0.0..SIDE),
            y: rng.random_range(0.0..SIDE),
        }
    }

    fn is_within(self, radius: f64, other: Self) -> bool {
        (self.x - other.x).powi(2) + (self.y - other.y).powi(2) < radius * radius
    }
}

/// A customer's habits, with the stream that his purchases come from.
#[derive(Clone, Debug)]
pub struct Customer {
    /// Home.
    pub home: Point,
    /// Mean amount; the standard deviation is half of it.
    pub mean_amount: f64,
    /// Mean number of purchases a day.
    pub daily_rate: f64,
    /// Terminals nearer than the radius: those that are always there in ascending order, then those that open later.
    pub reachable: Vec<u32>,
    /// The days on which the last of them open, ascending.
    pub openings: Vec<u32>,
    /// What his purchases are drawn from.
    pub rng: ChaCha8Rng,
}

impl Customer {
    /// Where he may buy on a day.
    #[must_use]
    pub fn reachable_on(&self, day: u32) -> &[u32] {
        let closed = self.openings.len() - self.openings.partition_point(|&opening| opening <= day);
        &self.reachable[..self.reachable.len() - closed]
    }
}

/// All customers, by their number.
#[derive(Clone, Debug)]
pub struct World {
    /// Index is the customer's number.
    pub customers: Vec<Customer>,
}

impl World {
    /// Draws terminals and customers.
    #[must_use]
    pub fn draw(settings: &Settings) -> Self {
        let mut rng = Stream::Terminals.rng(settings.seed);
        let terminals: Vec<Point> = (0..settings.terminals).map(|_| Point::draw(&mut rng)).collect();
        let grid = Grid::new(&terminals, settings.radius);
        let openings = settings.scenario.openings(settings.days);
        let mut rng = Stream::NewTerminals.rng(settings.seed);
        let new: Vec<Point> = openings.iter().map(|_| Point::draw(&mut rng)).collect();
        let new_grid = Grid::new(&new, settings.radius);
        let customers = (0..settings.customers)
            .into_par_iter()
            .map(|number| {
                let mut customer = draw_customer(Stream::Customer(number).rng(settings.seed), &grid);
                for opened in new_grid.around(customer.home) {
                    customer.reachable.push(settings.terminals + opened);
                    customer.openings.push(openings[opened as usize]);
                }
                customer
            })
            .collect();
        Self { customers }
    }
}

fn draw_customer(mut rng: ChaCha8Rng, grid: &Grid<'_>) -> Customer {
    let home = Point::draw(&mut rng);
    let mean_amount = rng.random_range(5.0..100.0);
    let daily_rate = rng.random_range(0.0..4.0);
    Customer {
        home,
        mean_amount,
        daily_rate,
        reachable: grid.around(home),
        openings: Vec::new(),
        rng,
    }
}

/// Terminals sorted into square cells that are at least as wide as the radius, so that all neighbours of a point
/// lie in the nine cells around it.
struct Grid<'a> {
    points: &'a [Point],
    radius: f64,
    cells_per_side: usize,
    cells: Vec<Vec<u32>>,
}

impl<'a> Grid<'a> {
    fn new(points: &'a [Point], radius: f64) -> Self {
        // A float beyond the range of usize becomes its largest value.
        let cells_per_side = ((SIDE / radius) as usize).clamp(1, MAX_CELLS);
        let mut grid = Self {
            points,
            radius,
            cells_per_side,
            cells: vec![Vec::new(); cells_per_side.pow(2)],
        };
        for (number, point) in (0u32..).zip(points) {
            let cell = grid.cell(point.y) * cells_per_side + grid.cell(point.x);
            grid.cells[cell].push(number);
        }
        grid
    }

    fn cell(&self, coordinate: f64) -> usize {
        ((coordinate / SIDE * self.cells_per_side as f64) as usize).min(self.cells_per_side - 1)
    }

    fn around(&self, center: Point) -> Vec<u32> {
        let span = |at: usize| at.saturating_sub(1)..=(at + 1).min(self.cells_per_side - 1);
        let mut near: Vec<u32> = span(self.cell(center.y))
            .flat_map(|row| span(self.cell(center.x)).map(move |column| row * self.cells_per_side + column))
            .flat_map(|cell| &self.cells[cell])
            .copied()
            .filter(|&number| center.is_within(self.radius, self.points[number as usize]))
            .collect();
        near.sort_unstable();
        near
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn points(count: usize) -> impl Strategy<Value = Vec<Point>> {
        // Whole numbers put many points on the edges of cells.
        let coordinate = prop_oneof![0.0..100.0f64, (0u8..100).prop_map(f64::from)];
        prop::collection::vec(
            (coordinate.clone(), coordinate).prop_map(|(x, y)| Point { x, y }),
            1..count,
        )
    }

    proptest! {
        #[test]
        fn the_grid_finds_what_measuring_every_distance_finds(
            points in points(60),
            radius in prop_oneof![0.01..150.0f64, (1u8..100).prop_map(f64::from)],
        ) {
            let grid = Grid::new(&points, radius);
            for &center in &points {
                let all: Vec<u32> = (0u32..)
                    .zip(&points)
                    .filter(|(_, point)| center.is_within(radius, **point))
                    .map(|(number, _)| number)
                    .collect();
                prop_assert_eq!(grid.around(center), all);
            }
        }
    }

    #[test]
    fn the_radius_itself_is_too_far() {
        let home = Point { x: 50.0, y: 50.0 };
        assert!(!home.is_within(5.0, Point { x: 55.0, y: 50.0 }));
        assert!(home.is_within(5.0, Point { x: 54.999, y: 50.0 }));
    }

    #[test]
    fn a_customer_reaches_seventy_five_terminals_on_average() {
        let world = World::draw(&Settings::default());
        let reached: Vec<usize> = world
            .customers
            .iter()
            .map(|customer| customer.reachable.len())
            .collect();
        let mean = reached.iter().sum::<usize>() as f64 / reached.len() as f64;
        assert!((72.0..78.0).contains(&mean), "{mean}");
        assert!(reached.iter().all(|count| (8..130).contains(count)));
    }
}
