//! From a quiet workload to a kept archive, and back.
