//! `classify`: says what is seen in the key frames, and deletes the execution's objects.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use workloads_common::{Failure, Store, parallel};

use crate::WORKFLOW;
use crate::detect::{Area, detect};
use crate::extract;
use crate::features::{Features, Filters};
use crate::film::Kind;
use crate::picture::Picture;

/// Radius of the ideal shapes, in pixels.
const IDEAL_RADIUS: usize = 18;

/// What the function answers.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// What is seen in each key frame, in the video's order.
    pub key_frames: Vec<KeyFrame>,
    /// The frames with which a scene starts, without the first one of all.
    pub cuts: Vec<usize>,
    /// How many objects of each kind are seen in all key frames.
    pub counts: BTreeMap<Kind, usize>,
}

/// What is seen in a frame.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyFrame {
    /// The frame, counted in the video from 0.
    pub frame: usize,
    /// What is seen, row by row.
    pub objects: Vec<Seen>,
}

/// An object in a frame.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Seen {
    /// What it is.
    pub kind: Kind,
    /// How sure that is, at most 1.
    pub likeness: f32,
    /// Where it is.
    pub area: Area,
}

/// What kinds of objects look like.
struct Ideals {
    filters: Filters,
    detail: usize,
    kinds: Vec<(Kind, Features)>,
}

/// Finds the objects in the key frames, and says of each what it is, on up to `threads` threads. Every
/// key frame is in memory, and every object takes as long as the others.
///
/// # Errors
/// If the event names no key frame or those of several executions, a picture is missing or damaged, or
/// the store refuses.
pub async fn handle(
    store: &Store,
    threads: usize,
    extracted: Vec<extract::Answer>,
) -> Result<Answer, Failure> {
    let nothing = || Failure::Request("there is no key frame".to_owned());
    let first = extracted.first().ok_or_else(nothing)?;
    let (id, detail) = (first.execution_id.as_str(), first.detail);
    if extracted.iter().any(|one| one.execution_id != id) {
        return Err(Failure::Request("the key frames are of several executions".to_owned()));
    }
    Failure::unless_within("detail", detail, &(32..=2_048))?;
    let folder = store.folder(WORKFLOW, id)?;
    let mut pictures = Vec::with_capacity(extracted.len());
    for key in &extracted {
        pictures.push(Picture::from_ppm(&key.picture, &folder.get(&key.picture).await?)?);
    }

    let areas = parallel::map(threads, &pictures, detect);
    let ideals = Ideals::new(threads, detail);
    let objects: Vec<(&Picture, Area)> = pictures
        .iter()
        .zip(&areas)
        .flat_map(|(p, areas)| areas.iter().map(move |a| (p, *a)))
        .collect();
    let seen = parallel::map(threads, objects, |(picture, area)| ideals.name(picture, area));

    let mut counts = BTreeMap::new();
    for object in &seen {
        *counts.entry(object.kind).or_default() += 1;
    }
    let mut seen = seen.into_iter();
    let frames = extracted.iter().zip(&areas).map(|(key, areas)| KeyFrame {
        frame: key.key_frame,
        objects: seen.by_ref().take(areas.len()).collect(),
    });
    let key_frames = frames.collect();
    let cuts = extracted.iter().flat_map(|key| key.cuts.iter().copied()).collect();
    folder.delete().await?;
    Ok(Answer { key_frames, cuts, counts })
}

impl Ideals {
    fn new(threads: usize, detail: usize) -> Self {
        let filters = Filters::new();
        let kinds = parallel::map(threads, Kind::ALL, |kind| {
            let (picture, area) = ideal(kind);
            (kind, filters.describe(&picture, area, detail))
        });
        Self { filters, detail, kinds }
    }

    /// The kind that an object is most like.
    fn name(&self, picture: &Picture, area: Area) -> Seen {
        let features = self.filters.describe(picture, area, self.detail);
        let like = self.kinds.iter().map(|(kind, ideal)| (*kind, ideal.likeness(&features)));
        let most = like.max_by(|one, other| one.1.total_cmp(&other.1));
        let (kind, likeness) = most.expect("there are kinds");
        Seen { kind, likeness, area }
    }
}

/// A shape as it should be: bright in front of something dark.
fn ideal(kind: Kind) -> (Picture, Area) {
    let side = 4 * IDEAL_RADIUS;
    let pixel = |index: usize| {
        let [x, y] =
            [index % side, index / side].map(|at| (at as f32 + 0.5) / IDEAL_RADIUS as f32 - 2.0);
        if kind.distance(x, y) <= 0.0 { [190; 3] } else { [60; 3] }
    };
    let picture = Picture::new(side, (0..side * side).map(pixel).collect());
    let (start, length) = (IDEAL_RADIUS, 2 * IDEAL_RADIUS);
    (picture, Area { x: start, y: start, width: length, height: length })
}
