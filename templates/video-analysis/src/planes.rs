//! A frame as a video holds it.

use y4m::Frame;

/// Brightness (luma) and the two colour differences of a frame; the latter have half as many rows and
/// columns.
pub(crate) struct Planes {
    pub(crate) width: usize,
    pub(crate) luma: Vec<u8>,
    pub(crate) colour: [Vec<u8>; 2],
}

impl Planes {
    /// A copy of a frame that is `width` pixels wide.
    pub(crate) fn of(frame: &Frame<'_>, width: usize) -> Self {
        Self {
            width,
            luma: frame.get_y_plane().to_vec(),
            colour: [frame.get_u_plane().to_vec(), frame.get_v_plane().to_vec()],
        }
    }

    pub(crate) fn frame(&self) -> Frame<'_> {
        let [u, v] = &self.colour;
        Frame::new([&self.luma, u, v], None)
    }
}
