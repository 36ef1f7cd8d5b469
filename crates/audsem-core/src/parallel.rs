//! Ordered parallel map.
