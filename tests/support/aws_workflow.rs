//! A workflow of two functions as small as can be, and what of it is at an endpoint.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::aws::request;
use crate::{Run, fuseline};
use serde_json::{Value, json};

/// A workflow of the functions `a` and `b`, which are deployed, but never run.
pub struct Workflow {
    folder: PathBuf,
}

/// `a` calls `b`.
pub const TINY: &str = "name: tiny
entry: a
slo: { latency: 1s }
defaults: { runtime: provided.al2023, memory: 256 }
tasks:
  a: { code: ./a, environment: { SECRET: s3cret }, calls: { b: sync } }
  b: { code: ./b }
";

impl Workflow {
    /// Writes [`TINY`] below a folder.
    pub fn new(folder: &Path) -> Self {
        Self::with(folder, TINY)
    }

    /// Writes one with another workflow file below a folder.
    pub fn with(folder: &Path, text: &str) -> Self {
        let folder = folder.join("workflow");
        for task in ["a", "b"] {
            std::fs::create_dir_all(folder.join(task)).unwrap();
            std::fs::write(folder.join(task).join("bootstrap"), format!("#!/bin/sh\n# {task}\n"))
                .unwrap();
            std::fs::write(folder.join(task).join("app.py"), format!("# {task}\n")).unwrap();
        }
        std::fs::write(folder.join("supervisor"), "#!/bin/sh\n").unwrap();
        std::fs::write(folder.join("w.yaml"), text).unwrap();
        Self { folder }
    }

    /// The folder of its file; a folder in it is each task's code.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `fuseline` with a command for it at an endpoint that stands for AWS.
    pub fn command(&self, endpoint: &str, command: &[&str]) -> Command {
        let mut fuseline = self.fuseline(command);
        fuseline.args(["--endpoint", endpoint]);
        fuseline
    }

    /// The same as on AWS itself, with credentials in the environment: only that all of AWS is at another address.
    pub fn command_on_aws(&self, address: &str, command: &[&str]) -> Command {
        let nothing = self.folder.join("nothing");
        std::fs::write(&nothing, "").unwrap();
        let mut fuseline = self.fuseline(command);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                fuseline.env_remove(name);
            }
        }
        fuseline
            .env("AWS_ENDPOINT_URL", address)
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_CONFIG_FILE", &nothing)
            .env("AWS_SHARED_CREDENTIALS_FILE", &nothing)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_MAX_ATTEMPTS", "2")
            // Signed-in sessions are below it.
            .env("HOME", &self.folder);
        fuseline
    }

    fn fuseline(&self, command: &[&str]) -> Command {
        let mut fuseline = fuseline(self.folder.parent().unwrap());
        fuseline
            .arg(command[0])
            .arg(self.folder.join("w.yaml"))
            .args(["--platform", "aws"])
            .args(&command[1..])
            .env("FUSELINE_BOOTSTRAP", self.folder.join("supervisor"))
            .env("AWS_MAX_ATTEMPTS", "2")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        fuseline
    }

    /// Runs it to its end.
    pub fn run_on_aws(&self, address: &str, command: &[&str]) -> Run {
        self.command_on_aws(address, command).output().expect("it can be started").into()
    }

    /// Runs it to its end.
    pub fn run(&self, endpoint: &str, command: &[&str]) -> Run {
        self.command(endpoint, command).output().expect("it can be started").into()
    }

    /// Moves the journal of one endpoint to another, which it returns.
    pub fn same_journal(&self, from: &str, to: &str) -> String {
        let file = |endpoint: &str| {
            let place = endpoint.replace("http://", "").replace(':', "-");
            self.folder.parent().unwrap().join(format!("aws/{place}-us-east-1"))
        };
        let _ = std::fs::remove_dir_all(file(to));
        let _ = std::fs::rename(file(from), file(to));
        to.to_owned()
    }
}

/// An endpoint that stands for AWS.
pub struct Place(pub String);

impl Place {
    fn get(&self, path: &str) -> Value {
        request(&self.0, "GET", path, "").unwrap_or_default()
    }

