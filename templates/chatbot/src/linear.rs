//! Products of matrices, on several threads.
//!
//! Every number of a product is added up by one thread in one order, so that the result does not depend
//! on how many threads there are.

use workloads_common::{Matrix, parallel};

/// Pieces into which a product is divided, at least: enough for threads to end at about the same time.
const PIECES: usize = 32;

/// `left` · `right`.
pub(crate) fn product(threads: usize, left: &Matrix, right: &Matrix) -> Matrix {
    let mut product = Matrix::zeros(left.rows(), right.columns());
    let length = left.rows().div_ceil(PIECES).max(1);
    let pieces = product.values_mut().chunks_mut(length * right.columns()).enumerate();
    parallel::map(threads, pieces, |(piece, rows)| {
        for (row, sums) in rows.chunks_mut(right.columns()).enumerate() {
            for (inner, factor) in left.row(piece * length + row).iter().enumerate() {
                add(sums, *factor, right.row(inner));
            }
        }
    });
    product
}

/// `left` turned over · `right`.
pub(crate) fn turned_product(threads: usize, left: &Matrix, right: &Matrix) -> Matrix {
    let mut product = Matrix::zeros(left.columns(), right.columns());
    let length = left.columns().div_ceil(PIECES);
    let pieces = product.values_mut().chunks_mut(length * right.columns()).enumerate();
    parallel::map(threads, pieces, |(piece, rows)| {
        for inner in 0..left.rows() {
            let factors = &left.row(inner)[piece * length..];
            for (factor, sums) in factors.iter().zip(rows.chunks_mut(right.columns())) {
                add(sums, *factor, right.row(inner));
            }
        }
    });
    product
}

/// Adds `factor` times `row` to `sums`.
pub(crate) fn add(sums: &mut [f32], factor: f32, row: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum += factor * value;
    }
}

/// The inner product of two vectors, added up in eight sums at once.
pub(crate) fn dot(one: &[f32], other: &[f32]) -> f32 {
    let ((one, one_rest), (other, other_rest)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (one, other) in one.iter().zip(other) {
        for ((sum, one), other) in sums.iter_mut().zip(one).zip(other) {
            *sum += one * other;
        }
    }
    let rest = one_rest.iter().zip(other_rest).map(|(one, other)| one * other);
    sums.into_iter().chain(rest).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: usize, columns: usize, start: usize) -> Matrix {
        let value = |index: usize| ((start + index * 7) % 11) as f32 - 5.0;
        Matrix::new(columns, (0..rows * columns).map(value).collect())
    }

    fn turned(matrix: &Matrix) -> Matrix {
        let value = |index: usize| matrix.row(index % matrix.rows())[index / matrix.rows()];
        Matrix::new(matrix.rows(), (0..matrix.values().len()).map(value).collect())
    }

    #[test]
    fn products_are_those_of_the_definition() {
        for (rows, inner, columns) in [(1, 1, 1), (2, 3, 4), (70, 9, 5), (5, 100, 3)] {
            let (left, right) = (matrix(rows, inner, 1), matrix(inner, columns, 2));
            let mut expected = Vec::new();
            for row in 0..rows {
                let sum =
                    |column| (0..inner).map(|i| left.row(row)[i] * right.row(i)[column]).sum();
                expected.extend((0..columns).map(sum).collect::<Vec<f32>>());
            }
            let expected = Matrix::new(columns, expected);
            for threads in [1, 3] {
                assert_eq!(product(threads, &left, &right), expected);
                assert_eq!(turned_product(threads, &turned(&left), &right), expected);
            }
        }
    }

    #[test]
    fn inner_products_are_those_of_the_definition() {
        for length in [0, 1, 8, 19] {
            let (one, other) = (matrix(1, 20, 3), matrix(1, 20, 4));
            let (one, other) = (&one.values()[..length], &other.values()[..length]);
            let expected: f32 = one.iter().zip(other).map(|(one, other)| one * other).sum();
            assert_eq!(dot(one, other), expected, "{length}");
        }
    }
}
