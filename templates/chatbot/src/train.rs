//! `train`: learns to tell one intent from the others.

use serde::{Deserialize, Serialize};
use workloads_common::random::stream;
use workloads_common::{Failure, Matrix, Store};

use crate::WORKFLOW;
use crate::linear::{add, dot, product};
use crate::logistic::Border;
use crate::parse::Lesson;
use crate::subspace::directions;

/// What the function answers.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The execution.
    pub execution_id: String,
    /// The intent.
    pub intent: String,
    /// The object with what was learnt: what each word counts, and what counts without any.
    pub model: String,
    /// Rows that were learnt from.
    pub rows: usize,
    /// Share of them that is told right.
    pub accuracy: f64,
}

/// Learns one intent on up to `threads` threads: centres its table, finds the directions in which its
/// rows differ most, and draws a border in them. The whole table is in memory, with its repetitions.
///
/// # Errors
/// If the table is missing or damaged, or the store refuses.
pub async fn handle(store: &Store, threads: usize, lesson: Lesson) -> Result<Answer, Failure> {
    let folder = store.folder(WORKFLOW, &lesson.execution_id)?;
    let table = Matrix::from_bytes(&lesson.table, &folder.get(&lesson.table).await?)?;
    if !(1..=table.rows()).contains(&lesson.own) {
        return Err(Failure::malformed(&lesson.table, "it has no row of the intent's own"));
    }
    let (mut rows, meant) = repeated(&table, lesson.own, lesson.skew);
    drop(table);
    let mean = centre(&mut rows);

    let mut random = stream(lesson.seed, &lesson.intent, 0);
    let directions = directions(threads, &rows, lesson.dimensions, &mut random);
    let points = product(threads, &rows, &directions);
    let border = Border::learn(&points, &meant, lesson.iterations);
    let right = meant
        .iter()
        .enumerate()
        .filter(|(row, meant)| (border.score(points.row(*row)) > 0.0) == (**meant > 0.5));
    let accuracy = right.count() as f64 / meant.len() as f64;

    // What was learnt of directions, as what it means for words.
    let mut weights: Vec<f32> =
        (0..directions.rows()).map(|word| dot(directions.row(word), &border.weights)).collect();
    weights.push(border.bias - dot(&weights, &mean));
    let model = lesson.table.replace("table", "model");
    folder.put(&model, Matrix::new(weights.len(), weights).to_bytes()).await?;
    let (execution_id, intent) = (lesson.execution_id, lesson.intent);
    Ok(Answer { execution_id, intent, model, rows: meant.len(), accuracy })
}

/// The table with its `own` first rows `skew` times more, and which rows are meant.
fn repeated(table: &Matrix, own: usize, skew: usize) -> (Matrix, Vec<f32>) {
    let first = &table.values()[..own * table.columns()];
    let mut values = Vec::new();
    values.reserve_exact(table.values().len() + skew * first.len());
    (0..skew).for_each(|_| values.extend_from_slice(first));
    values.extend_from_slice(table.values());
    let mut meant = vec![1.0; (skew + 1) * own];
    meant.resize(skew * own + table.rows(), 0.0);
    (Matrix::new(table.columns(), values), meant)
}

/// Takes the mean row from all rows, and returns it.
fn centre(rows: &mut Matrix) -> Vec<f32> {
    let mut mean = vec![0.0; rows.columns()];
    let share = 1.0 / rows.rows() as f32;
    (0..rows.rows()).for_each(|row| add(&mut mean, share, rows.row(row)));
    let columns = rows.columns();
    rows.values_mut().chunks_mut(columns).for_each(|row| add(row, -1.0, &mean));
    mean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_rows_are_repeated_and_meant() {
        let table = Matrix::new(2, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let (rows, meant) = repeated(&table, 1, 2);
        assert_eq!(rows, Matrix::new(2, vec![1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        assert_eq!(meant, [1.0, 1.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn centred_rows_have_no_mean() {
        let mut rows = Matrix::new(2, vec![1.0, 2.0, 3.0, 6.0]);
        assert_eq!(centre(&mut rows), [2.0, 4.0]);
        assert_eq!(rows, Matrix::new(2, vec![-1.0, -2.0, 1.0, 2.0]));
    }
}
