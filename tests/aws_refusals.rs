//! What AWS refuses, and what Fuseline refuses on AWS: exit code 2, what is wrong, what to do, and nothing changed. A stub
//! stands for all of AWS, so credentials are looked for and used as they are there.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tests::aws_workflow::{Place, TINY, Workflow};
use tests::stub::{Rule, Stub};
use tests::{LocalServer, Run, State, repository};

const FUNCTION: &str = "GET /2015-03-31/functions/a";
const CONFIGURATION: &str = "GET /2015-03-31/functions/a/configuration";
const PROVISIONED: &str = "GET /2019-09-30/functions/a/provisioned-concurrency";
const URL: &str = "GET /2021-10-31/functions/a/url";
const ADOPT: [&str; 2] = ["deploy", "--adopt"];

/// The functions that AWS makes need a role.
fn with_role() -> String {
    TINY.replace("memory: 256", "memory: 256, role: \"arn:aws:iam::000000000000:role/theirs\"")
}

/// Refused because of the user's input, with all of these words.
fn assert_refused(got: &Run, what: &str, words: &[&str]) {
    assert_eq!(got.code, Some(2), "{what}: {}{}", got.stdout, got.stderr);
    for word in words.iter().chain(&["error: ", "next: "]) {
        assert!(got.stderr.contains(word), "{what}: `{word}` is not in: {}", got.stderr);
    }
}

#[test]
fn without_usable_credentials_nothing_is_asked() {
    let state = State::new();
    let workflow = Workflow::new(state.path());
    let stub = Stub::start(None);
    let file = state.path().join("config");
    let text = "[profile work]\nregion = eu-west-1\n\
                [profile process]\nregion = eu-west-1\ncredential_process = /bin/false\n\
                [profile people]\nregion = eu-west-1\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = dev\n\
                [sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://example.com/start\n";
    std::fs::write(&file, text).unwrap();
    let none = |it: &mut Command| {
        it.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    };
    let with_file = |it: &mut Command, file: &Path| {
        none(it);
        it.env("AWS_CONFIG_FILE", file);
    };
    type Setting<'s> = &'s dyn Fn(&mut Command);
    let cases: [(&str, Setting, &[&str]); 7] = [
        ("no credentials", &none, &["no usable AWS credentials", "aws configure"]),
        (
            "no region",
            &|it| {
                it.env_remove("AWS_REGION");
            },
            &["no AWS region is configured", "--region"],
        ),
        (
            "a profile that does not exist",
            &|it| {
                with_file(it, &file);
                it.args(["--profile", "wrok"]);
            },
            &["no profile `wrok`", "name one of people, process, work with --profile"],
        ),
        (
            "the same from the environment",
            &|it| {
                it.env("AWS_PROFILE", "wrok");
            },
            &["no profile `wrok`", "aws configure --profile"],
        ),
        (
            "nobody has signed in",
            &|it| {
                with_file(it, &file);
                it.args(["--profile", "people"]);
            },
            &["no usable AWS credentials", "aws sso login"],
        ),
        (
            "a program that gives none",
            &|it| {
                with_file(it, &file);
                it.args(["--profile", "process"]);
            },
            &["no usable AWS credentials", "external process exited with code exit status: 1"],
        ),
        (
            "a profile without credentials",
            &|it| {
                with_file(it, &file);
                it.args(["--profile", "work"]);
            },
            &["no usable AWS credentials"],
        ),
    ];
    for (what, set, words) in cases {
        for command in ["deploy", "status"] {
            let mut fuseline = workflow.command_on_aws(&stub.endpoint, &[command]);
            set(&mut fuseline);
            let got: Run = fuseline.output().unwrap().into();
            assert_refused(&got, what, words);
            assert_eq!(stub.asked(), Vec::<String>::new(), "{what}");
            assert!(!got.stderr.contains("WARN"), "{what}: {}", got.stderr);
        }
    }
}

