//! Warns of versions that are not served, because they lie in another usual place than MODEL_DIR.

use std::sync::Arc;

use crate::publishing::Publisher;
use crate::serving::served_class::made_by;
use crate::store::usual_places;
use crate::wire::protocol::{ClassSource, Configure};

/// Looks once, when the class is known.
pub(super) async fn warn(publisher: Arc<Publisher>, configure: Configure) {
    let Ok((class, _)) = publisher.registry().class.imported().await else { return };
    let (ClassSource::Wsgi { path } | ClassSource::Script { path, .. }) = &configure.source;
    let project = path.parent().unwrap_or(&configure.cwd).to_owned();
    let (model_dir, cwd, maker) = (class.model_dir.clone(), configure.cwd, made_by(&class));
    let looked = tokio::task::spawn_blocking(move || {
        usual_places::others(&model_dir, &project, &cwd, &maker)
    });
    for place in looked.await.unwrap_or_default() {
        tracing::warn!("{}", usual_places::sentence(&class.class, &class.model_dir, &place));
    }
}
