//! Networks against goldens made by their reference implementations (`fixtures/regen`).
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod adapter_folders;
mod adapters;
mod alone;
mod ast;
mod beats;
mod bert;
mod blip;
mod blocks;
mod clap;
mod clap_features;
mod clap_precision;
mod conette;
mod conv;
mod generate;
mod golden;
mod layers;
mod llava_video;
mod lp_musiccaps;
mod resnet;
mod rt_detr;
mod sat;
mod sentence;
mod token_ids;
mod train;
mod weights;
