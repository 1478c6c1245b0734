//! `fuseline validate`: checks a workflow file and shows what it says.

use optimizer::deployment::Deployment;
use optimizer::flow::Flow;
use optimizer::workflow::CallKind;
use serde_json::json;

use crate::arguments::{Format, ValidateArguments};
use crate::error::CliError;
use crate::{render, session};

pub(crate) fn run(arguments: &ValidateArguments) -> Result<(), CliError> {
    let project = session::load(&arguments.file)?;
    let workflow = &project.workflow;
    let supervisor = session::supervisor().ok();
    let gate = platform::gate::gate(&project, supervisor.as_deref()).judge_calls(workflow);
    if arguments.format == Format::Json {
        let calls: Vec<_> = workflow
            .calls()
            .map(|call| json!({ "caller": call.caller, "callee": call.callee, "kind": call.kind }))
            .collect();
        return render::json(&json!({
            "workflow": workflow.name(),
            "entry": workflow.entry(),
            "steps": workflow.flow().map(|flow| {
                let steps = flow.tasks().into_iter();
                steps.map(|(step, task)| json!({ "step": step, "task": task })).collect::<Vec<_>>()
            }),
            "slo": workflow.slo(),
            "tasks": workflow.tasks(),
            "calls": calls,
            "deployment": Deployment::unfused(workflow).to_string(),
            "gate": gate,
        }));
    }
    let slo = workflow.slo();
    let latency_ms = slo.latency_us as f64 / 1000.0;
    let starts = match workflow.flow() {
        None => format!("entry {}", workflow.entry()),
        Some(flow) => format!("{} steps", flow.tasks().len()),
    };
    let mut text = format!(
        "{}: {} tasks, {starts}, SLO p{} {latency_ms} ms\n",
        workflow.name(),
        workflow.tasks().len(),
        slo.percentile
    );
    for (step, task) in workflow.flow().map(Flow::tasks).unwrap_or_default() {
        text.push_str(&format!("  step {step}: {task}\n"));
    }
    for (name, task) in workflow.tasks() {
        text.push_str(&format!("  {name} ({})\n", task.resources));
        for call in workflow.calls().filter(|call| call.caller == *name) {
            let kind = match call.kind {
                CallKind::Sync => "waits for",
                CallKind::Async => "starts",
            };
            text.push_str(&format!("    {kind} {}\n", call.callee));
        }
    }
    text.push_str(&render::gate(&gate));
    match project.check_code() {
        Ok(()) => text.push_str("every task's code is there"),
        Err(error) if project.build.is_some() => {
            text.push_str(&format!("not built yet: {}", error.message));
        }
        Err(error) => return Err(error.into()),
    }
    render::result(&text)
}
