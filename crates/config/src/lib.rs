//! strongroom.toml as typed values, errors with line and column.
