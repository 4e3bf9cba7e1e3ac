//! Variables in order.

/// Names and values; each name once, in the order in which names first appeared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Variables(Vec<(String, String)>);

impl Variables {
    /// Sets a variable in its place, or appends it.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|(existing, _)| existing == name) {
            Some((_, existing)) => value.clone_into(existing),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    /// The value of a variable.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let mut matching = self.0.iter().filter(|(existing, _)| existing == name);
        matching.next().map(|(_, value)| value.as_str())
    }

    /// The same without one of them.
    pub(crate) fn without(&self, name: &str) -> Self {
        let others = self.0.iter().filter(|(existing, _)| existing != name);
        Self(others.cloned().collect())
    }

    /// All of them.
    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }
}
