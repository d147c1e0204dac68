//! SQLite databases are captured while another process writes to them without pause.

mod corners;
mod live;
mod world;
