//! The whole workflow on a real store: what was learnt from a corpus tells what questions want.

#[path = "../../workloads-common/tests/common/mod.rs"]
mod common;

use chatbot::{corpus, detect, parse, train};
use serde_json::{Value, json};
use workloads_common::{Failure, Store};

use self::common::{Disk, event};

fn request(id: &str, seed: u64) -> Value {
    json!({ "executionId": id, "seed": seed, "dimensions": 32, "iterations": 200, "questions": 440 })
}

async fn learn(store: &Store, threads: usize, request: &Value) -> Result<Vec<Value>, Failure> {
    let parsed: Value = event(&parse::handle(store, event(request)).await?);
    let mut trained = Vec::new();
    for lesson in parsed["intents"].as_array().unwrap() {
        trained.push(event(&train::handle(store, threads, event(lesson)).await?));
    }
    Ok(trained)
}

/// Runs the steps as the workflow file has them.
async fn execute(
    store: &Store,
    threads: usize,
    request: &Value,
) -> Result<detect::Answer, Failure> {
    let trained = learn(store, threads, request).await?;
    detect::handle(store, threads, event(&trained)).await
}

#[tokio::test]
async fn questions_are_understood() {
    let disk = Disk::new();
    for seed in 1..=3 {
        let answer = execute(&disk.store, 2, &request("1", seed)).await.unwrap();
        // Chance would be 1 in 22; few of the words of light intents are known.
        assert!(answer.accuracy > 0.6, "seed {seed}: {answer:?}");
        assert_eq!((answer.questions, answer.intents.len()), (440, 22));
        assert_eq!(answer.intents.iter().map(|intent| intent.told).sum::<usize>(), 440);
        // What is heavy has not swallowed what is light.
        assert!(answer.intents.iter().all(|intent| intent.told < 440 / 5), "{answer:?}");
    }
    assert_eq!(disk.entries(), 0, "the last step has not deleted everything");
}

#[tokio::test]
async fn more_is_learnt_from_more() {
    let disk = Disk::new();
    let mut request = request("1", 1);
    request["scale"] = json!(3);
    let answer = execute(&disk.store, 2, &request).await.unwrap();
    assert!(answer.accuracy > 0.8, "{answer:?}");
}

#[tokio::test]
async fn training_is_skewed_and_learns() {
    let disk = Disk::new();
    let trained = learn(&disk.store, 2, &request("1", 4)).await.unwrap();
    let trained: Vec<train::Answer> = event(&trained);
    let names: Vec<&str> = trained.iter().map(|model| model.intent.as_str()).collect();
    assert_eq!(names, corpus::INTENTS);
    // Every utterance five times, and two of others.
    assert_eq!((trained[0].rows, trained[1].rows), (150 * 7, 106 * 7));
    for model in &trained {
        assert!(
            model.intent != "jokes"
                || model.rows > 7 * trained[2..].iter().map(|m| m.rows).min().unwrap()
        );
        assert!(model.accuracy > 0.9, "{model:?}");
    }
    assert_eq!(disk.entries(), 1);
}

#[tokio::test]
async fn threads_and_time_change_nothing() {
    let disk = Disk::new();
    let first = execute(&disk.store, 1, &request("1", 5)).await.unwrap();
    for threads in [1, 2, 5] {
        assert_eq!(execute(&disk.store, threads, &request("1", 5)).await.unwrap(), first);
    }
}

#[tokio::test]
async fn executions_at_the_same_time_do_not_meet() {
    let disk = Disk::new();
    let alone = execute(&disk.store, 1, &request("1", 6)).await.unwrap();
    let (one, two) = (request("1", 6), request("2", 7));
    let (one, two) = tokio::join!(execute(&disk.store, 1, &one), execute(&disk.store, 1, &two));
    assert_eq!(one.unwrap(), alone);
    assert_ne!(two.unwrap(), alone);
    assert_eq!(disk.entries(), 0);
}

#[tokio::test]
async fn input_grows_with_its_scale() {
    let disk = Disk::new();
    let mut request = request("1", 8);
    request["scale"] = json!(3);
    let answer = parse::handle(&disk.store, event(&request)).await.unwrap();
    assert_eq!((answer.intents[0].own, answer.intents[1].own), (450, 318));
    let folder = disk.store.folder("chatbot", "1").unwrap();
    let table = folder.get("table-00").await.unwrap();
    assert_eq!(table.len(), 16 + 450 * 3 * answer.words * 4);
    assert!((2_000..=2_660).contains(&answer.words), "{}", answer.words);
}

#[tokio::test]
async fn nonsense_is_refused() {
    let disk = Disk::new();
    for (field, value) in [("scale", 0), ("dimensions", 257), ("questions", 0)] {
        let mut request = request("1", 1);
        request[field] = json!(value);
        let refused = parse::handle(&disk.store, event(&request)).await.unwrap_err();
        assert!(matches!(refused, Failure::Request(_)), "{field}: {refused}");
        assert!(refused.to_string().contains(field), "{refused}");
    }
    assert!(detect::handle(&disk.store, 1, Vec::new()).await.is_err());
    assert_eq!(disk.entries(), 0);

    // A table that is damaged, one that has no row of its own, and one that is gone.
    let answer = parse::handle(&disk.store, event(&request("1", 1))).await.unwrap();
    let folder = disk.store.folder("chatbot", "1").unwrap();
    folder.put("table-02", b"no matrix".to_vec()).await.unwrap();
    let mut lesson = answer.intents[2].clone();
    let failed = train::handle(&disk.store, 2, lesson.clone()).await.unwrap_err();
    assert!(matches!(failed, Failure::Malformed { .. }), "{failed}");
    (lesson.table, lesson.own) = ("table-03".to_owned(), 0);
    let failed = train::handle(&disk.store, 2, lesson.clone()).await.unwrap_err();
    assert!(matches!(failed, Failure::Malformed { .. }), "{failed}");
    lesson.table = "table-99".to_owned();
    let failed = train::handle(&disk.store, 2, lesson).await.unwrap_err();
    assert!(matches!(failed, Failure::Store { .. }), "{failed}");
}
