//! A function's code: the zip a client sent, unpacked once per content.

use std::io::{Cursor, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fs_err as fs;
use sha2::{Digest, Sha256};
use wire::manifest::MANIFEST_PATH;
use zip::ZipArchive;

/// Lambda's limit for an unpacked bundle, in bytes.
pub(crate) const MAX_UNPACKED_BYTES: u64 = 262_144_000;
/// Files and directories in one bundle at most.
const MAX_ENTRIES: usize = 100_000;

/// Unpacked code of a function.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Bundle {
    /// SHA-256 of the zip in base64, as Lambda states it.
    pub(crate) sha256: String,
    /// Size of the zip in bytes.
    pub(crate) zip_bytes: u64,
    /// Where it is unpacked.
    pub(crate) directory: PathBuf,
}

/// Why a zip cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    /// The archive is broken.
    #[error("could not unzip the uploaded file: {0}; upload a zip archive")]
    Zip(#[from] zip::result::ZipError),
    /// An entry would be written outside the bundle.
    #[error("the uploaded file has an entry outside of itself: `{0}`")]
    Outside(String),
    /// The archive is too large unpacked.
    #[error("unzipped size must be smaller than {MAX_UNPACKED_BYTES} bytes")]
    TooLarge,
    /// The archive has too many entries.
    #[error("the uploaded file has more than {MAX_ENTRIES} entries")]
    TooMany,
    /// The state directory cannot be written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Bundle {
    /// What `zip` will be below `parent`, after a look at its list of entries.
    pub(crate) fn of(zip: &[u8], parent: &Path) -> Result<Self, BundleError> {
        check_entries(&mut ZipArchive::new(Cursor::new(zip))?)?;
        let digest = Sha256::digest(zip);
        let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            sha256: STANDARD.encode(digest),
            zip_bytes: zip.len() as u64,
            directory: parent.join(name),
        })
    }

    /// Unpacks the `zip` that this is of, unless the same bytes are there already.
    pub(crate) fn unpack(&self, zip: &[u8]) -> Result<(), BundleError> {
        let Some(parent) = self.directory.parent().filter(|_| !self.directory.exists()) else {
            return Ok(());
        };
        fs::create_dir_all(parent)?;
        // Unpacked beside its place and then moved there, so that what is there is complete.
        let staging = tempfile::tempdir_in(parent)?;
        unpack_entries(zip, staging.path())?;
        let mut packed = tempfile::NamedTempFile::new_in(parent)?;
        std::io::Write::write_all(&mut packed, zip)?;
        packed.persist(self.packed()).map_err(|error| error.error)?;
        fs::set_permissions(staging.path(), PermissionsExt::from_mode(0o755))?;
        if let Err(error) = fs::rename(staging.path(), &self.directory)
            && !self.directory.exists()
        {
            return Err(error.into());
        }
        Ok(())
    }

    /// The zip itself, for clients that ask for a function's code.
    pub(crate) fn packed(&self) -> PathBuf {
        self.directory.with_extension("zip")
    }

    /// The runtimes of the tasks in a fused bundle. A manifest that cannot be read is the supervisor's
    /// to complain about.
    pub(crate) fn task_runtimes(&self) -> Vec<String> {
        let read = || -> Option<serde_json::Value> {
            let text = std::fs::read(self.directory.join(MANIFEST_PATH)).ok()?;
            serde_json::from_slice(&text).ok()
        };
        let manifest = read().unwrap_or_default();
        let tasks = manifest["tasks"].as_object().into_iter().flatten();
        tasks.filter_map(|(_, task)| task["runtime"].as_str().map(str::to_owned)).collect()
    }
}

/// Refuses an archive that has too much in it or would write outside of itself.
fn check_entries(archive: &mut ZipArchive<Cursor<&[u8]>>) -> Result<(), BundleError> {
    if archive.len() > MAX_ENTRIES {
        return Err(BundleError::TooMany);
    }
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index)?;
        // `enclosed_name` is none for absolute paths and for `..` that leaves the archive. A link
        // could lead later entries out of the directory.
        if entry.enclosed_name().is_none() || entry.is_symlink() {
            return Err(BundleError::Outside(entry.name()?.into_owned()));
        }
    }
    Ok(())
}

