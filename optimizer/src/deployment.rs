//! A deployment (the thesis's fusion setup): for every function that takes part in executions, the
//! tasks inlined into it and what it gets. Written `(A,B)-(C)`.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::str::FromStr;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::units::Resources;
use crate::workflow::{Call, CallKind, TaskName, Workflow};

/// One deployed function.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Function {
    /// Tasks inlined besides the root, in the order of the workflow's tasks.
    pub inlined: Vec<TaskName>,
    /// What its instances get.
    pub resources: Resources,
}

/// The functions that executions of a workflow reach, by root task, the entry's first.
///
/// A call from any task in a function to a task inlined there, or to its root, is served inside;
/// any other goes to the callee's own function. Tasks that are in no function as a root stay
/// deployed, but executions do not reach them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Deployment {
    functions: IndexMap<TaskName, Function>,
}

/// Why a text is no deployment of a workflow.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DeploymentError {
    /// The text is not of the form `(A,B)-(C)`.
    #[error("`{0}` is not of the form `(A,B)-(C)`")]
    Form(String),
    /// A name that is no task of the workflow.
    #[error("there is no task `{0}`")]
    UnknownTask(TaskName),
    /// A group's first task is the first task of another group too.
    #[error("two groups start with `{0}`")]
    DuplicateRoot(TaskName),
    /// Executions would leave a group for a function that the text does not list, or it lists one
    /// that they do not reach.
    #[error("executions reach the functions {expected}, not {given}")]
    Functions {
        /// Functions that executions reach, in notation.
        expected: String,
        /// The text.
        given: String,
    },
}

/// Groups as written, each with its root first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Groups(pub Vec<Vec<TaskName>>);

impl FromStr for Groups {
    type Err = DeploymentError;

