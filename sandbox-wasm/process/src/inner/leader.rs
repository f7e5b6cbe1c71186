//! The process that becomes the program.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    process::{Pid, Signal, getppid, set_parent_process_death_signal, setsid},
    stdio::{dup2_stderr, dup2_stdin, dup2_stdout},
    thread::set_no_new_privs,
};
use sandbox_policy::Tier;

use super::{Inside, filter, landlock, lock};
use crate::{
    canary,
    gate::{self, FromInside, FromOutside},
    resolve::resolve,
    sys::{self, Image},
    wire::{OrRefuse, Order, Refusal, Stage},
};

/// What is ready to be executed.
struct Program {
    path: String,
    file: OwnedFd,
    is_script: bool,
    image: Image,
}

/// Puts up the walls that a process puts up around itself, waits to be looked at, and becomes the
/// program. `supervisor` is the parent that it must not outlive, where no namespace sees to that.
pub(crate) fn lead(inside: Inside, supervisor: Option<Pid>) -> ! {
    let Inside { order, streams, gate } = inside;
    let refusal = match prepare(&order, streams, supervisor, &gate) {
        Ok(program) => match &order.walls.probe {
            Some(probe) => {
                drop(gate);
                sys::exit(canary::run(probe))
            }
            None => become_program(&program),
        },
        Err(refusal) => refusal,
    };
    // A supervisor that is gone hears nothing, and this process ends either way.
    drop(gate::send(&gate, &FromInside::Failed(refusal), None));
    sys::exit(1)
}

fn prepare(
    order: &Order,
    streams: [OwnedFd; 3],
    supervisor: Option<Pid>,
    gate: &OwnedFd,
) -> Result<Program, Refusal> {
    setsid().or_refuse(Stage::Prepare, "lead a session")?;
    if let Some(supervisor) = supervisor {
        set_parent_process_death_signal(Some(Signal::KILL))
            .or_refuse(Stage::Prepare, "follow the supervisor")?;
        // It may have died before the kernel was told to watch it.
        if getppid() != Some(supervisor) {
            sys::exit(1);
        }
    }
    sys::unblock_signals().or_refuse(Stage::Prepare, "unblock signals")?;
    take_streams(streams).or_refuse(Stage::Prepare, "take the streams")?;
    std::env::set_current_dir(&order.cwd)
        .map_err(|error| Refusal::of(Stage::Enter, &order.cwd, &error))?;
    let program = find(order)?;
    let landlock_abi = confine(order)?;
    let ready = FromInside::Ready { program: program.path.clone(), landlock_abi };
    gate::send(gate, &ready, Some(program.file.as_fd())).or_refuse(Stage::Prepare, "report")?;
    match gate::receive(gate).or_refuse(Stage::Prepare, "hear the supervisor")? {
        Some((FromOutside::Go, _)) => Ok(program),
        Some((FromOutside::Mapped, _)) | None => sys::exit(1),
    }
}

fn take_streams([stdin, stdout, stderr]: [OwnedFd; 3]) -> Result<(), Errno> {
    dup2_stdin(&stdin)?;
    dup2_stdout(&stdout)?;
    dup2_stderr(&stderr)
}

fn find(order: &Order) -> Result<Program, Refusal> {
    let command = order.argv.first().map(String::as_str).unwrap_or_default();
    let path = resolve(command, Path::new(&order.cwd))?;
    let text = path.display().to_string();
    let executable = |error: Errno| Refusal::of(Stage::Execute, &text, &error.into());
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let file = rustix::fs::open(&path, flags, Mode::empty()).map_err(executable)?;
    let image = Image::new(&text, &order.argv, &order.env)
        .map_err(|error| Refusal::of(Stage::Execute, &text, &error))?;
    Ok(Program { is_script: is_script(&path), file, image, path: text })
}

/// A script finds itself by its path, and its interpreter must be able to open it.
fn is_script(path: &Path) -> bool {
    use std::io::Read;
    let mut start = [0; 2];
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok()
        && start == *b"#!"
}

fn confine(order: &Order) -> Result<Option<u32>, Refusal> {
    let walls = &order.walls;
    lock::limit(walls).or_refuse(Stage::Confine, "set limits")?;
    if walls.tier == Tier::T0 {
        set_no_new_privs(true).or_refuse(Stage::Confine, "forbid new privileges")?;
        return Ok(None);
    }
    lock::give_up_rights().or_refuse(Stage::Confine, "give up rights")?;
    let landlock_abi =
        landlock::restrict(walls).or_refuse(Stage::Confine, "restrict files (Landlock)")?;
    filter::apply(walls.tier).or_refuse(Stage::Confine, "filter system calls (seccomp)")?;
    Ok(landlock_abi)
}

fn become_program(program: &Program) -> Refusal {
    let error = if program.is_script {
        program.image.execute_by_path()
    } else {
        program.image.execute(program.file.as_fd())
    };
    Refusal::of(Stage::Execute, &program.path, &error)
}
