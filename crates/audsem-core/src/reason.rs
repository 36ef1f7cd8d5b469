//! Reasons for leaving a record out.