    /// A function that Fuseline did not make, with a configuration that has to stay.
    pub fn create(&self, name: &str) -> Value {
        let zip = "import base64, io, sys, zipfile\nfile = io.BytesIO()\narchive = zipfile.ZipFile(file, 'w')\ninfo = zipfile.ZipInfo('bootstrap')\ninfo.external_attr = 0o755 << 16\narchive.writestr(info, '#!/bin/sh\\n# the original\\n')\narchive.close()\nprint(base64.b64encode(file.getvalue()).decode())";
        let zip = Command::new("python3").args(["-c", zip]).output().expect("python3");
        let zip = String::from_utf8(zip.stdout).unwrap();
        self.create_of(name, &json!({ "ZipFile": zip.trim() }))
    }

    /// The same with this code.
    pub fn create_of(&self, name: &str, code: &Value) -> Value {
        let role = "arn:aws:iam::000000000000:role/theirs";
        let function = json!({
            "FunctionName": name, "Runtime": "provided.al2023", "Handler": "their.handler", "Role": role,
            "Code": code, "MemorySize": 192, "Timeout": 17, "Description": "theirs",
            "Environment": { "Variables": { "THEIRS": "stays", "SECRET": "theirs" } },
        });
        request(&self.0, "POST", "/2015-03-31/functions", &function.to_string()).unwrap();
        for _ in 0..100 {
            let found = self.get(&format!("/2015-03-31/functions/{name}/configuration"));
            if found["State"] == "Active" {
                return self.described(name);
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("{name} does not become active");
    }

    /// Publishes a version of a function and makes its alias `live` call it, as SAM does.
    pub fn publish_live(&self, name: &str) {
        let function = format!("/2015-03-31/functions/{name}");
        let post = |what: &str, body: Value| {
            request(&self.0, "POST", &format!("{function}/{what}"), &body.to_string()).unwrap()
        };
        let version = post("versions", json!({}))["Version"].clone();
        post("aliases", json!({ "Name": "live", "FunctionVersion": version }));
    }

    /// What of a function's unpublished state has to be restored.
    pub fn described(&self, name: &str) -> Value {
        let found = self.get(&format!("/2015-03-31/functions/{name}/configuration"));
        let keys = [
            "CodeSha256",
            "Runtime",
            "Handler",
            "Role",
            "MemorySize",
            "Timeout",
            "Description",
            "Environment",
        ];
        keys.into_iter()
            .map(|key| (key.to_owned(), found[key].clone()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    /// Functions with their versions and aliases, and the unpublished state of those that Fuseline did not make; and
    /// versions of the workflow's layer.
    pub fn everything(&self) -> Value {
        let mut all = json!({});
        let layers = self.get("/2018-10-31/layers/fuseline-tiny/versions");
        for layer in layers["LayerVersions"].as_array().into_iter().flatten() {
            let name = layer["LayerVersionArn"].as_str().unwrap();
            all[name] = json!({ "versions": [], "aliases": [], "latest": null });
        }
        let functions = self.get("/2015-03-31/functions");
        for function in functions["Functions"].as_array().into_iter().flatten() {
            let name = function["FunctionName"].as_str().unwrap();
            let (versions, aliases) = self.published(name);
            let theirs = function["Description"] == "theirs";
            let latest = if theirs { self.described(name) } else { Value::Null };
            all[name] = json!({ "versions": versions, "aliases": aliases, "latest": latest });
        }
        all
    }

    /// As [`Place::everything`], with how many versions there are instead of which.
    pub fn shape(&self) -> Value {
        let mut all = self.everything();
        let all_of_them = all.as_object_mut().unwrap();
        all_of_them.retain(|name, _| !name.starts_with("arn:"));
        for (_, function) in all_of_them {
            let count = function["versions"].as_array().unwrap().len();
            let aliases = function["aliases"].as_array().unwrap().len();
            *function = json!({ "versions": count, "aliases": aliases });
        }
        all
    }

    fn published(&self, name: &str) -> (Vec<Value>, Vec<Value>) {
        let versions = self.get(&format!("/2015-03-31/functions/{name}/versions"));
        let versions = versions["Versions"].as_array().into_iter().flatten();
        let versions = versions.map(|it| it["Version"].clone()).filter(|it| it != "$LATEST");
        let aliases = self.get(&format!("/2015-03-31/functions/{name}/aliases"));
        let aliases = aliases["Aliases"].as_array().into_iter().flatten();
        let aliases = aliases.map(|it| json!([it["Name"], it["FunctionVersion"]]));
        (versions.collect(), aliases.collect())
    }
}
