//! The command line of a benchmark.

/// The arguments of a benchmark; `None` if it is run by `cargo test --benches`, and there is nothing to measure.
pub(crate) fn arguments<A: clap::Parser>() -> Option<A> {
    let (bench, arguments): (Vec<_>, Vec<_>) = std::env::args_os().partition(|argument| argument == "--bench");
    (!bench.is_empty()).then(|| A::parse_from(arguments))
}

/// Whether `part` is to be measured: if it is named, or no part is.
pub(crate) fn has(parts: &[String], part: &str) -> bool {
    parts.is_empty() || parts.iter().any(|named| named == part)
}
