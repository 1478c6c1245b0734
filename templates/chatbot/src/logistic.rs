//! Logistic regression: a straight border between what is meant and what is not.

use workloads_common::Matrix;

use crate::linear::{add, dot};

/// How far a step goes.
const RATE: f32 = 0.5;
/// By how much large weights are drawn back.
const DECAY: f32 = 1e-3;

/// The border: a point is meant if its score is above zero.
#[derive(Clone, Debug)]
pub(crate) struct Border {
    /// What each dimension counts.
    pub(crate) weights: Vec<f32>,
    /// The score of the origin.
    pub(crate) bias: f32,
}

impl Border {
    /// Learns in `iterations` steps, each of which looks at all points. `meant` has 1 for points that
    /// are meant and 0 for others. One thread: a step takes less than starting another would.
    pub(crate) fn learn(points: &Matrix, meant: &[f32], iterations: usize) -> Self {
        let mut border = Self { weights: vec![0.0; points.columns()], bias: 0.0 };
        let step = RATE / points.rows() as f32;
        for _ in 0..iterations {
            let mut slope = vec![0.0; points.columns()];
            let mut bias_slope = 0.0;
            for (row, meant) in meant.iter().enumerate() {
                let point = points.row(row);
                let error = chance(border.score(point)) - meant;
                add(&mut slope, error, point);
                bias_slope += error;
            }
            for (weight, slope) in border.weights.iter_mut().zip(slope) {
                *weight -= step * slope + RATE * DECAY * *weight;
            }
            border.bias -= step * bias_slope;
        }
        border
    }

    pub(crate) fn score(&self, point: &[f32]) -> f32 {
        dot(&self.weights, point) + self.bias
    }
}

/// How probable it is that a point with this score is meant.
fn chance(score: f32) -> f32 {
    1.0 / (1.0 + (-score).exp())
}

#[cfg(test)]
mod tests {
    use rand::Rng;
    use workloads_common::random::stream;

    use super::*;

    #[test]
    fn a_straight_border_is_found() {
        let mut random = stream(1, "test", 0);
        let mut points = Matrix::zeros(400, 3);
        points.values_mut().iter_mut().for_each(|value| *value = random.random_range(-1.0..1.0));
        let meant: Vec<f32> = (0..400)
            .map(|row| points.row(row))
            .map(|point| if point[0] - 2.0 * point[1] > 0.3 { 1.0 } else { 0.0 })
            .collect();
        let border = Border::learn(&points, &meant, 1_000);
        let right =
            (0..400).filter(|row| (border.score(points.row(*row)) > 0.0) == (meant[*row] > 0.5));
        assert!(right.count() > 385);
        let [first, second, third] = border.weights[..] else { panic!("{border:?}") };
        assert!((second / first + 2.0).abs() < 0.4 && third.abs() < 0.1 * first, "{border:?}");
    }
}
