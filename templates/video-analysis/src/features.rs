//! Describes what is in an area of a picture, so that it can be compared.
//!
//! The area is cut out, enlarged and sharpened; a bank of filters then answers where it has edges of
//! which direction and width. What takes time is the filters, and the square of the detail decides
//! how long.

use std::f32::consts::{PI, TAU};

use crate::detect::Area;
use crate::picture::{Picture, brightness};

/// Directions of edges.
const DIRECTIONS: usize = 8;
/// Lengths of the waves that filters look for, in pixels.
const WAVES: [f32; 2] = [6.0, 10.0];
/// Pixels on either side of the one that a filter is about.
const REACH: usize = 5;
/// Rows, and columns, of cells over which answers are added up.
const CELLS: usize = 4;
/// How much of its surroundings is cut out with an area, on every side, as a share of its size.
const MARGIN: f32 = 0.15;

type Kernel = [[f32; 2 * REACH + 1]; 2 * REACH + 1];

/// The filters: for each direction and wave, one that answers to lines and one to edges.
pub(crate) struct Filters {
    pairs: Vec<[Kernel; 2]>,
}

/// What is compared: a direction in a space of many dimensions, of length 1.
#[derive(Clone, Debug)]
pub(crate) struct Features(Vec<f32>);

/// Numbers row by row, as many columns as rows.
struct Square {
    side: usize,
    values: Vec<f32>,
}

impl Features {
    /// How alike two are, at most 1.
    pub(crate) fn likeness(&self, other: &Self) -> f32 {
        self.0.iter().zip(&other.0).map(|(one, other)| one * other).sum()
    }
}

impl Filters {
    pub(crate) fn new() -> Self {
        let of = |wave: f32| {
            (0..DIRECTIONS).map(move |direction| {
                let angle = PI * direction as f32 / DIRECTIONS as f32;
                [kernel(angle, wave, f32::cos), kernel(angle, wave, f32::sin)]
            })
        };
        Self { pairs: WAVES.into_iter().flat_map(of).collect() }
    }

    /// Describes an area, enlarged to `detail` by `detail` pixels.
    pub(crate) fn describe(&self, picture: &Picture, area: Area, detail: usize) -> Features {
        let colours = enlarge(picture, area, detail).map(|colour| colour.sharpened());
        let mut bright = Square { side: detail, values: Vec::with_capacity(detail * detail) };
        let [red, green, blue] = &colours;
        for ((red, green), blue) in red.values.iter().zip(&green.values).zip(&blue.values) {
            bright.values.push(brightness([*red, *green, *blue]));
        }
        let mut features = Vec::with_capacity(self.pairs.len() * CELLS * CELLS);
        for [lines, edges] in &self.pairs {
            let (lines, edges) = (bright.filtered(lines), bright.filtered(edges));
            features.extend(pooled(&lines, &edges));
        }
        let length = features.iter().map(|value| value * value).sum::<f32>().sqrt();
        // An area without any edge is like nothing.
        let length = if length > 0.0 { length } else { 1.0 };
        features.iter_mut().for_each(|value| *value /= length);
        Features(features)
    }
}

/// A wave in one direction that fades away from the middle (Gabor's function), without answer to what is
/// equally bright everywhere.
fn kernel(angle: f32, wave: f32, shape: fn(f32) -> f32) -> Kernel {
    let mut kernel = Kernel::default();
    for (y, row) in kernel.iter_mut().enumerate() {
        for (x, value) in row.iter_mut().enumerate() {
            let (x, y) = (x as f32 - REACH as f32, y as f32 - REACH as f32);
            let along = x * angle.cos() + y * angle.sin();
            let fade = (-2.0 * (x * x + y * y) / (wave * wave)).exp();
            *value = fade * shape(TAU * along / wave);
        }
    }
    let mean = kernel.as_flattened().iter().sum::<f32>() / kernel.as_flattened().len() as f32;
    kernel.as_flattened_mut().iter_mut().for_each(|value| *value -= mean);
    kernel
}

