//! Results as text and JSON.

use std::io::Write;

use comfy_table::{CellAlignment, Table, presets};
use optimizer::gate::{CallVerdicts, Effect};
use optimizer::measurement::Measurement;
use platform::optimize::{Report, resource_changes};
use platform::verify;
use serde::Serialize;

use crate::error::CliError;

/// Writes a result to standard output.
pub(crate) fn result(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        // Whoever reads has seen enough, as `head` does.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| CliError::failed("the result cannot be written", &error)),
    }
}

/// Writes a result to standard output as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| CliError::failed("the result cannot be written as JSON", &error))?;
    result(&text)
}

/// Writes a line to standard error. That nobody reads it is no reason to stop.
pub(crate) fn talk(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A table without lines between rows; all columns but the first are numbers.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Measurements side by side, a column each.
pub(crate) fn measurements(columns: &[(&str, &Measurement)]) -> String {
    let mut header = vec![""];
    header.extend(columns.iter().map(|(name, _)| *name));
    let mut table = table(&header);
    let mut row = |name: &str, cell: &dyn Fn(&Measurement) -> String| {
        let mut cells = vec![name.to_owned()];
        cells.extend(columns.iter().map(|(_, measurement)| cell(measurement)));
        table.add_row(cells);
    };
    row("cost per execution, µ$", &|m| {
        m.cost_usd.map_or("–".into(), |cost| format!("{:.3}", cost.mean * 1e6))
    });
    row("  95 % interval", &|m| {
        m.cost_usd.map_or("–".into(), |cost| {
            format!("{:.3} … {:.3}", cost.ci95.lower * 1e6, cost.ci95.upper * 1e6)
        })
    });
    row("latency p50, ms", &|m| milliseconds(m.latency_ms.map(|latency| latency.p50)));
    row("latency p95, ms", &|m| milliseconds(m.latency_ms.map(|latency| latency.p95)));
    row("cold start adds, ms", &|m| milliseconds(m.cold_start_ms));
    row("double-billed, ms", &|m| milliseconds(m.double_billed_ms));
    row("failures", &|m| m.failures.to_string());
    row("executions, warm + cold", &|m| format!("{} + {}", m.executions, m.cold_executions));
    table.to_string()
}

fn milliseconds(value: Option<f64>) -> String {
    value.map_or("–".into(), |value| format!("{value:.1}"))
}

/// What the safety gate says about fusing the tasks of each call.
pub(crate) fn gate(calls: &[CallVerdicts]) -> String {
    let mut text = String::from("safety gate (docs/SAFETY.md)\n");
    if calls.is_empty() {
        text.push_str("  no task waits for another, so there is nothing to fuse\n");
    }
    for call in calls {
        let effect = match call.effect {
            Effect::None | Effect::Shown => "may be fused",
            Effect::KeptOut => "not fused unless allowed",
            Effect::NeverTried => "never fused",
        };
        text.push_str(&format!("  {} → {}: {effect}\n", call.caller, call.callee));
        for verdict in call.verdicts.iter().filter(|verdict| verdict.effect > Effect::None) {
            let level = if verdict.effect == Effect::NeverTried { "forbids" } else { "warns" };
            let code = verdict.check.code();
            text.push_str(&format!("    {code} {level}: {}\n", verdict.text));
            if let Some(line) = &verdict.allow_with {
                text.push_str(&format!("      to allow it: {line}\n"));
            }
        }
    }
    text
}

/// What an optimisation found.
pub(crate) fn optimization(report: &Report) -> String {
    let mut text = format!(
        "\n{} on {} (sandbox {}, invoke overhead {}, space {}, prices {}, seed {})\n\n",
        report.workflow,
        report.platform,
        report.sandbox,
        report.invoke_overhead,
        report.space,
        report.prices,
        report.seed
    );
    let mut columns = vec![("before", &report.baseline)];
    columns.extend(report.after_fusion.as_ref().map(|fused| ("after fusion", fused)));
    columns.push(("after sizing", &report.after_sizing));
    text.push_str(&measurements(&columns));
    let recommendation = &report.recommendation;
    text.push_str("\n\n");
    if report.gate.iter().any(|call| call.effect > Effect::None) {
        text.push_str(&format!("{}\n", gate(&report.gate)));
    }
    text.push_str("why\n");
    for reason in &recommendation.reasons {
        text.push_str(&format!("  · {reason}\n"));
    }
    text.push_str(&format!("\nrecommended: {}\n", recommendation.deployment));
    let changes = resource_changes(&report.baseline, &recommendation.measurement);
    for (function, resources) in &recommendation.measurement.resources {
        text.push_str(&format!("  {function}: {resources}"));
        if let Some((before, _)) = changes.get(function) {
            text.push_str(&format!(" (was {before})"));
        }
        text.push('\n');
    }
    let saving = &recommendation.saving;
    text.push_str(&format!("saves {}", share(saving.cost)));
    if let Some(interval) = saving.cost_ci95 {
        let (lower, upper) = (interval.lower * 100.0, interval.upper * 100.0);
        text.push_str(&format!(" of the cost (95 % interval {lower:.1} … {upper:.1} %)"));
    }
    text.push_str(&format!(", {} of the p95 latency\n", share(saving.latency_p95)));
    if let Some(limit) = &report.budget_spent {
        text.push_str(&format!(
            "not done: the budget of {limit} was spent; this is the best so far\n"
        ));
    }
    let spent = &report.spent;
    text.push_str(&format!(
        "spent: {} executions in {} trials and the final comparison, {:.4} $, {:.0} s",
        spent.executions,
        report.trials.len(),
        spent.usd,
        spent.seconds
    ));
    text
}

/// What a verification found.
pub(crate) fn verification(report: &verify::Report) -> String {
    let [unfused, fused] = &report.deployments;
    let calls =
        if report.call_payloads { "with their payloads" } else { "by the sizes of payloads" };
    let mut text = format!(
        "\n{}: {} requests\n  unfused   {unfused}\n  fused     {fused}\n  payloads  {}\n  calls     \
         compared {calls}\n",
        report.workflow, report.requests, report.payloads
    );
    let ignored: Vec<&str> = report.ignored.iter().map(String::as_str).collect();
    text.push_str(&match ignored.as_slice() {
        [] => "  left out  nothing\n".to_owned(),
        ignored => format!("  left out  {}\n", ignored.join("\n            ")),
    });
    for difference in &report.differences {
        text.push_str(&format!(
            "\ndifferent: {}\n  its payload: {}\n",
            difference.sentence(),
            difference.payload
        ));
    }
    text.push_str(if report.equal { "\nequal" } else { "\nnot equal" });
    text
}

fn share(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
