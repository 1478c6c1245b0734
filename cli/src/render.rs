//! Results as text and JSON.

use std::io::Write;

use comfy_table::{CellAlignment, Table, presets};
use optimizer::aarc::{Change, Fate, Place};
use optimizer::gate::{CallVerdicts, Effect};
use optimizer::measurement::Measurement;
use optimizer::search::Standing;
use platform::optimize::{RecommendationReport, Report, Spent, Unreachable, resource_changes};
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
    text.push_str(&format!("{}\n", functions(report)));
    text.push_str(&saves(report));
    if let Some(limit) = &report.budget_spent {
        text.push_str(&format!(
            "not done: the budget of {limit} was spent; this is the best so far\n"
        ));
    }
    text.push_str(&format!(
        "{} and the final comparison",
        spent(&report.spent, report.trials.len())
    ));
    text
}

fn saves(report: &Report) -> String {
    let RecommendationReport { deployment, measurement, saving, .. } = &report.recommendation;
    let baseline = &report.baseline;
    if *deployment == baseline.deployment && measurement.resources == baseline.resources {
        return "nothing is to be changed\n".into();
    }
    let mut text = format!("saves {}", share(saving.cost));
    if let Some(interval) = saving.cost_ci95 {
        let (lower, upper) = (interval.lower * 100.0, interval.upper * 100.0);
        text.push_str(&format!(" of the cost (95 % interval {lower:.1} … {upper:.1} %)"));
    }
    text + &format!(", {} of the p95 latency\n", share(saving.latency_p95))
}

fn spent(spent: &Spent, trials: usize) -> String {
    let Spent { executions, usd, seconds } = spent;
    format!("spent: {executions} executions, {usd:.4} $, {seconds:.0} s in {trials} trials")
}

/// The recommended functions: what each gets, how long it runs, what it costs, and, if it was searched
/// apart from the others, where it is and what its size saves.
fn functions(report: &Report) -> String {
    let searched = report.functions.iter().any(|function| function.place.is_some());
    let mut header = vec!["function", "gets", "instead of", "runs, ms", "of the cost"];
    if searched {
        header.extend(["critical path", "steps kept + undone", "kept steps saved"]);
    }
    let mut table = table(&header);
    let changes = resource_changes(&report.baseline, &report.recommendation.measurement);
    for function in &report.functions {
        let before = changes.get(&function.function).map(|(before, _)| before.to_string());
        let mut cells = vec![
            function.function.to_string(),
            function.resources.to_string(),
            before.unwrap_or_else(|| "the same".into()),
            milliseconds(function.runtime_ms),
            function.cost_share.map_or("–".into(), share),
        ];
        if let Some(place) = function.place {
            cells.extend(searched_cells(place, &function.changes));
        }
        table.add_row(cells);
    }
    table.to_string()
}

fn searched_cells(place: Place, changes: &[Change]) -> [String; 3] {
    let place = match place {
        Place::CriticalPath => "on it".to_owned(),
        Place::Beside { slack_us } => format!("{:.0} ms slack", slack_us as f64 / 1e3),
        Place::NotReached => "not reached".to_owned(),
    };
    let kept: Vec<&Change> = changes.iter().filter(|change| change.fate == Fate::Kept).collect();
    let saved: i64 = kept.iter().filter_map(|change| change.saved).sum();
    let undone = changes.len() - kept.len();
    [place, format!("{} + {undone}", kept.len()), format!("{:.3} µ$", saved as f64 / 1e6)]
}

/// What an optimisation tried that found nothing to recommend.
pub(crate) fn unreachable(report: &Unreachable) -> String {
    let mut text = format!(
        "\n{} on {} (sandbox {}, space {})\n\nwhy\n",
        report.workflow, report.platform, report.sandbox, report.space
    );
    for reason in &report.reasons {
        text.push_str(&format!("  · {reason}\n"));
    }
    text.push_str(&format!("\nmeasured: {}\n", report.deployment));
    for (function, resources) in &report.resources {
        text.push_str(&format!("  {function}: {resources}\n"));
    }
    text.push_str(&spent(&report.spent, report.trials.len()));
    text
}

/// Why an optimisation recommends nothing, as an error.
pub(crate) fn why_unreachable(report: &Unreachable) -> String {
    let slo_ms = report.slo.latency_us as f64 / 1e3;
    match &report.standing {
        Standing::MissesSlo { latency_us } => format!(
            "no size keeps the latency objective of {slo_ms:.0} ms: the best that can be reached is {:.0} ms at the {}th percentile",
            *latency_us as f64 / 1e3,
            report.slo.percentile
        ),
        Standing::Fails { function: Some(function) } => {
            format!("`{function}` fails at every size that was tried")
        }
        _ => "the workflow fails at every size that was tried".to_owned(),
    }
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
