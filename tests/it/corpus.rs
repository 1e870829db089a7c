//! The inputs that fuzzing kept: those that reach all the code that it found, and those that once broke a promise.

#[path = "../fuzz/promises.rs"]
mod promises;

use std::path::Path;

/// Runs `promise` on each input that was kept for the target, and names the one that breaks it.
fn holds(target: &str, promise: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut inputs: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{} has no inputs", folder.display());
    for input in inputs {
        let bytes = std::fs::read(&input).unwrap();
        let held = std::panic::catch_unwind(|| promise(&bytes));
        assert!(held.is_ok(), "{} breaks a promise of {target}", input.display());
    }
}

macro_rules! targets {
    ($($target:ident)*) => {
        $(
            #[test]
            fn $target() {
                holds(stringify!($target), promises::$target);
            }
        )*

        /// A target that is missing from either list would never be built, or its corpus never checked.
        #[test]
        fn every_target_is_checked() {
            let manifest = include_str!("../fuzz/Cargo.toml");
            let built = manifest.lines().filter_map(|line| line.strip_prefix("path = \"targets/")?.strip_suffix(".rs\""));
            assert_eq!(built.collect::<Vec<_>>(), [$(stringify!($target)),*]);
        }
    };
}

targets! {
    news_text markdown html news_article ninjs json json_lines warc wacz detect feed times robots proof evidence access_rules authorization url_key connect requests
}

/// A new request of the contract that is missing here would not be fuzzed.
#[test]
fn every_request_of_the_contract_is_fuzzed() {
    let pool = prost_reflect::DescriptorPool::decode(dateline::internals::wire::DESCRIPTOR).unwrap();
    let methods = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>());
    let mut requests: Vec<_> = methods.map(|method| method.input().name().to_owned()).collect();
    requests.sort();
    requests.dedup();
    let mut fuzzed: Vec<_> = promises::REQUESTS.iter().map(|(name, _)| *name).collect();
    fuzzed.sort_unstable();
    assert_eq!(fuzzed, requests);
}
