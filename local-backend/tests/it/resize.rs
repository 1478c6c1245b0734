//! Warm instances get other sizes without being replaced.

use std::process::Command;
use std::time::Duration;

use http::StatusCode;
use local_backend::SandboxChoice;
use serde_json::{Value, json};
use wire::report::ReportStatus;

use crate::limits::burn;
use crate::support::{MACHINE, Platform, in_each_sandbox, instances, sandboxes, tell, until, with};

/// Environment of a function whose instances are resized.
fn environment(vcpu: &str) -> Value {
    json!({ "Variables": { "FUSELINE_RESIZE": "in-place", "FUSELINE_VCPU": vcpu } })
}

fn size(memory_mb: u32, vcpu: &str) -> Value {
    json!({ "MemorySize": memory_mb, "Environment": environment(vcpu) })
}

async fn update(platform: &Platform, settings: Value) {
    let path = "/2015-03-31/functions/f/configuration";
    let reply = platform.put(path, settings).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert_eq!(reply.body["LastUpdateStatus"], "Successful", "{reply:?}");
}

/// Whether this machine cannot limit everything, so that instances are replaced; says so loudly.
fn cannot_resize(platform: &Platform) -> bool {
    let cannot = platform.notices.iter().any(|notice| notice.starts_with("FUSELINE_RESIZE has"));
    if cannot {
        tell("\nSKIPPED: SIZES CANNOT BE LIMITED HERE, SO INSTANCES ARE REPLACED\n");
    }
    cannot
}

