//! How tasks behave when they are simulated: what they need of CPU, time and memory, how that depends
//! on the input, and what they answer. Given by a formula ([`PerformanceModel`]) or by executions that
//! were recorded ([`RecordedTable`]).

mod formula;
mod output;
mod recorded;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::workflow::TaskName;

pub(crate) use self::formula::LONGEST_WORK_US;
pub use self::formula::{Feature, ModelError, Parallel, PerformanceModel};
pub use self::output::{OutputError, OutputTemplate};
pub(crate) use self::recorded::{Drawn, Sampler};
pub use self::recorded::{RecordedError, RecordedTable};

/// How every task of a workflow behaves.
pub type Models = BTreeMap<TaskName, TaskModel>;

/// How one task behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskModel {
    /// What one execution of it takes.
    pub work: Work,
    /// Time to start an instance of its function, in microseconds.
    pub init_us: u64,
    /// What it answers in an orchestrated workflow; its input without one.
    pub output: Option<OutputTemplate>,
}

/// What one execution of a task takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// What a formula says.
    Formula(PerformanceModel),
    /// What recorded executions took.
    Recorded(Recorded),
}

/// Recorded executions, and which of them an execution is like.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// The executions.
    pub table: Arc<RecordedTable>,
    /// Whose input they had.
    pub input: RecordedInput,
}

/// The recorded input that an execution's input is like.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RecordedInput {
    /// Always this one.
    Named(String),
    /// The one whose name is at this JSON pointer (RFC 6901) in the task's input. A task whose input
    /// names none that was recorded fails at once.
    At(String),
}

impl TaskModel {
    /// Checks what the types allow and a task cannot be.
    ///
    /// # Errors
    /// If a number is outside its range, or the input named was not recorded.
    pub fn check(&self) -> Result<(), ModelError> {
        match &self.work {
            Work::Formula(model) => model.check(),
            Work::Recorded(Recorded { table, input: RecordedInput::Named(name) })
                if !table.inputs().any(|input| input == name) =>
            {
                let inputs: Vec<&str> = table.inputs().collect();
                Err(ModelError::NotRecorded { input: name.clone(), inputs: inputs.join(", ") })
            }
            Work::Recorded(_) => Ok(()),
        }
    }
}
