//! To come.

use super::{Document, Parts, RenderError};

pub(super) fn documents(_parts: &Parts<'_>) -> Result<Vec<Document>, RenderError> {
    Ok(Vec::new())
}
