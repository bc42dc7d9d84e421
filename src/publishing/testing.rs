//! For unit tests: [`ServingStage`] with the parts that change the versions that it serves.

use std::ops::Deref;
use std::sync::Arc;

use super::Publisher;
use crate::serving::testing::ServingStage;
use crate::wire::protocol::ClassInfo;
use crate::workers::supervision::RolloutOrder;

pub(crate) struct PublishingStage {
    stage: ServingStage,
    pub(crate) publisher: Arc<Publisher>,
}

impl PublishingStage {
    pub(crate) fn new(class: ClassInfo) -> Self {
        let stage = ServingStage::new(class);
        let registry = Arc::clone(stage.serving.registry());
        Self { publisher: Arc::new(Publisher::new(registry, RolloutOrder::StartFirst)), stage }
    }
}

impl Deref for PublishingStage {
    type Target = ServingStage;

    fn deref(&self) -> &ServingStage {
        &self.stage
    }
}