    fn from_str(text: &str) -> Result<Self, DeploymentError> {
        let form = || DeploymentError::Form(text.to_owned());
        let inner = text
            .trim()
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(')'))
            .ok_or_else(form)?;
        inner
            .split(")-(")
            .map(|group| {
                group
                    .split(',')
                    .map(|task| {
                        let task = task.trim();
                        let plain = !task.is_empty() && !task.contains(['(', ')']);
                        plain.then(|| TaskName::from(task)).ok_or_else(form)
                    })
                    .collect()
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Deployment {
    /// Every task in a function of its own, with the resources it was given.
    #[must_use]
    pub fn unfused(workflow: &Workflow) -> Self {
        Self::reachable(workflow, |_| Vec::new(), |task| workflow.tasks()[task].resources)
    }

    /// The deployment written as `(A,B)-(C)`, each function with the resources its root was given.
    ///
    /// # Errors
    /// If the text has another form or its functions are not those that executions reach.
    pub fn parse(workflow: &Workflow, text: &str) -> Result<Self, DeploymentError> {
        let Groups(groups) = text.parse()?;
        let mut inlined: IndexMap<TaskName, Vec<TaskName>> = IndexMap::new();
        for group in groups {
            let unknown = group.iter().find(|task| !workflow.tasks().contains_key(*task));
            if let Some(task) = unknown {
                return Err(DeploymentError::UnknownTask(task.clone()));
            }
            let (root, rest) = group.split_first().expect("split gives at least one part");
            if inlined.insert(root.clone(), rest.to_vec()).is_some() {
                return Err(DeploymentError::DuplicateRoot(root.clone()));
            }
        }
        let given: BTreeSet<_> = inlined.keys().cloned().collect();
        let deployment =
            Self::from_groups(workflow, |root| inlined.get(root).cloned().unwrap_or_default());
        if deployment.functions.keys().cloned().collect::<BTreeSet<_>>() != given {
            return Err(DeploymentError::Functions {
                expected: deployment.to_string(),
                given: text.to_owned(),
            });
        }
        Ok(deployment)
    }

    /// The deployment in which every function has the given tasks inlined, with the resources its
    /// root was given.
    #[must_use]
    pub fn from_groups(workflow: &Workflow, inlined: impl Fn(&TaskName) -> Vec<TaskName>) -> Self {
        Self::reachable(workflow, inlined, |task| workflow.tasks()[task].resources)
    }

    /// The functions that executions reach when every root has the given tasks inlined.
    fn reachable(
        workflow: &Workflow,
        inlined: impl Fn(&TaskName) -> Vec<TaskName>,
        resources: impl Fn(&TaskName) -> Resources,
    ) -> Self {
        let position = |task: &TaskName| workflow.tasks().get_index_of(task);
        let mut functions = IndexMap::new();
        let mut waiting: Vec<TaskName> = workflow.roots().into_iter().cloned().collect();
        while let Some(root) = waiting.pop() {
            if functions.contains_key(&root) {
                continue;
            }
            let mut group: Vec<TaskName> = inlined(&root);
            group.retain(|task| *task != root);
            group.sort_by_key(position);
            group.dedup();
            let inside: HashSet<&TaskName> = group.iter().chain([&root]).collect();
            for (callee, kind) in inside.iter().flat_map(|task| workflow.callees(task)) {
                if kind == CallKind::Async || !inside.contains(callee) {
                    waiting.push(callee.clone());
                }
            }
            let function = Function { inlined: group, resources: resources(&root) };
            functions.insert(root, function);
        }
        functions.sort_by_key(|root, _| (root != workflow.entry(), position(root)));
        Self { functions }
    }

    /// The functions by root task, the entry's first.
    #[must_use]
    pub fn functions(&self) -> &IndexMap<TaskName, Function> {
        &self.functions
    }

    /// Whether a call is served inside in every function that holds its caller.
    #[must_use]
    pub fn is_inlined(&self, call: &Call) -> bool {
        self.holders(&call.caller).all(|root| self.holds(root, &call.callee))
    }

    /// The deployment in which every function that holds the call's caller also holds the callee
    /// and what the callee's own function holds: their groups are fused. Asynchronous calls are
    /// never served inside, so fusing one changes nothing.
    #[must_use]
    pub fn fuse(&self, workflow: &Workflow, call: &Call) -> Self {
        let holders: BTreeSet<TaskName> = self.holders(&call.caller).cloned().collect();
        Self::reachable(
            workflow,
            |root| {
                let mut group =
                    self.functions.get(root).map(|f| f.inlined.clone()).unwrap_or_default();
                if holders.contains(root) && call.kind == CallKind::Sync {
                    group.push(call.callee.clone());
                    if let Some(callee) = self.functions.get(&call.callee) {
                        group.extend(callee.inlined.iter().cloned());
                    }
                }
                group
            },
            |root| match self.functions.get(root) {
                Some(function) => function.resources,
                None => workflow.tasks()[root].resources,
            },
        )
    }

    /// The same functions with other resources for one of them.
    ///
    /// # Panics
    /// If the deployment has no such function.
    #[must_use]
    pub fn with_resources(&self, root: &TaskName, resources: Resources) -> Self {
        let mut changed = self.clone();
        changed.functions.get_mut(root).expect("a function of this deployment").resources =
            resources;
        changed
    }

    /// The same functions, each with the resources that are given for its root.
    #[must_use]
    pub fn with_all_resources(&self, resources: impl Fn(&TaskName) -> Resources) -> Self {
        let mut changed = self.clone();
        changed.functions.iter_mut().for_each(|(root, function)| {
            function.resources = resources(root);
        });
        changed
    }

    /// Whether the function of `root` holds `task`, as its root or inlined.
    #[must_use]
    pub fn holds(&self, root: &TaskName, task: &TaskName) -> bool {
        root == task
            || self.functions.get(root).is_some_and(|function| function.inlined.contains(task))
    }

    /// Roots of the functions that hold `task`.
    pub fn holders<'a>(&'a self, task: &'a TaskName) -> impl Iterator<Item = &'a TaskName> {
        self.functions.keys().filter(move |root| self.holds(root, task))
    }
}

impl fmt::Display for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (root, function)) in self.functions.iter().enumerate() {
            write!(f, "{}({root}", if index > 0 { "-" } else { "" })?;
            function.inlined.iter().try_for_each(|task| write!(f, ",{task}"))?;
            f.write_str(")")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{call, workflow};
    use crate::units::{MemoryMb, MilliVcpu};

    fn diamond() -> Workflow {
        workflow("a", &["a>b", "a>c", "b>d", "c>d"]).unwrap()
    }

    /// Fuses the calls one after the other, starting unfused.
    fn fused(workflow: &Workflow, calls: &[&str]) -> String {
        let unfused = Deployment::unfused(workflow);
        let fuse = |deployment: Deployment, text: &&str| deployment.fuse(workflow, &call(text));
        calls.iter().fold(unfused, fuse).to_string()
    }

    #[test]
    fn prints_and_parses_the_same_text() {
        let workflow = diamond();
        for text in
            ["(a)-(b)-(c)-(d)", "(a,b,d)-(c)-(d)", "(a,b,c)-(d)", "(a,b,c,d)", "(a,c)-(b)-(d)"]
        {
            let deployment = Deployment::parse(&workflow, text).unwrap();
            assert_eq!(deployment.to_string(), text);
        }
        let spaced = Deployment::parse(&workflow, " (a, d,b,c,b) ").unwrap();
        assert_eq!(spaced.to_string(), "(a,b,c,d)", "tasks come in the workflow's order, once");
    }

    #[test]
    fn a_text_that_is_no_deployment_is_refused_by_name() {
        let check = |text: &str, message: &str| {
            let error = Deployment::parse(&diamond(), text).unwrap_err();
            assert_eq!(error.to_string(), message);
        };
        for text in ["", "a,b", "(a,)", "(a)(b)", "((a))"] {
            check(text, &format!("`{text}` is not of the form `(A,B)-(C)`"));
        }
        check("(a,x)", "there is no task `x`");
        check("(a,b)-(a)-(c)-(d)", "two groups start with `a`");
        check("(a,b,c,d)-(d)", "executions reach the functions (a,b,c,d), not (a,b,c,d)-(d)");
        check("(a,b,c)", "executions reach the functions (a,b,c)-(d), not (a,b,c)");
    }

    #[test]
    fn a_shared_callee_is_inlined_into_each_caller() {
        let workflow = diamond();
        assert_eq!(fused(&workflow, &["b>d"]), "(a)-(b,d)-(c)-(d)");
        assert_eq!(fused(&workflow, &["b>d", "c>d"]), "(a)-(b,d)-(c,d)");
        assert_eq!(fused(&workflow, &["b>d", "c>d", "a>b", "a>c"]), "(a,b,c,d)");
    }

    #[test]
    fn fusing_takes_what_the_callees_function_holds() {
        let workflow = diamond();
        assert_eq!(fused(&workflow, &["b>d", "a>b"]), fused(&workflow, &["a>b", "b>d"]));
        assert_eq!(fused(&workflow, &["b>d", "a>b"]), "(a,b,d)-(c)-(d)");
    }

    #[test]
    fn fusing_concerns_every_function_that_holds_the_caller() {
        let workflow = workflow("a", &["a>b", "a>c", "c>b", "b>d"]).unwrap();
        assert_eq!(fused(&workflow, &["a>b"]), "(a,b)-(b)-(c)-(d)");
        assert_eq!(fused(&workflow, &["a>b", "b>d"]), "(a,b,d)-(b,d)-(c)");
    }

    #[test]
    fn asynchronous_calls_are_never_served_inside() {
        let workflow = workflow("a", &["a>b", "b~c", "c>d"]).unwrap();
        let asynchronous = call("b~c");
        let unfused = Deployment::unfused(&workflow);
        assert_eq!(unfused.fuse(&workflow, &asynchronous), unfused);
        let all = fused(&workflow, &["a>b", "b~c", "c>d"]);
        assert_eq!(all, "(a,b)-(c,d)", "as in the thesis's figure 3.10");
        // A group may hold the callee for the sake of a synchronous caller.
        let mixed = crate::testing::workflow("a", &["a~b", "a>c", "c>b"]).unwrap();
        let fused = Deployment::parse(&mixed, "(a,b,c)-(b)").unwrap();
        assert!(fused.is_inlined(&call("c>b")));
    }

    #[test]
    fn a_call_is_inlined_when_every_holder_of_its_caller_serves_it() {
        let workflow = workflow("a", &["a>b", "a>c", "c>b", "b>d"]).unwrap();
        let deployment = Deployment::parse(&workflow, "(a,b,d)-(b)-(c)-(d)").unwrap();
        assert!(deployment.is_inlined(&call("a>b")));
        assert!(!deployment.is_inlined(&call("b>d")), "not in the function of b");
        assert!(deployment.holds(&TaskName::from("a"), &TaskName::from("d")));
        let holders: Vec<_> = ["a", "b"].map(TaskName::from).into();
        let b = TaskName::from("b");
        assert!(deployment.holders(&b).eq(holders.iter()));
    }

    #[test]
    fn resources_stay_with_their_root() {
        let workflow = diamond();
        let large = Resources { vcpu: MilliVcpu(1_000), memory: MemoryMb(1_769) };
        let b = TaskName::from("b");
        let deployment = Deployment::unfused(&workflow).with_resources(&b, large);
        let fused = deployment.fuse(&workflow, &call("b>d"));
        assert_eq!(fused.functions()[&b].resources, large);
        let whole = fused.fuse(&workflow, &call("a>b"));
        assert_eq!(whole.functions()[0].resources, workflow.tasks()[0].resources);
        let text = serde_json::to_string(&fused).unwrap();
        assert_eq!(serde_json::from_str::<Deployment>(&text).unwrap(), fused);
    }
}
