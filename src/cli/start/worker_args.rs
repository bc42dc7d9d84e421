//! Options of `start` that concern the processes that predict: how many, how long, how they are renewed.

use clap::{Args, ValueEnum};

use crate::serving::Rollout;

#[derive(Debug, Args)]
#[command(next_help_heading = "Workers")]
pub(super) struct WorkerArgs {
    /// Processes that answer predictions
    #[arg(long, env = "WORKERS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) workers: u16,
    /// Predictions that one process answers at a time
    #[arg(long, env = "THREADS", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) threads: u16,
    /// Models that are kept loaded at a time, one for each project and labelling config
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_instances: u32,
    /// Make an instance of the model for every request (API v2), as the original does
    #[arg(long)]
    pub(super) fresh_instances: bool,
    /// Whether new workers are loaded before the old ones end, when a training of API v2 wrote files;
    /// auto: not if a graphics card has no room for both
    #[arg(long, value_enum, default_value_t = RolloutChoice::Auto)]
    rollout: RolloutChoice,
    /// Longest time in seconds that running predictions may take when the server stops
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    pub(super) drain_timeout: f64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RolloutChoice {
    StartFirst,
    StopFirst,
    Auto,
}

impl WorkerArgs {
    pub(super) fn rollout(&self) -> Rollout {
        match self.rollout {
            RolloutChoice::StartFirst => Rollout::StartFirst,
            RolloutChoice::StopFirst => Rollout::StopFirst,
            RolloutChoice::Auto => Rollout::Auto,
        }
    }
}
