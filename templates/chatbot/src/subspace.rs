//! The few directions in which a table's rows differ most: the first right singular vectors, found by
//! iteration from a random start (truncated singular value decomposition; Halko, Martinsson and Tropp,
//! "Finding structure with randomness", 2011, algorithm 4.4).

use rand::Rng;
use rand::rngs::SmallRng;
use workloads_common::Matrix;

use crate::linear::{add, dot, product, turned_product};

/// How often the start is drawn towards the directions looked for.
const ITERATIONS: usize = 3;
/// Parts of a direction that are shorter than this share of it are rounding errors.
const ROUNDING: f32 = 1e-5;

/// Up to `dimensions` directions, one per column, at right angles to each other and of length 1 (or 0
/// where the rows differ in fewer directions).
pub(crate) fn directions(
    threads: usize,
    table: &Matrix,
    dimensions: usize,
    random: &mut SmallRng,
) -> Matrix {
    let dimensions = dimensions.min(table.rows()).min(table.columns());
    let start = (0..table.columns() * dimensions).map(|_| random.random_range(-1.0..1.0));
    let mut directions = Matrix::new(dimensions, start.collect());
    for _ in 0..ITERATIONS {
        let seen = square_up(&product(threads, table, &directions));
        directions = square_up(&turned_product(threads, table, &seen));
    }
    directions
}

/// Turns columns so that they are at right angles to each other, and of length 1: Gram and Schmidt's
/// way, twice, because once is not exact enough.
fn square_up(matrix: &Matrix) -> Matrix {
    let (rows, columns) = (matrix.rows(), matrix.columns());
    let mut done: Vec<Vec<f32>> = Vec::with_capacity(columns);
    for column in 0..columns {
        let mut vector: Vec<f32> = (0..rows).map(|row| matrix.row(row)[column]).collect();
        let before = dot(&vector, &vector).sqrt();
        for _ in 0..2 {
            for other in &done {
                let share = dot(&vector, other);
                add(&mut vector, -share, other);
            }
        }
        let length = dot(&vector, &vector).sqrt();
        let scale = if length > ROUNDING * before { 1.0 / length } else { 0.0 };
        vector.iter_mut().for_each(|value| *value *= scale);
        done.push(vector);
    }
    let values = (0..rows).flat_map(|row| done.iter().map(move |vector| vector[row]));
    Matrix::new(columns, values.collect())
}

#[cfg(test)]
mod tests {
    use workloads_common::random::stream;

    use super::*;

    #[test]
    fn columns_are_at_right_angles() {
        let mut random = stream(1, "test", 0);
        // The last column is the sum of the others.
        let mut table = Matrix::zeros(50, 6);
        for row in table.values_mut().chunks_mut(6) {
            row[..5].iter_mut().for_each(|value| *value = random.random_range(-1.0..1.0));
            row[5] = row[..5].iter().sum();
        }
        let square = square_up(&table);
        let angles = turned_product(1, &square, &square);
        for row in 0..6 {
            for column in 0..6 {
                let expected = if row == column && row < 5 { 1.0 } else { 0.0 };
                let angle = angles.row(row)[column];
                assert!((angle - expected).abs() < 1e-5, "{row} {column}: {angle}");
            }
        }
    }

    #[test]
    fn the_directions_of_most_difference_are_found() {
        // Rows are sums of three given directions, and a little of everything else.
        let mut random = stream(2, "test", 0);
        let mut given =
            || -> Vec<f32> { (0..40).map(|_| random.random_range(-1.0..1.0)).collect() };
        let strong = [given(), given(), given()];
        let mut table = Matrix::zeros(200, 40);
        for row in table.values_mut().chunks_mut(40) {
            for direction in &strong {
                add(row, random.random_range(-1.0..1.0), direction);
            }
            row.iter_mut().for_each(|value| *value += random.random_range(-0.01..0.01));
        }
        let found = directions(2, &table, 3, &mut random);
        // What of a given direction lies within the directions found is nearly all of it.
        for direction in strong {
            let direction = Matrix::new(1, direction);
            let within = turned_product(1, &found, &direction);
            let share =
                dot(within.values(), within.values()) / dot(direction.values(), direction.values());
            assert!(share > 0.999, "{share}");
        }
    }
}
