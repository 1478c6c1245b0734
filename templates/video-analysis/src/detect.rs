//! Finds where in a picture something is.

use serde::{Deserialize, Serialize};

use crate::picture::Picture;

/// By how many levels, of 256, something is brighter than what is behind it.
const BRIGHTER: f32 = 40.0;
/// Something is at least this share of the picture's height wide and high.
const SMALLEST: f32 = 0.05;

/// Part of a picture, in pixels.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Area {
    /// First column.
    pub x: usize,
    /// First row.
    pub y: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// Everything that is brighter than its background and in one piece, row by row.
pub(crate) fn detect(picture: &Picture) -> Vec<Area> {
    let width = picture.width();
    let mut waiting = foreground(picture);
    let smallest = (SMALLEST * picture.height() as f32) as usize;
    let mut found = Vec::new();
    for start in 0..waiting.len() {
        if waiting[start] {
            let area = take_piece(&mut waiting, width, start);
            if area.width >= smallest && area.height >= smallest {
                found.push(area);
            }
        }
    }
    found
}

/// Which pixels are clearly brighter than the background of their row. Less than half of a row is
/// foreground, so that its darker half tells what the background is.
fn foreground(picture: &Picture) -> Vec<bool> {
    let mut sorted = Vec::new();
    let mut bright = Vec::with_capacity(picture.width() * picture.height());
    for row in picture.brightness().chunks(picture.width()) {
        sorted.clear();
        sorted.extend_from_slice(row);
        let (_, background, _) = sorted.select_nth_unstable_by(row.len() / 4, f32::total_cmp);
        bright.extend(row.iter().map(|pixel| *pixel > *background + BRIGHTER));
    }
    bright
}

/// Takes the piece that a pixel belongs to out of those that wait; returns where it is.
fn take_piece(waiting: &mut [bool], width: usize, start: usize) -> Area {
    let height = waiting.len() / width;
    let (mut left, mut right) = (start % width, start % width);
    let (mut top, mut bottom) = (start / width, start / width);
    waiting[start] = false;
    let mut border = vec![start];
    while let Some(pixel) = border.pop() {
        let (x, y) = (pixel % width, pixel / width);
        (left, right) = (left.min(x), right.max(x));
        (top, bottom) = (top.min(y), bottom.max(y));
        let mut visit = |there: bool, neighbour: usize| {
            if there && waiting[neighbour] {
                waiting[neighbour] = false;
                border.push(neighbour);
            }
        };
        visit(x > 0, pixel.wrapping_sub(1));
        visit(x + 1 < width, pixel + 1);
        visit(y > 0, pixel.wrapping_sub(width));
        visit(y + 1 < height, pixel + width);
    }
    Area { x: left, y: top, width: right + 1 - left, height: bottom + 1 - top }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dark picture, 40 pixels wide and 20 high, with bright areas.
    fn picture(areas: &[Area]) -> Picture {
        let bright = |x: usize, y: usize| {
            areas.iter().any(|area| {
                (area.x..area.x + area.width).contains(&x)
                    && (area.y..area.y + area.height).contains(&y)
            })
        };
        let pixel = |index: usize| if bright(index % 40, index / 40) { [200; 3] } else { [90; 3] };
        Picture::new(40, (0..800).map(pixel).collect())
    }

    fn area(x: usize, y: usize, width: usize, height: usize) -> Area {
        Area { x, y, width, height }
    }

    #[test]
    fn pieces_are_found_where_they_are() {
        let areas = [area(0, 0, 5, 4), area(35, 3, 5, 3), area(10, 10, 3, 10)];
        assert_eq!(detect(&picture(&areas)), areas);
        assert_eq!(detect(&picture(&[])), []);
        // Two that touch are one piece.
        let touching = [area(4, 4, 5, 5), area(8, 8, 6, 6)];
        assert_eq!(detect(&picture(&touching)), [area(4, 4, 10, 10)]);
        // Corners do not touch.
        let corners = [area(4, 4, 5, 5), area(9, 9, 6, 6)];
        assert_eq!(detect(&picture(&corners)), corners);
    }

    #[test]
    fn specks_are_nothing() {
        assert_eq!(SMALLEST * 20.0, 1.0);
        let tall: Vec<[u8; 3]> = vec![[90; 3]; 40 * 80];
        let mut speckled = tall.clone();
        speckled[40 * 30 + 20] = [255; 3];
        assert_eq!(detect(&Picture::new(40, speckled)), []);
        assert_eq!(detect(&Picture::new(40, tall)), []);
    }
}
