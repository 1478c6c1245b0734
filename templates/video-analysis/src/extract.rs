//! `extract`: finds the scene cuts in a chunk, and the frame that shows best what is in it.

use serde::{Deserialize, Serialize};
use workloads_common::{Failure, Store, parallel};
use y4m::Decoder;

use crate::WORKFLOW;
use crate::picture::Picture;
use crate::planes::Planes;
use crate::split::Chunk;

/// Steps into which brightness and each colour difference are divided.
const BINS: usize = 16;
/// Share of the pixels that have to change in brightness or colour between two frames of different
/// scenes.
const CUT: f32 = 0.4;

/// What the function answers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The execution.
    pub execution_id: String,
    /// The key frame, counted in the whole video from 0.
    pub key_frame: usize,
    /// The object with its picture.
    pub picture: String,
    /// The frames with which a scene starts, counted in the whole video.
    pub cuts: Vec<usize>,
    /// As asked.
    pub detail: usize,
}

/// A frame, and what is to be known of it.
struct Frame {
    picture: Picture,
    histogram: [[f32; BINS]; 3],
    sharpness: f32,
}

/// The frames of a chunk, one after the other.
struct Frames<'a> {
    decoder: Decoder<&'a [u8]>,
}

/// Decodes a chunk, looks at all frames on up to `threads` threads, and keeps the sharpest.
///
/// # Errors
/// If the chunk is missing or is no video, or the store refuses.
pub async fn handle(store: &Store, threads: usize, chunk: Chunk) -> Result<Answer, Failure> {
    let folder = store.folder(WORKFLOW, &chunk.execution_id)?;
    let video = folder.get(&chunk.video).await?;
    let broken = |error| Failure::malformed(&chunk.video, error);
    let frames = Frames { decoder: y4m::decode(&video[..]).map_err(broken)? };
    let looked = parallel::map(threads, frames, |planes| planes.map(|planes| Frame::from(&planes)));
    let frames = looked.into_iter().collect::<Result<Vec<_>, _>>().map_err(broken)?;

    let missing = || Failure::malformed(&chunk.video, "it has no frame of its own");
    let own = frames.get(chunk.lead_frames..).ok_or_else(missing)?;
    let sharper = |one: &(usize, &Frame), other: &(usize, &Frame)| {
        one.1.sharpness.total_cmp(&other.1.sharpness)
    };
    let (index, key) = own.iter().enumerate().max_by(sharper).ok_or_else(missing)?;
    let key_frame = chunk.first_frame + index;
    let picture = format!("key-{key_frame:06}.ppm");
    folder.put(&picture, key.picture.to_ppm()).await?;

    let start = chunk.first_frame.saturating_sub(chunk.lead_frames);
    let cuts = frames.windows(2).enumerate().filter(|(_, pair)| change(&pair[0], &pair[1]) > CUT);
    let cuts = cuts.map(|(index, _)| start + index + 1).collect();
    let (execution_id, detail) = (chunk.execution_id, chunk.detail);
    Ok(Answer { execution_id, key_frame, picture, cuts, detail })
}

impl Iterator for Frames<'_> {
    type Item = Result<Planes, y4m::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let width = self.decoder.get_width();
        match self.decoder.read_frame() {
            Ok(frame) => Some(Ok(Planes::of(&frame, width))),
            Err(y4m::Error::EOF) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

impl From<&Planes> for Frame {
    fn from(planes: &Planes) -> Self {
        let [u, v] = &planes.colour;
        Self {
            picture: Picture::from(planes),
            histogram: [&planes.luma, u, v].map(|plane| histogram(plane)),
            sharpness: sharpness(&planes.luma, planes.width),
        }
    }
}

/// Which share of the values lies in each bin.
fn histogram(plane: &[u8]) -> [f32; BINS] {
    let mut counts = [0_u32; BINS];
    for value in plane {
        counts[usize::from(*value) * BINS / 256] += 1;
    }
    counts.map(|count| count as f32 / plane.len() as f32)
}

/// By how much pixels differ from their neighbours, on average of the squares.
fn sharpness(luma: &[u8], width: usize) -> f32 {
    let rows: Vec<&[u8]> = luma.chunks(width).collect();
    let mut sum = 0_u64;
    for window in rows.windows(3) {
        let (above, row, below) = (window[0], window[1], window[2]);
        for column in 1..width - 1 {
            let around = [above[column], below[column], row[column - 1], row[column + 1]];
            let around: i32 = around.into_iter().map(i32::from).sum();
            let edge = 4 * i32::from(row[column]) - around;
            sum += u64::from(edge.unsigned_abs().pow(2));
        }
    }
    sum as f32 / luma.len() as f32
}

/// The largest share of the pixels that have changed in one of brightness and the colour differences.
fn change(before: &Frame, after: &Frame) -> f32 {
    let moved = |(before, after): (&[f32; BINS], &[f32; BINS])| {
        before.iter().zip(after).map(|(before, after)| (before - after).abs()).sum::<f32>() / 2.0
    };
    before.histogram.iter().zip(&after.histogram).map(moved).fold(0.0, f32::max)
}
