//! Doubles, models and conformance suites
