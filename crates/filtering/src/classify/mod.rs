//! Scoring captions with a BERT classifier, and training one.
