//! Digits in memory: what they are, and numbers that describe them.

use std::ops::Range;

use workloads_common::{Failure, Matrix};

/// Digits that are used for one purpose.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Samples {
    /// What each is, from 0 to 9.
    pub(crate) digits: Vec<u32>,
    /// What describes each: a row.
    pub(crate) features: Matrix,
}

/// What digits are used for. Each has a part of the rows, and none has another's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// Learning, from 60 of 100 rows.
    Training,
    /// Choosing among what was learnt, by 20 of 100.
    Choosing,
    /// Saying how good what was chosen is, by the rest.
    Examining,
}

impl Purpose {
    pub(crate) const ALL: [Self; 3] = [Self::Training, Self::Choosing, Self::Examining];

    /// The object with its digits.
    pub(crate) fn object(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Choosing => "choosing",
            Self::Examining => "examining",
        }
    }

    /// Its part of the rows.
    pub(crate) fn part(self, rows: usize) -> Range<usize> {
        let (first, second) = (rows * 3 / 5, rows * 4 / 5);
        match self {
            Self::Training => 0..first,
            Self::Choosing => first..second,
            Self::Examining => second..rows,
        }
    }
}

impl Samples {
    /// As bytes: those of a matrix whose first column says what the digits are.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut values = Vec::with_capacity(self.digits.len() * (1 + self.features.columns()));
        for (row, digit) in self.digits.iter().enumerate() {
            values.push(*digit as f32);
            values.extend_from_slice(self.features.row(row));
        }
        Matrix::new(1 + self.features.columns(), values).to_bytes()
    }

    /// What [`Samples::to_bytes`] wrote as the object `name`.
    pub(crate) fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, Failure> {
        let all = Matrix::from_bytes(name, bytes)?;
        let columns = all.columns() - 1;
        if columns == 0 || all.rows() == 0 {
            return Err(Failure::malformed(name, "it describes nothing"));
        }
        let mut digits = Vec::with_capacity(all.rows());
        let mut values = Vec::with_capacity(all.rows() * columns);
        for row in 0..all.rows() {
            let (digit, features) = (all.row(row)[0], &all.row(row)[1..]);
            if !(0.0..10.0).contains(&digit) {
                return Err(Failure::malformed(name, format!("{digit} is no digit")));
            }
            digits.push(digit as u32);
            values.extend_from_slice(features);
        }
        Ok(Self { digits, features: Matrix::new(columns, values) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_back() {
        let features = Matrix::new(2, vec![0.5, 1.5, -2.5, 3.5]);
        let samples = Samples { digits: vec![9, 0], features };
        assert_eq!(Samples::from_bytes("s", &samples.to_bytes()).unwrap(), samples);
        for wrong in [Matrix::new(2, vec![10.0, 1.0]), Matrix::zeros(3, 1), Matrix::zeros(0, 4)] {
            let refused = Samples::from_bytes("s", &wrong.to_bytes()).unwrap_err().to_string();
            assert!(refused.starts_with("s is damaged"), "{refused}");
        }
    }

    #[test]
    fn every_row_has_one_purpose() {
        for rows in [5, 100, 101, 1_234] {
            let parts: Vec<usize> =
                Purpose::ALL.iter().flat_map(|purpose| purpose.part(rows)).collect();
            assert_eq!(parts, (0..rows).collect::<Vec<_>>());
            assert!(Purpose::ALL.iter().all(|purpose| !purpose.part(rows).is_empty()));
        }
    }
}
