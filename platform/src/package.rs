//! A task's package on this machine: whether it holds what its runtime starts, and its size.

use std::path::{Path, PathBuf};

use optimizer::gate::Family;

use crate::bundle::files_below;
use crate::project::TaskCode;

/// What is wrong with a task's package, as the end of a sentence that starts with "the code of task
/// `a`"; `None` if nothing is.
pub(crate) fn fault(task: &TaskCode) -> Option<String> {
    if !task.code.is_dir() {
        return Some(format!("is missing: no folder {}", task.code.display()));
    }
    match Family::of(&task.runtime) {
        Some(Family::Provided) => {
            let bootstrap = task.code.join("bootstrap");
            (!bootstrap.is_file()).then(|| {
                let (path, runtime) = (bootstrap.display(), &task.runtime);
                format!("has no file {path}, which the runtime {runtime} starts")
            })
        }
        Some(Family::Python) => missing_handler(task, &python_files(&task.handler)),
        Some(Family::Node) => missing_handler(task, &node_files(&task.handler)),
        _ => None,
    }
}

fn missing_handler(task: &TaskCode, files: &[String]) -> Option<String> {
    let handler = &task.handler;
    let Some(first) = files.first() else {
        return Some(format!(
            "has no handler `{handler}`: {} takes it as file and function, such as `app.handler`",
            task.runtime
        ));
    };
    // An absolute one and one that the package lacks may be in a layer.
    let elsewhere = handler.starts_with('/') || !task.configuration.layers.is_empty();
    let there = |file: &String| task.code.join(file).is_file();
    (!elsewhere && !files.iter().any(there)).then(|| {
        let path = task.code.join(first);
        format!("has no file {}, where the handler `{handler}` is to be", path.display())
    })
}

/// Files in which Python's runtime looks for a handler such as `app.handler` or `orders.app.handler`,
/// the usual one first; none if it is not one.
fn python_files(handler: &str) -> Vec<String> {
    let Some((module, function)) = handler.rsplit_once('.') else { return Vec::new() };
    if module.is_empty() || function.is_empty() {
        return Vec::new();
    }
    let module = module.replace('.', "/");
    [".py", "/__init__.py", ".pyc", ".so"].map(|end| format!("{module}{end}")).into()
}

/// Files in which Node's runtime looks for a handler such as `app.handler` or
/// `orders/app.handlers.main`, the usual one first; none if it is not one.
fn node_files(handler: &str) -> Vec<String> {
    let name_at = handler.rfind('/').map_or(0, |at| at + 1);
    let Some((name, function)) = handler[name_at..].split_once('.') else { return Vec::new() };
    if name.is_empty() || function.is_empty() {
        return Vec::new();
    }
    let module = format!("{}{name}", &handler[..name_at]);
    [".js", ".mjs", ".cjs", ""].map(|end| format!("{module}{end}")).into()
}

/// Size of a package or of a file, unpacked, in bytes; `None` if it is not there.
#[must_use]
pub fn unpacked_bytes(path: &Path) -> Option<u64> {
    let files: Vec<PathBuf> =
        if path.is_dir() { files_below(path).ok()? } else { vec![path.to_owned()] };
    files.iter().map(|file| Some(fs_err::metadata(file).ok()?.len())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_are_looked_for_where_the_runtimes_look() {
        assert_eq!(python_files("app.handler")[..2], ["app.py", "app/__init__.py"]);
        assert_eq!(python_files("orders.app.handler")[0], "orders/app.py");
        assert_eq!(python_files("orders/app.handler")[0], "orders/app.py");
        assert_eq!(node_files("app.handler")[..3], ["app.js", "app.mjs", "app.cjs"]);
        assert_eq!(node_files("src/app.handlers.main")[0], "src/app.js");
        for handler in ["app", "", ".handler", "app."] {
            assert!(python_files(handler).is_empty(), "{handler}");
            assert!(node_files(handler).is_empty(), "{handler}");
        }
    }

    #[test]
    fn sizes_are_of_all_files() {
        let folder = tempfile::tempdir().unwrap();
        fs_err::create_dir(folder.path().join("sub")).unwrap();
        fs_err::write(folder.path().join("a"), "12345").unwrap();
        fs_err::write(folder.path().join("sub/b"), "123").unwrap();
        assert_eq!(unpacked_bytes(folder.path()), Some(8));
        assert_eq!(unpacked_bytes(&folder.path().join("a")), Some(5));
        assert_eq!(unpacked_bytes(&folder.path().join("c")), None);
    }
}
