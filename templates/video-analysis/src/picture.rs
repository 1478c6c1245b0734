//! A picture in red, green and blue.

use workloads_common::Failure;

use crate::planes::Planes;

/// A picture in red, green and blue, one byte each, row by row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Picture {
    width: usize,
    pixels: Vec<[u8; 3]>,
}

impl Picture {
    /// A picture of these pixels, row by row.
    pub(crate) fn new(width: usize, pixels: Vec<[u8; 3]>) -> Self {
        debug_assert!(pixels.len().is_multiple_of(width), "the last row is full");
        Self { width, pixels }
    }

    /// Its width, in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Its height, in pixels.
    pub fn height(&self) -> usize {
        self.pixels.len() / self.width
    }

    /// The pixel in a column of a row.
    pub(crate) fn at(&self, column: usize, row: usize) -> [u8; 3] {
        self.pixels[row * self.width + column]
    }

    /// How bright every pixel is, from 0 to 255, row by row.
    pub(crate) fn brightness(&self) -> Vec<f32> {
        self.pixels.iter().map(|pixel| brightness(pixel.map(f32::from))).collect()
    }

    /// As a file: binary PPM.
    pub fn to_ppm(&self) -> Vec<u8> {
        let mut file = format!("P6\n{} {}\n255\n", self.width, self.height()).into_bytes();
        file.extend_from_slice(self.pixels.as_flattened());
        file
    }

    /// What [`Picture::to_ppm`] wrote as the object `name`.
    ///
    /// # Errors
    /// If it did not write this.
    pub fn from_ppm(name: &str, file: &[u8]) -> Result<Self, Failure> {
        let read = || {
            let mut parts = file.splitn(4, |byte| byte.is_ascii_whitespace());
            let mut part = || parts.next();
            let number = |part: &[u8]| str::from_utf8(part).ok()?.parse::<usize>().ok();
            let (b"P6", width, height) = (part()?, number(part()?)?, number(part()?)?) else {
                return None;
            };
            let (pixels, []) = part()?.strip_prefix(b"255\n")?.as_chunks() else { return None };
            let full = width > 0 && width.checked_mul(height) == Some(pixels.len());
            full.then(|| Self { width, pixels: pixels.to_vec() })
        };
        read()
            .ok_or_else(|| Failure::malformed(name, "this is no PPM picture of the size it names"))
    }
}

/// How bright red, green and blue are together.
pub(crate) fn brightness([red, green, blue]: [f32; 3]) -> f32 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

impl From<&Planes> for Picture {
    fn from(planes: &Planes) -> Self {
        let Planes { width, luma, colour } = planes;
        let mut pixels = Vec::with_capacity(luma.len());
        for (row, levels) in luma.chunks(*width).enumerate() {
            let start = row / 2 * (width / 2);
            let [u, v] = [0, 1].map(|plane| &colour[plane][start..start + width / 2]);
            for (column, level) in levels.iter().enumerate() {
                let half = column / 2;
                pixels.push(rgb(f32::from(*level), f32::from(u[half]), f32::from(v[half])));
            }
        }
        Self { width: *width, pixels }
    }
}

/// ITU-R BT.601, all 256 levels, as JPEG has it.
fn rgb(luma: f32, u: f32, v: f32) -> [u8; 3] {
    let (u, v) = (u - 128.0, v - 128.0);
    [luma + 1.402 * v, luma - 0.344_136 * u - 0.714_136 * v, luma + 1.772 * u]
        .map(|value| (value + 0.5) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_what_they_were() {
        let frame = [[76, 85, 255], [150, 44, 21], [29, 255, 107], [128, 128, 128]];
        let seen = [[254, 0, 0], [0, 255, 1], [0, 0, 254], [128, 128, 128]];
        for (of, expected) in frame.into_iter().zip(seen) {
            let [luma, u, v] = of;
            let planes = Planes { width: 2, luma: vec![luma; 4], colour: [vec![u], vec![v]] };
            let picture = Picture::from(&planes);
            for (value, expected) in picture.at(1, 1).into_iter().zip(expected) {
                assert!(value.abs_diff(expected) <= 1, "{of:?}: {picture:?}");
            }
            let bright = picture.brightness()[3];
            assert!((bright - f32::from(luma)).abs() < 1.5, "{bright}");
        }
    }

    #[test]
    fn files_are_read_back() {
        let picture = Picture::new(3, [[10, 32, 13], [0, 9, 255], [1, 2, 3]].repeat(2));
        let file = picture.to_ppm();
        assert_eq!(Picture::from_ppm("p", &file).unwrap(), picture);
        let mut other = file.clone();
        other[3] = b'4';
        for wrong in
            [&file[..10], &file[..file.len() - 1], &other, b"P6 9999999999999 9 255\n", b""]
        {
            let refused = Picture::from_ppm("key-1", wrong).unwrap_err().to_string();
            assert!(refused.starts_with("key-1 is damaged"), "{refused}");
        }
    }
}
