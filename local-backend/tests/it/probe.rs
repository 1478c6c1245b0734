//! The probe function as a bundle.

use std::io::{Cursor, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// The probe alone, which speaks the Runtime API itself.
pub(crate) fn zip() -> Vec<u8> {
    let program = fs_err::read(tests::program("probe")).unwrap();
    zip_of(&[("bootstrap", 0o755, &program)])
}

/// A zip of files with their modes.
pub(crate) fn zip_of(entries: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, content) in entries {
        writer.start_file(*name, SimpleFileOptions::default().unix_permissions(*mode)).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}