#[test]
fn credentials_that_aws_does_not_take_are_told_apart() {
    let state = State::new();
    let workflow = Workflow::new(state.path());
    let stub = Stub::start(None);
    let who = "POST / GetCallerIdentity";
    for (code, words) in [
        (
            "ExpiredToken",
            ["does not accept the credentials: ExpiredToken", "renew the credentials"],
        ),
        ("InvalidClientTokenId", ["InvalidClientTokenId: no", "check access key and secret"]),
        ("SignatureDoesNotMatch", ["SignatureDoesNotMatch: no", "this machine's clock"]),
        ("RegionDisabledException", ["RegionDisabledException: no", "aws sts get-caller-identity"]),
    ] {
        stub.set(&[Rule::error(who, 403, code, Some("no"))]);
        assert_refused(&workflow.run_on_aws(&stub.endpoint, &["deploy"]), code, &words);
        assert_eq!(stub.asked(), [who], "{code}");
    }
    // They may expire in between.
    stub.set(&[Rule::error(CONFIGURATION, 403, "ExpiredTokenException", Some("it is expired"))]);
    let got = workflow.run_on_aws(&stub.endpoint, &["deploy"]);
    assert_refused(&got, "later", &["ExpiredTokenException", "renew the credentials"]);

    let nobody = "http://127.0.0.1:1";
    let got = workflow.run_on_aws(nobody, &["deploy"]);
    assert_refused(
        &got,
        "no network",
        &["AWS cannot be reached", "check the network and --region"],
    );
}

#[test]
fn where_nothing_is_deployed_the_region_is_asked_for() {
    let state = State::new();
    let workflow = Workflow::new(state.path());
    let stub = Stub::start(None);
    for command in ["invoke", "load"] {
        let got = workflow.run_on_aws(&stub.endpoint, &[command]);
        assert_refused(&got, command, &["tiny is not deployed at aws eu-west-1", "--region"]);
    }
    let got = workflow.run_on_aws(&stub.endpoint, &["status"]);
    assert_eq!(got.code, Some(0), "{}", got.stderr);
    assert!(got.stdout.contains("tiny is not deployed at aws eu-west-1"), "{}", got.stdout);
    // AWS makes no function without a role.
    let got = workflow.run_on_aws(&stub.endpoint, &["deploy"]);
    assert_refused(&got, "no role", &["names no `role`"]);
    assert_eq!(stub.changes(), Vec::<String>::new());
}

/// A foreign function `a` behind a stub that has the features of AWS which the local backend lacks.
struct Taken {
    // Ended before the state is removed.
    server: LocalServer,
    stub: Stub,
    workflow: Workflow,
    state: State,
}

impl Taken {
    fn new() -> Self {
        let state = State::new();
        let server = LocalServer::start(state.path(), "process");
        Place(server.endpoint.clone()).create("a");
        let stub = Stub::start(Some(&server.endpoint));
        let workflow = Workflow::with(state.path(), &with_role());
        Self { server, stub, workflow, state }
    }

    /// Runs a command where these rules hold before all others.
    fn run(&self, rules: &[Rule], command: &[&str]) -> Run {
        let usual = [
            Rule::answer(PROVISIONED, json!({ "ProvisionedConcurrencyConfigs": [] })),
            Rule::error(URL, 404, "ResourceNotFoundException", Some("it has none")),
        ];
        self.stub.set(&[rules, &usual].concat());
        self.workflow.run_on_aws(&self.stub.endpoint, command)
    }

    fn ok(&self, rules: &[Rule], command: &[&str]) -> Run {
        let got = self.run(rules, command);
        assert_eq!(got.code, Some(0), "{command:?}: {}", got.stderr);
        got
    }

    fn assert_unchanged(&self, what: &str) {
        assert_eq!(self.stub.changes(), Vec::<String>::new(), "{what}");
    }
}

