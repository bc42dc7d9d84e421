//! For unit tests: [`Stage`] with what changes the versions that it serves.

use std::ops::Deref;
use std::sync::Arc;

use super::Publisher;
use crate::serving::testing::Stage;
use crate::wire::protocol::ClassInfo;
use crate::workers::supervision::RolloutOrder;

pub(crate) struct PublishingStage {
    stage: Stage,
    pub(crate) publisher: Arc<Publisher>,
}

impl PublishingStage {
    pub(crate) fn new(class: ClassInfo) -> Self {
        let stage = Stage::new(class);
        let registry = Arc::clone(stage.serving.registry());
        Self { publisher: Arc::new(Publisher::new(registry, RolloutOrder::StartFirst)), stage }
    }
}

impl Deref for PublishingStage {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}
