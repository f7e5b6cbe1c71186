//! The files under `schemas/` that the tests compare with.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// `schemas/NAME` of this checkout.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas").join(name)
}

/// Every file of a folder with this ending, by its name without it.
pub(crate) fn read_all(folder: &Path, ending: &str) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let paths = entries.map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let stem = name.strip_suffix(ending);
        let stem = stem.unwrap_or_else(|| panic!("{name} does not belong here")).to_owned();
        (stem, fs::read_to_string(&path).unwrap())
    };
    paths.map(read).collect()
}

/// Whether the files are to follow the code instead of being compared with it.
pub(crate) fn update() -> bool {
    std::env::var_os("UPDATE").is_some_and(|value| value == "1")
}

/// Compares a file with what it should be, or makes it so. Says where the two differ.
pub(crate) fn differs(path: &Path, text: &str) -> Option<String> {
    let found = fs::read_to_string(path).unwrap_or_default();
    if found == text {
        return None;
    }
    if update() {
        write(path, text);
        return None;
    }
    let lines = text.lines().chain([""]).zip(found.lines().chain([""]));
    let place = (1..).zip(lines).find(|(_, (ours, theirs))| ours != theirs);
    let (line, (ours, theirs)) = place.unwrap_or((0, ("", "")));
    Some(format!("{}:{line} differs:\n  code {ours}\n  file {theirs}", path.display()))
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
