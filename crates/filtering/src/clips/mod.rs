//! Media to audio shards.
