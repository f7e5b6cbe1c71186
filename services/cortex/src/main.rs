//! The `cortex` command: hands its arguments to the library and leaves with its exit code.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    cortex::main(std::env::args_os())
}
