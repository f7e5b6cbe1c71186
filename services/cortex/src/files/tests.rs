//! Private files are private, whole, and their errors name them.

use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn a_file_is_replaced_whole_and_nobody_else_can_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/secret");
    write_private(&path, b"first").unwrap();
    write_private(&path, b"second").unwrap();
    assert_eq!(read(&path).unwrap(), "second");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn what_is_not_there_is_told_from_what_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(read_if_there(&dir.path().join("none")).unwrap(), None);
    let fault = Fault::from(read_if_there(dir.path()).unwrap_err());
    assert!(fault.message.contains(&dir.path().display().to_string()), "{fault}");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
