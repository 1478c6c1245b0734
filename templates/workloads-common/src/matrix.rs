//! Tables of numbers, in memory and as bytes.

use crate::failure::Failure;

/// Bytes before the numbers: how many rows and columns follow.
const HEADER_BYTES: usize = 16;

/// A dense table of numbers, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    columns: usize,
    values: Vec<f32>,
}

impl Matrix {
    /// A matrix of zeros.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self { columns, values: vec![0.0; rows * columns] }
    }

    /// A matrix of these numbers, row by row.
    ///
    /// # Panics
    /// If they do not fill the last row.
    pub fn new(columns: usize, values: Vec<f32>) -> Self {
        assert!(columns > 0 && values.len().is_multiple_of(columns), "the last row is full");
        Self { columns, values }
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.values.len() / self.columns
    }

    /// How many columns it has; at least one.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// A row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// All numbers, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All numbers, row by row, to be changed.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// As bytes: the number of rows and of columns in 8 bytes each, then all numbers in 4 bytes each,
    /// the least significant byte first.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + 4 * self.values.len());
        for size in [self.rows(), self.columns] {
            bytes.extend((size as u64).to_le_bytes());
        }
        bytes.extend(self.values.iter().flat_map(|value| value.to_le_bytes()));
        bytes
    }

    /// What [`Matrix::to_bytes`] wrote as the object `name`.
    ///
    /// # Errors
    /// If it did not write this.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, Failure> {
        let wrong = || Failure::malformed(name, "this is no matrix of the size it names");
        let (header, numbers) = bytes.split_at_checked(HEADER_BYTES).ok_or_else(wrong)?;
        let (header, []) = header.as_chunks() else { return Err(wrong()) };
        let &[rows, columns] = header else { return Err(wrong()) };
        let [rows, columns] = [rows, columns].map(u64::from_le_bytes);
        let (numbers, []) = numbers.as_chunks() else { return Err(wrong()) };
        if columns == 0 || rows.checked_mul(columns) != Some(numbers.len() as u64) {
            return Err(wrong());
        }
        let values = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
        Ok(Self { columns: usize::try_from(columns).map_err(|_| wrong())?, values })
    }
}

#[cfg(test)]
mod tests {
    use super::Matrix;

    #[test]
    fn bytes_are_read_back() {
        let matrix = Matrix::new(3, vec![1.0, -2.5, f32::MAX, 0.0, f32::MIN_POSITIVE, 7.0]);
        let bytes = matrix.to_bytes();
        assert_eq!(bytes.len(), 16 + 6 * 4);
        assert_eq!(Matrix::from_bytes("m", &bytes).unwrap(), matrix);
        assert_eq!((matrix.rows(), matrix.row(1)), (2, &[0.0, f32::MIN_POSITIVE, 7.0][..]));
        let empty = Matrix::zeros(0, 4);
        assert_eq!(Matrix::from_bytes("m", &empty.to_bytes()).unwrap(), empty);
    }

    #[test]
    fn other_bytes_are_refused() {
        let bytes = Matrix::zeros(2, 3).to_bytes();
        let mut huge = bytes.clone();
        huge[..16].fill(0xff);
        let mut flat = Matrix::zeros(0, 1).to_bytes();
        flat[8] = 0;
        for wrong in [&bytes[..15], &bytes[..39], &[&bytes[..], &[0; 4]].concat(), &huge, &flat] {
            let refused = Matrix::from_bytes("model-1", wrong).unwrap_err().to_string();
            assert!(refused.starts_with("model-1 is damaged"), "{refused}");
        }
    }
}
