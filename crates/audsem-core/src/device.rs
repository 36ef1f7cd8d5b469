//! Which device a model runs on.
