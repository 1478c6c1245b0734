//! Checks that a fused deployment answers like the unfused one: sends both the same requests and
//! compares what came of them ([`optimizer::equivalence`] says how).
//!
//! Requests go in three runs: to the unfused deployment, to the fused one, and to the unfused one
//! again, deployed a second time so that what belongs to an instance (host, process, folder) differs
//! there too. All three are up from the start. What differs between the unfused runs is not counted.
//! Where that still leaves a difference the unfused deployment gets a fourth run, so that a field that
//! only now and then varies is not taken for one that fusing changed.
//!
//! **A workflow has side effects:** a request sent twice may find that its work is done already, and
//! take another way. So where the workflow file has a `prepare` command, every run sends the very same
//! payloads and `prepare` makes anew what they need before each of them: then all that follows from a
//! payload can be compared. (`prepare` is given the same payloads twice whenever a command runs twice
//! with one seed, so it has to cope with that anyway.) Without `prepare`, requests made from templates
//! get fresh identifiers in every run, and all else in them stays the same; the identifiers are given
//! names before answers are compared. Payloads out of a file or out of records carry no sign of what
//! is an identifier: they are sent as they are, every time, and the report says so.

mod payloads;
mod replay;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use optimizer::deployment::Deployment;
use optimizer::equivalence::{self, Difference, Replay};
use optimizer::execution::Outcome;
use optimizer::flow::failure::DATA_LIMIT_EXCEEDED;
use optimizer::pointer::Pattern;
use optimizer::workflow::{CallKind, TaskName, Workflow};
use serde::Serialize;
use serde_json::Value;

pub use payloads::{read_file, recorded};

use crate::command;
use crate::deploy::{Deployed, Deployer};
use crate::endpoint::Endpoint;
use crate::events::{Observer, RunEvent};
use crate::load::{self, Pace, Sent, Target, Version};
use crate::measure::MeasureError;
use crate::observe;
use crate::payload::Request;
use crate::project::Project;

/// Generation of the first deployment that is verified; measurements do not count as far.
const FIRST_GENERATION: u64 = 1 << 40;
/// Number of the run in which the fused deployment is asked.
const FUSED_RUN: u64 = 1;
/// Characters of a payload that a report repeats.
const SHOWN: usize = 200;

/// Which requests are sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Payloads {
    /// Made from the workflow file's templates.
    Templates {
        /// Requests of each template.
        each: u32,
        /// Seed of their placeholders.
        seed: u64,
    },
    /// Sent as they are.
    Given {
        /// The payloads.
        bodies: Vec<Value>,
        /// Where they are from, in words.
        from: String,
    },
}

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Name of the workflow.
    pub workflow: String,
    /// Deployments compared, as `(A,B)-(C)`, the unfused one first.
    pub deployments: [String; 2],
    /// Requests compared.
    pub requests: usize,
    /// Where they are from and how they were sent again, in words.
    pub payloads: String,
    /// Whether the payloads of calls were compared, or only their sizes.
    pub call_payloads: bool,
    /// Fields not compared: what the user named, and what differs from run to run.
    pub ignored: Vec<String>,
    /// The first differing field of each part of each request.
    pub differences: Vec<RequestDifference>,
    /// Whether there is none.
    pub equal: bool,
}

/// A difference, and the request it was found with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RequestDifference {
    /// Number of the request, from 1.
    pub request: usize,
    /// What differs.
    #[serde(flatten)]
    pub difference: Difference,
    /// The request's payload, shortened.
    pub payload: String,
}

impl RequestDifference {
    /// The difference as a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let text = |value: &Option<Value>| match value {
            None => "nothing".to_owned(),
            Some(value) => value.to_string(),
        };
        let Difference { pointer, unfused, fused, .. } = &self.difference;
        format!(
            "request {}, {pointer}: unfused {}, fused {}",
            self.request,
            text(unfused),
            text(fused)
        )
    }
}

