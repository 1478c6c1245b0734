//! Finding what is seen in a video: the logic of three Lambda functions.
//!
//! One module per function ([`split`], [`extract`], [`classify`]) holds what the function does; the
//! programs in `src/bin` only connect it to Lambda. [`film`] says what a video shows and [`record`]
//! makes the video, since the template comes without files; the functions that look at it see its
//! pixels only.

pub mod classify;
mod detect;
pub mod extract;
mod features;
pub mod film;
mod picture;
mod planes;
pub mod record;
pub mod split;

pub use detect::Area;
pub use picture::Picture;

/// The workflow's name, which its objects in the store go by.
pub const WORKFLOW: &str = "video-analysis";
