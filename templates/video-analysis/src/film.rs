//! What a video shows: scenes that follow each other, each with shapes that move in front of a
//! background. Everything follows from the seed.

use std::f32::consts::TAU;

use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use workloads_common::random::stream;

/// Places for shapes in a scene, so that no shape hides another.
const PLACES: (usize, usize) = (4, 3);
/// Luma, and two colour differences, of the backgrounds: a scene never has that of the one before.
const BACKGROUNDS: [[u8; 3]; 5] =
    [[48, 150, 100], [66, 100, 150], [48, 108, 108], [66, 150, 150], [57, 128, 128]];
/// How many levels of luma lie between the background's top and its bottom.
const GRADIENT: f32 = 16.0;
/// How long the camera needs to focus on a new scene, in seconds.
const FOCUS_SECONDS: f32 = 0.6;

/// A kind of shape. All of them fill a square of twice their radius.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A filled circle.
    Disc,
    /// A circle with a hole of half its width.
    Ring,
    /// A square.
    Square,
    /// A triangle that stands on one side.
    Triangle,
    /// A plus sign.
    Cross,
}

/// A shape in one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// What it is.
    pub kind: Kind,
    /// Its centre, in pixels from the left.
    pub x: f32,
    /// Its centre, in pixels from the top.
    pub y: f32,
    /// Half its width and height, in pixels.
    pub radius: f32,
    /// Luma and two colour differences.
    pub colour: [u8; 3],
}

/// What is to be filmed.
#[derive(Clone, Debug)]
pub struct Order {
    /// Everything follows from it.
    pub seed: u64,
    /// Width of a frame, in pixels.
    pub width: usize,
    /// Height of a frame, in pixels.
    pub height: usize,
    /// How long the video is, in frames.
    pub frames: usize,
    /// Frames in a second.
    pub frames_per_second: usize,
    /// Shapes in a scene, at most; up to 12.
    pub objects: usize,
}

/// What a video shows.
#[derive(Clone, Debug)]
pub struct Film {
    order: Order,
    scenes: Vec<Scene>,
}

#[derive(Clone, Debug)]
struct Scene {
    first: usize,
    background: [u8; 3],
    actors: Vec<Actor>,
}

/// A shape that circles around its place.
#[derive(Clone, Debug)]
struct Actor {
    rest: Shape,
    orbit: f32,
    phase: f32,
    turns_per_second: f32,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Disc, Self::Ring, Self::Square, Self::Triangle, Self::Cross];

    /// How far a point is outside a shape of radius 1 around the origin, and inside if negative.
    pub(crate) fn distance(self, x: f32, y: f32) -> f32 {
        let (x, r) = (x.abs(), x.hypot(y));
        match self {
            Self::Disc => r - 1.0,
            Self::Ring => (r - 0.75).abs() - 0.25,
            Self::Square => x.max(y.abs()) - 1.0,
            Self::Triangle => (y - 1.0).max((2.0 * x - y - 1.0) / 5.0_f32.sqrt()),
            Self::Cross => (x.min(y.abs()) - 0.35).max(x.max(y.abs()) - 1.0),
        }
    }
}

impl Film {
    /// Decides what is seen.
    pub fn new(order: Order) -> Self {
        let mut random = stream(order.seed, "scenes", 0);
        let rate = order.frames_per_second;
        let (mut scenes, mut first, mut background) = (Vec::new(), 0, 0);
        while first < order.frames {
            background += random.random_range(1..BACKGROUNDS.len());
            background %= BACKGROUNDS.len();
            // Few scenes are crowded.
            let crowd = random.random::<f32>().powi(2) * order.objects as f32;
            let count = (crowd as usize + 1).min(order.objects);
            let actors = cast(&order, count, &mut random);
            scenes.push(Scene { first, background: BACKGROUNDS[background], actors });
            // Between 1.5 and 5 seconds, but never a single frame.
            first += random.random_range((3 * rate).div_ceil(2)..=5 * rate).max(2);
        }
        Self { order, scenes }
    }

    /// What was ordered.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// The frames that start a scene, without the first one of all.
    pub fn cuts(&self) -> Vec<usize> {
        self.scenes.iter().map(|scene| scene.first).skip(1).collect()
    }

    /// The shapes in a frame.
    pub fn shapes(&self, frame: usize) -> Vec<Shape> {
        let seconds = frame as f32 / self.order.frames_per_second as f32;
        let place = |actor: &Actor| {
            let angle = TAU * (actor.phase + actor.turns_per_second * seconds);
            let Actor { rest, orbit, .. } = *actor;
            Shape { x: rest.x + orbit * angle.cos(), y: rest.y + orbit * angle.sin(), ..rest }
        };
        self.scene(frame).actors.iter().map(place).collect()
    }

