//! Makes the video of a film: uncompressed, as YUV4MPEG2 (`.y4m`), 4:2:0. Stands in for a camera, or
//! for the download of its file.

use rand::RngCore;
use workloads_common::random::stream;
use y4m::{Colorspace, Ratio};

use crate::film::{Film, Shape};
use crate::planes::Planes;

/// Sensor noise goes from minus this to one less than this, in levels of luma.
const NOISE: u8 = 4;

/// The whole video. Its size is 1.5 bytes for every pixel of every frame.
///
/// # Errors
/// If the encoder refuses, which it does for sizes that no memory holds.
pub fn record(film: &Film) -> Result<Vec<u8>, y4m::Error> {
    let order = film.order();
    let mut video = Vec::new();
    video.reserve_exact(order.frames * (order.width * order.height * 3 / 2 + 6) + 100);
    let mut encoder =
        y4m::encode(order.width, order.height, Ratio::new(order.frames_per_second, 1))
            .with_colorspace(Colorspace::C420jpeg)
            .write_header(&mut video)?;
    for frame in 0..order.frames {
        encoder.write_frame(&draw(film, frame).frame())?;
    }
    Ok(video)
}

fn draw(film: &Film, frame: usize) -> Planes {
    let (width, height) = (film.order().width, film.order().height);
    let mut random = stream(film.order().seed, "noise", frame);
    let mut luma = vec![0; width * height];
    let mut colour = [0, 1].map(|_| Vec::with_capacity(width * height / 4));
    for (row, pixels) in luma.chunks_mut(width).enumerate() {
        let [level, difference @ ..] = film.background(frame, row);
        random.fill_bytes(pixels);
        pixels.iter_mut().for_each(|pixel| *pixel = level - NOISE + *pixel % (2 * NOISE));
        if row % 2 == 0 {
            for (plane, value) in colour.iter_mut().zip(difference) {
                plane.resize(plane.len() + width / 2, value);
            }
        }
    }
    let mut planes = Planes { width, luma, colour };
    for shape in film.shapes(frame) {
        let blur = film.blur(frame);
        let [level, difference @ ..] = shape.colour;
        paint(&mut planes.luma, width, &shape, blur, level);
        let Shape { x, y, radius, .. } = shape;
        let half = Shape { x: x / 2.0, y: y / 2.0, radius: radius / 2.0, ..shape };
        for (plane, value) in planes.colour.iter_mut().zip(difference) {
            paint(plane, width / 2, &half, blur, value);
        }
    }
    planes
}

/// Lays a shape over a plane, with an edge as wide as `blur` says.
fn paint(plane: &mut [u8], width: usize, shape: &Shape, blur: f32, value: u8) {
    let Shape { kind, x, y, radius, .. } = *shape;
    let reach = radius * (1.0 + blur / 2.0);
    let span = |centre: f32, end: usize| {
        (centre - reach).max(0.0) as usize..((centre + reach) as usize + 1).min(end)
    };
    for row in span(y, plane.len() / width) {
        for column in span(x, width) {
            let (dx, dy) = (column as f32 + 0.5 - x, row as f32 + 0.5 - y);
            let share = 0.5 - kind.distance(dx / radius, dy / radius) / blur;
            let pixel = &mut plane[row * width + column];
            let before = f32::from(*pixel);
            *pixel = (before + (f32::from(value) - before) * share.clamp(0.0, 1.0)) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::film::Order;

    #[test]
    fn the_video_shows_the_film() {
        let (width, height, frames) = (160, 90, 30);
        let order = Order { seed: 3, width, height, frames, frames_per_second: 10, objects: 4 };
        let film = Film::new(order);
        let video = record(&film).unwrap();
        assert!(video.starts_with(b"YUV4MPEG2 W160 H90 F10:1"));
        let mut decoder = y4m::decode(&video[..]).unwrap();
        for index in 0..frames {
            let frame = decoder.read_frame().unwrap();
            for shape in film.shapes(index) {
                // A ring is hollow in its middle.
                let column = (shape.x + 0.75 * shape.radius) as usize;
                let side = frame.get_y_plane()[shape.y as usize * width + column];
                let solid = shape.kind != crate::film::Kind::Triangle;
                assert!(!solid || side > 120, "frame {index}: {shape:?} has {side}");
            }
            assert!(frame.get_y_plane()[0] < 90);
        }
        assert!(matches!(decoder.read_frame(), Err(y4m::Error::EOF)));
    }
}
