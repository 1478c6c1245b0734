//! Progress on standard error: a line for each step, and a bar while requests are sent. Where
//! standard error is no terminal, the lines only.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use optimizer::canary::Figures;
use platform::events::{Observer, RunEvent};

/// Between two lines of a rollout's figures.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Tells the user what happens. Clones share the bar.
#[derive(Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
    /// When a rollout's figures were printed last.
    last_seen: Arc<Mutex<Option<Instant>>>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style =
            ProgressStyle::with_template("  {bar:30} {pos}/{len} requests, {msg} {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, last_seen: Arc::default() }
    }

    /// Prints a line above the bar.
    pub(crate) fn line(&self, text: &str) {
        self.bar.suspend(|| crate::render::talk(text));
    }

    /// What a rollout has seen, now and then.
    fn seen(&self, stable: &Figures, canary: &Figures, waiting_for: &str) {
        let now = Instant::now();
        let mut last = self.last_seen.lock().expect("not poisoned");
        let is_due = last.is_none_or(|last| now - last >= BETWEEN_LINES);
        if !is_due {
            return;
        }
        *last = Some(now);
        let one = |figures: &Figures| {
            let Figures { executions, cold_executions, failures, .. } = figures;
            let cost = figures.cost_usd.map_or("–".into(), |usd| format!("{:.3} µ$", usd * 1e6));
            let p95 = figures.p95_ms.map_or("–".into(), |ms| format!("{ms:.1} ms"));
            format!(
                "{executions} warm, {cold_executions} cold, {failures} failed, {cost}, p95 {p95}"
            )
        };
        self.line(&format!("  now: {}\n  new: {}\n       {waiting_for}", one(stable), one(canary)));
    }

    fn measure(&self, answered: u64, of: u64, failed: u64) {
        if answered == 1 {
            self.bar.reset();
            self.bar.enable_steady_tick(Duration::from_millis(200));
        }
        self.bar.set_length(of);
        self.bar.set_position(answered);
        self.bar.set_message(if failed > 0 { format!("{failed} failed,") } else { String::new() });
        if answered == of {
            self.bar.disable_steady_tick();
            self.bar.finish_and_clear();
        }
    }
}

impl Observer for Progress {
    fn on_event(&self, event: RunEvent) {
        match event {
            RunEvent::Building { command } => {
                self.line(&format!("building the functions: {command}"))
            }
            RunEvent::Deploying { tasks } => {
                self.line(&format!("deploying {tasks} tasks, each as a function of its own"));
            }
            RunEvent::SearchStarted { search } => self.line(&format!("\n{search}")),
            RunEvent::TrialStarted { number, trial } => {
                self.line(&format!("{number:>3}  {}\n     {}", trial.deployment, trial.reason));
            }
            RunEvent::ComparisonStarted { deployments } => {
                self.line("\nfinal comparison, interleaved");
                for deployment in deployments {
                    self.line(&format!("     {deployment}"));
                }
            }
            RunEvent::VerificationStarted { deployments: [unfused, fused] } => {
                self.line("\nverification: the same requests to both");
                self.line(&format!("     {unfused}\n     {fused}"));
            }
            RunEvent::BudgetSpent { limit } => {
                self.line(&format!("     stopped: the budget of {limit} would be passed"));
            }
            RunEvent::PastSupervisor { calls } => {
                for (task, count) in calls {
                    self.line(&format!(
                        "     notice: {count} calls of {task} left although it is inlined. The caller's SDK \
                         may ignore AWS_ENDPOINT_URL_LAMBDA, as those from before mid-2023 do: update it \
                         (boto3 1.28, @aws-sdk 3.388), or do not fuse {task}"
                    ));
                }
            }
            RunEvent::InsightsFailed { group, reason } => {
                self.line(&format!(
                    "     notice: Logs Insights was of no use for {group} ({reason}); it is read with FilterLogEvents"
                ));
            }
            RunEvent::Progress { answered, of, failed } => self.measure(answered, of, failed),
            RunEvent::RolloutStep { percent } => {
                self.line(&format!("\n{percent} % of the calls go to the new deployment"));
            }
            RunEvent::RolloutSeen { stable, canary, waiting_for } => {
                self.seen(&stable, &canary, &waiting_for);
            }
            RunEvent::TrialDecided { verdict, .. } => {
                for reason in &verdict.reasons {
                    self.line(&format!("     {reason}"));
                }
            }
        }
    }
}
