//! Reads a text of digits.

use workloads_common::{Failure, Matrix, parallel};

use crate::samples::Samples;

/// Lines that a thread reads before it takes more.
const PIECE: usize = 250;

/// Reads lines of a digit and its pixels, with tabs between them, on up to `threads` threads.
///
/// # Errors
/// If a line is not of this form or has another number of pixels than the first.
pub(crate) fn read(threads: usize, text: &[u8]) -> Result<Samples, Failure> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let pixels = lines[0].iter().filter(|byte| **byte == b'\t').count();
    let pieces = parallel::map(threads, lines.chunks(PIECE).enumerate(), |(piece, lines)| {
        let read = lines.iter().enumerate().map(|(index, line)| {
            let wrong = || {
                let problem = format!(
                    "line {} is not a digit and {pixels} levels",
                    piece * PIECE + index + 1
                );
                Failure::malformed("the text of digits", problem)
            };
            row(line, pixels).ok_or_else(wrong)
        });
        read.collect::<Result<Vec<_>, _>>()
    });
    let mut digits = Vec::with_capacity(lines.len());
    let mut values = Vec::with_capacity(lines.len() * pixels);
    for piece in pieces {
        for (digit, levels) in piece? {
            digits.push(digit);
            values.extend(levels);
        }
    }
    Ok(Samples { digits, features: Matrix::new(pixels, values) })
}

/// The digit and the levels of a line, if there is at least one level.
fn row(line: &[u8], pixels: usize) -> Option<(u32, Vec<f32>)> {
    let mut numbers = line
        .split(|byte| *byte == b'\t')
        .map(|field| -> Option<u8> { str::from_utf8(field).ok()?.parse().ok() });
    let digit = numbers.next()??;
    let mut levels = Vec::with_capacity(pixels);
    for number in numbers {
        levels.push(f32::from(number?));
    }
    (digit < 10 && pixels > 0 && levels.len() == pixels).then_some((digit.into(), levels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digits;

    #[test]
    fn what_was_written_is_read() {
        let text = digits::write(1, 700, 8);
        let samples = read(3, &text).unwrap();
        assert_eq!((samples.digits.len(), samples.features.columns()), (700, 64));
        let mut again = Vec::new();
        for (row, digit) in samples.digits.iter().enumerate() {
            let levels = samples.features.row(row).iter().map(f32::to_string);
            let line: Vec<String> = std::iter::once(digit.to_string()).chain(levels).collect();
            again.extend(format!("{}\n", line.join("\t")).bytes());
        }
        assert!(again == text);
    }

    #[test]
    fn the_line_that_is_wrong_is_named() {
        let good = "1\t2\t3\n".repeat(300);
        for wrong in
            ["10\t2\t3", "1\t2", "1\t2\t3\t4", "1\t2\t256", "1\t\t3", "x\t2\t3", "", "1\t2\t\u{e4}"]
        {
            let refused = read(2, format!("{good}{wrong}\n{good}").as_bytes()).unwrap_err();
            assert!(refused.to_string().contains("line 301 is not"), "{wrong}: {refused}");
        }
        assert!(read(2, b"").is_err());
        assert!(read(2, b"7\n7\n").is_err());
    }
}