#[test]
fn functions_that_cannot_be_taken_over_are_refused_before_anything_is_changed() {
    let taken = Taken::new();
    let configuration = |fields: Value| Rule::merged(FUNCTION, json!({ "Configuration": fields }));
    let by_stack = |tags: Value| Rule::merged(FUNCTION, json!({ "Tags": tags }));
    let instances = json!({ "LambdaManagedInstancesCapacityProviderConfig": { "CapacityProviderArn": "arn:aws:lambda:eu-west-1:1:capacity-provider:c" } });
    let cases: [(&str, Rule, &str); 13] = [
        (
            "SnapStart",
            configuration(
                json!({ "SnapStart": { "ApplyOn": "PublishedVersions", "OptimizationStatus": "On" } }),
            ),
            "SnapStart",
        ),
        (
            "Managed Instances",
            configuration(json!({ "CapacityProviderConfig": instances })),
            "Managed Instances",
        ),
        (
            "a durable function",
            configuration(
                json!({ "DurableConfig": { "RetentionPeriodInDays": 1, "ExecutionTimeout": 60 } }),
            ),
            "durable function",
        ),
        ("an image", configuration(json!({ "PackageType": "Image" })), "container image"),
        ("arm64", configuration(json!({ "Architectures": ["arm64"] })), "architecture is arm64"),
        (
            "Failed",
            configuration(json!({ "State": "Failed", "StateReason": "its role is gone" })),
            "state Failed (its role is gone)",
        ),
        (
            "a key",
            configuration(
                json!({ "Environment": { "Error": { "ErrorCode": "AccessDenied", "Message": "kms" } } }),
            ),
            "kms:Decrypt",
        ),
        (
            "another runtime",
            Rule::merged(CONFIGURATION, json!({ "Runtime": "python3.12" })),
            "its runtime is python3.12",
        ),
        (
            "a runtime that is retired",
            Rule::merged(CONFIGURATION, json!({ "Runtime": "nodejs12.x" })),
            "its runtime is nodejs12.x",
        ),
        (
            "provisioned concurrency",
            Rule::answer(
                PROVISIONED,
                json!({ "ProvisionedConcurrencyConfigs": [{ "AllocatedProvisionedConcurrentExecutions": 1 }] }),
            ),
            "provisioned concurrency",
        ),
        (
            "streaming",
            Rule::answer(
                URL,
                json!({ "FunctionUrl": "https://x.lambda-url", "FunctionArn": "arn", "AuthType": "NONE",
                    "CreationTime": "2026-01-01T00:00:00Z", "InvokeMode": "RESPONSE_STREAM" }),
            ),
            "streams responses",
        ),
        (
            "CloudFormation",
            by_stack(json!({ "aws:cloudformation:stack-name": "shop" })),
            "the CloudFormation stack shop manages it",
        ),
        ("Terraform", by_stack(json!({ "managed-by": "terraform" })), "Terraform manages it"),
    ];
    for (what, rule, says) in cases {
        let got = taken.run(&[rule], &ADOPT);
        assert_refused(
            &got,
            what,
            &["function `a` cannot be taken over", says, "nothing was changed"],
        );
        taken.assert_unchanged(what);
    }
    let large = configuration(json!({ "CodeSize": 60 << 20 }));
    let got = taken.run(&[large], &ADOPT);
    let says = ["the package of `a` has 60.0 MB", "--bucket", "nothing was changed"];
    assert_refused(&got, "large code", &says);
    taken.assert_unchanged("large code");
    // The same commands take it over if nothing stands against it, or the user insists.
    let stack = by_stack(json!({ "aws:cloudformation:stack-name": "shop" }));
    taken.ok(&[stack], &["deploy", "--adopt", "--force"]);
    taken.ok(&[], &["destroy"]);
    taken.ok(&[], &ADOPT);
    taken.ok(&[], &["rollback"]);
}

#[test]
fn functions_that_are_not_settled_are_waited_for() {
    let taken = Taken::new();
    let pending = json!({ "State": "Pending", "StateReason": "The function is being created." });
    let updating = json!({ "LastUpdateStatus": "InProgress" });
    for (what, fields) in [("Pending", pending), ("InProgress", updating)] {
        let rule = Rule::merged(CONFIGURATION, fields).times(3);
        taken.ok(&[rule], &ADOPT);
        let looks = taken.stub.asked();
        let first = looks.iter().position(|it| *it == taken.stub.changes()[0]).unwrap();
        let looks = looks[..first].iter().filter(|it| *it == CONFIGURATION).count();
        // With what the deployment itself has to know of it.
        assert!(looks > 3, "{what}: {looks}");
        taken.ok(&[], &["rollback"]);
    }
    let failed = Rule::merged(
        "GET /2015-03-31/functions/b/configuration",
        json!({ "State": "Failed", "StateReason": "the subnet is gone" }),
    );
    let got = taken.run(&[failed], &ADOPT);
    assert_eq!(got.code, Some(1), "{}", got.stderr);
    assert!(got.stderr.contains("function `b` failed: the subnet is gone"), "{}", got.stderr);
    taken.ok(&[], &["rollback"]);
}

/// What a refusal says about an action, which the policy for all commands allows.
fn allow(action: &str) -> String {
    let policy = std::fs::read_to_string(repository().join("templates/iam/optimize.json")).unwrap();
    assert!(policy.contains(&format!("\"{action}\"")), "templates/iam does not allow {action}");
    format!("allow the action {action} to")
}

/// As AWS says it, and with as little as it can say.
fn denied(asked: &str, action: &str) -> [Rule; 2] {
    let says = format!(
        "User: arn:aws:iam::123456789012:user/x is not authorized to perform: {action} on resource: arn:aws:lambda:eu-west-1:123456789012:function:a because no identity-based policy allows the {action} action"
    );
    [Some(says.as_str()), None]
        .map(|message| Rule::error(asked, 403, "AccessDeniedException", message))
}

