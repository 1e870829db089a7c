//! Acknowledged writes survive: both when the process is killed and when the power fails.
//!
//! A child process, started from this same binary, works on a real archive in a real directory and reports each request
//! and each reply ([`child`], [`told`]). Either it is killed at random moments, again and again ([`kills`]); or every
//! change to its files is recorded, and a simulated disk forgets at a random moment what was not synced ([`power`]).
//! Afterwards the archive is compared with the child's reports ([`check`]).
//!
//! Each run prints its seed. The seed repeats the requests and the places of the power cuts; the moment of a kill and
//! the scheduling of a child's threads remain random.
#![cfg(test)]

mod check;
mod child;
#[allow(dead_code, reason = "the tests of the feed use more of it")]
#[path = "../it/feed/dice.rs"]
mod dice;
mod kills;
#[cfg(target_os = "linux")]
mod power;
mod told;
mod victim;
mod wanted;
mod work;

/// A number from an environment variable, or the default.
fn told_by(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |number| number.parse().expect("the variable is a number"))
}

/// The seed of this run, from an environment variable or random. It is printed.
fn seed(variable: &str) -> u64 {
    let new = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_micros();
    let seed = told_by(variable, u64::try_from(new % 1_000_000_007).unwrap());
    println!("{variable}={seed}");
    seed
}
