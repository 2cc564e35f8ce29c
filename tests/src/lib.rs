//! Support for the workspace's tests: small checkpoints made from fixtures, and runs of the binary.

pub mod binary;
pub mod checkpoint;
pub mod compare;
pub mod fixture;
pub mod golden;
pub mod numbers;
pub mod rundir;
pub mod scene;
pub mod status;
pub mod tables;
pub mod weights;
