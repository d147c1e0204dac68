//! The product's verbs: real parts put together