/// The deployment in which every function has all tasks inlined that it waits for, directly or not.
#[must_use]
pub fn all_synchronous_fused(workflow: &Workflow) -> Deployment {
    Deployment::from_groups(workflow, |root| {
        let mut group: Vec<TaskName> = vec![root.clone()];
        let mut at = 0;
        while let Some(task) = group.get(at).cloned() {
            for call in workflow.calls() {
                let waits = call.caller == task && call.kind == CallKind::Sync;
                if waits && !group.contains(&call.callee) {
                    group.push(call.callee.clone());
                }
            }
            at += 1;
        }
        group
    })
}

/// Compares deployments of one project on one endpoint.
pub struct Verifier<'a> {
    /// Endpoint.
    pub endpoint: &'a Endpoint,
    /// Project.
    pub project: &'a Project,
    /// Its deployer, which has deployed the tasks.
    pub deployer: &'a Deployer<'a>,
    /// Told of progress.
    pub observer: &'a dyn Observer,
}

impl Verifier<'_> {
    /// Sends the requests to both deployments and compares what came of them.
    ///
    /// # Errors
    /// If a deployment, `prepare` or the reading of logs fails, or requests do not get to the unfused functions. That
    /// they fail there is compared.
    pub async fn verify(
        &self,
        unfused: &Deployment,
        fused: &Deployment,
        payloads: &Payloads,
        ignore: &[Pattern],
    ) -> Result<Report, MeasureError> {
        let deployments = [unfused.to_string(), fused.to_string()];
        let started = RunEvent::VerificationStarted { deployments: deployments.clone() };
        self.observer.on_event(started);
        let mut deployed = Vec::new();
        for (deployment, generation) in
            [unfused, fused, unfused].into_iter().zip(FIRST_GENERATION..)
        {
            deployed.push(self.deployer.deploy(deployment, generation).await?);
        }
        let first = self.run(&deployed[0], payloads, 0).await?;
        let other = self.run(&deployed[1], payloads, FUSED_RUN).await?;
        let again = self.run(&deployed[2], payloads, 2).await?;
        let mut ignored: BTreeSet<Pattern> = ignore.iter().cloned().collect();
        add_varying(&mut ignored, &first, &again);
        if !differing(&first, &other, &ignored).is_empty() {
            let once_more = self.deployer.deploy(unfused, FIRST_GENERATION + 3).await?;
            let again = self.run(&once_more, payloads, 3).await?;
            add_varying(&mut ignored, &first, &again);
            deployed.push(once_more);
        }
        for deployed in &deployed {
            self.deployer.retire(deployed).await?;
        }
        let sent = self.requests(payloads, 0);
        let differences: Vec<RequestDifference> = differing(&first, &other, &ignored)
            .into_iter()
            .map(|(at, difference)| RequestDifference {
                request: at + 1,
                difference,
                payload: sent[at].body.to_string().chars().take(SHOWN).collect(),
            })
            .collect();
        Ok(Report {
            workflow: self.project.workflow.name().to_owned(),
            deployments,
            requests: sent.len(),
            payloads: self.describe(payloads),
            call_payloads: self.deployer.records_payloads(),
            ignored: ignored.iter().map(ToString::to_string).collect(),
            equal: differences.is_empty(),
            differences,
        })
    }

    /// The requests of one run.
    fn requests(&self, payloads: &Payloads, run: u64) -> Vec<Request> {
        match payloads {
            Payloads::Templates { each, seed } => {
                let run = if self.project.prepare.is_some() { 0 } else { run };
                self.project.payloads.of_each(*seed, *each, run)
            }
            Payloads::Given { bodies, .. } => bodies.iter().cloned().map(Request::any).collect(),
        }
    }

    fn describe(&self, payloads: &Payloads) -> String {
        let (from, again) = match payloads {
            Payloads::Templates { each, seed } => (
                format!("{each} of each template of the workflow file, seed {seed}"),
                "with fresh identifiers in every run",
            ),
            Payloads::Given { from, .. } => (from.clone(), "sent as they are in every run"),
        };
        match self.project.prepare {
            Some(_) => format!("{from}, prepared anew for every run"),
            None => format!("{from}, {again}"),
        }
    }

    async fn run(
        &self,
        deployed: &Deployed,
        payloads: &Payloads,
        run: u64,
    ) -> Result<Vec<Replay>, MeasureError> {
        let requests = self.requests(payloads, run);
        command::prepare(self.project, &requests).await?;
        let target = Target {
            endpoint: self.endpoint,
            project: self.project,
            deployed: Version::Of(deployed),
        };
        let (answered, failed) = (AtomicU64::new(0), AtomicU64::new(0));
        // One at a time, as side effects of requests might meet.
        let sent = load::send(target, &requests, Pace::Closed { concurrency: 1 }, |one| {
            let this = u64::from(one.outcome != Outcome::Ok);
            self.observer.on_event(RunEvent::Progress {
                answered: answered.fetch_add(1, Ordering::Relaxed) + 1,
                of: requests.len() as u64,
                failed: failed.fetch_add(this, Ordering::Relaxed) + this,
            });
        })
        .await?;
        let mut refused = sent.iter().filter_map(refusal);
        if let Some(message) = refused.next().filter(|_| run != FUSED_RUN) {
            let refused = 1 + refused.count();
            return Err(MeasureError::Refused { refused, sent: sent.len(), message });
        }
        let logs = {
            let tasks = self.project.tasks.keys();
            observe::logs(self.endpoint, tasks, &sent, self.observer).await?
        };
        let replayed = sent.iter().zip(&requests).map(|(one, request)| {
            let mut replay = replay::replay(one, &logs);
            let ids = request.ids.iter().enumerate();
            let names: BTreeMap<_, _> =
                ids.map(|(at, id)| (id.clone(), format!("<uuid {}>", at + 1))).collect();
            replay.name(&names);
            replay
        });
        Ok(replayed.collect())
    }
}

