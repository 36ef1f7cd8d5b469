//! Labels and rules to the clip table.
