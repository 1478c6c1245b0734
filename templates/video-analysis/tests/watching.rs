//! The whole workflow on a real store: what is found in a video is what was filmed.

#[path = "../../workloads-common/tests/common/mod.rs"]
mod common;

use serde_json::{Value, json};
use video_analysis::{classify, extract, film::Film, split};
use workloads_common::{Failure, Store};

use self::common::{Disk, event};

fn request(id: &str, seed: u64, seconds: usize) -> Value {
    json!({ "executionId": id, "seed": seed, "seconds": seconds, "framesPerSecond": 10,
            "width": 320, "height": 180, "chunkSeconds": 2, "objects": 8, "detail": 64 })
}

/// Runs the steps as the workflow file has them.
async fn execute(
    store: &Store,
    threads: usize,
    request: &Value,
) -> Result<classify::Answer, Failure> {
    let split: Value = event(&split::handle(store, event(request)).await?);
    let mut extracted: Vec<Value> = Vec::new();
    for chunk in split["chunks"].as_array().unwrap() {
        extracted.push(event(&extract::handle(store, threads, event(chunk)).await?));
    }
    classify::handle(store, threads, event(&extracted)).await
}

fn film(request: &Value) -> Film {
    event::<split::Request>(request).film().unwrap()
}

#[tokio::test]
async fn what_is_found_is_what_was_filmed() {
    let disk = Disk::new();
    let mut objects = 0;
    for seed in 1..=3 {
        let request = request("1", seed, 24);
        let film = film(&request);
        let answer = execute(&disk.store, 2, &request).await.unwrap();
        assert_eq!(answer.cuts, film.cuts());
        assert_eq!(answer.key_frames.len(), 12);
        for (chunk, key) in answer.key_frames.iter().enumerate() {
            assert!((20 * chunk..20 * (chunk + 1)).contains(&key.frame), "{key:?}");
            let mut shapes = film.shapes(key.frame);
            assert_eq!(key.objects.len(), shapes.len(), "frame {}", key.frame);
            for seen in &key.objects {
                let x = seen.area.x as f32 + seen.area.width as f32 / 2.0;
                let y = seen.area.y as f32 + seen.area.height as f32 / 2.0;
                let at = shapes
                    .iter()
                    .position(|shape| (shape.x - x).abs() < 2.0 && (shape.y - y).abs() < 2.0);
                let shape = shapes.remove(at.unwrap_or_else(|| panic!("nothing is at {seen:?}")));
                assert_eq!(seen.kind, shape.kind, "frame {}: {seen:?}", key.frame);
                objects += 1;
            }
        }
        assert_eq!(
            answer.counts.values().sum::<usize>(),
            answer.key_frames.iter().map(|key| key.objects.len()).sum::<usize>()
        );
    }
    assert!(objects > 60, "only {objects}");
    assert_eq!(disk.entries(), 0, "the last step has not deleted everything");
}

#[tokio::test]
async fn the_key_frame_is_in_focus_where_a_chunk_has_such_a_frame() {
    let disk = Disk::new();
    let request = request("1", 4, 30);
    let film = film(&request);
    let answer = execute(&disk.store, 2, &request).await.unwrap();
    for (chunk, key) in answer.key_frames.iter().enumerate() {
        // Scenes are in focus after 0.6 s and last 1.5 s: two seconds always hold such a frame.
        assert!(film.blur(key.frame) < 0.2, "chunk {chunk}: frame {}", key.frame);
    }
}

#[tokio::test]
async fn threads_and_time_change_nothing() {
    let disk = Disk::new();
    let request = request("1", 5, 6);
    let first = execute(&disk.store, 1, &request).await.unwrap();
    for threads in [1, 2, 5] {
        assert_eq!(execute(&disk.store, threads, &request).await.unwrap(), first);
    }
}

#[tokio::test]
async fn executions_at_the_same_time_do_not_meet() {
    let disk = Disk::new();
    let [one, two] = [("1", 6), ("2", 7)].map(|(id, seed)| request(id, seed, 6));
    let alone = [&one, &two].map(|request| film(request).cuts());
    let (one, two) = tokio::join!(execute(&disk.store, 1, &one), execute(&disk.store, 1, &two));
    assert_eq!([one.unwrap().cuts, two.unwrap().cuts], alone);
    assert_eq!(disk.entries(), 0);
}

#[tokio::test]
async fn a_chunk_may_be_shorter_than_the_others_and_short() {
    let disk = Disk::new();
    let mut request = request("1", 8, 5);
    request["framesPerSecond"] = json!(1);
    let answer = split::handle(&disk.store, event(&request)).await.unwrap();
    assert_eq!(answer.frames, 5);
    let frames = answer.chunks.iter().map(|chunk| (chunk.first_frame, chunk.lead_frames));
    assert_eq!(frames.collect::<Vec<_>>(), [(0, 0), (2, 1), (4, 1)]);
    let answer = execute(&disk.store, 1, &request).await.unwrap();
    assert_eq!(answer.cuts, film(&request).cuts());
    assert_eq!(answer.key_frames.last().unwrap().frame, 4);
}

#[tokio::test]
async fn nonsense_is_refused() {
    let disk = Disk::new();
    for (field, value) in
        [("seconds", 0), ("width", 321), ("height", 62), ("objects", 13), ("detail", 4_000)]
    {
        let mut request = request("1", 1, 2);
        request[field] = json!(value);
        let refused = split::handle(&disk.store, event(&request)).await.unwrap_err();
        assert!(matches!(refused, Failure::Request(_)), "{field}: {refused}");
        assert!(refused.to_string().contains(field), "{refused}");
    }
    assert!(classify::handle(&disk.store, 1, Vec::new()).await.is_err());
    assert_eq!(disk.entries(), 0);

    // A chunk that is gone, and one that is damaged.
    let mut chunk =
        split::handle(&disk.store, event(&request("1", 1, 2))).await.unwrap().chunks.remove(0);
    let folder = disk.store.folder("video-analysis", "1").unwrap();
    folder
        .put("chunk-0000.y4m", b"YUV4MPEG2 W320 H180 F10:1\nFRAME\nshort".to_vec())
        .await
        .unwrap();
    let failed = extract::handle(&disk.store, 2, chunk.clone()).await.unwrap_err();
    assert!(matches!(failed, Failure::Malformed { .. }), "{failed}");
    chunk.video = "chunk-9999.y4m".to_owned();
    let failed = extract::handle(&disk.store, 2, chunk).await.unwrap_err();
    assert!(matches!(failed, Failure::Store { .. }), "{failed}");
}
