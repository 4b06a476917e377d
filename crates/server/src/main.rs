//! The `fairground` binary.

fn main() -> std::process::ExitCode {
    fairground::cli::main()
}