fn unpack_entries(zip: &[u8], into: &Path) -> Result<(), BundleError> {
    let mut archive = ZipArchive::new(Cursor::new(zip))?;
    check_entries(&mut archive)?;
    let mut left_bytes = MAX_UNPACKED_BYTES;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        // Checked above; the archive is the same.
        let Some(path) = entry.enclosed_name().map(|path| into.join(path)) else {
            return Err(BundleError::Outside(entry.name()?.into_owned()));
        };
        if entry.is_dir() {
            fs::create_dir_all(path)?;
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mode = entry.unix_mode().unwrap_or(0o644) & 0o777;
        let mut file = fs::File::create(&path)?;
        // The size an entry states may be a lie: only what is really read counts.
        let written = std::io::copy(&mut (&mut entry).take(left_bytes + 1), &mut file)?;
        left_bytes = left_bytes.checked_sub(written).ok_or(BundleError::TooLarge)?;
        fs::set_permissions(&path, PermissionsExt::from_mode(mode))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn zip_of(entries: &[(&str, u32, &str)]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, mode, text) in entries {
            let options = SimpleFileOptions::default().unix_permissions(*mode);
            writer.start_file(*name, options).unwrap();
            writer.write_all(text.as_bytes()).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn unpack(zip: &[u8], parent: &Path) -> Result<Bundle, BundleError> {
        let bundle = Bundle::of(zip, parent)?;
        bundle.unpack(zip)?;
        Ok(bundle)
    }

    #[test]
    fn files_keep_their_modes_and_equal_bytes_are_unpacked_once() {
        let state = tempfile::tempdir().unwrap();
        let zip = zip_of(&[("bootstrap", 0o755, "run"), ("data/a.txt", 0o640, "a")]);
        let bundle = unpack(&zip, state.path()).unwrap();
        assert_eq!(bundle.sha256, STANDARD.encode(Sha256::digest(&zip)));
        assert_eq!(fs::read_to_string(bundle.directory.join("data/a.txt")).unwrap(), "a");
        let mode = |path: &str| {
            fs::metadata(bundle.directory.join(path)).unwrap().permissions().mode() & 0o777
        };
        assert_eq!((mode("bootstrap"), mode("data/a.txt")), (0o755, 0o640));

        assert_eq!(unpack(&zip, state.path()).unwrap(), bundle);
        assert_eq!(fs::read_dir(state.path()).unwrap().count(), 2, "unpacked, and the zip");
        assert_eq!(fs::read(bundle.packed()).unwrap(), zip);
    }

    #[test]
    fn entries_outside_the_bundle_are_refused() {
        for name in ["../evil", "a/../../evil"] {
            let state = tempfile::tempdir().unwrap();
            let parent = state.path().join("code");
            let error = unpack(&zip_of(&[(name, 0o644, "x")]), &parent).unwrap_err();
            assert!(matches!(error, BundleError::Outside(_)), "{name}: {error}");
            assert!(!state.path().join("evil").exists());
            assert!(!parent.exists(), "{name}: nothing is unpacked");
        }
    }

    #[test]
    fn links_are_refused() {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.add_symlink("lib", "/etc", SimpleFileOptions::default()).unwrap();
        let zip = writer.finish().unwrap().into_inner();
        let state = tempfile::tempdir().unwrap();
        let error = unpack(&zip, state.path()).unwrap_err();
        assert!(matches!(error, BundleError::Outside(_)), "{error}");
    }

    #[test]
    fn what_is_no_zip_is_refused() {
        let state = tempfile::tempdir().unwrap();
        let error = unpack(b"not a zip", state.path()).unwrap_err();
        assert!(matches!(error, BundleError::Zip(_)), "{error}");
    }
}
