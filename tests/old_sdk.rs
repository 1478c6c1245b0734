//! An SDK from before `AWS_ENDPOINT_URL_LAMBDA`: its calls leave although the callee is inlined, which
//! changes no answer, and is seen and reported.
//!
//! The SDK is unchanged. What it knows of AWS's addresses, data that it reads from `AWS_DATA_PATH`,
//! says that Lambda is where the local backend is: it finds that as it would find AWS.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tests::{LocalServer, Run, State, run, skipped};

/// The last before `AWS_ENDPOINT_URL_LAMBDA` meant anything.
const OLD: &str = "boto3==1.26.165";
/// What the function needs of the SDK's data, which is 70 MB in all.
const DATA: [&str; 7] = [
    "lambda",
    "sts",
    "_retry.json",
    "endpoints.json",
    "partitions.json",
    "sdk-default-configuration.json",
    "README",
];
const HANDLER: &str = "import json, boto3
CLIENT = boto3.client('lambda')
def call(event, context):
    answer = CLIENT.invoke(FunctionName='callee', Payload=json.dumps(event))
    return {'boto3': boto3.__version__, 'said': json.loads(answer['Payload'].read())}
def answer(event, context):
    return {'name': context.function_name, 'n': event['n']}
";

/// The old SDK, installed once below `target`; why it cannot be had.
fn old_sdk() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("old-sdk");
    if folder.join("complete").exists() {
        return Ok(folder.join("packages"));
    }
    let _ = std::fs::remove_dir_all(&folder);
    let packages = folder.join("packages");
    let installed = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"])
        .arg(&packages)
        .arg(OLD)
        .output()
        .map_err(|error| format!("python3: {error}"))?;
    if !installed.status.success() {
        return Err(String::from_utf8_lossy(&installed.stderr).into_owned());
    }
    for entry in std::fs::read_dir(packages.join("botocore/data")).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() && !DATA.iter().any(|name| entry.file_name() == *name) {
            std::fs::remove_dir_all(path).unwrap();
        }
    }
    std::fs::write(folder.join("complete"), OLD).unwrap();
    Ok(packages)
}

/// Addresses in the form of botocore's data: an endpoint that the code names, else `lambda`.
fn addresses(lambda: &str) -> String {
    let flag = |built_in: &str| json!({ "builtIn": built_in, "required": true, "default": false, "type": "Boolean" });
    let text = |built_in: &str| json!({ "builtIn": built_in, "required": false, "type": "String" });
    let rule = |conditions, url| {
        let endpoint = json!({ "url": url, "properties": {}, "headers": {} });
        json!({ "type": "endpoint", "conditions": conditions, "endpoint": endpoint })
    };
    let named = json!({ "ref": "Endpoint" });
    json!({
        "version": "1.0",
        "parameters": {
            "Region": text("AWS::Region"),
            "Endpoint": text("SDK::Endpoint"),
            "UseDualStack": flag("AWS::UseDualStack"),
            "UseFIPS": flag("AWS::UseFIPS"),
        },
        "rules": [
            rule(json!([{ "fn": "isSet", "argv": [named.clone()] }]), named),
            rule(json!([]), json!(lambda)),
        ],
    })
    .to_string()
}

/// A workflow whose caller brings this SDK, or none and so the runtime's own.
fn workflow(folder: &Path, sdk: Option<&Path>, lambda: &str) -> PathBuf {
    let data = folder.join("data/lambda/2015-03-31");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("endpoint-rule-set-1.json"), addresses(lambda)).unwrap();
    for task in ["caller", "callee"] {
        std::fs::create_dir_all(folder.join(task)).unwrap();
        std::fs::write(folder.join(task).join("app.py"), HANDLER).unwrap();
    }
    if let Some(sdk) = sdk {
        let copied =
            Command::new("cp").arg("-r").arg(sdk.join(".")).arg(folder.join("caller")).status();
        assert!(copied.unwrap().success());
    }
    let file = folder.join("workflow.yaml");
    let data = folder.join("data").display().to_string();
    let text = format!(
        "name: old-sdk\nentry: caller\nslo: {{ latency: 10s }}\n\
         defaults: {{ runtime: python3.11, memory: 512, timeout: 30s }}\n\
         tasks:\n  \
         caller: {{ code: ./caller, handler: app.call, environment: {{ AWS_DATA_PATH: {data} }}, calls: {{ callee: sync }} }}\n  \
         callee: {{ code: ./callee, handler: app.answer }}\n\
         payloads: [ {{ body: {{ n: 7 }}, expect: {{ said: {{ name: callee, n: 7 }} }} }} ]\n"
    );
    std::fs::write(&file, text).unwrap();
    file
}

#[test]
fn calls_of_an_old_sdk_leave_and_are_reported() {
    let old = match old_sdk() {
        Ok(old) => old,
        Err(why) => return skipped(&format!("an old SDK: {OLD} cannot be installed: {why}")),
    };
    let state = State::new();
    let server = LocalServer::start(state.path(), "process");
    for (sdk, version, past) in [(Some(old.as_path()), "1.26.165", 4), (None, "", 0)] {
        let folder = tempfile::tempdir().unwrap();
        let file = workflow(folder.path(), sdk, &server.endpoint);
        let with = |command: &str, more: &[&str]| -> Run {
            let target = [command, file.to_str().unwrap(), "--endpoint", &server.endpoint];
            run(state.path(), &[&target[..], more].concat())
        };
        let deployed = with("deploy", &["--setup", "(caller,callee)"]);
        if deployed.stderr.contains("cannot be prepared") {
            return skipped(&format!("an old SDK needs Python: {}", deployed.stderr));
        }
        assert_eq!(deployed.code, Some(0), "{}", deployed.stderr);
        let load = with("load", &["--requests", "4", "--format", "json"]);
        assert_eq!(load.json()["measurement"]["failures"], 0, "{}", load.stdout);
        let answer = with("invoke", &[]).json();
        assert_eq!(answer["said"], json!({ "name": "callee", "n": 7 }));
        assert!(answer["boto3"].as_str().unwrap().starts_with(version), "{answer}");
        let seen = load.json()["past_supervisor"]["callee"].as_u64().unwrap_or(0);
        assert_eq!(seen, past, "boto3 {}: {}{}", answer["boto3"], load.stdout, load.stderr);
        let notice = "calls of callee left although it is inlined";
        assert_eq!(load.stderr.contains(notice), past > 0, "{}", load.stderr);
        assert_eq!(with("destroy", &[]).code, Some(0));
    }
}