/// What the endpoint said to a request that it did not execute. Of what it could not, the platform's limits on payloads
/// are part of the workflow's behaviour.
fn refusal(sent: &Sent) -> Option<String> {
    let is_limit = sent.answer["Error"] == DATA_LIMIT_EXCEEDED;
    sent.refusal().filter(|_| !is_limit).map(str::to_owned)
}

fn add_varying(ignored: &mut BTreeSet<Pattern>, first: &[Replay], again: &[Replay]) {
    for (first, again) in first.iter().zip(again) {
        ignored.extend(equivalence::varying(first, again));
    }
}

/// Differences, with the index of the request.
fn differing(
    unfused: &[Replay],
    fused: &[Replay],
    ignored: &BTreeSet<Pattern>,
) -> Vec<(usize, Difference)> {
    let both = unfused.iter().zip(fused).enumerate();
    both.flat_map(|(at, (unfused, fused))| {
        equivalence::differences(unfused, fused, ignored)
            .into_iter()
            .map(move |difference| (at, difference))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;
    use optimizer::units::{MemoryMb, MilliVcpu, Resources};
    use optimizer::workflow::{Call, Slo, Task};

    use super::*;

    #[test]
    fn by_default_everything_is_fused_that_is_waited_for() {
        let resources = Resources { vcpu: MilliVcpu(289), memory: MemoryMb(512) };
        let tasks: IndexMap<TaskName, Task> = ["a", "b", "c", "d"]
            .map(|name| (name.into(), Task { resources }))
            .into_iter()
            .collect();
        let call = |caller: &str, callee: &str, kind| Call {
            caller: caller.into(),
            callee: callee.into(),
            kind,
        };
        let calls = [
            call("a", "b", CallKind::Sync),
            call("b", "c", CallKind::Async),
            call("c", "d", CallKind::Sync),
            call("b", "d", CallKind::Sync),
        ];
        let slo = Slo { latency_us: 1, percentile: 95 };
        let workflow = Workflow::new("w".into(), "a".into(), slo, tasks, &calls).unwrap();
        assert_eq!(all_synchronous_fused(&workflow).to_string(), "(a,b,d)-(c,d)");
    }
}
