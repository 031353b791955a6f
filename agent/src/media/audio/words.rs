//! What is heard or played on, for people; it may change while the agent runs.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// Words that all holders of a clone see change.
#[derive(Clone, Debug)]
pub struct Words(Arc<Mutex<String>>);

impl Words {
    /// Says something else from now on; whether it is something else.
    pub fn set(&self, words: String) -> bool {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = *now != words;
        *now = words;
        changed
    }
}

impl From<&str> for Words {
    fn from(words: &str) -> Self {
        Self(Arc::new(Mutex::new(words.into())))
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
