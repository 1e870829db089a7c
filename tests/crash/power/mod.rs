//! An archive that survived a power cut opens, and has everything that was acknowledged before the cut.
//!
//! A child runs with a preloaded shim ([`shim`]) that records each change of its files and each acknowledgement. A disk
//! is simulated along that record ([`disk`]) and cut at random ([`cut`]); what is left is opened and checked. One
//! record serves many cuts. Several children run one after the other in a record, some of them killed, and what one cut
//! leaves is worked on further and cut again.

mod compact;
mod cut;
mod disk;
mod guard;
mod laws;
mod rounds;
mod shim;
mod trace;
