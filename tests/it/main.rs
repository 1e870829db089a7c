//! Tests through the public API: the archive itself, and a real server over a socket. They form one binary, so that
//! only one has to be linked.
#![cfg(test)]

mod absences;
mod access;
mod addresses;
mod backup;
mod bad_fields;
mod changed_parts;
mod checkpoints;
mod cli;
mod clocks;
mod compact;
mod concurrency;
mod connections;
mod corpus;
mod damage;
mod default_client;
mod embed;
mod etags;
mod export;
mod expunge;
mod faults;
mod feed;
mod fetch;
mod fetched;
mod fixture;
mod follow;
mod followed_log;
mod imports;
mod labels;
mod layers;
mod model;
mod pages;
mod portrait;
mod proofs;
mod reasons;
mod received;
mod reflection;
mod refusals;
mod server;
mod service;
mod stories;
mod support;
mod verify;
mod wire;
mod witnesses;
