//! The programs that use the data: hold them still, let them go.
