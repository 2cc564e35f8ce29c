//! Support for the workspace's tests.
