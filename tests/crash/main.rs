//! Nothing that was acknowledged is ever lost: not when the process is killed, and not when the power goes.
//!
//! A child process, this binary again, works on a real archive in a real directory and tells what it asks and what it is
//! answered ([`child`], [`told`]). It is killed at random moments, again and again ([`kills`]). Or all that it does to its
//! files is recorded, and a simulated disk forgets what was not synced at a random moment ([`power`]). What is there
//! afterwards is held against what was told ([`check`]).
//!
//! Each run prints its seed, and a seed repeats what is asked and where power is cut. When a kill comes, and how the
//! threads of a child take turns, is chance.
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

/// A number that a run is told by the environment.
fn told_by(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |number| number.parse().expect("it is a number"))
}

/// A seed of this run: told by the environment, or new. It is printed.
fn seed(variable: &str) -> u64 {
    let new = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_micros();
    let seed = told_by(variable, u64::try_from(new % 1_000_000_007).unwrap());
    println!("{variable}={seed}");
    seed
}
