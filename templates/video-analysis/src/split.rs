//! `split`: cuts a video into chunks of equal length.

use serde::{Deserialize, Serialize};
use workloads_common::{Failure, Store};
use y4m::Decoder;

use crate::WORKFLOW;
use crate::film::{Film, Order};
use crate::planes::Planes;
use crate::record::record;

/// What the function is asked: which video, and how to cut it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// The execution; its objects in the store go by it.
    pub execution_id: String,
    /// What is seen follows from it.
    #[serde(default)]
    pub seed: u64,
    /// How long the video is: 1 to 3,600 seconds.
    pub seconds: usize,
    /// Frames in a second: 1 to 60.
    pub frames_per_second: usize,
    /// Width of a frame: 64 to 7,680 pixels, an even number.
    pub width: usize,
    /// Height of a frame: 64 to 4,320 pixels, an even number.
    pub height: usize,
    /// How long a chunk is: 1 to 3,600 seconds.
    #[serde(default = "two")]
    pub chunk_seconds: usize,
    /// Objects in a scene, at most: 1 to 12.
    #[serde(default = "eight")]
    pub objects: usize,
    /// Width and height to which objects are enlarged before they are classified: 32 to 2,048 pixels.
    #[serde(default = "quarter")]
    pub detail: usize,
}

/// What the function answers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// How many frames the video has.
    pub frames: usize,
    /// The chunks, in the video's order.
    pub chunks: Vec<Chunk>,
}

/// A chunk of the video, which is a video itself.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Chunk {
    /// The execution.
    pub execution_id: String,
    /// The object with the chunk.
    pub video: String,
    /// The first of its own frames, counted in the whole video from 0.
    pub first_frame: usize,
    /// How many frames come before it in the object: 1, or 0 for the first chunk. They belong to the
    /// chunk before, and show whether a scene starts with this one.
    pub lead_frames: usize,
    /// As asked.
    pub detail: usize,
}

fn two() -> usize {
    2
}

fn eight() -> usize {
    8
}

fn quarter() -> usize {
    256
}

impl Request {
    /// The film that the video shows.
    ///
    /// # Errors
    /// If a number is out of its range.
    pub fn film(&self) -> Result<Film, Failure> {
        let even = |size: usize| size.is_multiple_of(2);
        for (field, value, range) in [
            ("seconds", self.seconds, 1..=3_600),
            ("framesPerSecond", self.frames_per_second, 1..=60),
            ("width", self.width, 64..=7_680),
            ("height", self.height, 64..=4_320),
            ("chunkSeconds", self.chunk_seconds, 1..=3_600),
            ("objects", self.objects, 1..=12),
            ("detail", self.detail, 32..=2_048),
        ] {
            Failure::unless_within(field, value, &range)?;
        }
        if !(even(self.width) && even(self.height)) {
            let problem = "width and height have to be even, because colours are stored for squares \
                           of two by two pixels";
            return Err(Failure::Request(problem.to_owned()));
        }
        Ok(Film::new(Order {
            seed: self.seed,
            width: self.width,
            height: self.height,
            frames: self.seconds * self.frames_per_second,
            frames_per_second: self.frames_per_second,
            objects: self.objects,
        }))
    }
}

/// Makes the video, reads it from front to back, and keeps its chunks.
///
/// # Errors
/// If the request makes no sense or the store refuses.
pub async fn handle(store: &Store, request: Request) -> Result<Answer, Failure> {
    let folder = store.folder(WORKFLOW, &request.execution_id)?;
    let film = request.film()?;
    let frames = film.order().frames;
    let broken = |error: y4m::Error| Failure::malformed("the video", error);
    let video = record(&film).map_err(broken)?;

    let mut decoder = y4m::decode(&video[..]).map_err(broken)?;
    let length = request.chunk_seconds * request.frames_per_second;
    let mut chunks = Vec::new();
    let mut last = None;
    for first_frame in (0..frames).step_by(length) {
        let lead_frames = usize::from(last.is_some());
        let own_frames = length.min(frames - first_frame);
        let (content, end) = cut(&mut decoder, own_frames, last).map_err(broken)?;
        last = Some(end);
        let name = format!("chunk-{:04}.y4m", chunks.len());
        folder.put(&name, content).await?;
        chunks.push(Chunk {
            execution_id: request.execution_id.clone(),
            video: name,
            first_frame,
            lead_frames,
            detail: request.detail,
        });
    }
    Ok(Answer { frames, chunks })
}

/// The next `frames` frames as a video of their own, after the last frame of the chunk before; and the
/// last of them.
fn cut(
    decoder: &mut Decoder<&[u8]>,
    frames: usize,
    before: Option<Planes>,
) -> Result<(Vec<u8>, Planes), y4m::Error> {
    let (width, height) = (decoder.get_width(), decoder.get_height());
    let mut chunk = Vec::new();
    let mut encoder = y4m::encode(width, height, decoder.get_framerate())
        .with_colorspace(decoder.get_colorspace())
        .write_header(&mut chunk)?;
    if let Some(before) = before {
        encoder.write_frame(&before.frame())?;
    }
    for _ in 1..frames {
        encoder.write_frame(&decoder.read_frame()?)?;
    }
    let last = Planes::of(&decoder.read_frame()?, width);
    encoder.write_frame(&last.frame())?;
    Ok((chunk, last))
}
