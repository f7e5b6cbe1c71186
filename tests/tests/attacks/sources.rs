//! Tests that are named after attacks, as they stand in the workspace's sources.

use std::{fmt, fs, path::Path, process::Command};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// One test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedTest {
    pub(crate) number: u8,
    pub(crate) name: String,
    /// From the workspace's root.
    pub(crate) file: String,
}

impl fmt::Display for NamedTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.name, self.file)
    }
}

/// The tests in one file: functions that are called `attack_`, two digits, and more, and are marked
/// as tests.
pub(crate) fn tests_in(file: &str, text: &str) -> Vec<NamedTest> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let functions = lines.iter().enumerate().filter_map(|(index, line)| {
        let name = line.trim_start_matches("async ").strip_prefix("fn ")?.split('(').next()?;
        let (digits, sentence) = name.strip_prefix("attack_")?.split_once('_')?;
        let number = digits.parse().ok().filter(|_| digits.len() == 2)?;
        let is_sentence = sentence.contains('_');
        let marks = lines[..index].iter().rev().take_while(|line| line.starts_with("#["));
        let is_test = marks.into_iter().any(|line| line.contains("test"));
        let test = NamedTest { number, name: name.to_owned(), file: file.to_owned() };
        (is_sentence && is_test).then_some(test)
    });
    functions.collect()
}

/// All of them, by number, name and file.
pub(crate) fn tests_of_the_workspace() -> Vec<NamedTest> {
    let files = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others"])
        .args(["--exclude-standard", "--", "*.rs"])
        .current_dir(ROOT)
        .output()
        .expect("git is installed");
    assert!(files.status.success(), "{}", String::from_utf8_lossy(&files.stderr));
    let files = String::from_utf8(files.stdout).expect("paths are UTF-8");
    let mut tests: Vec<NamedTest> = files
        .split('\0')
        // This test's own examples are in no file that counts.
        .filter(|file| !file.starts_with("tests/tests/attacks/"))
        .filter_map(|file| Some((file, fs::read_to_string(Path::new(ROOT).join(file)).ok()?)))
        .flat_map(|(file, text)| tests_in(file, &text))
        .collect();
    tests.sort_by(|a, b| (a.number, &a.file, &a.name).cmp(&(b.number, &b.file, &b.name)));
    tests
}
