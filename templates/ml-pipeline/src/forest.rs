//! Forests of decision trees.

use serde::{Deserialize, Serialize};
use smartcore::ensemble::random_forest_classifier::{
    RandomForestClassifier, RandomForestClassifierParameters,
};
use smartcore::error::Failed;
use smartcore::linalg::basic::matrix::DenseMatrix;
use workloads_common::parallel;

use crate::pca::Configuration;
use crate::samples::Samples;

/// Rows that a thread judges before it takes more.
const PIECE: usize = 100;

type Tree = RandomForestClassifier<f32, u32, DenseMatrix<f32>, Vec<u32>>;

/// Trees that vote on what a digit is. Each is a forest of one, so that they can be trained on several
/// threads.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Forest {
    trees: Vec<Tree>,
}

/// How many trees say that a digit is this one.
pub(crate) type Votes = [u32; 10];

impl Forest {
    /// Trains the trees on up to `threads` threads.
    pub(crate) fn train(
        threads: usize,
        samples: &Samples,
        configuration: &Configuration,
    ) -> Result<Self, Failed> {
        let features = dense(samples, 0, samples.digits.len())?;
        let looked_at = configuration.features * samples.features.columns() as f64;
        let parameters = RandomForestClassifierParameters::default()
            .with_n_trees(1)
            .with_m((looked_at.round() as usize).max(1))
            .with_max_depth(configuration.max_depth);
        let trees = parallel::map(threads, 0..configuration.trees as u64, |tree| {
            let seed = configuration.seed.wrapping_add(tree);
            Tree::fit(&features, &samples.digits, parameters.clone().with_seed(seed))
        });
        Ok(Self { trees: trees.into_iter().collect::<Result<_, _>>()? })
    }

    /// What the trees say of each digit, asked on up to `threads` threads.
    pub(crate) fn judge(&self, threads: usize, samples: &Samples) -> Result<Vec<Votes>, Failed> {
        let rows = samples.digits.len();
        let pieces = parallel::map(threads, (0..rows).step_by(PIECE), |start| {
            let piece = dense(samples, start, (start + PIECE).min(rows))?;
            let mut votes = vec![Votes::default(); PIECE.min(rows - start)];
            for tree in &self.trees {
                for (votes, digit) in votes.iter_mut().zip(tree.predict(&piece)?) {
                    votes[digit as usize] += 1;
                }
            }
            Ok(votes)
        });
        Ok(pieces.into_iter().collect::<Result<Vec<_>, Failed>>()?.concat())
    }
}

/// The digit with most votes, the smallest of several.
pub(crate) fn winner(votes: &Votes) -> u32 {
    (0..10).rev().max_by_key(|digit| votes[*digit as usize]).unwrap_or_default()
}

/// Share of the digits that are told right.
pub(crate) fn accuracy(samples: &Samples, votes: &[Votes]) -> f64 {
    let right = samples.digits.iter().zip(votes).filter(|(digit, votes)| winner(votes) == **digit);
    right.count() as f64 / samples.digits.len() as f64
}

fn dense(samples: &Samples, start: usize, end: usize) -> Result<DenseMatrix<f32>, Failed> {
    let columns = samples.features.columns();
    let values = samples.features.values()[start * columns..end * columns].to_vec();
    DenseMatrix::new(end - start, columns, values, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{digits, table};

    #[test]
    fn a_winner_has_most_votes() {
        assert_eq!(winner(&[0, 1, 5, 0, 0, 0, 0, 0, 2, 4]), 2);
        assert_eq!(winner(&[0, 3, 0, 3, 0, 0, 0, 0, 0, 3]), 1);
        assert_eq!(winner(&[0; 10]), 0);
    }

    #[test]
    fn a_forest_learns_and_can_be_kept() {
        let samples = table::read(1, &digits::write(1, 400, 10)).unwrap();
        let execution_id = "1".to_owned();
        let configuration = Configuration {
            execution_id,
            index: 0,
            trees: 9,
            features: 0.1,
            max_depth: 8,
            seed: 1,
        };
        let forest = Forest::train(1, &samples, &configuration).unwrap();
        let votes = forest.judge(1, &samples).unwrap();
        assert!(votes.iter().all(|votes| votes.iter().sum::<u32>() == 9));
        assert!(accuracy(&samples, &votes) > 0.9);
        assert_eq!(
            Forest::train(4, &samples, &configuration).unwrap().judge(3, &samples).unwrap(),
            votes
        );
        let kept = serde_json::to_vec(&forest).unwrap();
        let read: Forest = serde_json::from_slice(&kept).unwrap();
        assert_eq!(read.judge(2, &samples).unwrap(), votes);
    }
}
