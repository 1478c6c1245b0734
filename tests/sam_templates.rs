//! The templates in `templates/aws` deploy the example workflows as their files describe them, and cfn-lint has nothing to
//! say about them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value, json};
use tests::{repository, run, skipped};

const LINTER: &str = "cfn-lint==1.58.0";
/// What the others deploy as a part of theirs.
const PART: &str = "file-system.yaml";
/// Benchmarks of the supervisor, no workflows that anybody would deploy.
const NO_EXAMPLES: [&str; 2] = ["runtime-bench", "aws"];

fn templates() -> PathBuf {
    repository().join("templates")
}

fn yaml_files(folder: &Path) -> BTreeSet<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|it| it == "yaml")).collect()
}

/// Workflow files of the examples.
fn examples() -> Vec<PathBuf> {
    let folders = std::fs::read_dir(templates()).unwrap().map(|it| it.unwrap().path());
    let folders = folders.filter(|it| it.is_dir());
    let folders = folders.filter(|it| NO_EXAMPLES.iter().all(|not| !it.ends_with(not)));
    folders.flat_map(|folder| yaml_files(&folder)).collect()
}

/// A YAML file. Tags are left out: `!Ref X` is `X`.
fn read(file: &Path) -> Value {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

fn names(value: &Value) -> BTreeSet<&str> {
    value.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

/// The functions of a SAM template by their logical names, with what it says of all of them.
fn functions(template: &Value) -> BTreeMap<&str, Map<String, Value>> {
    let resources = template["Resources"].as_object().unwrap();
    let of_all = template["Globals"]["Function"].as_object().unwrap();
    let functions = resources.iter().filter(|(_, it)| it["Type"] == "AWS::Serverless::Function");
    functions
        .map(|(name, it)| {
            let mut properties = of_all.clone();
            properties.extend(it["Properties"].as_object().unwrap().clone());
            (name.as_str(), properties)
        })
        .collect()
}

/// What a function's or state machine's policies let it invoke. They allow nothing else but the file system.
fn may_invoke(policies: &Value) -> BTreeSet<&str> {
    let mut resources = BTreeSet::new();
    for policy in list(policies) {
        if !policy["EFSWriteAccessPolicy"].is_null() {
            continue;
        }
        for statement in list(&policy["Statement"]) {
            assert_eq!(statement["Action"], "lambda:InvokeFunction", "{policy}");
            assert_eq!(statement["Effect"], "Allow", "{policy}");
            resources.extend(list(&statement["Resource"]).into_iter().filter_map(Value::as_str));
        }
        assert!(!policy["Statement"].is_null(), "{policy} is known to allow nothing too much");
    }
    resources
}

/// Compares a template with its workflow file.
fn check(workflow_file: &Path) {
    let workflow = read(workflow_file);
    let path = workflow_file.to_str().unwrap();
    let state = tempfile::tempdir().unwrap();
    // Memory and calls in their one form.
    let known = run(state.path(), &["validate", path, "--format", "json"]).json();
    let name = workflow["name"].as_str().unwrap();
    let file = templates().join("aws").join(format!("{name}.yaml"));
    assert!(file.exists(), "{path} is an example without templates/aws/{name}.yaml");
    let template = read(&file);
    let functions = functions(&template);
    let logical: BTreeMap<&str, &str> = functions
        .iter()
        .map(|(logical, it)| (it["FunctionName"].as_str().unwrap(), *logical))
        .collect();
    let tasks = workflow["tasks"].as_object().unwrap();
    assert_eq!(logical.keys().copied().collect::<BTreeSet<_>>(), names(&workflow["tasks"]));

    for (task, written) in tasks {
        let said = |key: &str| match &written[key] {
            Value::Null => workflow["defaults"][key].clone(),
            own => own.clone(),
        };
        let folder = workflow_file.parent().unwrap().file_name().unwrap().to_str().unwrap();
        let code = written["code"].as_str().unwrap().trim_start_matches("./");
        let handler = said("handler");
        let starts = workflow["entry"] == *task || !workflow["steps"].is_null();
        let mut variables = names(&workflow["defaults"]["environment"]);
        variables.extend(names(&written["environment"]));
        let expected = json!({
            "Runtime": said("runtime"),
            "Handler": if handler.is_null() { "bootstrap".into() } else { handler },
            "MemorySize": known["tasks"][task]["resources"]["memory_mb"],
            "Timeout": said("timeout").as_str().unwrap().trim_end_matches('s').parse::<u64>().unwrap(),
            "CodeUri": format!("../{folder}/{code}"),
            "AutoPublishAlias": starts.then_some("live"),
            "Variables": variables,
        });
        let function = &functions[logical[task.as_str()]];
        let get = |key: &str| function.get(key).unwrap_or(&Value::Null);
        let found = json!({
            "Runtime": get("Runtime"),
            "Handler": get("Handler"),
            "MemorySize": get("MemorySize"),
            "Timeout": get("Timeout"),
            "CodeUri": get("CodeUri"),
            "AutoPublishAlias": get("AutoPublishAlias"),
            "Variables": names(&get("Environment")["Variables"]),
        });
        assert_eq!(found, expected, "{name}: {task}");

        let calls = known["calls"].as_array().unwrap().iter();
        let callees = calls.filter(|call| call["caller"] == **task);
        // Versions, too: Fuseline's functions call each other's.
        let expected: BTreeSet<String> = callees
            .map(|call| logical[call["callee"].as_str().unwrap()])
            .flat_map(|callee| [format!("{callee}.Arn"), format!("${{{callee}.Arn}}:*")])
            .collect();
        let expected = expected.iter().map(String::as_str).collect();
        assert_eq!(may_invoke(get("Policies")), expected, "{name}: {task}");
    }
    if !workflow["steps"].is_null() {
        check_state_machine(&workflow, &template, &logical);
    }
}

/// Compares the state machine with the steps.
fn check_state_machine(workflow: &Value, template: &Value, logical: &BTreeMap<&str, &str>) {
    let resources = template["Resources"].as_object().unwrap();
    let machines = resources.values().filter(|it| it["Type"] == "AWS::Serverless::StateMachine");
    let machine = machines.map(|it| &it["Properties"]).next().expect("there is a state machine");
    let steps = workflow["steps"].as_object().unwrap();
    let states = machine["Definition"]["States"].as_object().unwrap();
    assert_eq!(names(&workflow["steps"]), states.keys().map(String::as_str).collect());
    let mut before_others = BTreeSet::new();
    for (step, written) in steps {
        let known = ["after", "map", "task"];
        assert!(names(written).iter().all(|key| known.contains(key)), "{step}: teach this test");
        let logical = logical[written["task"].as_str().unwrap_or(step)];
        let state = &states[step];
        match list(&written["after"])[..] {
            [] => assert_eq!(machine["Definition"]["StartAt"], **step),
            [before] => {
                let before = before.as_str().unwrap();
                assert_eq!(states[before]["Next"], **step, "after {before}");
                before_others.insert(before);
            }
            _ => panic!("{step}: teach this test about branches"),
        }
        let work = match &written["map"] {
            Value::Null => state,
            map => {
                let items = map["items"].as_str().unwrap().replace('/', ".");
                let found = (&state["Type"], &state["ItemsPath"], &state["MaxConcurrency"]);
                assert_eq!(
                    found,
                    (&"Map".into(), &format!("${items}").into(), &map["concurrency"])
                );
                let processor = &state["ItemProcessor"];
                &processor["States"][processor["StartAt"].as_str().unwrap()]
            }
        };
        assert_eq!(work["Type"], "Task", "{step}");
        assert_eq!(work["Resource"], format!("${{{logical}}}"), "{step}");
        assert_eq!(machine["DefinitionSubstitutions"][logical], format!("{logical}.Alias"));
    }
    for (step, state) in states {
        assert_eq!(state["End"] == true, !before_others.contains(step.as_str()), "{step}");
    }
    let invoked: BTreeSet<String> = logical.values().map(|it| format!("{it}.Alias")).collect();
    assert_eq!(
        may_invoke(&machine["Policies"]),
        invoked.iter().map(String::as_str).collect::<BTreeSet<_>>()
    );
}

#[test]
fn every_example_has_a_template_that_says_the_same() {
    let examples = examples();
    assert!(examples.len() >= 5, "{examples:?}");
    for example in &examples {
        check(example);
    }
    // And no template is of an example that is gone.
    assert_eq!(yaml_files(&templates().join("aws")).len(), examples.len() + 1, "with {PART}");
}

/// Installs the linter once below `target`; several runs may ask for it at once.
fn linter() -> Result<PathBuf, String> {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = tools.join("cfn-lint");
    let claim = File::create(tools.join("cfn-lint.lock")).unwrap();
    claim.lock().unwrap();
    let made_of = folder.join("made-of");
    let program = folder.join("bin/cfn-lint");
    if std::fs::read(&made_of).is_ok_and(|it| it == LINTER.as_bytes()) {
        return Ok(program);
    }
    let python = folder.join("bin/python");
    succeeds(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", LINTER]);
    // An index may be away for a moment.
    for _ in 0..2 {
        if succeeds(&mut pip).is_ok() {
            break;
        }
    }
    succeeds(&mut pip)?;
    std::fs::write(made_of, LINTER).unwrap();
    Ok(program)
}

fn succeeds(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    output.status.success().then_some(()).ok_or(said)
}

#[test]
fn cfn_lint_has_nothing_to_say_about_them() {
    let linter = match linter() {
        Ok(linter) => linter,
        Err(error) => return skipped(&format!("{LINTER} cannot be installed: {error}")),
    };
    let lint = |files: &mut dyn Iterator<Item = PathBuf>| {
        let mut lint = Command::new(&linter);
        lint.args(["--non-zero-exit-code", "informational", "--"]).args(files);
        lint.output().expect("it can be started")
    };
    let clean = lint(&mut yaml_files(&templates().join("aws")).into_iter());
    let said = String::from_utf8_lossy(&clean.stdout);
    assert!(clean.status.success() && said.is_empty(), "{said}");

    // It does say something about one with a mistake.
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(templates().join("aws/cancel-order.yaml")).unwrap();
    let wrong = folder.path().join("wrong.yaml");
    std::fs::write(&wrong, text.replace("FunctionName: cancel-order", "FunctionNam: x")).unwrap();
    let found = lint(&mut std::iter::once(wrong));
    let said = String::from_utf8_lossy(&found.stdout);
    assert!(!found.status.success() && said.contains("FunctionNam"), "{said}");
}
