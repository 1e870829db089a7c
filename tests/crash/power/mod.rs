//! What a power cut leaves of an archive has all that was acknowledged before it, and opens.
//!
//! A child runs with a shim before it ([`shim`]) that records each change of its files and each acknowledgement. A disk is
//! simulated along the record ([`disk`]) and cut at random ([`cut`]); what is left is opened and checked. One record serves
//! many cuts. Several children follow each other in it, some of them killed, and what one cut left is worked on further
//! and cut again.

mod cut;
mod disk;
mod guard;
mod laws;
mod rounds;
mod shim;
mod trace;
