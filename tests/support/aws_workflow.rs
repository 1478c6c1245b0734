//! A workflow of two functions as small as can be, and what of it is at an endpoint.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::aws::request;
use crate::{Run, fuseline};
use serde_json::{Value, json};

/// The workflow `tiny`: `a` calls `b`. Its functions are deployed, but never run.
pub struct Workflow {
    folder: PathBuf,
}

impl Workflow {
    /// Writes it below a folder.
    pub fn new(folder: &Path) -> Self {
        let folder = folder.join("workflow");
        for task in ["a", "b"] {
            std::fs::create_dir_all(folder.join(task)).unwrap();
            std::fs::write(folder.join(task).join("bootstrap"), format!("#!/bin/sh\n# {task}\n"))
                .unwrap();
        }
        std::fs::write(folder.join("supervisor"), "#!/bin/sh\n").unwrap();
        let text = "name: tiny\nentry: a\nslo: { latency: 1s }\ndefaults: { runtime: provided.al2023, memory: 256 }\ntasks:\n  a: { code: ./a, environment: { SECRET: s3cret }, calls: { b: sync } }\n  b: { code: ./b }\n";
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
        let mut fuseline = fuseline(self.folder.parent().unwrap());
        fuseline
            .arg(command[0])
            .arg(self.folder.join("w.yaml"))
            .args(["--platform", "aws", "--endpoint", endpoint])
            .args(&command[1..])
            .env("FUSELINE_BOOTSTRAP", self.folder.join("supervisor"))
            .env("AWS_MAX_ATTEMPTS", "2")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        fuseline
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

    /// Functions with their versions and aliases, and the unpublished state of those that Fuseline did not make.
    pub fn everything(&self) -> Value {
        let mut all = json!({});
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
        for (_, function) in all.as_object_mut().unwrap() {
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
