//! Functions of managed runtimes: Python and Node.js, as this machine has them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use local_backend::{SandboxKind, prepare_runtimes};
use serde_json::{Value, json};

use crate::probe::zip_of;
use crate::support::{Platform, in_each_sandbox, tell};

/// A Python handler that tells what it sees.
const PYTHON: &str = r#"
import json, os, sys

def handler(event, context):
    if "fail" in event:
        raise LookupError(event["fail"])
    if "call" in event:
        import boto3
        answer = boto3.client("lambda").invoke(FunctionName=event["call"], Payload=b'{"from": "A"}')
        return {"status": answer["StatusCode"], "payload": json.load(answer["Payload"])}
    if "import" in event:
        return __import__(event["import"]).WORDS
    return {
        "event": event,
        "version": list(sys.version_info[:2]),
        "path": sys.path,
        "environment": dict(os.environ),
        "directory": os.getcwd(),
        "function": context.function_name,
        "remaining_ms": context.get_remaining_time_in_millis(),
        "files": {path: open(path).read() for path in event.get("read", [])},
    }
"#;

/// The same in Node.js.
const NODE: &str = r#"
exports.handler = async (event, context) => {
  if (event.fail) throw new RangeError(event.fail);
  if (event.call) {
    const { LambdaClient, InvokeCommand } = require("@aws-sdk/client-lambda");
    const command = new InvokeCommand({ FunctionName: event.call, Payload: '{"from": "A"}' });
    const answer = await new LambdaClient({}).send(command);
    return { status: answer.StatusCode, payload: JSON.parse(Buffer.from(answer.Payload)) };
  }
  if (event.import) return require(event.import).WORDS;
  const read = (path) => [path, require("fs").readFileSync(path, "utf8")];
  return {
    event,
    files: Object.fromEntries((event.read ?? []).map(read)),
    version: process.versions.node.split(".").map(Number).slice(0, 2),
    environment: { ...process.env },
    directory: process.cwd(),
    function: context.functionName,
    remaining_ms: context.getRemainingTimeInMillis(),
  };
};
"#;

/// A runtime under test.
struct Tested {
    /// Lambda's name of it, of the version that this machine's default interpreter has.
    runtime: String,
    file: &'static str,
    source: &'static str,
    /// A file that cannot be loaded.
    broken: &'static str,
    /// Type of the error when an exception is thrown, and type of that of a handler that is missing.
    exception: &'static str,
    missing: &'static str,
    import_error: &'static str,
}

/// The runtimes that this machine can have. Prepares them; says loudly which ones it cannot have.
fn runtimes() -> &'static [Tested] {
    static RUNTIMES: OnceLock<Vec<Tested>> = OnceLock::new();
    RUNTIMES.get_or_init(|| {
        let python = Tested {
            runtime: default_runtime("python3", &["-V"], |numbers| {
                format!("python{}.{}", numbers[0], numbers[1])
            }),
            file: "app.py",
            source: PYTHON,
            broken: "import no_such_module\n",
            exception: "LookupError",
            missing: "Runtime.HandlerNotFound",
            import_error: "Runtime.ImportModuleError",
        };
        let node = Tested {
            runtime: default_runtime("node", &["-v"], |numbers| format!("nodejs{}.x", numbers[0])),
            file: "app.js",
            source: NODE,
            broken: "require('no-such-module');\n",
            exception: "RangeError",
            missing: "Runtime.HandlerNotFound",
            import_error: "Runtime.ImportModuleError",
        };
        let mut there = Vec::new();
        for tested in [python, node] {
            match prepare_runtimes(&[&tested.runtime], &mut |text| tell(text)) {
                Ok(_) => there.push(tested),
                Err(error) => tell(&format!("\nSKIPPED: NO {}: {error}\n", tested.runtime)),
            }
        }
        there
    })
}