#[test]
fn denied_reads_name_the_permission() {
    let taken = Taken::new();
    let refused = |command: &[&str], asked: &str, action: &str| {
        for rule in denied(asked, action) {
            let got = taken.run(&[rule], command);
            let what = format!("{command:?} {asked}");
            assert_refused(&got, &what, &[&allow(action), "templates/iam"]);
        }
    };
    for (asked, action) in [
        (CONFIGURATION, "lambda:GetFunctionConfiguration"),
        (FUNCTION, "lambda:GetFunction"),
        (PROVISIONED, "lambda:ListProvisionedConcurrencyConfigs"),
        (URL, "lambda:GetFunctionUrlConfig"),
    ] {
        refused(&ADOPT, asked, action);
        taken.assert_unchanged(asked);
    }
    // Who may not look at a function's variables cannot tell whose it is.
    taken.ok(&[], &ADOPT);
    let alias = "GET /2015-03-31/functions/a/aliases/live";
    let versions = "GET /2015-03-31/functions/a/versions";
    let invoke = "POST /2015-03-31/functions/a/invocations";
    for (command, asked, action) in [
        ("status", CONFIGURATION, "lambda:GetFunctionConfiguration"),
        ("status", versions, "lambda:ListVersionsByFunction"),
        ("status", alias, "lambda:GetAlias"),
        ("destroy", CONFIGURATION, "lambda:GetFunctionConfiguration"),
        ("invoke", alias, "lambda:GetAlias"),
    ] {
        refused(&[command], asked, action);
        taken.assert_unchanged(asked);
    }
    refused(&["invoke"], invoke, "lambda:InvokeFunction");
    refused(&["load", "--requests", "2"], invoke, "lambda:InvokeFunction");
    refused(&["load", "--requests", "1"], "POST / FilterLogEvents", "logs:FilterLogEvents");
    taken.ok(&[], &["destroy"]);
    drop(taken.server);
    taken.state.assert_nothing_left();
}

#[test]
fn denied_changes_name_the_permission_and_can_be_undone() {
    let taken = Taken::new();
    let before = Place(taken.server.endpoint.clone()).everything();
    let a = "/2015-03-31/functions/a";
    let changes = [
        ("POST /2015-03-31/functions".to_owned(), "lambda:CreateFunction"),
        (format!("POST {a}/versions"), "lambda:PublishVersion"),
        (format!("PUT {a}/code"), "lambda:UpdateFunctionCode"),
        (format!("PUT {a}/configuration"), "lambda:UpdateFunctionConfiguration"),
        (format!("POST {a}/aliases"), "lambda:CreateAlias"),
    ];
    for (asked, action) in &changes {
        for rule in denied(asked, action) {
            let got = taken.run(&[rule], &ADOPT);
            assert_refused(&got, asked, &[&allow(action), "templates/iam"]);
            let undone = taken.run(&[], &["rollback"]);
            let nothing = undone.stderr.contains("nothing to undo");
            assert!(undone.code == Some(0) || nothing, "{asked}: {}", undone.stderr);
            let now = Place(taken.server.endpoint.clone()).everything();
            assert_eq!(now, before, "{asked}: undone");
        }
    }
    taken.ok(&[], &ADOPT);
    let alias = denied(&format!("PUT {a}/aliases/live"), "lambda:UpdateAlias");
    let got = taken.run(&alias[1..], &["deploy", "--adopt", "--memory", "a=512"]);
    assert_refused(&got, "alias", &[&allow("lambda:UpdateAlias")]);
    for (command, asked, action) in [
        ("rollback", format!("DELETE {a}"), "lambda:DeleteFunction"),
        ("destroy", format!("DELETE {a}/aliases/live"), "lambda:DeleteAlias"),
        ("destroy", "DELETE /2015-03-31/functions/b".to_owned(), "lambda:DeleteFunction"),
    ] {
        let got = taken.run(&denied(&asked, action)[1..], &[command]);
        assert_refused(&got, &format!("{command}: {asked}"), &[&allow(action)]);
    }
    taken.ok(&[], &["destroy"]);
    let now = Place(taken.server.endpoint.clone()).everything();
    assert_eq!(now, before, "given back");
}

