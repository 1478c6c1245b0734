//! What the safety gate has to know of a project.

use std::path::Path;

use optimizer::gate::{Gate, TaskFacts};
use optimizer::workflow::TaskName;

use crate::package::unpacked_bytes;
use crate::project::{Project, TaskCode};

/// What Fuseline's own variables take besides the names of workflow and tasks: their names and the
/// longest values in use.
const OWN_VARIABLES_BYTES: u64 = 100;
/// What one task takes in the pinned routes besides its name: quotes, colon, comma and a version.
const ROUTE_BYTES: u64 = 12;

/// The gate of a project, with the sizes that its packages and the supervisor have now.
#[must_use]
pub fn gate(project: &Project, supervisor: Option<&Path>) -> Gate {
    let routes: u64 = project.tasks.keys().map(|task| task.0.len() as u64 + ROUTE_BYTES).sum();
    let own = OWN_VARIABLES_BYTES + project.workflow.name().len() as u64 + routes;
    let facts = |(name, task): (&TaskName, &TaskCode)| {
        let variables = task.environment.iter().map(|(key, value)| key.len() + value.len());
        let facts = TaskFacts {
            runtime: task.runtime.clone(),
            timeout_ms: task.timeout_ms,
            role: task.role.clone(),
            environment_bytes: own + variables.sum::<usize>() as u64,
            package_bytes: unpacked_bytes(&task.code),
            max_payload_mb: task.max_payload_mb.clone(),
            configuration: task.configuration.clone(),
        };
        (name.clone(), facts)
    };
    Gate {
        tasks: project.tasks.iter().map(facts).collect(),
        supervisor_bytes: supervisor.and_then(unpacked_bytes).unwrap_or(0),
        apart: project.constraints.apart.clone(),
        together: project.constraints.together.clone(),
        allow: project.constraints.allow.clone(),
        no_images: false,
    }
}