/// The process that serves the function's next invocation, by its instance and its own number.
async fn process(platform: &Platform, event: Value) -> (String, u64) {
    let mut event = event;
    event["environment"] = json!(["AWS_LAMBDA_LOG_STREAM_NAME"]);
    let answer = platform.invoke("f", event).await.ok();
    let instance = answer["environment"][0].as_str().unwrap().to_owned();
    (instance, answer["process"].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resize_keeps_the_process_and_changes_its_quota() {
    let _machine = MACHINE.write().await;
    for sandbox in sandboxes() {
        with(sandbox, |_| {}, &async |platform: &Platform| {
            if cannot_resize(platform) {
                return;
            }
            platform.create_probe("f", size(512, "1")).await;
            let first = process(platform, json!({})).await;
            for (vcpu, burn_ms) in [("0.25", 750), ("1", 2_000), ("0.5", 1_500)] {
                update(platform, size(512, vcpu)).await;
                assert_eq!(process(platform, json!({})).await, first, "{vcpu}");
                burn(platform, "f", vcpu.parse().unwrap(), burn_ms, 1).await;
            }
            assert_eq!(process(platform, json!({})).await, first);
        })
        .await;
    }
}

/// CPU quotas of a server's instances in the process sandbox, in microseconds, as the kernel has them.
fn quotas(platform: &Platform) -> Vec<u64> {
    let pattern = format!("*/fuseline-{}/*", platform.server_id());
    let arguments = ["/sys/fs/cgroup", "-path", &pattern];
    let names = ["(", "-name", "cpu.cfs_quota_us", "-o", "-name", "cpu.max", ")"];
    let found = Command::new("find").args(arguments).args(names).output().unwrap();
    let files = String::from_utf8(found.stdout).unwrap();
    let quota = |file| {
        let text = fs_err::read_to_string(file).unwrap();
        text.split_whitespace().next().and_then(|first| first.parse().ok())
    };
    // Groups without a limit, as that of the server, say -1 or max.
    files.lines().filter_map(quota).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_answered_when_idle_instances_have_their_sizes() {
    let _machine = MACHINE.read().await;
    with(SandboxChoice::Process, |_| {}, &async |platform: &Platform| {
        if cannot_resize(platform) {
            return;
        }
        platform.create_probe("f", size(512, "1")).await;
        for (vcpu, quota_us) in [("0.25", 25_000), ("2", 200_000), ("0.5", 50_000)] {
            // The instance has answered and is not yet idle when the update comes.
            platform.invoke("f", json!({})).await.ok();
            update(platform, size(512, vcpu)).await;
            assert_eq!(quotas(platform), [quota_us]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resize_changes_the_memory_limit_and_its_figures() {
    in_each_sandbox(async |platform| {
        if cannot_resize(platform) {
            return;
        }
        platform.create_probe("f", size(512, "1")).await;
        let first = process(platform, json!({ "allocate_mb": 300 })).await;
        update(platform, size(160, "1")).await;
        let event =
            json!({ "allocate_mb": 20, "environment": ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] });
        let answer = platform.invoke("f", event).await.ok();
        assert_eq!(answer["environment"][0], "512", "a process keeps the environment of its start");
        update(platform, size(768, "1")).await;
        assert_eq!(process(platform, json!({ "allocate_mb": 600 })).await, first);
        update(platform, size(160, "1")).await;
        let failed = platform.invoke("f", json!({ "allocate_mb": 250 })).await;
        assert_eq!(failed.body["errorType"], "Runtime.OutOfMemory", "{failed:?}");

        let reports = platform.reports("f", 4).await;
        let sizes: Vec<u32> = reports.iter().filter_map(|report| report.memory_mb).collect();
        assert_eq!(sizes, [512, 160, 768, 160]);
        let peaks: Vec<u32> = reports.iter().filter_map(|report| report.max_memory_mb).collect();
        assert!(peaks[0] > 300 && (20..150).contains(&peaks[1]), "{peaks:?}");
        assert!(peaks[2] > 600 && peaks[3] == 160, "{peaks:?}");
        assert!(reports[3].out_of_memory());
        let starts = reports.iter().filter(|report| report.init_us.is_some());
        assert_eq!(starts.count(), 1, "only the first was a cold start");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_holds_more_than_its_new_size_is_replaced() {
    in_each_sandbox(async |platform| {
        if cannot_resize(platform) {
            return;
        }
        platform.create_probe("f", size(512, "1")).await;
        let first = process(platform, json!({ "keep_mb": 200 })).await;
        update(platform, size(128, "1")).await;
        let second = process(platform, json!({})).await;
        assert_ne!(second.0, first.0);
        until("the first is gone", async || (instances(platform) == 1).then_some(())).await;
        let reports = platform.reports("f", 2).await;
        assert_eq!(reports[1].memory_mb, Some(128));
        let peak = reports[1].max_memory_mb.unwrap();
        assert!(reports[1].init_us.is_some() && peak < 128, "{}", reports[1]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_instance_is_resized_after_its_invocation() {
    in_each_sandbox(async |platform| {
        if cannot_resize(platform) {
            return;
        }
        platform.create_probe("f", size(512, "1")).await;
        let first = process(platform, json!({})).await;
        let (busy, ()) = tokio::join!(
            process(platform, json!({ "sleep_ms": 1_500, "allocate_mb": 300 })),
            async {
                tokio::time::sleep(Duration::from_millis(500)).await;
                update(platform, size(160, "1")).await;
            }
        );
        assert_eq!(busy, first, "the invocation goes on");
        assert_eq!(process(platform, json!({})).await, first);
        let failed = platform.invoke("f", json!({ "allocate_mb": 250 })).await;
        assert_eq!(failed.body["errorType"], "Runtime.OutOfMemory", "{failed:?}");
        let reports = platform.reports("f", 4).await;
        let sizes: Vec<u32> = reports.iter().filter_map(|report| report.memory_mb).collect();
        assert_eq!(sizes, [512, 512, 160, 160]);
        assert_eq!(reports[1].status, ReportStatus::Success);
        assert!(reports[2].max_memory_mb.unwrap() < 150, "the peak of before: {}", reports[2]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resizes_under_load_lose_no_invocation() {
    in_each_sandbox(async |platform| {
        if cannot_resize(platform) {
            return;
        }
        platform.create_probe("f", size(512, "1")).await;
        let load = async |rounds: usize| {
            for _ in 0..rounds {
                platform.invoke("f", json!({ "sleep_ms": 5, "allocate_mb": 10 })).await.ok();
            }
        };
        let resize = async {
            for round in 0..20 {
                let memory_mb = [256, 512, 384][round % 3];
                update(platform, size(memory_mb, ["0.5", "1"][round % 2])).await;
            }
        };
        tokio::join!(load(60), load(60), load(60), resize);
        // All instances have the last size when they are used next.
        update(platform, size(448, "0.75")).await;
        tokio::join!(load(2), load(2), load(2));
        let reports = platform.reports("f", 186).await;
        assert!(reports.iter().all(|report| report.status == ReportStatus::Success));
        let last = &reports[reports.len() - 6..];
        assert!(last.iter().all(|report| report.memory_mb == Some(448)), "{last:?}");
        // Invocations that came while an instance was away to be resized waited for it.
        let starts = reports.iter().filter(|report| report.init_us.is_some()).count();
        assert!((1..=12).contains(&starts), "{starts} cold starts");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_changes_replace_instances() {
    in_each_sandbox(async |platform| {
        platform.create_probe("f", size(512, "1")).await;
        let mut seen = vec![process(platform, json!({})).await];
        let other_variable = json!({
            "FUSELINE_RESIZE": "in-place", "FUSELINE_VCPU": "1", "OTHER": "1",
        });
        for change in [
            json!({ "Environment": { "Variables": other_variable } }),
            json!({ "Timeout": 50 }),
            // Not asked for any more.
            json!({ "MemorySize": 256, "Environment": { "Variables": { "FUSELINE_VCPU": "1" } } }),
            json!({ "MemorySize": 512 }),
        ] {
            update(platform, change.clone()).await;
            let next = process(platform, json!({})).await;
            assert!(!seen.contains(&next), "{change}");
            seen.push(next);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn published_versions_keep_their_sizes() {
    in_each_sandbox(async |platform| {
        if cannot_resize(platform) {
            return;
        }
        platform.create_probe("f", size(512, "1")).await;
        platform.post("/2015-03-31/functions/f/versions", json!({})).await;
        let published = platform.instance("f:1", 0).await;
        update(platform, size(256, "1")).await;
        assert_eq!(platform.instance("f:1", 0).await, published);
        let reports = platform.reports("f", 2).await;
        assert!(reports.iter().all(|report| report.memory_mb == Some(512)), "{reports:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_that_are_none_are_refused() {
    in_each_sandbox(async |platform| {
        platform.create_probe("f", size(512, "1")).await;
        let first = process(platform, json!({})).await;
        let path = "/2015-03-31/functions/f/configuration";
        for settings in [
            size(8, "1"),
            size(512, "none"),
            size(512, "65"),
            json!({ "Environment": { "Variables": { "FUSELINE_RESIZE": "maybe" } } }),
        ] {
            let reply = platform.put(path, settings).await;
            assert_eq!(reply.error(), (400, "InvalidParameterValueException"), "{reply:?}");
        }
        assert_eq!(process(platform, json!({})).await, first);
    })
    .await;
}