    /// How wide the edge of a shape is in a frame, in shares of its radius: wide until the camera has
    /// focused.
    pub fn blur(&self, frame: usize) -> f32 {
        let since = (frame - self.scene(frame).first) as f32 / self.order.frames_per_second as f32;
        0.1 + 0.5 * (1.0 - since / FOCUS_SECONDS).max(0.0)
    }

    /// The background in a row of a frame.
    pub(crate) fn background(&self, frame: usize, row: usize) -> [u8; 3] {
        let [luma, u, v] = self.scene(frame).background;
        let shade = GRADIENT * row as f32 / self.order.height as f32;
        [luma + shade as u8, u, v]
    }

    fn scene(&self, frame: usize) -> &Scene {
        let after = self.scenes.partition_point(|scene| scene.first <= frame);
        &self.scenes[after - 1]
    }
}

/// Shapes in different places of a scene.
fn cast(order: &Order, count: usize, random: &mut SmallRng) -> Vec<Actor> {
    let (across, down) = PLACES;
    let mut places: Vec<usize> = (0..across * down).collect();
    places.shuffle(random);
    let (width, height) = (order.width as f32 / across as f32, order.height as f32 / down as f32);
    // Half of what a place offers: a shape and its orbit stay within.
    let room = width.min(height) / 2.0;
    let actor = |place: usize| Actor {
        rest: Shape {
            kind: Kind::ALL[random.random_range(0..Kind::ALL.len())],
            x: ((place % across) as f32 + 0.5) * width,
            y: ((place / across) as f32 + 0.5) * height,
            radius: room * random.random_range(0.45..0.6),
            colour: [
                random.random_range(160..220),
                random.random_range(80..176),
                random.random_range(80..176),
            ],
        },
        orbit: room * random.random_range(0.05..0.25),
        phase: random.random(),
        turns_per_second: random.random_range(-0.4..0.4),
    };
    places.into_iter().take(count).map(actor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn film(seed: u64) -> Film {
        let frames_per_second = 10;
        Film::new(Order {
            seed,
            width: 320,
            height: 180,
            frames: 600,
            frames_per_second,
            objects: 12,
        })
    }

    #[test]
    fn shapes_stay_in_the_picture_and_apart() {
        for frame in 0..600 {
            let shapes = film(5).shapes(frame);
            for (index, one) in shapes.iter().enumerate() {
                let inside =
                    |at: f32, size: f32| at - one.radius > 1.0 && at + one.radius < size - 1.0;
                assert!(inside(one.x, 320.0) && inside(one.y, 180.0), "{frame}: {one:?}");
                for other in &shapes[..index] {
                    let apart = (one.x - other.x).abs().max((one.y - other.y).abs());
                    assert!(apart > one.radius + other.radius + 2.0, "{one:?} {other:?}");
                }
            }
        }
    }

    #[test]
    fn scenes_differ_in_length_crowd_and_background() {
        let film = film(6);
        let cuts = film.cuts();
        assert!((12..=40).contains(&cuts.len()), "{cuts:?}");
        let crowds: Vec<usize> = cuts.iter().map(|cut| film.shapes(*cut).len()).collect();
        assert!(crowds.contains(&1) && crowds.iter().any(|crowd| *crowd > 6), "{crowds:?}");
        for cut in cuts {
            assert_ne!(film.background(cut - 1, 0), film.background(cut, 0));
            assert!(film.blur(cut) > 0.5 && film.blur(cut + 6) < 0.2);
        }
    }

    #[test]
    fn a_film_follows_from_its_seed() {
        let [one, again, other] = [7, 7, 8].map(film);
        assert_eq!(one.shapes(123), again.shapes(123));
        assert_ne!(one.cuts(), other.cuts());
    }

    #[test]
    fn kinds_fill_their_square() {
        for kind in Kind::ALL {
            let inside: Vec<(i32, i32)> = (0..10_000)
                .map(|index| (index % 100 - 50, index / 100 - 50))
                .filter(|(x, y)| kind.distance(*x as f32 / 40.0, *y as f32 / 40.0) <= 0.0)
                .collect();
            let (xs, ys): (Vec<i32>, Vec<i32>) = inside.into_iter().unzip();
            for values in [xs, ys] {
                assert_eq!(values.iter().min(), Some(&-40), "{kind:?}");
                assert_eq!(values.iter().max(), Some(&40), "{kind:?}");
            }
        }
    }
}
