//! `pca`: reads the text of digits and describes every digit by a few numbers instead of all its pixels
//! (principal component analysis).

use serde::{Deserialize, Serialize};
use smartcore::decomposition::pca::{PCA, PCAParameters};
use smartcore::error::Failed;
use smartcore::linalg::basic::arrays::Array;
use smartcore::linalg::basic::matrix::DenseMatrix;
use workloads_common::{Failure, Matrix, Store, parallel};

use crate::samples::{Purpose, Samples};
use crate::{WORKFLOW, digits, table};

/// Rows that a thread describes before it takes more.
const PIECE: usize = 200;

/// What the function is asked.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// The execution; its objects in the store go by it.
    pub execution_id: String,
    /// The digits follow from it.
    #[serde(default)]
    pub seed: u64,
    /// How many digits there are: 100 to 1,000,000.
    pub rows: usize,
    /// Width and height of a digit: 8 to 56 pixels.
    #[serde(default = "fourteen")]
    pub pixels: usize,
    /// Numbers by which a digit is described: 1 to 64.
    #[serde(default = "thirty_two")]
    pub components: usize,
    /// Trees of a forest; a forest is trained for each of these with each of `features`.
    pub trees: Vec<usize>,
    /// Share of the numbers that a tree looks at for each decision: above 0, up to 1.
    pub features: Vec<f64>,
    /// Decisions one after the other in a tree, at most: 1 to 64.
    #[serde(default = "ten")]
    pub max_depth: u16,
}

/// What the function answers.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Answer {
    /// Share of the differences between digits that the numbers account for.
    pub explained: f64,
    /// The forests to be trained.
    pub configurations: Vec<Configuration>,
}

/// A forest to be trained.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Configuration {
    /// The execution.
    pub execution_id: String,
    /// Which one it is, from 0.
    pub index: usize,
    /// How many trees it has.
    pub trees: usize,
    /// Share of the numbers that a tree looks at for each decision.
    pub features: f64,
    /// Decisions one after the other in a tree, at most.
    pub max_depth: u16,
    /// Chance follows from it.
    pub seed: u64,
}

fn fourteen() -> usize {
    14
}

fn thirty_two() -> usize {
    32
}

fn ten() -> u16 {
    10
}

impl Request {
    fn check(&self) -> Result<(), Failure> {
        Failure::unless_within("rows", self.rows, &(100..=1_000_000))?;
        Failure::unless_within("pixels", self.pixels, &(8..=56))?;
        Failure::unless_within("components", self.components, &(1..=64))?;
        Failure::unless_within("maxDepth", self.max_depth.into(), &(1..=64))?;
        Failure::unless_within(
            "the number of configurations",
            self.trees.len() * self.features.len(),
            &(1..=1_000),
        )?;
        for trees in &self.trees {
            Failure::unless_within("trees", *trees, &(1..=10_000))?;
        }
        if self.features.iter().any(|share| !(*share > 0.0 && *share <= 1.0)) {
            return Err(Failure::Request("features have to be above 0, up to 1".to_owned()));
        }
        Ok(())
    }

    fn configurations(&self) -> Vec<Configuration> {
        let pairs =
            self.trees.iter().flat_map(|trees| self.features.iter().map(move |f| (*trees, *f)));
        let configuration = |(index, (trees, features))| Configuration {
            execution_id: self.execution_id.clone(),
            index,
            trees,
            features,
            max_depth: self.max_depth,
            seed: self.seed,
        };
        pairs.enumerate().map(configuration).collect()
    }
}

/// Reads the digits and describes them; reading and describing are done on up to `threads` threads, and
/// what takes most of the time, the analysis, on one. All digits are in memory, as text and as numbers.
///
/// # Errors
/// If the request makes no sense, the analysis fails, or the store refuses.
pub async fn handle(store: &Store, threads: usize, request: Request) -> Result<Answer, Failure> {
    let folder = store.folder(WORKFLOW, &request.execution_id)?;
    request.check()?;
    // Stands in for the download of a file.
    let text = digits::write(request.seed, request.rows, request.pixels);
    let all = table::read(threads, &text)?;
    drop(text);

    let cannot = |source: Failed| Failure::Computation {
        action: "analyse the digits",
        source: source.into(),
    };
    let pixels = &all.features;
    let training = Purpose::Training.part(request.rows);
    let parameters = PCAParameters::default().with_n_components(request.components);
    let learnt = dense(pixels, 0, training.end).map_err(cannot)?;
    let analysis = PCA::fit(&learnt, parameters).map_err(cannot)?;
    drop(learnt);

    let pieces = parallel::map(threads, (0..request.rows).step_by(PIECE), |start| {
        let rows = dense(pixels, start, (start + PIECE).min(request.rows))?;
        analysis.transform(&rows).map(|described| rows_of(&described))
    });
    let described = pieces.into_iter().collect::<Result<Vec<_>, _>>().map_err(cannot)?.concat();
    let described = Matrix::new(request.components, described);
    let explained = spread(&described, training.end) / spread(pixels, training.end);
    for purpose in Purpose::ALL {
        let part = purpose.part(request.rows);
        let numbers = part.start * request.components..part.end * request.components;
        let features = Matrix::new(request.components, described.values()[numbers].to_vec());
        let samples = Samples { digits: all.digits[part].to_vec(), features };
        folder.put(purpose.object(), samples.to_bytes()).await?;
    }
    Ok(Answer { explained, configurations: request.configurations() })
}

/// Rows as the analysis takes them.
fn dense(matrix: &Matrix, start: usize, end: usize) -> Result<DenseMatrix<f64>, Failed> {
    let values = &matrix.values()[start * matrix.columns()..end * matrix.columns()];
    let values = values.iter().copied().map(f64::from).collect();
    DenseMatrix::new(end - start, matrix.columns(), values, false)
}

/// The values row by row.
fn rows_of(matrix: &DenseMatrix<f64>) -> Vec<f32> {
    let (rows, columns) = matrix.shape();
    let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
    places.map(|place| *matrix.get(place) as f32).collect()
}

/// By how much the first rows differ from their mean: the sum of the squares.
fn spread(matrix: &Matrix, rows: usize) -> f64 {
    let column = |column: usize| {
        let values = (0..rows).map(|row| f64::from(matrix.row(row)[column]));
        let (sum, squares) =
            values.fold((0.0, 0.0), |(sum, squares), value| (sum + value, squares + value * value));
        squares - sum * sum / rows as f64
    };
    (0..matrix.columns()).map(column).sum()
}
