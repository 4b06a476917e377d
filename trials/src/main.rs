//! The product's own main, as a program of this package, so that trials can start and kill it.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    fairground::cli::main()
}
