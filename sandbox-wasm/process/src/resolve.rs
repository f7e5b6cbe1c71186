//! From the name of a program to the file that is executed.
//!
//! **Invariant:** neither the node's nor the task's `PATH` is looked at.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Access, access},
    io::Errno,
};
use sandbox_policy::FIXED_PATH;

use crate::wire::{Refusal, Stage};

/// Finds the file that `command` means.
pub(crate) fn resolve(command: &str, cwd: &Path) -> Result<PathBuf, Refusal> {
    let candidates: Vec<PathBuf> = if command.contains('/') {
        vec![cwd.join(command)]
    } else {
        FIXED_PATH.split(':').map(|directory| Path::new(directory).join(command)).collect()
    };
    let mut not_executable = None;
    for path in candidates {
        match check_executable(&path) {
            Ok(()) => return Ok(path),
            Err(source) if is_missing(&source) => (),
            // As a shell does: a program further down the path outranks a mere file.
            Err(source) => {
                not_executable.get_or_insert(not_executable_at(&path, &source));
            }
        }
    }
    Err(not_executable
        .unwrap_or_else(|| Refusal::of(Stage::Resolve, command, &Errno::NOENT.into())))
}

fn not_executable_at(path: &Path, error: &io::Error) -> Refusal {
    Refusal::of(Stage::Execute, &path.display().to_string(), error)
}

fn is_missing(error: &io::Error) -> bool {
    [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind())
}

fn check_executable(path: &Path) -> Result<(), io::Error> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(Errno::ACCESS.into());
    }
    Ok(access(path, Access::EXEC_OK)?)
}

#[cfg(test)]
mod tests;