/// Functions that need a layer and have concurrency reserved.
const RESERVED: &str = "name: tiny
entry: a
slo: { latency: 1s }
defaults: { runtime: python3.11, handler: app.handler, memory: 256, role: \"arn:aws:iam::000000000000:role/theirs\" }
tasks:
  a: { code: ./a, reservedConcurrency: 1, calls: { b: sync } }
  b: { code: ./b }
";

#[test]
fn layers_reservations_and_roles_are_no_exception() {
    let state = State::new();
    let server = LocalServer::start(state.path(), "process");
    let workflow = Workflow::with(state.path(), RESERVED);
    let stub = Stub::start(Some(&server.endpoint));
    let place = Place(server.endpoint.clone());
    let refused = |command: &str, asked: &str, action: &str| {
        for rule in denied(asked, action) {
            stub.set(&[rule]);
            let got = workflow.run_on_aws(&stub.endpoint, &[command]);
            assert_refused(&got, &format!("{command}: {asked}"), &[&allow(action)]);
        }
        stub.set(&[]);
    };
    let ok = |command: &str| {
        let got = workflow.run_on_aws(&stub.endpoint, &[command]);
        assert_eq!(got.code, Some(0), "{command}: {}", got.stderr);
    };
    let layer = "/2018-10-31/layers/fuseline-tiny/versions";
    let functions = "/2015-03-31/functions";
    for (asked, action) in [
        (format!("GET {layer}"), "lambda:ListLayerVersions"),
        (format!("POST {layer}"), "lambda:PublishLayerVersion"),
        ("GET /2019-09-30/functions/a/concurrency".into(), "lambda:GetFunctionConcurrency"),
        ("PUT /2017-10-31/functions/a/concurrency".into(), "lambda:PutFunctionConcurrency"),
        (format!("GET {functions}/a/versions"), "lambda:ListVersionsByFunction"),
    ] {
        refused("deploy", &asked, action);
        ok("rollback");
        assert_eq!(place.everything(), json!({}), "{asked}: undone");
    }
    // It is not the function's name that this is about, so AWS always says what it lacks.
    let pass = &denied(&format!("POST {functions}"), "iam:PassRole")[..1];
    stub.set(pass);
    let got = workflow.run_on_aws(&stub.endpoint, &["deploy"]);
    assert_refused(&got, "role", &[&allow("iam:PassRole")]);
    stub.set(&[]);
    ok("deploy");
    refused("deploy", &format!("GET {layer}/*"), "lambda:GetLayerVersion");
    refused("destroy", &format!("DELETE {layer}/*"), "lambda:DeleteLayerVersion");
    ok("destroy");
    assert_eq!(place.everything(), json!({}));
}

#[test]
fn a_verification_whose_requests_are_refused_says_so_and_leaves_nothing() {
    let state = State::new();
    let server = LocalServer::start(state.path(), "process");
    let workflow = Workflow::with(state.path(), &with_role());
    let stub = Stub::start(Some(&server.endpoint));
    let invoke = "POST /2015-03-31/functions/a/invocations";
    let refused = denied(invoke, "lambda:InvokeFunction");
    let fault = Rule::error(invoke, 502, "EFSIOException", Some("no instance starts"));
    stub.set(&refused[1..]);
    let verify = ["verify", "--requests", "2"];
    let got = workflow.run_on_aws(&stub.endpoint, &verify);
    let words =
        ["2 of 2 requests to the unfused functions were refused", "lambda:InvokeFunction to"];
    assert_refused(&got, "denied", &words);
    stub.set(&[fault]);
    let got = workflow.run_on_aws(&stub.endpoint, &verify);
    assert_eq!(got.code, Some(1), "{}", got.stderr);
    assert!(got.stderr.contains("nothing to compare: EFSIOException"), "{}", got.stderr);
    assert_eq!(Place(server.endpoint.clone()).everything(), json!({}), "undone");
}

#[test]
fn no_money_is_spent_without_a_limit_and_leave() {
    let state = State::new();
    let workflow = Workflow::with(state.path(), &with_role());
    let stub = Stub::start(None);
    let cases: [(&[&str], &[&str]); 4] = [
        (&["optimize"], &["nothing says how much may be spent", "--max-usd"]),
        (
            &["optimize", "--max-usd", "1"],
            &["if every function ran to its timeout", "nobody can be asked", "--yes"],
        ),
        (
            &["optimize", "--max-usd", "1", "--from-traffic", "--traffic-share", "100"],
            &["--traffic-share"],
        ),
        (
            &["optimize", "--max-usd", "1", "--from-traffic", "--strategy", "aarc"],
            &["--from-traffic", "orchestrator"],
        ),
    ];
    for (command, words) in cases {
        let mut fuseline = workflow.command_on_aws(&stub.endpoint, command);
        let got: Run = fuseline.stdin(std::process::Stdio::null()).output().unwrap().into();
        assert_refused(&got, &format!("{command:?}"), words);
        assert_eq!(stub.asked(), Vec::<String>::new(), "{command:?}");
    }
}
