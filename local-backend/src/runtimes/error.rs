//! Why a managed runtime cannot be had.

use std::path::PathBuf;

/// Why a managed runtime cannot be had on this machine.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// No name of a runtime that runs here.
    #[error(
        "the local backend does not run `{0}`; it runs python3.N, nodejsN.x and provided.* functions"
    )]
    Unknown(String),
    /// There is no interpreter of the language.
    #[error("`{runtime}` needs {language} {oldest} or newer on this machine and {found}; {hint}")]
    NoInterpreter {
        /// Name of the runtime.
        runtime: String,
        /// The language.
        language: &'static str,
        /// Oldest version that will do.
        oldest: String,
        /// What there is instead.
        found: String,
        /// What to do.
        hint: String,
    },
    /// Programs are missing that preparing needs.
    #[error(
        "preparing `{runtime}` needs {}, missing on this machine; install the Debian packages with `apt-get install {}`",
        .programs.join(", "), .packages.join(" ")
    )]
    MissingPrograms {
        /// Name of the runtime.
        runtime: String,
        /// The programs.
        programs: Vec<&'static str>,
        /// Debian packages that have them.
        packages: Vec<&'static str>,
    },
    /// A program that preparing runs failed.
    #[error("preparing `{runtime}` failed: `{command}` said: {said}")]
    Command {
        /// Name of the runtime.
        runtime: String,
        /// The command line.
        command: String,
        /// The end of what it printed.
        said: String,
    },
    /// Neither a cache nor a home directory is known.
    #[error("managed runtimes are kept in the user's cache; set HOME or XDG_CACHE_HOME")]
    NoCache,
    /// An interpreter that cannot be shown to containers without showing the home directory too.
    #[error(
        "{} cannot be mounted into containers because the user's home directory is part of it; install the interpreter of `{runtime}` in a folder of its own",
        prefix.display()
    )]
    Prefix {
        /// Name of the runtime.
        runtime: String,
        /// Where the interpreter is installed.
        prefix: PathBuf,
    },
    /// The cache cannot be used.
    #[error("the runtimes folder cannot be used: {0}")]
    Io(#[from] std::io::Error),
}
