//! The supervisor as `AWS_LAMBDA_EXEC_WRAPPER` of a managed runtime, which is how it gets into a zip
//! function of that runtime: the runtime's own `bootstrap` starts it with the interpreter's command
//! line, and it starts the function's tasks with that.

use serde_json::json;

use crate::tasks::{NODE, PYTHON, Task, bootstrap, fused_by};

#[tokio::test]
async fn tasks_of_the_functions_runtime_are_started_as_the_runtime_is() {
    let others = [("Python", Task::python("app.probe")), ("Node", Task::node("app.probe"))];
    for (runtime, root) in [(PYTHON, &others[0].1), (NODE, &others[1].1)] {
        let rust = Task::rust();
        let tasks =
            [("a", root), ("python", &others[0].1), ("node", &others[1].1), ("rust", &rust)];
        let supervisor = [("AWS_LAMBDA_EXEC_WRAPPER", env!("CARGO_BIN_EXE_bootstrap"))];
        let Some(function) = fused_by(&[bootstrap(runtime)], &tasks, &supervisor) else { continue };
        let names = ["AWS_LAMBDA_FUNCTION_NAME", "AWS_EXECUTION_ENV", "AWS_LAMBDA_EXEC_WRAPPER"];
        let ask = json!({ "environment": names });
        let calls =
            ["python", "node", "rust"].map(|callee| json!({ "function": callee, "payload": ask }));
        let answer = function.invoke(json!({ "calls": calls }).to_string()).await.json();
        let environment =
            [0, 1, 2].map(|index| answer["calls"][index]["payload"]["environment"].clone());
        let execution = |runtime: &str| json!(format!("AWS_Lambda_{runtime}"));
        assert_eq!(
            environment,
            [
                json!(["python", execution(PYTHON), null]),
                json!(["node", execution(NODE), null]),
                json!(["rust", null, null]),
            ],
            "{answer}\n{}",
            function.log()
        );
        if runtime == PYTHON {
            let command = &answer["calls"][0]["payload"]["command"];
            assert_eq!(*command, answer["command"], "one command line for all");
            assert!(command[1].as_str().unwrap().ends_with("/bootstrap.py"), "{command}");
        }
    }
}
