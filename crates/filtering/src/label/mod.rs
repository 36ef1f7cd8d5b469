//! Yes/no labels by a language model.