/// The red, green and blue of an area and its surroundings, enlarged (bilinear). Beyond the picture is
/// more of its border.
fn enlarge(picture: &Picture, area: Area, detail: usize) -> [Square; 3] {
    let mut colours = [0; 3].map(|_| Square { side: detail, values: Vec::new() });
    colours.iter_mut().for_each(|colour| colour.values.reserve_exact(detail * detail));
    // Which two pixels lie around the place `index` of the enlarged area, and how far it is between.
    let place = |start: usize, length: usize, end: usize, index: usize| {
        let share = (index as f32 + 0.5) / detail as f32 * (1.0 + 2.0 * MARGIN) - MARGIN;
        let at = (start as f32 + share * length as f32 - 0.5).clamp(0.0, (end - 1) as f32);
        let before = at as usize;
        (before, (before + 1).min(end - 1), at - before as f32)
    };
    for y in 0..detail {
        let (above, below, down) = place(area.y, area.height, picture.height(), y);
        for x in 0..detail {
            let (left, right, across) = place(area.x, area.width, picture.width(), x);
            let corners = [(left, above), (right, above), (left, below), (right, below)]
                .map(|(column, row)| picture.at(column, row).map(f32::from));
            for (index, colour) in colours.iter_mut().enumerate() {
                let [a, b, c, d] = corners.map(|corner| corner[index]);
                let (above, below) = (a + (b - a) * across, c + (d - c) * across);
                colour.values.push(above + (below - above) * down);
            }
        }
    }
    colours
}

impl Square {
    fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.side..(row + 1) * self.side]
    }

    /// Every value moved away from the mean of its four neighbours; the border as it is.
    fn sharpened(&self) -> Self {
        let mut sharp = self.values.clone();
        for y in 1..self.side - 1 {
            let (above, row, below) = (self.row(y - 1), self.row(y), self.row(y + 1));
            for x in 1..self.side - 1 {
                let around = (above[x] + below[x] + row[x - 1] + row[x + 1]) / 4.0;
                sharp[y * self.side + x] = 2.0 * row[x] - around;
            }
        }
        Self { side: self.side, values: sharp }
    }

    /// A filter's answers, where all of it fits.
    fn filtered(&self, kernel: &Kernel) -> Self {
        let side = self.side - 2 * REACH;
        let mut values = vec![0.0; side * side];
        for (y, answers) in values.chunks_mut(side).enumerate() {
            for (dy, weights) in kernel.iter().enumerate() {
                let row = self.row(y + dy);
                for (dx, weight) in weights.iter().enumerate() {
                    for (answer, value) in answers.iter_mut().zip(&row[dx..]) {
                        *answer += weight * value;
                    }
                }
            }
        }
        Self { side, values }
    }
}

/// How strongly a pair of filters answers in each cell.
fn pooled(lines: &Square, edges: &Square) -> [f32; CELLS * CELLS] {
    let mut cells = [0.0; CELLS * CELLS];
    let side = lines.side;
    for y in 0..side {
        let row = y * CELLS / side * CELLS;
        for (x, (line, edge)) in lines.row(y).iter().zip(edges.row(y)).enumerate() {
            cells[row + x * CELLS / side] += line.hypot(*edge);
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stripes of a direction, as bright as a wave 8 pixels long.
    fn stripes(angle: f32) -> Picture {
        let pixel = |index: usize| {
            let (x, y) = ((index % 64) as f32, (index / 64) as f32);
            let wave = TAU * (x * angle.cos() + y * angle.sin()) / 8.0;
            [(128.0 + 100.0 * wave.cos()) as u8; 3]
        };
        Picture::new(64, (0..64 * 64).map(pixel).collect())
    }

    const INNER: Area = Area { x: 10, y: 10, width: 44, height: 44 };

    #[test]
    fn the_filter_of_a_direction_answers_to_it() {
        let filters = Filters::new();
        for direction in 0..DIRECTIONS {
            let picture = stripes(PI * direction as f32 / DIRECTIONS as f32);
            let Features(features) = filters.describe(&picture, INNER, 64);
            let answer = |pair: usize| features[pair * 16..(pair + 1) * 16].iter().sum::<f32>();
            let strongest = (0..DIRECTIONS).max_by(|a, b| answer(*a).total_cmp(&answer(*b)));
            assert_eq!(strongest, Some(direction));
        }
    }

    #[test]
    fn what_is_alike_is_so_at_any_detail() {
        let filters = Filters::new();
        let describe = |angle, detail| filters.describe(&stripes(angle), INNER, detail);
        for detail in [32, 100] {
            let same = describe(0.3, detail).likeness(&describe(0.3, detail));
            let other = describe(0.3, detail).likeness(&describe(1.7, detail));
            assert!((same - 1.0).abs() < 1e-4 && other < 0.8, "{same} {other}");
        }
    }

    #[test]
    fn nothing_is_like_nothing() {
        let grey = Picture::new(20, vec![[77; 3]; 400]);
        let area = Area { x: 0, y: 0, width: 20, height: 20 };
        let features = Filters::new().describe(&grey, area, 40);
        assert!(features.0.iter().all(|value| value.is_finite()));
    }
}
