//! AudSem.
