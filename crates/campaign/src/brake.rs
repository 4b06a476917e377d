//! Whether what was won is held back for now, as somebody outside this room says.

use std::sync::Arc;

/// Asked again before every step that would let something out. On, nothing that was won leaves: it stays owed.
#[derive(Clone, Default)]
pub struct Brake(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Brake {
    /// A brake that somebody else holds; the default is never on.
    pub fn held_by(hand: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hand)))
    }

    /// Whether it is on now.
    pub fn is_on(&self) -> bool {
        self.0.as_ref().is_some_and(|hand| hand())
    }
}
