//! Progress on standard error: a line for each step, and a bar while requests are sent. Where
//! standard error is no terminal, the lines only.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use platform::events::{Observer, RunEvent};

/// Tells the user what happens. Clones share the bar.
#[derive(Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style =
            ProgressStyle::with_template("  {bar:30} {pos}/{len} requests, {msg} {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar }
    }

    /// Prints a line above the bar.
    pub(crate) fn line(&self, text: &str) {
        self.bar.suspend(|| crate::render::talk(text));
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
            RunEvent::Progress { answered, of, failed } => self.measure(answered, of, failed),
            RunEvent::TrialDecided { verdict, .. } => {
                for reason in &verdict.reasons {
                    self.line(&format!("     {reason}"));
                }
            }
        }
    }
}
