//! The whole workflow on a real store: forests learn to read.

#[path = "../../workloads-common/tests/common/mod.rs"]
mod common;

use ml_pipeline::{examine, pca, train};
use serde_json::{Value, json};
use workloads_common::{Failure, Store};

use self::common::{Disk, event};

fn request(id: &str, seed: u64) -> Value {
    json!({ "executionId": id, "seed": seed, "rows": 1_000, "pixels": 10, "components": 16,
            "trees": [1, 8], "features": [0.25, 0.75] })
}

async fn trained(store: &Store, threads: usize, request: &Value) -> Result<Vec<Value>, Failure> {
    let analysed: Value = event(&pca::handle(store, threads, event(request)).await?);
    let mut trained = Vec::new();
    for configuration in analysed["configurations"].as_array().unwrap() {
        trained.push(event(&train::handle(store, threads, event(configuration)).await?));
    }
    Ok(trained)
}

/// Runs the steps as the workflow file has them.
async fn execute(
    store: &Store,
    threads: usize,
    request: &Value,
) -> Result<examine::Answer, Failure> {
    let trained = trained(store, threads, request).await?;
    examine::handle(store, threads, event(&trained)).await
}

#[tokio::test]
async fn digits_are_read() {
    let disk = Disk::new();
    for seed in 1..=3 {
        let answer = execute(&disk.store, 2, &request("1", seed)).await.unwrap();
        // Chance would be 1 in 10.
        assert!(answer.accuracy > 0.65, "seed {seed}: {answer:?}");
        assert!(answer.recall.iter().all(|recall| *recall > 0.25), "seed {seed}: {answer:?}");
        assert_eq!((answer.rows, answer.best.len()), (200, 3));
        // Eight trees know more than one.
        assert!(answer.best[..2].iter().all(|best| best.configuration.trees == 8), "{answer:?}");
        assert!(answer.accuracy > answer.best[2].accuracy, "{answer:?}");
    }
    assert_eq!(disk.entries(), 0, "the last step has not deleted everything");
}

#[tokio::test]
async fn a_few_numbers_account_for_most_of_what_differs() {
    let disk = Disk::new();
    let mut explained = Vec::new();
    for components in [1, 8, 32, 64] {
        let mut request = request("1", 4);
        (request["pixels"], request["components"]) = (json!(8), json!(components));
        explained.push(pca::handle(&disk.store, 2, event(&request)).await.unwrap().explained);
    }
    assert!(explained.is_sorted() && explained[1] > 0.4, "{explained:?}");
    // All 64 pixels as 64 numbers: nothing is lost.
    assert!((explained[3] - 1.0).abs() < 1e-3, "{explained:?}");
}

#[tokio::test]
async fn every_combination_is_trained() {
    let disk = Disk::new();
    let trained = trained(&disk.store, 2, &request("1", 5)).await.unwrap();
    let trained: Vec<train::Answer> = event(&trained);
    let configurations = trained.iter().map(|one| &one.configuration);
    let configurations: Vec<_> =
        configurations.map(|one| (one.index, one.trees, one.features)).collect();
    assert_eq!(configurations, [(0, 1, 0.25), (1, 1, 0.75), (2, 8, 0.25), (3, 8, 0.75)]);
}

#[tokio::test]
async fn threads_and_time_change_nothing() {
    let disk = Disk::new();
    let first = execute(&disk.store, 1, &request("1", 6)).await.unwrap();
    for threads in [1, 2, 5] {
        assert_eq!(execute(&disk.store, threads, &request("1", 6)).await.unwrap(), first);
    }
}

#[tokio::test]
async fn executions_at_the_same_time_do_not_meet() {
    let disk = Disk::new();
    let alone = execute(&disk.store, 1, &request("1", 7)).await.unwrap();
    let (one, two) = (request("1", 7), request("2", 8));
    let (one, two) = tokio::join!(execute(&disk.store, 1, &one), execute(&disk.store, 1, &two));
    assert_eq!(one.unwrap(), alone);
    assert_ne!(two.unwrap().recall, alone.recall);
    assert_eq!(disk.entries(), 0);
}

#[tokio::test]
async fn nonsense_is_refused() {
    let disk = Disk::new();
    for (field, value, named) in [
        ("rows", json!(99), "rows"),
        ("pixels", json!(57), "pixels"),
        ("components", json!(65), "components"),
        ("trees", json!([]), "configurations"),
        ("trees", json!([0]), "trees"),
        ("features", json!([0.0]), "features"),
        ("maxDepth", json!(0), "maxDepth"),
    ] {
        let mut request = request("1", 1);
        request[field] = value;
        let refused = pca::handle(&disk.store, 1, event(&request)).await.unwrap_err();
        assert!(matches!(refused, Failure::Request(_)), "{field}: {refused}");
        assert!(refused.to_string().contains(named), "{refused}");
    }
    assert!(examine::handle(&disk.store, 1, Vec::new()).await.is_err());
    assert_eq!(disk.entries(), 0);

    // A forest that is damaged, and one that is gone.
    let trained = trained(&disk.store, 1, &request("1", 1)).await.unwrap();
    let mut trained: Vec<train::Answer> = event(&trained);
    trained.truncate(1);
    let folder = disk.store.folder("ml-pipeline", "1").unwrap();
    folder.put(&trained[0].model, b"{}".to_vec()).await.unwrap();
    let failed = examine::handle(&disk.store, 2, trained.clone()).await.unwrap_err();
    assert!(matches!(failed, Failure::Malformed { .. }), "{failed}");
    trained[0].model = "forest-999.json".to_owned();
    let failed = examine::handle(&disk.store, 2, trained).await.unwrap_err();
    assert!(matches!(failed, Failure::Store { .. }), "{failed}");
}