/// The managed runtime of this machine's default interpreter, from what it prints about itself.
fn default_runtime(program: &str, ask: &[&str], name: impl Fn(&[&str]) -> String) -> String {
    let output = std::process::Command::new(program).args(ask).output();
    let text =
        output.map(|it| String::from_utf8_lossy(&it.stdout).into_owned()).unwrap_or_default();
    let version: String =
        text.chars().skip_while(|c| !c.is_ascii_digit()).collect::<String>().trim().to_owned();
    let numbers: Vec<&str> = version.split('.').chain(["0", "0"]).collect();
    name(&numbers)
}

/// Runs a test with each runtime in each sandbox.
async fn in_each(test: impl AsyncFn(&Platform, &Tested)) {
    let runtimes = tokio::task::spawn_blocking(runtimes).await.unwrap();
    in_each_sandbox(async |platform| {
        for tested in runtimes {
            test(platform, tested).await;
        }
    })
    .await;
}

impl Tested {
    /// Creates a function of this runtime with files in its bundle and settings over sensible ones.
    async fn create(&self, platform: &Platform, name: &str, files: &[(&str, &str)], set: Value) {
        let files: Vec<_> =
            files.iter().map(|(name, text)| (*name, 0o644, text.as_bytes())).collect();
        let mut settings = json!({
            "Runtime": self.runtime,
            "Handler": "app.handler",
            "Timeout": 60,
            "Environment": { "Variables": { "FUSELINE_VCPU": "1", "MINE": "yes" } },
            "Code": { "ZipFile": STANDARD.encode(zip_of(&files)) },
        });
        for (key, value) in set.as_object().unwrap() {
            settings[key] = value.clone();
        }
        settings["FunctionName"] = json!(name);
        settings["Role"] = json!("arn:aws:iam::000000000000:role/test");
        settings["MemorySize"] = json!(512);
        let reply = platform.post("/2015-03-31/functions", settings).await;
        assert_eq!(reply.status, 201, "{reply:?}");
    }

    /// Name of a function of this runtime.
    fn name(&self, name: &str) -> String {
        format!("{name}-{}", self.runtime.replace('.', "-"))
    }
}

