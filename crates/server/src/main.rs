//! The `fairground` binary.

/// Requests are allocated on one thread and freed on another: glibc's arenas are slow at that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    fairground::cli::main()
}
