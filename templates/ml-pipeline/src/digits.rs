//! Hand-written digits, as grey pixels in a text: a line per digit, which starts with what it is.
//!
//! A digit is drawn with the strokes of a seven-segment display; every writer slants, shifts and presses
//! differently, misses parts of strokes, and the paper has stains. Everything follows from the seed.

use std::io::Write as _;

use rand::Rng;
use rand::rngs::SmallRng;
use workloads_common::random::stream;

/// The strokes, from one point to another; a digit is 1 wide and 2 high.
const STROKES: [[(f32, f32); 2]; 7] = [
    [(0.0, 0.0), (1.0, 0.0)],
    [(1.0, 0.0), (1.0, 1.0)],
    [(1.0, 1.0), (1.0, 2.0)],
    [(0.0, 2.0), (1.0, 2.0)],
    [(0.0, 1.0), (0.0, 2.0)],
    [(0.0, 0.0), (0.0, 1.0)],
    [(0.0, 1.0), (1.0, 1.0)],
];
/// The strokes of each digit: the first stroke is the least significant bit.
const DIGITS: [u8; 10] = [
    0b011_1111, 0b000_0110, 0b101_1011, 0b100_1111, 0b110_0110, 0b110_1101, 0b111_1101, 0b000_0111,
    0b111_1111, 0b110_1111,
];
/// How many digits one stream of random numbers is for.
const PAGE: usize = 100;
/// Half of a stroke's width.
const PEN: f32 = 0.16;
/// Levels of grey, of 256, by which stains and gaps change a pixel at most.
const STAINS: f32 = 120.0;

/// Writes `rows` digits of `pixels` by `pixels` pixels: lines of a digit and its pixels' levels from 0 to
/// 255, row by row, with tabs between them.
pub fn write(seed: u64, rows: usize, pixels: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for page in 0..rows.div_ceil(PAGE) {
        let mut random = stream(seed, "digits", page);
        for _ in 0..PAGE.min(rows - page * PAGE) {
            let digit = random.random_range(0..10);
            write_row(&mut text, digit, &draw(digit, pixels, &mut random));
        }
    }
    text
}

fn write_row(text: &mut Vec<u8>, digit: usize, levels: &[u8]) {
    let written = write!(text, "{digit}")
        .and_then(|()| levels.iter().try_for_each(|level| write!(text, "\t{level}")))
        .and_then(|()| writeln!(text));
    written.expect("a vector takes whatever is written");
}

fn draw(digit: usize, pixels: usize, random: &mut SmallRng) -> Vec<u8> {
    let strokes: Vec<_> =
        (0..7).filter(|bit| DIGITS[digit] >> bit & 1 == 1).map(|bit| STROKES[bit]).collect();
    let size = random.random_range(2.4..3.2);
    let (right, down) = (random.random_range(-0.2..0.2), random.random_range(-0.2..0.2));
    let slant = random.random_range(-0.2..0.2);
    let press = random.random_range(0.6..1.0);
    let level = |index: usize| {
        let [column, row] =
            [index % pixels, index / pixels].map(|at| (at as f32 + 0.5) / pixels as f32 - 0.5);
        let y = row * size + 1.0 + down;
        let x = column * size + 0.5 + right + slant * (y - 1.0);
        let away = strokes.iter().map(|ends| distance(*ends, x, y)).fold(f32::MAX, f32::min);
        let ink = (1.5 - away / PEN).clamp(0.0, 1.0);
        let stain = random.random_range(-STAINS..STAINS) * random.random::<f32>();
        (255.0 * press * ink + stain).clamp(0.0, 255.0) as u8
    };
    (0..pixels * pixels).map(level).collect()
}

/// How far a point is from a line from one end to the other.
fn distance([start, end]: [(f32, f32); 2], x: f32, y: f32) -> f32 {
    let (along, up) = (end.0 - start.0, end.1 - start.1);
    let share = ((x - start.0) * along + (y - start.1) * up) / (along * along + up * up);
    let share = share.clamp(0.0, 1.0);
    (x - start.0 - share * along).hypot(y - start.1 - share * up)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_written_as_lines_of_numbers() {
        let text = String::from_utf8(write(1, 250, 12)).unwrap();
        let mut seen = [0; 10];
        assert_eq!(text.lines().count(), 250);
        for line in text.lines() {
            let numbers: Vec<u8> = line.split('\t').map(|number| number.parse().unwrap()).collect();
            assert_eq!(numbers.len(), 1 + 12 * 12);
            seen[usize::from(numbers[0])] += 1;
        }
        assert!(seen.iter().all(|count| *count > 8), "{seen:?}");
    }

    #[test]
    fn digits_follow_from_their_seed_and_more_of_them_begin_alike() {
        let some = write(2, 150, 8);
        assert!(write(2, 230, 8).starts_with(&some));
        assert!(!write(3, 230, 8).starts_with(&some));
    }

    #[test]
    fn strokes_are_dark_and_their_surroundings_light() {
        let mut random = stream(4, "test", 0);
        let mut sums = [[0_u32; 2]; 10];
        for (digit, sums) in sums.iter_mut().enumerate() {
            for _ in 0..200 {
                let levels = draw(digit, 14, &mut random);
                let sum = |rows: std::ops::Range<usize>| {
                    levels[rows.start * 14..rows.end * 14]
                        .iter()
                        .map(|level| u32::from(*level))
                        .sum()
                };
                let [top, bottom]: [u32; 2] = [sum(0..7), sum(7..14)];
                *sums = [sums[0] + top, sums[1] + bottom];
            }
        }
        let ink: Vec<u32> = sums.iter().map(|[top, bottom]| top + bottom).collect();
        assert!(ink.iter().max() == Some(&ink[8]) && ink.iter().min() == Some(&ink[1]), "{ink:?}");
        assert!(sums[7][0] > sums[7][1] && sums[6][0] < sums[6][1], "{sums:?}");
    }
}
