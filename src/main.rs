//! The `dateline` command.

/// Under many clients, glibc's allocator takes a quarter of the server's time; docs/PERFORMANCE.md has the comparison.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    dateline::main()
}
