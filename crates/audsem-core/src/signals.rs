//! Stop requests.
