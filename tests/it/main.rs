//! What a user sees, from the outside, and the house rules: one binary, so that it links once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on says so by a panic; the lint's exception does not reach helper functions here"
)]

mod architecture;
mod cli;
mod corpus;
mod docker;
mod drop;
mod engine;
mod examples;
mod files;
mod fresh;
mod grpc;
mod harness;
mod image;
mod serving;
mod suites;
mod support;
