//! Writes a plan for what manages a stack: as a patch of a SAM or CloudFormation template, as Terraform values, or
//! as plain JSON.
//!
//! Only functions that change are in it. Functions with inlined tasks get another package; those that only get
//! another size keep theirs. Calls that are not served inside go where the code sends them, as before.

use optimizer::workflow::TaskName;
use serde_json::{Map, Value, json};

use crate::package_form::{PackageForm, WRAPPER};
use crate::plan::Plan;
use crate::project::Project;

/// Logical id of the layer that holds the supervisor.
const LAYER_ID: &str = "FuselineLayer";
/// File with that layer, beside the packages.
pub const LAYER_FILE: &str = "fuseline-layer.zip";

/// What a plan is written for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// A SAM template.
    Sam,
    /// A CloudFormation template, before `aws cloudformation package`.
    CloudFormation,
    /// Terraform or OpenTofu.
    Terraform,
    /// Anything else.
    Json,
}

/// A function as a stack has to have it.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    /// Its name, that of its root task.
    pub function: TaskName,
    /// Logical id of its resource, if a CloudFormation stack manages it.
    pub logical_id: Option<String>,
    /// In MB.
    pub memory_mb: u32,
    /// Its package, where that changes.
    pub package: Option<Package>,
}

/// Another package of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Package {
    /// Zip, or folder of an image, relative to the folder of the patch.
    pub path: String,
    /// SHA-256 in base64.
    pub sha256: String,
    /// How it is packaged.
    pub form: PackageForm,
    /// Handler of the root task.
    pub handler: String,
    /// ARNs of its own layers.
    pub layers: Vec<String>,
}

/// The functions that a plan changes.
#[must_use]
pub fn exported(plan: &Plan, project: &Project) -> Vec<Exported> {
    let parent = plan.parent.as_ref();
    let mut exported = Vec::new();
    for (task, function) in &plan.functions {
        let was = match parent {
            Some(parent) => parent.resources.get(task).copied(),
            None => project.workflow.tasks().get(task).map(|task| task.resources),
        };
        let form = project.form(task, &function.inlined);
        let package = (!function.inlined.is_empty()).then(|| Package {
            path: match form {
                PackageForm::Image { .. } => task.0.clone(),
                _ => format!("{task}.zip"),
            },
            sha256: function.code_sha256.clone(),
            form,
            handler: project.tasks[task].handler.clone(),
            layers: project.tasks[task].configuration.layers.clone(),
        });
        if package.is_some() || was != Some(function.resources) {
            exported.push(Exported {
                function: task.clone(),
                logical_id: plan.managed.get(task).and_then(|it| it.logical_id.clone()),
                memory_mb: function.resources.memory.0,
                package,
            });
        }
    }
    exported
}

impl Form {
    /// Name of the file that is written.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Self::Sam | Self::CloudFormation => "patch.yaml",
            Self::Terraform => "fuseline.tf.json",
            Self::Json => "fuseline.json",
        }
    }

    /// Its content.
    ///
    /// # Panics
    /// Never: strings, numbers and lists of them are YAML and JSON.
    #[must_use]
    pub fn content(self, plan: &Plan, functions: &[Exported]) -> String {
        let about = format!("plan {} of {}: {}", plan.short(), plan.workflow, plan.deployment);
        let pretty =
            |value: &Value| serde_json::to_string_pretty(value).expect("it is JSON") + "\n";
        match self {
            Self::Sam | Self::CloudFormation => {
                let patch = self.patch(functions);
                let patch = serde_saphyr::to_string(&patch).expect("it is YAML");
                format!(
                    "# Fuseline, {about}\n# Merge it into the stack's template; lists replace those that are there.\n{patch}"
                )
            }
            Self::Terraform => pretty(&json!({
                "//": format!("Fuseline, {about}"),
                "locals": { "fuseline": by_function(functions, terraform) },
            })),
            Self::Json => pretty(&json!({
                "plan": plan.fingerprint,
                "workflow": plan.workflow,
                "deployment": plan.deployment,
                "functions": by_function(functions, plain),
            })),
        }
    }

    fn patch(self, functions: &[Exported]) -> Value {
        let mut resources = Map::new();
        let is_sam = self == Self::Sam;
        for one in functions {
            let mut properties = Map::from_iter([("MemorySize".to_owned(), json!(one.memory_mb))]);
            if let Some(package) = &one.package {
                let (code, image) = if is_sam { ("CodeUri", "ImageUri") } else { ("Code", "Code") };
                let path = format!("./{}", package.path);
                match (&package.form, package.form.runtime()) {
                    (_, Some(runtime)) => {
                        properties.insert(code.into(), path.into());
                        properties.insert("Runtime".into(), runtime.into());
                        properties.insert("Handler".into(), package.handler.clone().into());
                    }
                    (_, None) => {
                        properties.insert("PackageType".into(), "Image".into());
                        let built = format!("URI of the image that {path} is built to");
                        let uri = if is_sam { built.into() } else { json!({ "ImageUri": built }) };
                        properties.insert(image.into(), uri);
                    }
                }
                if let PackageForm::ManagedRuntime { .. } = package.form {
                    let mut layers: Vec<Value> =
                        package.layers.iter().map(|arn| arn.as_str().into()).collect();
                    layers.push(json!({ "Ref": LAYER_ID }));
                    properties.insert("Layers".into(), layers.into());
                    let variables = json!({ "Variables": { WRAPPER.0: WRAPPER.1 } });
                    properties.insert("Environment".into(), variables);
                    resources.insert(LAYER_ID.to_owned(), self.layer());
                }
            }
            let id = one.logical_id.clone().unwrap_or_else(|| logical_id(&one.function));
            resources.insert(id, json!({ "Properties": properties }));
        }
        json!({ "Resources": resources })
    }

    fn layer(self) -> Value {
        let file = format!("./{LAYER_FILE}");
        match self {
            Self::Sam => json!({
                "Type": "AWS::Serverless::LayerVersion",
                "Properties": { "ContentUri": file },
            }),
            _ => json!({ "Type": "AWS::Lambda::LayerVersion", "Properties": { "Content": file } }),
        }
    }
}

