//! vCPU is what was asked for.

use serde_json::json;

use crate::support::{MACHINE, Platform, sandboxes, tell, with};

/// One CFS period, in microseconds: the first slice comes at once, so that a burn may take up to
/// one period less than its share.
const PERIOD_US: f64 = 100_000.0;
/// A burn is disturbed by whatever else runs on the machine, and only ever made longer by it.
const ATTEMPTS: usize = 5;
/// Clock ticks of `/proc/stat` per second.
const TICKS_PER_SECOND: f64 = 100.0;

#[tokio::test(flavor = "multi_thread")]
async fn burns_take_the_time_that_the_vcpu_says() {
    let _machine = MACHINE.write().await;
    for sandbox in sandboxes() {
        with(sandbox, |_| {}, &async |platform: &Platform| {
            if platform.notices.iter().any(|notice| notice.starts_with("vCPU limits")) {
                tell("\nSKIPPED: VCPU CANNOT BE LIMITED HERE\n");
                return;
            }
            for (vcpu, burn_ms, threads) in
                [(0.1, 300, 1), (0.25, 750, 1), (0.5, 1_500, 1), (1.0, 2_000, 1), (1.5, 4_500, 2)]
            {
                check(platform, vcpu, burn_ms, threads).await;
            }
        })
        .await;
    }
}

async fn check(platform: &Platform, vcpu: f64, burn_ms: u64, threads: u32) {
    let name = format!("burn-{}", vcpu.to_string().replace('.', "-"));
    let variables = json!({ "FUSELINE_VCPU": vcpu.to_string() });
    platform.create_probe(&name, json!({ "Environment": { "Variables": variables } })).await;
    platform.invoke(&name, json!({})).await.ok();
    burn(platform, &name, vcpu, burn_ms, threads).await;
}

/// Burns CPU time in a function and checks that it takes the time that its vCPU says.
pub(crate) async fn burn(platform: &Platform, name: &str, vcpu: f64, burn_ms: u64, threads: u32) {
    let expect_us = burn_ms as f64 * 1_000.0 / vcpu;
    let mut undisturbed = false;
    let mut said = String::new();
    for _ in 0..ATTEMPTS {
        let event = json!({ "burn_ms": burn_ms, "threads": threads });
        let before = Ticks::now();
        let burn_us = platform.invoke(name, event).await.ok()["burn_us"].as_f64().unwrap();
        let after = Ticks::now();
        let share = |before: f64, after: f64| (after - before) / TICKS_PER_SECOND * 1e6 / burn_us;
        let busy = share(before.busy, after.busy);
        let stolen = share(before.stolen, after.stolen);
        said = format!(
            "{}: {vcpu} vCPU took {burn_us} µs for {burn_ms} ms, expected {expect_us}",
            platform.kind
        );
        tell(&said);
        assert!(burn_us >= (expect_us - PERIOD_US) * 0.95, "{said}");
        if burn_us <= expect_us * 1.05 {
            return;
        }
        let processors = std::thread::available_parallelism().unwrap().get() as f64;
        undisturbed |= busy < processors - 0.2 && stolen < 0.02;
    }
    assert!(!undisturbed, "{said}");
    tell(&format!("\nNOT MEASURED, PROCESSORS ARE BUSY OR TAKEN AWAY: {vcpu} VCPU\n"));
}

/// Time that all processors together have spent.
struct Ticks {
    /// Not idle.
    busy: f64,
    /// Taken away by the hypervisor, a part of `busy`.
    stolen: f64,
}

impl Ticks {
    fn now() -> Self {
        let stat = fs_err::read_to_string("/proc/stat").unwrap();
        let first = stat.lines().next().unwrap();
        let ticks: Vec<f64> =
            first.split_whitespace().skip(1).map(|n| n.parse().unwrap()).collect();
        // The fourth and fifth are idle and waiting for disks; the last two are parts of the first.
        Self { busy: ticks[..8].iter().sum::<f64>() - ticks[3] - ticks[4], stolen: ticks[7] }
    }
}