fn environment(answer: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(answer["environment"].clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_runs_where_and_with_what_it_has_on_lambda() {
    in_each(async |platform, tested| {
        let f = tested.name("f");
        tested.create(platform, &f, &[(tested.file, tested.source)], json!({})).await;
        let answer = platform.invoke(&f, json!({ "a": ["ü", 1] })).await.ok();
        assert_eq!(answer["event"], json!({ "a": ["ü", 1] }));
        assert_eq!(answer["function"], f.as_str());
        let remaining_ms = answer["remaining_ms"].as_u64().unwrap();
        assert!((1..=60_000).contains(&remaining_ms), "{remaining_ms}");

        let environment = environment(&answer);
        let root = &environment["LAMBDA_TASK_ROOT"];
        assert_eq!(answer["directory"], root.as_str());
        if platform.kind == SandboxKind::Docker {
            assert_eq!(root, "/var/task");
        }
        assert_eq!(environment["AWS_EXECUTION_ENV"], format!("AWS_Lambda_{}", tested.runtime));
        assert_eq!(environment["_HANDLER"], "app.handler");
        assert_eq!(environment["MINE"], "yes");
        assert_eq!(environment["LANG"], "en_US.UTF-8");
        assert_eq!(environment["TZ"], ":UTC");
        assert!(environment["LAMBDA_RUNTIME_DIR"].ends_with(&tested.runtime));
        assert!(environment["LAMBDA_RUNTIME_DIR"].starts_with(&environment["FUSELINE_RUNTIMES"]));
        assert!(environment["LD_LIBRARY_PATH"].contains(&format!("{root}/lib:/opt/lib")));
        // Nothing of this process, whose environment has a home.
        assert!(!environment.contains_key("HOME"), "{environment:?}");
        let version = answer["version"].as_array().unwrap();
        assert!(tested.runtime.contains(&version[0].to_string()), "{version:?}");
        // The second invocation finds the same process.
        let again = platform.invoke(&f, json!({})).await.ok();
        assert_eq!(
            again["environment"]["AWS_LAMBDA_LOG_STREAM_NAME"],
            environment["AWS_LAMBDA_LOG_STREAM_NAME"].as_str()
        );
        assert_eq!(
            platform.reports(&f, 2).await.iter().filter(|it| it.init_us.is_some()).count(),
            1
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exception_comes_with_type_message_and_trace() {
    in_each(async |platform, tested| {
        let f = tested.name("f");
        tested.create(platform, &f, &[(tested.file, tested.source)], json!({})).await;
        let reply = platform.invoke(&f, json!({ "fail": "no luck" })).await;
        assert_eq!(reply.header("x-amz-function-error"), Some("Unhandled"), "{reply:?}");
        assert_eq!(reply.body["errorType"], tested.exception);
        assert_eq!(reply.body["errorMessage"], "no luck");
        // Python's word for it and Node's.
        let trace = reply.body.get("stackTrace").or(reply.body.get("trace")).unwrap();
        assert!(trace.to_string().contains(tested.file), "{trace}");
        platform.invoke(&f, json!({})).await.ok();
        let reports = platform.reports(&f, 2).await;
        assert!(reports[1].init_us.is_none(), "an exception keeps the instance");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_loaded_is_an_init_error() {
    in_each(async |platform, tested| {
        let files = [(tested.file, tested.source)];
        let broken = [(tested.file, tested.broken)];
        for (f, files, handler, kind, says) in [
            ("handler", &files, "app.nothing", tested.missing, "nothing"),
            ("module", &files, "nowhere.handler", tested.import_error, "nowhere"),
            ("import", &broken, "app.handler", tested.import_error, "module"),
        ] {
            let f = tested.name(f);
            tested.create(platform, &f, files, json!({ "Handler": handler })).await;
            let reply = platform.invoke(&f, json!({})).await;
            assert_eq!(reply.header("x-amz-function-error"), Some("Unhandled"), "{reply:?}");
            assert_eq!(reply.body["errorType"], kind, "{reply:?}");
            let message = reply.body["errorMessage"].as_str().unwrap();
            assert!(message.contains(says), "{message}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_calls_another_with_the_runtimes_own_sdk() {
    in_each(async |platform, tested| {
        let (a, b) = (tested.name("a"), tested.name("b"));
        for f in [&a, &b] {
            tested.create(platform, f, &[(tested.file, tested.source)], json!({})).await;
        }
        let answer = platform.invoke(&a, json!({ "call": b })).await.ok();
        assert_eq!(answer["status"], 200);
        assert_eq!(answer["payload"]["function"], b.as_str());
        assert_eq!(answer["payload"]["event"], json!({ "from": "A" }));
    })
    .await;
}

/// A wrapper that marks what it starts.
const WRAPPER: &str = "#!/bin/sh\nexport WRAPPED=\"$#:$1:$2\"\nexec \"$@\"\n";

/// Publishes a layer and returns its ARN.
async fn layer(platform: &Platform, name: &str, files: &[(&str, u32, &str)]) -> String {
    let files: Vec<_> =
        files.iter().map(|(name, mode, text)| (*name, *mode, text.as_bytes())).collect();
    let content = json!({ "Content": { "ZipFile": STANDARD.encode(zip_of(&files)) } });
    let reply = platform.post(&format!("/2018-10-31/layers/{name}/versions"), content).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.body["LayerVersionArn"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrapper_and_the_files_of_layers_are_seen() {
    in_each(async |platform, tested| {
        let f = tested.name("layered");
        let first = layer(
            platform,
            "first",
            &[
                ("wrapper", 0o755, WRAPPER),
                ("python/words.py", 0o644, "WORDS = 'first'\n"),
                ("nodejs/node_modules/words/index.js", 0o644, "exports.WORDS = 'first';\n"),
                ("both", 0o644, "first"),
            ],
        )
        .await;
        let second = layer(platform, "second", &[("both", 0o644, "second")]).await;
        let variables = json!({ "AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrapper", "FUSELINE_VCPU": "1" });
        let set = json!({ "Layers": [first, second], "Environment": { "Variables": variables } });
        tested.create(platform, &f, &[(tested.file, tested.source)], set).await;

        let answer = platform.invoke(&f, json!({})).await.ok();
        let seen = environment(&answer);
        let opt = seen.get("FUSELINE_OPT").map_or("/opt", String::as_str);
        assert_eq!(opt == "/opt", platform.kind == SandboxKind::Docker, "{opt}");
        assert!(seen["PATH"].ends_with(&format!("{opt}/bin")), "{}", seen["PATH"]);
        assert!(seen["LD_LIBRARY_PATH"].ends_with(&format!("{opt}/lib")));
        // As on AWS it is handed the interpreter and its arguments.
        let count = seen["WRAPPED"].split(':').next().unwrap().parse::<u32>().unwrap();
        assert!(count >= 2, "{}", seen["WRAPPED"]);
        assert!(seen["WRAPPED"].contains(":/"), "{}", seen["WRAPPED"]);

        assert_eq!(platform.invoke(&f, json!({ "import": "words" })).await.ok(), "first");
        let read = format!("{opt}/both");
        let answer = platform.invoke(&f, json!({ "read": [read] })).await.ok();
        assert_eq!(answer["files"][&read], "second", "later layers lie over earlier ones");

        let path = format!("/2015-03-31/functions/{f}/configuration");
        let arns: Vec<_> = platform.get(&path).await.body["Layers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|layer| layer["Arn"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(arns, [first, second]);
        // Without layers there is nothing left of them, and so no wrapper.
        platform.put(&path, json!({ "Layers": [] })).await;
        let reply = platform.invoke(&f, json!({})).await;
        assert_eq!(reply.body["errorType"], "Runtime.ExitError", "{reply:?}");
        let messages = platform.messages(&f).await;
        assert!(messages.contains(&"/opt/wrapper: does not exist".to_owned()), "{messages:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_of_node_imports_the_runtimes_own_sdk_and_what_is_in_layers() {
    in_each(async |platform, tested| {
        if tested.file != "app.js" {
            return;
        }
        let words = [
            ("nodejs/node_modules/words/package.json", 0o644, r#"{ "main": "index.js" }"#),
            ("nodejs/node_modules/words/index.js", 0o644, "exports.WORDS = 'layer';\n"),
        ];
        let arn = layer(platform, "words", &words).await;
        let sdk = "import { LambdaClient } from '@aws-sdk/client-lambda';\n";
        let handler = "export const handler = async () => `${typeof LambdaClient}`;\n";
        let plain = format!("{sdk}{handler}");
        tested.create(platform, "plain", &[("app.mjs", &plain)], json!({})).await;
        assert_eq!(platform.invoke("plain", json!({})).await.ok(), "function");

        let layered = format!("{sdk}import words from 'words';\n{handler}")
            .replace("LambdaClient}`", "LambdaClient} ${words.WORDS}`");
        let set = json!({ "Layers": [arn] });
        tested.create(platform, "layered", &[("app.mjs", &layered)], set).await;
        assert_eq!(platform.invoke("layered", json!({})).await.ok(), "function layer");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runtimes_that_cannot_be_had_are_refused_by_name() {
    in_each_sandbox(async |platform| {
        for (runtime, says) in [
            ("java21", "does not run `java21`"),
            ("python2.7", "does not run `python2.7`"),
            ("nodejs99", "does not run `nodejs99`"),
        ] {
            let zip = STANDARD.encode(zip_of(&[("app.py", 0o644, b"")]));
            let body = json!({
                "FunctionName": "f", "Runtime": runtime, "Handler": "app.handler",
                "Role": "arn:aws:iam::000000000000:role/test", "Code": { "ZipFile": zip },
            });
            let reply = platform.post("/2015-03-31/functions", body).await;
            assert_eq!(reply.error(), (400, "InvalidParameterValueException"));
            let message = reply.body["Message"].as_str().unwrap();
            assert!(message.contains(says), "{message}");
        }
    })
    .await;
}