/// Logical id where no stack says one: the task's name in the usual form.
fn logical_id(task: &TaskName) -> String {
    let words = task.0.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let words = words.map(|word| {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + rest
    });
    words.collect::<String>() + "Function"
}

fn by_function(functions: &[Exported], of: fn(&Exported) -> Value) -> Value {
    let all = functions.iter().map(|one| (one.function.0.clone(), of(one)));
    Value::Object(all.collect())
}

/// By the names that Terraform's `aws_lambda_function` has.
fn terraform(one: &Exported) -> Value {
    let mut value = json!({ "memory_size": one.memory_mb });
    if let Some(package) = &one.package {
        match package.form.runtime() {
            Some(runtime) => {
                value["filename"] = json!(format!("${{path.module}}/{}", package.path));
                value["source_code_hash"] = json!(package.sha256);
                value["runtime"] = json!(runtime);
                value["handler"] = json!(package.handler);
            }
            None => value["image_context"] = json!(format!("${{path.module}}/{}", package.path)),
        }
        let wraps = matches!(package.form, PackageForm::ManagedRuntime { .. });
        value["environment"] = match wraps {
            true => json!({ WRAPPER.0: WRAPPER.1 }),
            false => json!({}),
        };
        if wraps {
            value["layer"] = json!(format!("${{path.module}}/{LAYER_FILE}"));
        }
    }
    value
}

fn plain(one: &Exported) -> Value {
    let mut value = json!({ "memory_mb": one.memory_mb, "logical_id": one.logical_id });
    if let Some(package) = &one.package {
        value["package"] = json!({
            "path": package.path,
            "sha256": package.sha256,
            "runtime": package.form.runtime(),
            "handler": package.handler,
            "layers": package.layers,
        });
        if let PackageForm::ManagedRuntime { .. } = package.form {
            value["package"]["supervisor_layer"] = json!(LAYER_FILE);
            value["package"]["environment"] = json!({ WRAPPER.0: WRAPPER.1 });
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions() -> Vec<Exported> {
        let package = |form| Package {
            path: "check-out.zip".into(),
            sha256: "abc=".into(),
            form,
            handler: "app.handler".into(),
            layers: vec!["arn:aws:lambda:eu-west-1:1:layer:own:3".into()],
        };
        let managed = PackageForm::ManagedRuntime { runtime: "python3.12".into() };
        vec![
            Exported {
                function: "check-out".into(),
                logical_id: None,
                memory_mb: 512,
                package: Some(package(managed)),
            },
            Exported {
                function: "pay".into(),
                logical_id: Some("Payer1A2B".into()),
                memory_mb: 256,
                package: None,
            },
        ]
    }

    #[test]
    fn patches_name_what_the_stack_calls_it() {
        let sam = Form::Sam.patch(&functions());
        let fused = &sam["Resources"]["CheckOutFunction"]["Properties"];
        assert_eq!(fused["CodeUri"], "./check-out.zip");
        assert_eq!(fused["Runtime"], "python3.12");
        assert_eq!(fused["Layers"][1]["Ref"], LAYER_ID);
        assert_eq!(fused["Environment"]["Variables"][WRAPPER.0], WRAPPER.1);
        assert_eq!(sam["Resources"][LAYER_ID]["Type"], "AWS::Serverless::LayerVersion");
        let sized = &sam["Resources"]["Payer1A2B"]["Properties"];
        assert_eq!(sized, &json!({ "MemorySize": 256 }), "nothing else is changed");
        let plain = Form::CloudFormation.patch(&functions());
        assert_eq!(plain["Resources"]["CheckOutFunction"]["Properties"]["Code"], "./check-out.zip");
        assert_eq!(plain["Resources"][LAYER_ID]["Type"], "AWS::Lambda::LayerVersion");
    }

    #[test]
    fn terraform_gets_its_own_names() {
        let values = by_function(&functions(), terraform);
        assert_eq!(values["check-out"]["filename"], "${path.module}/check-out.zip");
        assert_eq!(values["check-out"]["source_code_hash"], "abc=");
        assert_eq!(values["pay"], json!({ "memory_size": 256 }));
    }
}
