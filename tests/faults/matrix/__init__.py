"""What a migration is put through: one module for each kind of fault, each of them with `groups`, its cases by name."""
